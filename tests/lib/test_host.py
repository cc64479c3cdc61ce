"""Dropout from sixteen bits a number: torch's own where it steps aside, and the distribution where it does not."""
from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib import host
from lib.host import FastDropout, Local, seed_step
from lib.loss import Loss
from lib.training import Plan, update

KEPT = 58982 / 65536  # 0.9, rounded to 16 bits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_share_of_the_numbers_is_kept_and_scaled_so_that_the_mean_stays(dtype):
    seed_step(0, 1)
    x = torch.full((4, 25_000), 3.0, dtype=dtype)
    with FastDropout():
        y = F.dropout(x, 0.1)
    assert y.dtype == dtype and set(y.unique().tolist()) == {0.0, (torch.tensor(3.0, dtype=dtype) / KEPT).item()}
    kept = (y != 0).double()
    for lane in range(4):  # four masks from each number of 64 bits; five standard deviations
        share = kept.flatten()[lane::4].mean().item()
        assert share == pytest.approx(KEPT, abs=5 * (KEPT * (1 - KEPT) / 25_000) ** 0.5)
    for distance in range(1, 5):
        pairs = (kept.flatten()[distance:] * kept.flatten()[:-distance]).mean().item()
        assert pairs == pytest.approx(KEPT**2, abs=5 * (KEPT**2 * (1 - KEPT**2) / 100_000) ** 0.5 * 1.5)


def test_its_draws_are_a_function_of_the_seed_and_each_call_draws_anew():
    def draw() -> list[torch.Tensor]:
        seed_step(3, 7)
        with FastDropout():
            return [F.dropout(torch.ones(1001), 0.5) for _ in range(2)]

    (a, b), (c, d) = draw(), draw()
    assert torch.equal(a, c) and torch.equal(b, d) and not torch.equal(a, b)


def test_its_gradient_is_its_mask():
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)

    def drop(x: torch.Tensor) -> torch.Tensor:
        seed_step(0, 2)
        with FastDropout():
            return F.dropout(x, 0.4)

    assert torch.autograd.gradcheck(drop, x) and torch.autograd.gradgradcheck(drop, x)


@pytest.mark.parametrize("x, p, training, inplace", [
    (torch.ones(50), 0.0, True, False), (torch.ones(50), 1.0, True, False), (torch.ones(50), 0.3, False, False),
    (torch.ones(50), 0.3, True, True), (torch.ones(50, device="meta"), 0.3, True, False),
    (torch.ones(0), 0.3, True, False)])
def test_where_it_has_nothing_to_gain_it_is_torchs(x, p, training, inplace):
    seed_step(0, 3)
    theirs = F.dropout(x.clone(), p, training, inplace)
    seed_step(0, 3)
    with FastDropout():
        ours = F.dropout(x.clone(), p, training, inplace)
    assert ours.shape == theirs.shape and ours.device == theirs.device
    assert x.is_meta or torch.equal(ours, theirs)


MASK = torch.ones(2, 1, 4, 4, dtype=torch.bool)
MASK[0, :, :, 3:] = MASK[1, :, :, 2:] = False
MASKS = {"none": None, "bool": MASK, "added": torch.zeros(2, 1, 4, 4, dtype=torch.float64).masked_fill(~MASK, -1e9)}


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_is_torchs_but_for_the_mask_that_it_draws(mask, scale, monkeypatch):
    Q, K = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    V = torch.eye(4, dtype=torch.float64).expand(2, 3, 4, 4)  # what comes back are the weights
    weights = F.scaled_dot_product_attention(Q, K, V, MASKS[mask], scale=scale)

    def attend(p: float) -> torch.Tensor:
        seed_step(0, 4)
        with FastDropout():
            return F.scaled_dot_product_attention(Q, K, V, MASKS[mask], p, scale=scale)

    assert torch.equal(attend(0.0), weights)
    kept, drawn = weights > 0, attend(0.5)
    torch.testing.assert_close(drawn, torch.where(drawn == 0, 0, 2 * weights), rtol=1e-9, atol=0)
    assert 0.3 < (drawn[kept] == 0).double().mean() < 0.7
    monkeypatch.setattr(host, "_dropout", lambda x, p: x)
    torch.testing.assert_close(attend(0.5), weights, rtol=0, atol=1e-12)


def test_attention_that_torch_does_better_is_left_to_torch():
    Q = torch.randn(1, 1, 4, 5)
    for more in ({"is_causal": True}, {"enable_gqa": True}):
        seed_step(0, 5)
        theirs = F.scaled_dot_product_attention(Q, Q, Q, dropout_p=0.5, **more)
        seed_step(0, 5)
        with FastDropout():
            assert torch.equal(F.scaled_dot_product_attention(Q, Q, Q, dropout_p=0.5, **more), theirs)


def test_a_step_of_training_draws_this_way():
    model, seen = nn.Sequential(nn.Linear(3, 400), nn.Dropout(0.1)).double().train(), []

    def objective(model: nn.Module, batch: dict[str, torch.Tensor]) -> Loss:
        seen.append((model(batch["input"]) / model[0](batch["input"])).detach())
        total = model(batch["input"]).square().mean()
        return Loss(total, batch["input"], {})

    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    update(model, optimizer, objective, {"input": torch.randn(5, 3).double()}, list(model.parameters()), Plan(), 0,
           Local("cpu", bf16=False))
    assert seen[0].max().item() == pytest.approx(1 / KEPT, rel=1e-9)  # torch's own would be 1 / 0.9, 7e-6 less
