"""`lib.text.language` against transformers' own losses, logits gathered by hand and the chain rule."""
from __future__ import annotations

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast
from transformers.trainer_pt_utils import LabelSmoother

from lib.adapters import LoRA, attach
from lib.data import Dataset, encode
from lib.evaluation import evaluator, predict_logits
from lib.loss import learned_at, model_inputs, terms
from lib.models import LanguageModel
from lib.names import ends_in
from lib.objectives import cross_entropy
from lib.tasks.options import option_scores
from lib.text.conversations import Tokens
from lib.text.language import Answers, answer_mass, next_token
from tests.lib.tiny import Tiny
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

END = 2
IDS = [[4, 10, 9, END, 7], [11, 12, END], [5, 6, 7, 8, 9, 4, END], [8, 9]]  # the end is the padding, and inside a row
STARTS = [3, 1, 0, 1]
PROMPTS = ["the film was", "a book is not", "the", "film <|im_end|>"]
SINGLE, SEVERAL = ["good", "bad", "fine"], ["good", "very bad", "very good film", "not"]


@pytest.fixture
def model() -> LanguageModel:
    return LanguageModel(tiny_llama(), tiny_tokenizer())


@pytest.fixture
def data() -> Tokens:
    return tiny_tokens(IDS, STARTS, pad=END)


def prompts(model: LanguageModel) -> Dataset:
    return encode(model.tokenizer, PROMPTS, [0, 1, 1, 0], max_length=32)


