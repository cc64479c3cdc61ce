"""`lib.text.likelihood` against transformers' own losses and the chain rule."""
from __future__ import annotations

from typing import Any

import pytest
import torch

from lib.data import Dataset, encode
from lib.models import LanguageModel
from lib.regularizers import set_dropout
from lib.text import likelihood
from lib.text.conversations import Tokens
from lib.text.language import next_token
from lib.text.likelihood import row_nll, token_nll
from tests.lib.tiny import Tiny
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

END = 2
IDS = [[4, 10, 9, END, 7], [11, 12, END], [5, 6, 7, 8, 9, 4, END], [8, 9]]  # the end is the padding, and inside a row
STARTS = [3, 1, 0, 1]
PROMPTS = ["the film was", "a book is not", "the", "film <|im_end|>"]


@pytest.fixture
def model() -> LanguageModel:
    return LanguageModel(tiny_llama(), tiny_tokenizer())


@pytest.fixture
def data() -> Tokens:
    return tiny_tokens(IDS, STARTS, pad=END)


def prompts(model: LanguageModel) -> Dataset:
    return encode(model.tokenizer, PROMPTS, [0, 1, 1, 0], max_length=32)


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


REFUSED = [
    (lambda m, d: row_nll(Tiny(), d), "model must be a LanguageModel, .* got Tiny"),
    (lambda m, d: row_nll(m, tiny_tokens([[4, 5], [4, 5]], [1, 2])), "each row must have a token to learn .* in row 1"),
    (lambda m, d: row_nll(m, prompts(m)), "labels must be tokens"),
    (lambda m, d: row_nll(m, tiny_tokens([], [])), "data must hold at least one row, got none"),
    (lambda m, d: token_nll(d, batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
]


@pytest.mark.parametrize(("action", "message"), REFUSED)
def test_what_means_nothing_is_refused_by_name(action: Any, message: str, model: LanguageModel,
                                               data: Tokens) -> None:
    with pytest.raises(ValueError, match=message):
        action(model, data)
