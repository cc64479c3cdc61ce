"""What is minimised: cross-entropy, of one answer or any of several, and what wraps another objective (R-Drop, ...).

An objective is `(model, batch) -> Loss`.

Shapes: N examples a batch, C classes. Losses are means over the batch, in nats.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib import _check
from lib.loss import Batch, Loss, Objective, Penalty, model_inputs


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-probabilities (N, C) of logits, in at least float32 (nats).

        C logits z: z - log sum_j exp z_j;   one logit z: (log sigma(-z), log sigma(z)), the softmax of (0, z)

    Source: Bishop 2006, eqs. 4.59 and 4.62.

    Args:
        logits: (N, C), $C >= 2$, or (N, 1) for one Bernoulli logit, that of class 1.

    Raises:
        ValueError: another shape.
    """
    if logits.ndim != 2 or logits.shape[1] < 1:
        raise ValueError(f"logits must be (batch, classes) or (batch, 1), got shape {tuple(logits.shape)}")
    z = logits.to(torch.promote_types(logits.dtype, torch.float32))  # under autocast too; float64 stays, for gradcheck
    return torch.cat((F.logsigmoid(-z), F.logsigmoid(z)), 1) if z.shape[1] == 1 else z.log_softmax(1)


def targets(labels: Tensor, classes: int) -> Tensor:
    """Target distributions (N, C) of labels: hard, $P(class 1)$, or soft.

        hard y -> one-hot(y);   P(class 1) = y -> (1 - y, y);   soft -> itself

    Source: the form that cross-entropy needs of each, Bishop 2006, section 4.3.4.

    Args:
        labels: integers (N,) in $[0, C)$; floats (N,) in $[0, 1]$ where $C = 2$; or floats (N, C), rows that sum to 1.
        classes: C, at least 2.

    Raises:
        ValueError: labels of another shape or outside their range, named.
    """
    if not labels.is_floating_point():
        outside = labels[(labels < 0) | (labels >= classes)]
        if labels.ndim != 1 or len(outside):
            raise ValueError(f"labels must be (batch,) whole numbers between 0 and {classes - 1}, "
                             f"got {outside[:3].tolist() or f'shape {tuple(labels.shape)}'}")
        return F.one_hot(labels.long(), classes).to(torch.get_default_dtype())
    q = torch.stack((1 - labels, labels), 1) if labels.ndim == 1 and classes == 2 else labels
    if q.ndim != 2 or q.shape[1] != classes:
        allowed = f"(batch, {classes}) or (batch,)" if classes == 2 else f"(batch, {classes})"
        raise ValueError(f"soft labels must be {allowed}, got shape {tuple(labels.shape)}")
    wrong = ~((q >= 0).all(1) & ((q.sum(1) - 1).abs() < 1e-4))  # float32 rounding of a mean over raters; NaN is wrong
    if wrong.any():
        raise ValueError(f"soft labels must be at least 0 and sum to 1, got {labels[wrong][:3].tolist()}")
    return q


def cross_entropy(smoothing: float = 0.0, *, weights: Sequence[float] | None = None) -> Objective:
    """Cross-entropy with hard, human (soft) or smoothed targets, and one logit or C: one formula for all.

        -1/N sum_n sum_c w_c q_nc log p_nc,   q <- (1 - e) q + e / C     smoothing: Szegedy et al. 2016, section 7

    Weights say what an error on a class costs. With those of `class_weights` a rare class pulls as hard as a common
    one, so that the model finds more of it, and calls more so that is not. One wants them where the rare class is the
    one that matters; the probabilities are then no longer those of the data.

    Args:
        smoothing: e, at least 0 and below 1; the share of the uniform distribution over all C classes.
        weights: w, one above 0 for each of the C classes; all 1 if not given.

    Returns:
        Objective with part "ce"; the batch holds "labels" as in `targets`.

    Raises:
        ValueError: smoothing or a weight out of range; when called: labels outside the range that the logits allow, or
            another number of weights than of classes.
    """
    _check.rate(smoothing=smoothing)
    costs = None if weights is None else [float(w) for w in _check.listed("one weight a class", weights=weights)]
    for cost in costs or ():
        _check.above_zero(weights=cost)

    def objective(model: nn.Module, batch: Batch) -> Loss:
        logits = model(**{name: value for name, value in batch.items() if name != "labels"})
        log_p = log_probabilities(logits)
        q = targets(batch["labels"], log_p.shape[1]).to(log_p)
        if len(q) != len(log_p):
            raise ValueError(f"labels must be one a row of {len(log_p)} logits, got {tuple(batch['labels'].shape)}")
        q = (1 - smoothing) * q + smoothing / q.shape[1]
        if costs is not None:
            if len(costs) != q.shape[1]:
                raise ValueError(f"weights must be one for each of {q.shape[1]} classes, got {len(costs)}")
            q = q * torch.tensor(costs).to(q)
        ce = -(q * log_p).sum(1).mean()
        return Loss(ce, logits, {"ce": ce.detach()})

    return objective