def by_hand(model: LanguageModel, text: str, then: list[int] | None = None) -> Tensor:
    """Log-probabilities (V,) of what follows a text, from transformers' model alone, without padding."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"] + (then or [])])
    with torch.no_grad():
        return model.decoder(input_ids=ids).logits[0, -1].log_softmax(0)


def spaced() -> PreTrainedTokenizerFast:
    """A tokenizer in which a word is one token with the space before it and another without."""
    words = ["<|end|>", "good", "bad", "Ġgood", "Ġbad", "film", "Ġ"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<|end|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")


# next_token


def test_it_is_the_loss_of_transformers(model: LanguageModel, data: Tokens) -> None:
    batch = data.collate(range(4))
    loss = next_token()(model, batch)
    loss.total.backward()
    mine = model.get_input_embeddings().weight.grad.clone()
    model.zero_grad()
    theirs = model.decoder(**batch).loss
    theirs.backward()
    torch.testing.assert_close(loss.total, theirs)
    torch.testing.assert_close(mine, model.get_input_embeddings().weight.grad, atol=1e-6, rtol=1e-4)
    assert loss.parts == {"ce": loss.total} and loss.logits.shape == (2 + 2 + 6 + 1, len(model.tokenizer))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_smoothing_is_over_all_words_and_after_the_shift(smoothing: float, model: LanguageModel,
                                                         data: Tokens) -> None:
    batch = data.collate(range(4))
    labels = batch["labels"]
    with torch.no_grad():
        logits = model.decoder(batch["input_ids"], batch["attention_mask"]).logits
    theirs = LabelSmoother(smoothing)({"logits": logits}, labels.clone(), shift_labels=True)
    torch.testing.assert_close(next_token(smoothing)(model, batch).total, theirs)
    unshifted = LabelSmoother(0.1)({"logits": logits}, labels.clone())  # negative control
    assert (unshifted - theirs).abs() > 0.01


def test_neither_the_width_of_the_padding_nor_the_first_label_counts(model: LanguageModel, data: Tokens) -> None:
    batch = data.collate(range(4))
    loss = next_token()(model, batch).total
    wide = {name: F.pad(value, (0, 5), value={"labels": -100, "input_ids": 9}.get(name, 0))
            for name, value in batch.items()}
    torch.testing.assert_close(next_token()(model, wide).total, loss)
    batch["labels"][:, 0] = -100
    assert next_token()(model, batch).total == loss  # nothing stands before the first token
    batch["labels"][:, 1] = -100
    assert next_token()(model, batch).total != loss


def test_logits_are_computed_where_a_token_is_learned_alone(model: LanguageModel, data: Tokens) -> None:
    seen = []
    model.decoder.lm_head.register_forward_hook(lambda _, given, out: seen.append(tuple(out.shape)))
    batch = data.collate(range(4))
    next_token()(model, batch)
    assert seen == [(terms(batch), len(model.tokenizer))] == [(11, 27)]


def test_a_model_that_knows_nothing_pays_log_v(data: Tokens) -> None:
    model = LanguageModel(tiny_llama(tie_word_embeddings=False), tiny_tokenizer())
    nn.init.zeros_(model.decoder.lm_head.weight)
    for smoothing in (0.0, 0.3):
        total = next_token(smoothing)(model, data.collate(range(4))).total
        torch.testing.assert_close(total, torch.tensor(27.0).log())


def test_what_is_asked_of_a_model_depends_on_the_labels() -> None:
    x = torch.ones(2, 3, dtype=torch.int64)
    tokens = torch.tensor([[5, -100, 6], [7, -100, -100]])
    assert learned_at(tokens).tolist() == [[False, True, False], [False, False, False]]
    assert model_inputs({"input_ids": x, "labels": tokens}).keys() == {"input_ids", "at"}
    assert model_inputs({"input_ids": x, "labels": torch.ones(2, 3) / 3}).keys() == {"input_ids"}
    assert [terms({"labels": labels}) for labels in (tokens, torch.ones(2, 3) / 3, torch.tensor([1, 0]))] == [1, 2, 2]


# Answers


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("words", [SINGLE, SEVERAL])
def test_scores_are_those_of_the_words_at_the_last_real_token(words: list[str], side: str,
                                                              model: LanguageModel) -> None:
    answers = Answers(model, words)
    batch = prompts(model).collate(range(4))
    batch.pop("labels")
    if side == "left":
        lengths = batch["attention_mask"].sum(1).tolist()
        batch = {name: torch.stack([row.roll(len(row) - n) for row, n in zip(value, lengths, strict=True)])
                 for name, value in batch.items()}
    expected = torch.zeros(4, len(words))
    for i, prompt in enumerate(PROMPTS):
        for c, word in enumerate(words):
            ids = model.tokenizer(word)["input_ids"]
            expected[i, c] = sum(by_hand(model, prompt, ids[:t])[token] for t, token in enumerate(ids))
    with torch.no_grad():
        torch.testing.assert_close(answers(**batch).log_softmax(1), expected.log_softmax(1), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(answers.log_probabilities(**batch), expected, atol=1e-5, rtol=1e-5)
        embedded = model.get_input_embeddings()(batch.pop("input_ids"))
        torch.testing.assert_close(answers.log_probabilities(inputs_embeds=embedded, **batch), expected,
                                   atol=1e-5, rtol=1e-5)


def test_one_token_words_cost_a_pass_and_their_rows_of_the_head(model: LanguageModel) -> None:
    bodies, heads = [], []
    model.decoder.model.register_forward_hook(lambda *_: bodies.append(1))
    model.decoder.lm_head.register_forward_hook(lambda *_: heads.append(1))
    batch = prompts(model).collate(range(4))
    batch.pop("labels")
    Answers(model, SINGLE)(**batch)
    assert (len(bodies), len(heads)) == (1, 0)
    Answers(model, ["good", "very bad", "very good film", "very good book", "very poor"])(**batch)
    assert len(bodies) == 1 + 1  # "very good" is the longest beginning, and the others lie on its way


def test_the_whole_cross_entropy_is_that_among_the_words_minus_the_log_of_their_mass(model: LanguageModel) -> None:
    data, answers = prompts(model), Answers(model, SEVERAL)
    labels = [0, 1, 2, 3]
    batch = {**data.collate(range(4)), "labels": torch.tensor(labels)}
    among = cross_entropy()(answers, batch).total
    mass = answer_mass(answers, data)
    assert ((0 < mass) & (mass < 1)).all()
    whole = 0.0
    for i, label in enumerate(labels):
        ids = [data.ids[i] + answers.tokens[label]]
        one = tiny_tokens(ids, [len(data.ids[i])], pad=END).collate([0])
        whole += next_token()(model, one).total.item() * len(answers.tokens[label]) / len(labels)
    assert whole == pytest.approx((among - mass.log().mean()).item(), abs=1e-5)


def test_a_word_keeps_its_space() -> None:
    model = LanguageModel(tiny_llama(vocab_size=7), spaced())
    assert Answers(model, [" good", " bad"]).tokens == [[3], [4]]
    assert Answers(model, ["good", "bad"]).tokens == [[1], [2]]
    scores = [option_scores(model, ["film"], [[word]])[0] for word in (" good", "good")]
    torch.testing.assert_close(scores[0][0], by_hand(model, "film")[3])
    torch.testing.assert_close(scores[1][0], by_hand(model, "film")[1])


def test_answers_are_judged_and_trained_as_a_classifier_is(model: LanguageModel) -> None:
    data, answers = prompts(model), Answers(model, SINGLE[:2])
    assert predict_logits(answers, data).shape == (4, 2)
    attach(answers.language.decoder, ends_in("q_proj", "v_proj"), lambda W: LoRA(W, 2, 4))
    before = evaluator(data)(answers)["nll"]
    weights = [p for p in answers.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        cross_entropy(0.1)(answers, data.collate(range(4))).total.backward()
        optimizer.step()
    assert evaluator(data)(answers)["nll"] < before - 0.3


# Refused by name




@pytest.mark.parametrize(("action", "message"), [
    (lambda m, d: next_token(1.0), "smoothing must be at least 0 and below 1, got 1.0"),
    (lambda m, d: next_token()(Answers(m, SINGLE), d.collate([0])), "model must be a LanguageModel, .* got Answers"),
    (lambda m, d: next_token()(m, prompts(m).collate([0])), r"labels must be tokens .* got shape \(1,\)"),
    (lambda m, d: next_token()(m, tiny_tokens([[4, 5]], [2]).collate([0])), "labels must hold a token to learn"),
    (lambda m, d: next_token()(m, tiny_tokens([[4]], [0]).collate([0])), "labels must hold a token to learn"),
    (lambda m, d: Answers(Tiny(), SINGLE), "model must be a LanguageModel, .* got Tiny"),
    (lambda m, d: Answers(m, "good"), "words must hold at least two answers"),
    (lambda m, d: Answers(m, ["good"]), "words must hold at least two answers"),
    (lambda m, d: Answers(m, ["good", " "]), "words must hold at least two answers, none of them blank"),
    (lambda m, d: Answers(m, ["good", "good"]), "words must not begin one another, got 'good' at the beginning"),
    (lambda m, d: Answers(m, ["good film", "good"]), "got 'good' at the beginning of 'good film'"),
    (lambda m, d: Answers(m, SINGLE)(attention_mask=torch.ones(1, 2)), "input_ids or inputs_embeds must be given"),
    (lambda m, d: Answers(m, SINGLE)(torch.ones(1, 2).long(), torch.zeros(1, 2)), "each prompt must have a token"),
    (lambda m, d: predict_logits(m, prompts(m)), r"model must give \(rows, classes\), .* Answers makes a classifier"),
    (lambda m, d: predict_logits(m, d, batch_size=1), r"model must give \(rows, classes\), as wide for each text"),
    (lambda m, d: evaluator(d), "data must hold one class a row, whole numbers, got labels such as"),
    (lambda m, d: cross_entropy()(m, prompts(m).collate([0])), r"logits must be \(batch, classes\)"),
])
def test_what_means_nothing_is_refused_by_name(action: Any, message: str, model: LanguageModel,
                                               data: Tokens) -> None:
    with pytest.raises(ValueError, match=message):
        action(model, data)


def test_a_prompt_that_is_too_long_keeps_its_question(model: LanguageModel, capsys: pytest.CaptureFixture[str]) -> None:
    """An encoder's tokenizer cuts the end, where a prompt asks; the answer is then that to another question."""
    text = "the film was very " * 20
    data = encode(model.tokenizer, [text + "what is it", "what is it"], [0, 1], max_length=8)
    assert model.tokenizer.decode(data.ids[0]).split() == (text + "what is it").split()[-8:]
    assert data.cut == (0,) and "1 of 2 texts were cut to 8 tokens" in capsys.readouterr().out
