"""What keeps a fine-tuned model from straying: penalties on its weights, and noise in them.

A penalty is `penalty(model) -> scalar`, in nats, for `penalized`; theta0 is where tuning starts.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib import _check
from lib.loss import Batch, Penalty, model_inputs
from lib.names import State, Where, _chosen


def snapshot(model: nn.Module, where: Where | None = None) -> dict[str, Tensor]:
    """Copies of the parameters by name, under the names they have without maps: the theta0 of `l2_sp` and others.

        theta0 <- theta        e.g. Li et al. 2018, section 3

    Args:
        where: names of parameters to keep, e.g. those of the encoder; all if not given.

    Raises:
        ValueError: `where` matches nothing.
    """
    return {name: p.detach().clone() for name, p in _chosen(model, where)}


def l2(strength: float, where: Where | None = None) -> Penalty:
    """Squared length of the parameters that train.

        strength/2 * sum |theta|^2;   gradient: strength * theta        Hoerl and Kennard 1970; source, section 4.3

    Every step pulls each weight towards zero, in proportion to its size. One wants it for what starts near zero, a new
    head or LoRA's factors; zero is no place to pull pretrained weights to, for which there is `l2_sp`.

    With SGD, without momentum and clipping, it is weight decay exactly; with Adam it is not (Loshchilov and Hutter
    2019).

    Args:
        strength: at least 0.
        where: names of parameters, e.g. `ends_in("query.weight")`; all that train if not given.

    Raises:
        ValueError: negative strength; when called: no parameter that trains matches.
    """
    _check.at_least(0, strength=strength)
    return lambda model: strength / 2 * _total(p.square() for _, p in _chosen(model, where, trains=True))


def l2_sp(start: State, alpha: float, beta: float) -> Penalty:
    """Squared distance to the pretrained weights, and plain L2 for what is new.

        alpha/2 * |theta_S - theta0_S|^2 + beta/2 * |theta_new|^2        Li et al. 2018, section 3

    Every step pulls the model back to where tuning began, harder the further it has moved. One wants it where labels
    are few and what was pretrained must not be forgotten; it costs a copy of the weights.

    Args:
        start: theta0 by parameter name, `snapshot(model, where)`; what it lacks counts as new. What LoRA froze never
            moves and needs no penalty: use `l2` there.
        alpha: at least 0.
        beta: at least 0.

    Raises:
        ValueError: a negative strength; when called: no parameter that trains is in `start`, or one has another shape.
        TypeError: `start` is no mapping.
    """
    _check.kind("weights by name, such as snapshot(model)", "keys", start=start)
    _check.at_least(0, alpha=alpha, beta=beta)

    def penalty(model: nn.Module) -> Tensor:
        named = _chosen(model, None, trains=True)
        held = [(name, p) for name, p in named if name in start]
        if not held:
            raise ValueError(f"start must hold parameters that train, e.g. {named[0][0]}, got {sorted(start)[:3]}; "
                             "where LoRA froze them, use l2")
        for name, p in held:
            if p.shape != start[name].shape:
                raise ValueError(f"start must have {name} in shape {tuple(p.shape)}, got {tuple(start[name].shape)}")
        # one kernel each way: the difference, its square and the gradient are three passes over the weights otherwise
        near = alpha / 2 * _total(F.mse_loss(p, start[name].to(p), reduction="sum") for name, p in held)
        new = [p.square() for name, p in named if name not in start]
        return near + beta / 2 * _total(new) if new else near

    return penalty


def fisher(model: nn.Module, examples: Iterable[Batch]) -> dict[str, Tensor]:
    """How much each weight matters for what a classifier answers: the diagonal of its Fisher information, by name.

        F_i = mean over x of sum_c p(c | x) (d log p(c | x) / d theta_i)^2        Kirkpatrick et al. 2017, eq. 2

    It is the diagonal of the Hessian of the divergence from the model as it is: a change d of the weights costs about
    $1/2 sum_i F_i d_i^2$ nats, as far as weights act one by one. The classes are weighted by the model itself, not by
    the labels; and squares are taken of the gradient of each example, since that of a mean over N examples has a square
    N times smaller where the examples differ.

    Args:
        model: in evaluation mode, or dropout counts as well; gives logits (1, C) of one example.
        examples: batches of one row each, `data.collate([i])`; their labels are not looked at.

    Raises:
        ValueError: no example, or a batch of several rows; nothing trains.
    """
    named = _chosen(model, None, trains=True)
    total, count = {name: torch.zeros_like(p) for name, p in named}, 0
    for batch in examples:
        log_p = model(**{name: x.to(named[0][1].device) for name, x in model_inputs(batch).items()}).log_softmax(1)
        if len(log_p) != 1:
            raise ValueError(f"examples must be batches of one row, as data.collate([i]) gives, got {len(log_p)} rows")
        for one in log_p[0]:
            gradients = torch.autograd.grad(one, [p for _, p in named], retain_graph=True, materialize_grads=True)
            for (name, _), g in zip(named, gradients, strict=True):
                total[name] += one.detach().exp() * g.square()
        count += 1
    if not count:
        raise ValueError("examples must hold at least one batch, got none")
    return {name: value / count for name, value in total.items()}


def ewc(start: State, weight: State, strength: float) -> Penalty:
    """Elastic weight consolidation: squared distance to where tuning began, each weight as heavy as it matters.

        strength/2 * sum_i F_i (theta_i - theta0_i)^2        Kirkpatrick et al. 2017, eq. 3

    With all F alike it is `l2_sp`. One wants it where a model goes on from one task to the next and the data of the
    first are gone, but were there to compute F.

    Args:
        start: theta0 by parameter name, `snapshot(model)` at the end of the first task.
        weight: F by parameter name, `fisher(model, ...)` there.
        strength: at least 0.

    Raises:
        ValueError: negative strength; when called: a parameter that trains is not in both, or in another shape.
    """
    _check.at_least(0, strength=strength)

    def penalty(model: nn.Module) -> Tensor:
        named = _chosen(model, None, trains=True)
        for name, p in named:
            if not p.shape == getattr(start.get(name), "shape", None) == getattr(weight.get(name), "shape", None):
                raise ValueError(f"start and weight must hold {name} in shape {tuple(p.shape)}, "
                                 f"got {sorted(start)[:3]} and {sorted(weight)[:3]}")
        return strength / 2 * _total(weight[name] * (p - start[name]).square() for name, p in named)

    return penalty


def nuclear_factors(strength: float) -> Penalty:
    """Nuclear norm of the products s B A, through their factors: the sum of singular values, without a decomposition.

        strength * s/2 * sum (|A|_F^2 + |B|_F^2) >= strength * |s B A|_*        Srebro et al. 2004, lemma 1

    Equal where the factors are balanced, as they are at a minimum. The product is the change of W under LoRA, the
    principal part of W under PiSSA, and W itself under `factorize`.

    Args:
        strength: at least 0.

    Raises:
        ValueError: negative strength; when called: the model has no factors A and B.
    """
    _check.at_least(0, strength=strength)

    def penalty(model: nn.Module) -> Tensor:
        pairs: list[Any] = [m for m in model.modules() if all(hasattr(m, name) for name in ("A", "B", "scale"))]
        if not pairs:
            raise ValueError("nuclear_factors needs LoRA or thin layers in the model, got none")
        return strength / 2 * _total(m.scale * factor.square() for m in pairs for factor in (m.A, m.B))

    return penalty


def set_dropout(model: nn.Module, p: float) -> list[str]:
    """Set the rate of every dropout layer, and of the dropout inside attention, in place; returns their names.

        x -> M * x / (1 - p),   M ~ Bernoulli(1 - p)        Srivastava et al. 2014, sections 4 and 10

    In training each number is zero with probability p, so that no unit can rely on another; in evaluation nothing is
    dropped. One raises it where the model fits its training data much better than other data, and sets it to 0 to
    compare two runs without noise.

    Args:
        model: torch's attention holds a rate as "dropout", transformers' layers as "dropout_prob", "attention_dropout"
            or "activation_dropout", where it is no layer.
        p: rate, at least 0 (off) and below 1.

    Raises:
        ValueError: a rate out of range, or a model without dropout layers.
    """
    _check.rate(p=p)
    rates = "dropout", "dropout_prob", "attention_dropout", "activation_dropout"
    layers = [(name, m, rate) for name, m in model.named_modules()
              for rate in (("p",) if isinstance(m, nn.modules.dropout._DropoutNd) else rates)
              if isinstance(getattr(m, rate, None), int | float)]
    if not layers:
        raise ValueError("model must have a dropout layer, got none")
    for _, layer, rate in layers:
        setattr(layer, rate, p)
    return [name for name, _, _ in layers]


class Mixout(nn.Module):
    """Swap weights for their start at random, as a map for `attach`; in evaluation it is the identity.

        W -> (M * W + (1 - M) * W0 - p W0) / (1 - p),   M ~ Bernoulli(1 - p)        Lee et al. 2020, section 3

    It is dropout towards the pretrained weights in place of zero: at each step a random share p of the weights is W0
    again, so the model has to stay good near its start. One wants it where full fine-tuning on few labels ends badly
    with some seeds. Computed as dropout of the difference, $W0 + M * (W - W0) / (1 - p)$, which is the same; its mean
    is W.

    Args:
        weight: (m, n); its values become W0.
        p: rate, at least 0 and below 1.

    Raises:
        ValueError: a rate out of range.
    """

    start: Tensor

    def __init__(self, weight: Tensor, p: float) -> None:
        super().__init__()
        _check.rate(p=p)
        self.p = p
        self.register_buffer("start", weight.detach().clone())

    def forward(self, W: Tensor) -> Tensor:
        return self.start + F.dropout(W - self.start, self.p) if self.training else W


def _total(tensors: Any) -> Tensor:
    """Sum over all numbers of all tensors."""
    return torch.stack([tensor.sum() for tensor in tensors]).sum()