def any_of(groups: Sequence[Sequence[int]]) -> Objective:
    """Cross-entropy where any class of a group is right: the probabilities of the group are added up.

        -1/N sum_n log sum_a s_na p_na        Jin and Ghahramani 2002, where a label is one of a set

    $s_na$ is 1 where class a is of the group of label n, and 0 elsewhere. A step raises each right answer in proportion
    to what the model gives it already, so that less of the model has to change than if one of them were named. One
    wants it where a label stands for several words, such as all words of praise.

    Args:
        groups: S, for each label from 0 the classes, from 0, any of which is right.

    Returns:
        Objective with part "any_of"; the batch holds "labels", whole numbers of groups.

    Raises:
        ValueError: no group, an empty one, or a class below 0; when called: a class that the model does not have, or
            labels that are no number of a group.
    """
    sets = [_check.listed("classes", groups=group) for group in _check.listed("groups of classes", groups=groups)]
    if not sets or not all(sets):
        raise ValueError(f"groups must hold at least one group, and each at least one class, got {groups!r}")
    for group in sets:
        for each in group:
            _check.whole(0, groups=each)

    def objective(model: nn.Module, batch: Batch) -> Loss:
        logits = model(**{name: value for name, value in batch.items() if name != "labels"})
        log_p, labels = log_probabilities(logits), batch["labels"]
        if (most := max(map(max, sets))) >= log_p.shape[1]:
            raise ValueError(f"groups must hold classes between 0 and {log_p.shape[1] - 1}, got {most}")
        if labels.is_floating_point() or labels.ndim != 1 or ((labels < 0) | (labels >= len(sets))).any():
            raise ValueError(f"labels must be (batch,) whole numbers between 0 and {len(sets) - 1}, "
                             f"got {labels[:3].tolist()}")
        wrong = torch.ones(len(sets), log_p.shape[1], dtype=torch.bool)
        for row, group in zip(wrong, sets, strict=True):
            row[list(group)] = False
        loss = -log_p.masked_fill(wrong.to(log_p.device)[labels], -torch.inf).logsumexp(1).mean()
        return Loss(loss, logits, {"any_of": loss.detach()})

    return objective


