"""`lib.text.likelihood` against transformers' own losses and the chain rule."""
from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lib.data import Dataset, encode
from lib.models import LanguageModel
from lib.regularizers import set_dropout
from lib.text import likelihood
from lib.text.conversations import Tokens
from lib.text.language import next_token
from lib.text.likelihood import by_character, by_sum, by_token, rank_options, row_nll, token_nll
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


@pytest.mark.parametrize(("batch_size", "places"), [(None, 512), (1, 512), (3, 2)])
def test_rows_cost_what_transformers_says(batch_size: int | None, places: int, model: LanguageModel, data: Tokens,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "PLACES", places)
    sums, counts = row_nll(model, data, batch_size=batch_size)
    assert counts.tolist() == [2, 2, 6, 1] and counts.dtype == torch.int64 and sums.dtype == torch.float64
    for i in range(4):
        with torch.no_grad():
            theirs = model.decoder(**data.collate([i])).loss
        assert sums[i].item() / counts[i].item() == pytest.approx(theirs.item(), rel=1e-5)
    judged = token_nll(data, batch_size=batch_size)(model)
    assert judged["nll"] == pytest.approx(sums.sum().item() / 11, rel=1e-12)
    assert judged["perplexity"] == pytest.approx(torch.tensor(judged["nll"]).exp().item(), rel=1e-6)
    assert judged["nll"] != pytest.approx((sums / counts).mean().item(), rel=1e-3)  # a mean of means is another number


def test_judging_disturbs_nothing(model: LanguageModel, data: Tokens) -> None:
    set_dropout(model, 0.5)
    model.train()
    model.decoder.lm_head.eval()
    state, modes = torch.get_rng_state(), [module.training for module in model.modules()]
    first, second = (token_nll(data)(model) for _ in range(2))
    assert first == second and torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes and not torch.is_inference_mode_enabled()
    assert next_token()(model, data.collate(range(4))).total.requires_grad


def test_options_rank_by_the_likelihood_that_is_asked_for(model: LanguageModel) -> None:
    options = [["good", "very bad", "not very good film"], ["no", "yes"]]
    expected = []
    for prompt, some in zip(PROMPTS[:2], options, strict=True):
        ids = [model.tokenizer(option)["input_ids"] for option in some]
        expected.append([sum(by_hand(model, prompt, row[:t])[token] for t, token in enumerate(row)).item()
                         for row in ids])
    sizes = [[1, 2, 4], [1, 1]], [[4, 8, 18], [2, 3]], [[1, 1, 1], [1, 1]]
    for normalize, lengths in zip((by_token, by_character, by_sum), sizes, strict=True):
        found = rank_options(model, PROMPTS[:2], options, normalize=normalize, batch_size=2)
        for mine, logs, size in zip(found, expected, lengths, strict=True):
            assert mine.tolist() == pytest.approx([a / b for a, b in zip(logs, size, strict=True)], rel=1e-5)


REFUSED = [
    (lambda m, d: row_nll(Tiny(), d), "model must be a LanguageModel, .* got Tiny"),
    (lambda m, d: row_nll(m, tiny_tokens([[4, 5], [4, 5]], [1, 2])), "each row must have a token to learn .* in row 1"),
    (lambda m, d: row_nll(m, prompts(m)), "labels must be tokens"),
    (lambda m, d: row_nll(m, tiny_tokens([], [])), "data must hold at least one row, got none"),
    (lambda m, d: token_nll(d, batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
    (lambda m, d: rank_options(m, ["a"], ["good"], normalize=by_sum), "options must hold a list of texts for each"),
    (lambda m, d: rank_options(m, ["a", "the"], [["good"]], normalize=by_sum), "options must hold a list of texts"),
    (lambda m, d: rank_options(m, [""], [["good"]], normalize=by_sum), "texts that are not empty, got ''"),
    (lambda m, d: rank_options(m, ["a"], [[""]], normalize=by_sum), "texts that are not empty, got ''"),
]


@pytest.mark.parametrize(("action", "message"), REFUSED)
def test_what_means_nothing_is_refused_by_name(action: Any, message: str, model: LanguageModel,
                                               data: Tokens) -> None:
    with pytest.raises(ValueError, match=message):
        action(model, data)
