"""`lib.text.forgetting` against torch's own divergence, sums over all texts, and finite differences."""
from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from lib.models import LanguageModel, freeze
from lib.regularizers import set_dropout
from lib.run.frozen import above, read
from lib.run.host import Local
from lib.text import forgetting as module
from lib.text.conversations import Tokens
from lib.text.forgetting import forgetting, kl_to, replay
from lib.text.language import Answers
from tests.lib.tiny import Tiny
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

END = 2
IDS = [[1, 10, 9, END, 7], [1, 12, END], [1, 6, 7, 8, 9, 4, END], [1, 9]]  # the end is the padding, and inside a row


@pytest.fixture
def base() -> LanguageModel:
    return LanguageModel(tiny_llama(), tiny_tokenizer())


@pytest.fixture
def tuned(base: LanguageModel) -> LanguageModel:
    return changed(base)


def changed(base: LanguageModel) -> LanguageModel:
    """Another model, its tied word embedding and head included."""
    other = copy.deepcopy(base)
    draws = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=draws))
    return other


@pytest.fixture
def data() -> Tokens:
    return tiny_tokens(IDS, [0] * 4, pad=END)


def rows_by_hand(base: LanguageModel, tuned: LanguageModel, ids: list[int]) -> tuple[Tensor, Tensor]:
    """Divergence and rise at each place of one text, from transformers' models alone."""
    with torch.no_grad():
        p, q = (m.decoder(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(1) for m in (base, tuned))
    rise = (p - q).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return kl_divergence(Categorical(logits=p), Categorical(logits=q)), rise


@pytest.mark.parametrize(("batch_size", "places"), [(None, 512), (1, 512), (3, 2)])
def test_it_is_torchs_divergence_at_each_learned_place(batch_size: int | None, places: int, base: LanguageModel,
                                                       tuned: LanguageModel, data: Tokens,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES", places)
    found = forgetting(base, data, batch_size=batch_size)(tuned)
    kl, rise = (torch.cat(parts).mean().item() for parts in
                zip(*(rows_by_hand(base, tuned, ids) for ids in IDS), strict=True))
    assert found == {"kl": pytest.approx(kl, rel=1e-4), "rise": pytest.approx(rise, rel=1e-4)}
    assert kl > 0.01 and abs(kl - rise) > 0.01
    assert forgetting(tuned, data, batch_size=batch_size)(base)["kl"] != pytest.approx(kl, rel=1e-2)
    assert forgetting(base, data, batch_size=batch_size)(base)["kl"] == pytest.approx(0, abs=1e-6)


def test_on_all_texts_that_the_base_may_write_the_rise_is_the_divergence() -> None:
    """Weighted with the base's probability of each; on one text they do not agree."""
    base = LanguageModel(tiny_llama(layers=1), tiny_tokenizer())
    tuned = changed(base)
    texts = [[1, *rest] for rest in itertools.product(range(27), repeat=2)]
    weight, lost = [], []
    with torch.no_grad():
        log_p = base.decoder(input_ids=torch.tensor(texts)).logits.log_softmax(2)
    for i, ids in enumerate(texts):
        weight.append(sum(log_p[i, t, ids[t + 1]] for t in range(2)).exp().item())
        if weight[-1] > 1e-5:  # the rest weighs next to nothing
            found = forgetting(base, tiny_tokens([ids], [0]))(tuned)
            lost.append((weight[-1], found["kl"], found["rise"]))
    mass, kl, rise = (sum(w * x for w, x in zip((w for w, *_ in lost), column, strict=True)) for column in
                      ([1.0] * len(lost), [k for _, k, _ in lost], [r for *_, r in lost]))
    assert mass == pytest.approx(1, abs=2e-3) and rise == pytest.approx(kl, rel=0.02)
    assert max(abs(k - r) for _, k, r in lost) > 0.1


def test_the_base_is_kept_as_it_was(base: LanguageModel, tuned: LanguageModel, data: Tokens) -> None:
    lost = forgetting(base, data)
    before = lost(tuned)
    base.load_state_dict(tuned.state_dict())  # trained in place, its head as well
    assert lost(base) == before


def test_judging_disturbs_nothing(base: LanguageModel, tuned: LanguageModel, data: Tokens) -> None:
    set_dropout(base, 0.5)
    set_dropout(tuned, 0.5)
    tuned.train()
    state = torch.get_rng_state()
    lost = forgetting(base.train(), data)
    assert lost(tuned) == lost(tuned) and tuned.training and torch.equal(torch.get_rng_state(), state)


def test_states_read_once_and_answers_give_the_same(base: LanguageModel, data: Tokens) -> None:
    freeze(base, top=0)
    answers = Answers(base, [" good", " bad"])
    part = above(answers, top=2)
    states = read(base, data, top=2, host=Local("cpu", bf16=False))
    lost = [forgetting(part, states), forgetting(base, data)]
    with torch.no_grad():
        part.language.decoder.model.layers[1].mlp.down_proj.weight.mul_(9)
    found = lost[0](part), lost[1](base)
    assert found[0]["kl"] > 0.01
    for name in found[0]:
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-3)


def gradient(model: LanguageModel, penalty: Any) -> Tensor:
    model.zero_grad()
    penalty(model).backward()
    return model.decoder.model.layers[1].mlp.up_proj.weight.grad.clone()


def test_the_penalty_is_what_judges_and_its_gradient_the_mean_of_replays(base: LanguageModel,
                                                                         tuned: LanguageModel) -> None:
    words = tiny_tokens([[1, word] for word in range(27)], [0] * 27)
    one = words.subset([0])
    penalty = kl_to(base, one, 0.7)
    assert penalty(tuned).item() == pytest.approx(0.7 * forgetting(base, one)(tuned)["kl"], rel=1e-5)
    with torch.no_grad():
        p = base.decoder(input_ids=torch.tensor([[1]])).logits[0, 0].softmax(0)
    mean = sum(p[word] * gradient(tuned, replay(words.subset([word]), 0.7)) for word in range(27))
    torch.testing.assert_close(gradient(tuned, penalty), mean, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(gradient(tuned, kl_to(tuned, one, 0.7)), mean, rtol=0.1, atol=1e-6)


def test_a_penalty_draws_other_texts_at_each_step_and_the_same_for_one_seed(base: LanguageModel,
                                                                           tuned: LanguageModel, data: Tokens) -> None:
    for penalty in (kl_to(base, data, 1.0, rows=2), replay(data, 1.0, rows=2)):
        drawn = [torch.manual_seed(seed) and penalty(tuned).item() for seed in (0, 1, 2, 3, 0)]
        assert drawn[0] == drawn[-1] and len(set(drawn)) > 2
    whole = kl_to(base, data, 1.0, rows=9)(tuned).item()
    assert whole == pytest.approx(forgetting(base, data)(tuned)["kl"], rel=1e-5)


REFUSED = [
    (lambda m, d: forgetting(Tiny(), d), "model must be a LanguageModel, .* got Tiny"),
    (lambda m, d: forgetting(m, d)(Tiny()), "model must be a LanguageModel, .* got Tiny"),
    (lambda m, d: forgetting(m, d.subset([])), "data must hold at least one row, got none"),
    (lambda m, d: forgetting(m, d, batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
    (lambda m, d: kl_to(m, d, -1.0), "strength must be at least 0, got -1.0"),
    (lambda m, d: kl_to(m, d, 1.0, rows=0), "rows must be a whole number of at least 1, got 0"),
    (lambda m, d: replay(d, -1.0), "strength must be at least 0, got -1.0"),
    (lambda m, d: replay(d, 1.0, rows=0), "rows must be a whole number of at least 1, got 0"),
]


@pytest.mark.parametrize(("action", "message"), REFUSED)
def test_what_means_nothing_is_refused_by_name(action: Any, message: str, base: LanguageModel, data: Tokens) -> None:
    with pytest.raises(ValueError, match=message):
        action(base, data)