def symmetric_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Jeffreys divergence, mean over the batch: a scalar, nats.

        KL(p | q) + KL(q | p) = sum_c (p_c - q_c) (log p_c - log q_c)        Jeffreys 1946

    Args:
        log_p, log_q: log-probabilities, (N, C).

    Raises:
        ValueError: shapes that differ.
    """
    if log_p.shape != log_q.shape:
        raise ValueError(f"log_p and log_q must have one shape, got {tuple(log_p.shape)} and {tuple(log_q.shape)}")
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1).mean()


def r_drop(base: Objective, alpha: float) -> Objective:
    """Two passes with two dropout masks that should agree.

        (L_1 + L_2) / 2 + alpha * (KL(p_1 | p_2) + KL(p_2 | p_1)) / 2        Liang et al. 2021, eqs. 2-4

    Each example is seen by two random subnetworks, and their difference is penalised, so that predictions depend less
    on which units happen to be dropped. One wants it where dropout alone leaves a model overfitted, and where a step
    may cost twice as much.

    The paper adds $L_1$ and $L_2$, its published example averages them; we average, so that $alpha = 0$ costs what
    `base` does. An alpha of the paper is twice ours.

    Args:
        base: called twice.
        alpha: at least 0.

    Returns:
        Objective with part "r_drop", the divergence without alpha.

    Raises:
        ValueError: negative alpha; when called: R-Drop inside `base`, a model in training mode that draws no noise.
    """
    _check.at_least(0, alpha=alpha)

    def objective(model: nn.Module, batch: Batch) -> Loss:
        a, b = base(model, batch), base(model, batch)
        if model.training and torch.equal(a.logits, b.logits) and not any(getattr(m, "p", 0) for m in model.modules()):
            raise ValueError("r_drop needs a model with noise, e.g. dropout above 0; its two passes are the same")
        kl = symmetric_kl(log_probabilities(a.logits), log_probabilities(b.logits)) / 2
        return Loss((a.total + b.total) / 2 + alpha * kl, a.logits, _with_part(a.parts, "r_drop", kl))

    return objective


def smart(base: Objective, weight: float, radius: float = 1e-3, init: float = 1e-5) -> Objective:
    """Smoothness against the worst small change of the word embeddings x.

        L + weight * max_{|d|_inf <= radius} (KL(f(x) | f(x + d)) + KL(f(x + d) | f(x)))        Jiang et al. 2020, eq. 1

    It is adversarial training without labels: the model is told to give one answer for a sentence and for its nearest
    neighbours, and its decision boundary moves away from the data. One wants it where small changes of a text turn the
    answer, and where a step may cost about three times as much.

    One ascent step from noise, $d = radius * sign(gradient)$: the maximiser of the linearised problem. All passes share
    one dropout mask; with a mask each, the divergence would have a floor that no smoothness lowers.

    Args:
        base: called once.
        weight: at least 0.
        radius: above 0, the largest change of one number of an embedding, in its units.
        init: above 0, standard deviation of the noise; at $d = 0$ the gradient is zero.

    Returns:
        Objective with part "smart", the divergence without weight. It costs three forward and three backward passes,
        one of these without gradients of the weights.

    Raises:
        ValueError: a number out of range; when called: SMART inside `base`.
        TypeError: when called: the model has no `get_input_embeddings`, or the batch no "input_ids".
    """
    _check.at_least(0, weight=weight)
    _check.above_zero(radius=radius, init=init)

    def objective(model: nn.Module, batch: Batch) -> Loss:
        core: Any = _unwrap(model)
        if not hasattr(core, "get_input_embeddings") or "input_ids" not in batch:
            raise TypeError(f"smart needs a model with get_input_embeddings and a batch with input_ids, "
                            f"got {type(core).__name__} and {sorted(batch)}")
        others = {name: value for name, value in model_inputs(batch).items() if name != "input_ids"}
        mask = int(torch.randint(2**62, ()))
        x = core.get_input_embeddings()(batch["input_ids"])  # (N, tokens, width)
        d = (init * torch.randn_like(x)).requires_grad_()

        def log_p(inputs: Tensor) -> Tensor:
            torch.manual_seed(mask)
            return log_probabilities(model(inputs_embeds=inputs, **others))

        torch.manual_seed(mask)
        loss = base(model, batch)
        clean = log_probabilities(loss.logits)
        (gradient,) = torch.autograd.grad(symmetric_kl(clean.detach(), log_p(x.detach() + d)), d)
        worst = symmetric_kl(clean, log_p(x + radius * gradient.sign()))
        return Loss(loss.total + weight * worst, loss.logits, _with_part(loss.parts, "smart", worst))

    return objective


def penalized(base: Objective, penalty: Penalty, name: str) -> Objective:
    """An objective plus a penalty, which then stands in the history as `name`.

        L(theta) + penalty(theta)        Tikhonov 1963

    The penalty's gradient joins that of the loss, so an adaptive optimizer rescales both; weight decay beside the step,
    as in AdamW, is not rescaled. Put it outside R-Drop, so that it is computed once.

    Args:
        base: called once.
        penalty: `penalty(model) -> scalar`.
        name: not the name of a part that `base` has, nor of what `fit` writes of each step.

    Raises:
        ValueError: a name that `fit` uses; when called: `base` has a part of that name already.
        TypeError: when called: `penalty` gives no scalar tensor.
    """
    if name in ("step", "loss", "grad_norm", "lr"):
        raise ValueError(f"name must be none of step, loss, grad_norm and lr, which each record has, got {name!r}")

    def objective(model: nn.Module, batch: Batch) -> Loss:
        loss, cost = base(model, batch), penalty(_unwrap(model))
        if not isinstance(cost, Tensor) or cost.ndim:
            raise TypeError(f"penalty must give a scalar for a model, as l2(0.1) does, got {cost!r}")
        return Loss(loss.total + cost, loss.logits, _with_part(loss.parts, name, cost))

    return objective


def _unwrap(model: nn.Module) -> nn.Module:
    """The model inside a data-parallel wrapper."""
    return getattr(model, "module", model)


def _with_part(parts: dict[str, Tensor], name: str, value: Tensor) -> dict[str, Tensor]:
    """The parts of a loss with one more; twice the same regulariser is an error."""
    if name in parts:
        raise ValueError(f"the objective has a part {name!r} already; it would count twice")
    return {**parts, name: value.detach()}
