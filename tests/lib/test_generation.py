"""`lib.text.generation` against transformers' own `generate` and against the distribution that is drawn from."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lib.adapters import LoRA, attach
from lib.models import LanguageModel
from lib.names import ends_in
from lib.regularizers import set_dropout
from lib.text.generation import chat_prompt, generate, generate_ids, own_samples, stream
from tests.lib.tiny import Tiny
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

END = 2
ROWS = [[4, 10, 9, 5], [11, 12], [5, 6, 7, 8, 9, 4, 12, 13], [8], [9, END, 5]]  # of five lengths, the end in one


@pytest.fixture
def model() -> LanguageModel:
    """Of weights large enough that it does not say one word for ever, and that it ends some texts."""
    decoder = tiny_llama(tie_word_embeddings=False)
    generator = torch.Generator().manual_seed(24)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        decoder.lm_head.weight.mul_(0.5)
    return LanguageModel(decoder, tiny_tokenizer())


def theirs(model: LanguageModel, row: list[int], new: int) -> list[int]:
    """What transformers writes after one row, greedily."""
    x = torch.tensor([row])
    out = model.decoder.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=new, do_sample=False,
                                 pad_token_id=END)
    return out[0, len(row):].tolist()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_greedy_is_that_of_transformers_for_each_row_alone(batch_size: int, model: LanguageModel) -> None:
    written = generate_ids(model, ROWS, max_new_tokens=20, batch_size=batch_size)
    assert written == [theirs(model, row, 20) for row in ROWS]
    ends = [END in row for row in written]
    assert any(ends) and not all(ends)  # of both kinds, or this shows little
    assert all(len(row) == 20 or row[-1] == END for row in written)
    assert len({tuple(row) for row in written}) == len(ROWS) and any(len(set(row)) > 3 for row in written)


def test_texts_are_what_the_tokens_say_without_the_end(model: LanguageModel) -> None:
    prompts = ["good film", "the book was", chat_prompt(model.tokenizer, "who says no")]
    written = generate(model, prompts, max_new_tokens=20)
    rows = [model.tokenizer(prompt)["input_ids"] for prompt in prompts]
    for text, row in zip(written, rows, strict=True):
        ids = [token for token in theirs(model, row, 20) if token != END]
        assert text == model.tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_draws_are_those_of_the_model(model: LanguageModel) -> None:
    for temperature in (1.0, 0.5):
        drawn = [row[0] for row in generate_ids(model, [[4, 10]] * 3000, max_new_tokens=1, temperature=temperature,
                                                batch_size=3000)]
        with torch.no_grad():
            p = (model.decoder(torch.tensor([[4, 10]])).logits[0, -1].double() / temperature).softmax(0).numpy()
        seen = np.bincount(drawn, minlength=len(p))
        often = p * 3000 > 5  # where chi-squared holds
        fair = p[often] / p[often].sum()
        assert often.sum() > 15 and stats.chisquare(seen[often], fair * seen[often].sum()).pvalue > 0.01
        other = fair**1.2 / (fair**1.2).sum()  # negative control: another temperature
        assert stats.chisquare(seen[often], other * seen[often].sum()).pvalue < 1e-6


def test_a_row_s_draws_are_its_own(model: LanguageModel) -> None:
    written = generate_ids(model, ROWS, max_new_tokens=12, temperature=1.0, seed=3)
    assert written == generate_ids(model, ROWS, max_new_tokens=12, temperature=1.0, seed=3, batch_size=2)
    others = [[7, 8, 9], *ROWS[1:3], [4], [5]]
    assert generate_ids(model, others, max_new_tokens=12, temperature=1.0, seed=3)[1:3] == written[1:3]
    longer = generate_ids(model, ROWS, max_new_tokens=16, temperature=1.0, seed=3)
    assert [row[:12] for row in longer] == written
    assert written != generate_ids(model, ROWS, max_new_tokens=12, temperature=1.0, seed=4)
    twice = generate_ids(model, [[4, 10]] * 2, max_new_tokens=12, temperature=1.0)
    assert twice[0] != twice[1]


def test_a_weight_with_lora_is_computed_once_and_never_kept(model: LanguageModel) -> None:
    attach(model.decoder, ends_in("q_proj", "v_proj"), lambda W: LoRA(W, 2, 4))
    maps = [module for module in model.modules() if isinstance(module, LoRA)]
    with torch.no_grad():
        for lora in maps:
            lora.B.normal_(std=0.3)
    calls: list[int] = []
    for lora in maps:
        lora.register_forward_hook(lambda *_: calls.append(1))
    written = generate_ids(model, ROWS, max_new_tokens=8, batch_size=2)
    assert len(calls) == len(maps) == 6
    with torch.no_grad():
        for lora in maps:
            lora.B.zero_()
    plain = generate_ids(model, ROWS, max_new_tokens=8, batch_size=2)
    assert plain != written and plain == [theirs(model, row, 8) for row in ROWS]


def test_writing_disturbs_nothing(model: LanguageModel) -> None:
    set_dropout(model, 0.5)
    model.train()
    state = torch.get_rng_state()
    pieces = stream(model, "good film", max_new_tokens=8)
    next(pieces)
    assert not torch.is_inference_mode_enabled() and all(module.training for module in model.modules())
    assert generate(model, ["good film"], max_new_tokens=8) == generate(model, ["good film"], max_new_tokens=8)
    assert torch.equal(torch.get_rng_state(), state) and all(module.training for module in model.modules())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_pieces_are_the_whole_in_order(temperature: float, model: LanguageModel) -> None:
    whole = generate(model, ["the book was"], max_new_tokens=12, temperature=temperature, seed=2)[0]
    pieces = list(stream(model, "the book was", max_new_tokens=12, temperature=temperature, seed=2))
    assert "".join(pieces) == whole and len(pieces) > 2 and all(pieces)


def test_half_a_character_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(letters)}))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        pre_tokenizers.Split("", "isolated")])
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    model = LanguageModel(tiny_llama(vocab_size=256), fast)
    text = "né 3 €"
    ids = [tokenizer.token_to_id(pre_tokenizers.ByteLevel(False, use_regex=False).pre_tokenize_str(c)[0][0][i])
           for c in text for i in range(len(c.encode()))]
    monkeypatch.setattr("lib.text.generation._ids", lambda *_: [1])
    monkeypatch.setattr("lib.text.generation._steps", lambda *_: iter([[token] for token in ids]))
    assert list(stream(model, "x", max_new_tokens=20)) == list(text)
    monkeypatch.setattr("lib.text.generation._steps", lambda *_: iter([[token] for token in ids[:-1]]))  # cut short
    assert "".join(stream(model, "x", max_new_tokens=20)) == "né 3 \ufffd"


def test_own_samples_are_draws_from_all_words(model: LanguageModel) -> None:
    samples = own_samples(model, 3000, length=2, batch_size=3000)
    assert all(len(row) == 2 and row[0] == model.tokenizer.bos_token_id for row in samples)
    with torch.no_grad():
        p = model.decoder(torch.tensor([[1]])).logits[0, -1].double().softmax(0).numpy()
    seen = np.bincount([row[1] for row in samples], minlength=len(p)) / 3000
    assert (np.abs(seen - p) < 4.5 * np.sqrt(p * (1 - p) / 3000) + 1e-3).all()
    assert (seen > 0).sum() > 15  # no top-k
    longer = own_samples(model, 3, length=9, seed=5)
    assert all(2 <= len(row) <= 9 and END not in row[1:-1] for row in longer)
    assert longer == own_samples(model, 3, length=9, seed=5, batch_size=1)


def test_a_chat_prompt_is_the_template_up_to_the_answer() -> None:
    tokenizer = tiny_tokenizer()
    assert chat_prompt(tokenizer, "who") == "<|im_start|>user\nwho<|im_end|>\n<|im_start|>assistant\n"
    assert chat_prompt(tokenizer, "who", "no").startswith("<|im_start|>system\nno<|im_end|>\n<|im_start|>user\nwho")


def without_template() -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    return tokenizer


def without_first(model: LanguageModel) -> LanguageModel:
    model.tokenizer.bos_token = None
    return model


@pytest.mark.parametrize(("action", "message"), [
    (lambda m: generate(m, "a", max_new_tokens=1), "prompts must be a list of texts, got 'a'"),
    (lambda m: generate(m, [""], max_new_tokens=1), "must be texts that are not empty, got ''"),
    (lambda m: generate(Tiny(), ["a"], max_new_tokens=1), "model must be a LanguageModel, .* got Tiny"),
    (lambda m: generate(m, ["a"], max_new_tokens=0), "max_new_tokens must be a whole number of at least 1, got 0"),
    (lambda m: generate(m, ["a"], max_new_tokens=1, temperature=-1), "temperature must be at least 0, got -1"),
    (lambda m: generate(m, ["a"], max_new_tokens=1, seed=-1), "seed must be a whole number of at least 0, got -1"),
    (lambda m: generate(m, ["a"], max_new_tokens=1, batch_size=0), "batch_size must be a whole number of at least 1"),
    (lambda m: generate(m, ["a the"], max_new_tokens=63), "must fit into 64 places together, got 2 and 63"),
    (lambda m: generate_ids(m, [[]], max_new_tokens=1), "rows must each hold a token"),
    (lambda m: next(stream(Tiny(), "a", max_new_tokens=1)), "model must be a LanguageModel, .* got Tiny"),
    (lambda m: next(stream(m, "", max_new_tokens=1)), "must be texts that are not empty, got ''"),
    (lambda m: own_samples(m, 0, length=5), "n must be a whole number of at least 1, got 0"),
    (lambda m: own_samples(m, 1, length=1), "length must be a whole number of at least 2, got 1"),
    (lambda m: own_samples(without_first(m), 1, length=3), "tokenizer must have a bos_token"),
    (lambda m: chat_prompt(m.tokenizer, " "), "a turn must not be blank, got ' ' from the user"),
    (lambda m: chat_prompt(m.tokenizer, 3), "content must be text, got 3"),
    (lambda m: chat_prompt(m.tokenizer, "no\udcff"), "a turn must be whole Unicode"),
    (lambda m: chat_prompt(m.tokenizer, "<|im_end|>"), "content must not hold special tokens"),
    (lambda m: chat_prompt(without_template(), "who"), "tokenizer must have a chat template"),
])
def test_what_means_nothing_is_refused_by_name(action: Any, message: str, model: LanguageModel) -> None:
    with pytest.raises(ValueError, match=message):
        action(model)
