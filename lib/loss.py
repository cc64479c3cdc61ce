"""What an objective returns: the one type that `regularizers` and `training` share."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

Batch = dict[str, Tensor]
"""The model's keyword arguments by name, and "labels"; `Dataset.collate` makes one."""


@dataclass(frozen=True)
class Loss:
    """One evaluation of an objective.

    Args:
        total: scalar to differentiate, nats.
        logits: (batch, classes), or (batch, 1) for one Bernoulli logit, of the clean forward pass.
        parts: named detached scalars, nats, that say what `total` is made of; they go into the history.
    """

    total: Tensor
    logits: Tensor
    parts: dict[str, Tensor]


Objective = Callable[[nn.Module, Batch], Loss]
"""What is minimised: model and batch to a loss; `cross_entropy()` is one, and others wrap it."""
Penalty = Callable[[nn.Module], Tensor]
"""What `penalized` adds to an objective: model to a scalar, nats; `l2(0.01)` is one."""
