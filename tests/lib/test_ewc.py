"""`fisher` and `ewc` against autograd's Hessian of a divergence, and against L2-SP; float64 throughout."""
from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib.regularizers import ewc, fisher, l2_sp, snapshot
from tests.lib.tiny import Tiny, tiny_batch

N, FEATURES, CLASSES = 50, 6, 4


class Head(nn.Module):
    """A logistic head: logits W x."""

    def __init__(self, W: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(W.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


@pytest.fixture
def head() -> Head:
    return Head(torch.randn(CLASSES, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(N, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def one_by_one(x: Tensor) -> list[dict[str, Tensor]]:
    return [{"x": row[None], "labels": torch.tensor([0])} for row in x]


def test_it_is_the_diagonal_of_the_hessian_of_the_divergence(head: Head, x: Tensor) -> None:
    log_p = head(x).log_softmax(1).detach()

    def divergence(flat: Tensor) -> Tensor:
        return F.kl_div((x @ flat.view(CLASSES, FEATURES).T).log_softmax(1), log_p, reduction="batchmean",
                        log_target=True)

    hessian = torch.autograd.functional.hessian(divergence, head.weight.detach().flatten())
    found = fisher(head, one_by_one(x))
    torch.testing.assert_close(found["weight"].flatten(), hessian.diagonal(), rtol=1e-10, atol=1e-12)


def test_it_asks_the_model_and_not_the_labels_and_leaves_no_gradient(head: Head, x: Tensor) -> None:
    other = [batch | {"labels": torch.tensor([3])} for batch in one_by_one(x)]
    assert torch.equal(fisher(head, one_by_one(x))["weight"], fisher(head, other)["weight"])
    assert head.weight.grad is None


def test_a_weight_that_an_example_does_not_reach_counts_zero_there() -> None:
    model, batch = Tiny().eval(), tiny_batch()
    rows = [{name: value[i : i + 1] for name, value in batch.items()} for i in range(5)]
    found, unread = fisher(model, rows), sorted(set(range(7)) - set(batch["input_ids"].flatten().tolist()))
    assert found.keys() == dict(model.named_parameters()).keys()
    assert not found["embedding.weight"][unread].any() and found["head.weight"].gt(0).all()


def test_with_all_weights_alike_it_is_l2_sp(head: Head) -> None:
    start = snapshot(head)
    alike = {"weight": torch.ones_like(head.weight)}
    with torch.no_grad():
        head.weight.add_(0.3)
    assert ewc(start, alike, 0.7)(head).item() == pytest.approx(l2_sp(start, 0.7, 0.0)(head).item(), rel=1e-6)
    assert ewc(start, alike, 0.7)(head).item() > 1e-3  # the start stayed where it was


def test_its_gradient_is_strength_times_weight_times_the_way(head: Head, x: Tensor) -> None:
    start, weight = snapshot(head), fisher(head, one_by_one(x))
    with torch.no_grad():
        head.weight.add_(torch.linspace(-1, 1, CLASSES * FEATURES, dtype=torch.float64).view(CLASSES, FEATURES))
    ewc(start, weight, 0.7)(head).backward()
    expected = 0.7 * weight["weight"] * (head.weight.detach() - start["weight"])
    torch.testing.assert_close(head.weight.grad, expected, rtol=1e-12, atol=0)


REFUSED = [
    (lambda m, x: fisher(m, [{"x": x, "labels": x}]), "batches of one row, .* got 50 rows"),
    (lambda m, x: fisher(m, []), "examples must hold at least one batch, got none"),
    (lambda m, x: fisher(m.requires_grad_(False), one_by_one(x)), "must match a parameter that trains"),
    (lambda m, x: ewc({}, {}, -1.0), "strength must be at least 0, got -1.0"),
    (lambda m, x: ewc({}, {}, 1.0)(m), r"must hold weight in shape \(4, 6\), got \[\] and \[\]"),
    (lambda m, x: ewc(snapshot(m), {"weight": x}, 1.0)(m), r"must hold weight in shape \(4, 6\)"),
]


@pytest.mark.parametrize(("action", "message"), REFUSED)
def test_what_means_nothing_is_refused_by_name(action: Any, message: str, head: Head, x: Tensor) -> None:
    with pytest.raises(ValueError, match=message):
        action(head, x)
