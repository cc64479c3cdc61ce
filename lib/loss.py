"""What objectives share: the loss that they return, and what they ask a model."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

Batch = dict[str, Tensor]
"""The model's keyword arguments by name, and "labels"; `Dataset.collate` makes one."""
UNLEARNED = -100
"""The label of a token that is read and not learned, in transformers and in torch's cross-entropy."""


@dataclass(frozen=True)
class Loss:
    """One evaluation of an objective.

    Args:
        total: scalar to differentiate, nats.
        logits: (batch, classes), or (batch, 1) for one Bernoulli logit, of the clean forward pass; of a language model
            (learned tokens, words).
        parts: named detached scalars, nats, that say what `total` is made of; they go into the history.
    """

    total: Tensor
    logits: Tensor
    parts: dict[str, Tensor]


Objective = Callable[[nn.Module, Batch], Loss]
"""What is minimised: model and batch to a loss; `cross_entropy()` is one, and others wrap it."""
Penalty = Callable[[nn.Module], Tensor]
"""What `penalized` adds to an objective: model to a scalar, nats; `l2(0.01)` is one."""


def learned_at(labels: Tensor) -> Tensor:
    """Where a language model's next word is learned: (B, T), true where the next place has a token to learn.

    Args:
        labels: (B, T), unshifted: the token at its own place, or `UNLEARNED`. That of the first place is never learned:
            nothing stands before it.
    """
    return F.pad(labels[:, 1:] != UNLEARNED, (0, 1))


def model_inputs(batch: Batch) -> Batch:
    """What an objective asks a model: the batch without labels, and `at`, the places to answer for, if they are tokens.

    Args:
        batch: a model's keyword arguments and "labels": classes (B,), distributions (B, C), or tokens (B, T) as whole
            numbers.
    """
    given = {name: value for name, value in batch.items() if name != "labels"}
    labels = batch["labels"]
    tokens = labels.ndim == 2 and not labels.is_floating_point()
    return {**given, "at": learned_at(labels)} if tokens else given


def terms(batch: Batch) -> int:
    """How many terms the mean of a loss has: rows, or tokens that are learned where the labels are tokens.

    Args:
        batch: as in `model_inputs`.
    """
    where = model_inputs(batch).get("at")
    return len(batch["labels"]) if where is None else int(where.sum())
