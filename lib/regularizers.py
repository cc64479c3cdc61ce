"""What keeps a fine-tuned model from straying: penalties, objectives, noise, SAM, parameter groups, averages.

A penalty is `penalty(model) -> scalar`; an objective is `(model, batch) -> Loss`, and objectives wrap objectives.

Shapes: N examples a batch, C classes. Losses are means over the batch, in nats; theta0 is where tuning starts.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib import _check
from lib.loss import Batch, Loss, Objective, Penalty, model_inputs

State = Mapping[str, Tensor]
"""Weights by name: what `snapshot(model)` or `model.state_dict()` gives."""
Where = Callable[[str], bool]
"""Whether the name of a parameter is meant, e.g. "encoder.layer.0.output.dense.weight"; `ends_in` makes one."""


# Objectives


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
        raise ValueError(f"soft labels must be (batch, {classes})" + " or (batch,)" * (classes == 2)
                         + f", got shape {tuple(labels.shape)}")
    wrong = ~((q >= 0).all(1) & ((q.sum(1) - 1).abs() < 1e-4))  # float32 rounding of a mean over raters; NaN is wrong
    if wrong.any():
        raise ValueError(f"soft labels must be at least 0 and sum to 1, got {labels[wrong][:3].tolist()}")
    return q


def cross_entropy(smoothing: float = 0.0) -> Objective:
    """Cross-entropy with hard, human (soft) or smoothed targets, and one logit or C: one formula for all.

        -1/N sum_n sum_c q_nc log p_nc,   q <- (1 - e) q + e / C        smoothing: Szegedy et al. 2016, section 7

    Args:
        smoothing: e, at least 0 and below 1; the share of the uniform distribution over all C classes.

    Returns:
        Objective with part "ce"; the batch holds "labels" as in `targets`.

    Raises:
        ValueError: smoothing out of range; when called: labels outside the range that the logits allow.
    """
    _check.rate(smoothing=smoothing)

    def objective(model: nn.Module, batch: Batch) -> Loss:
        logits = model(**{name: value for name, value in batch.items() if name != "labels"})
        log_p = log_probabilities(logits)
        q = targets(batch["labels"], log_p.shape[1]).to(log_p)
        if len(q) != len(log_p):
            raise ValueError(f"labels must be one a row of {len(log_p)} logits, got {tuple(batch['labels'].shape)}")
        q = (1 - smoothing) * q + smoothing / q.shape[1]
        ce = -(q * log_p).sum(1).mean()
        return Loss(ce, logits, {"ce": ce.detach()})

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

    Put it outside R-Drop, so that it is computed once.

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


# Penalties


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
    """A leash to the starting point for what was pretrained, plain L2 for what is new.

        alpha/2 * |theta_S - theta0_S|^2 + beta/2 * |theta_new|^2        Li et al. 2018, section 3

    Args:
        start: theta0 by parameter name, `snapshot(model, where)`; what it lacks counts as new. What LoRA froze never
            moves and needs no leash: use `l2` there.
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
        leash = alpha / 2 * _total(F.mse_loss(p, start[name].to(p), reduction="sum") for name, p in held)
        new = [p.square() for name, p in named if name not in start]
        return leash + beta / 2 * _total(new) if new else leash

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


# Noise


def set_dropout(model: nn.Module, p: float) -> list[str]:
    """Set the rate of every dropout layer, and of the dropout inside attention, in place; returns their names.

        x -> M * x / (1 - p),   M ~ Bernoulli(1 - p)        Srivastava et al. 2014, sections 4 and 10

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

    Computed as dropout of the difference, $W0 + M * (W - W0) / (1 - p)$, which is the same; its mean is W.

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


# Optimizer


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation around any optimizer: the gradient at the worst point near by, applied here.

        e = rho * g / |g|_2,   g = grad L(theta);   theta <- inner step with grad L(theta + e)

    Source: Foret et al. 2021, algorithm 1.

    Its state is the inner optimizer's alone. Dropout should draw the same mask in both passes, as `fit` arranges.

    Args:
        inner: optimizer over the parameters.
        rho: radius, at least 0; in the units of the weights, over all of them together.

    Raises:
        ValueError: negative rho; a closure that leaves no gradient.
        TypeError: SAM around SAM, LBFGS or what is no optimizer; a step without a closure.
    """

    def __init__(self, inner: torch.optim.Optimizer, rho: float = 0.05) -> None:
        _check.kind("an optimizer, made from the model's parameters", "param_groups", inner=inner)
        if isinstance(inner, (SAM, torch.optim.LBFGS)):
            raise TypeError(f"inner must be an optimizer whose step needs no closure, got {type(inner).__name__}")
        _check.at_least(0, rho=rho)
        super().__init__(inner.param_groups, inner.defaults)
        self.inner, self.rho = inner, rho
        self.param_groups, self.state = inner.param_groups, inner.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give `state_dict`, from `state_dict()`, to the inner optimizer."""
        self.inner.load_state_dict(state_dict)
        self.param_groups, self.state = self.inner.param_groups, self.inner.state  # loading rebinds both

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; `closure`, called twice, zeroes the gradient, computes loss and gradient and returns the loss."""
        if closure is None:
            raise TypeError("SAM.step needs a closure that computes loss and gradient, got None")
        loss = closure()
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            raise ValueError("closure must leave a gradient in a parameter of the optimizer, got none")
        start = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            norm = torch.stack([p.grad.norm() for p in parameters]).norm() + 1e-12
            for p in parameters:
                p.add_(p.grad * (self.rho / norm))
        try:
            closure()
        finally:  # a closure that raises must not leave the weights up the hill
            with torch.no_grad():
                for p, before in zip(parameters, start, strict=True):
                    p.copy_(before)  # subtracting e would not restore the bits
        self.inner.step()
        return loss


# Parameter groups


def train_only(model: nn.Module, where: Where) -> list[str]:
    """Freeze every parameter but those named by `where`; returns their names.

        theta_i <- theta_i - eta * grad_i   for i in the chosen set, all others fixed        Howard and Ruder 2018, 3.3

    Raises:
        ValueError: nothing matches.
    """
    names = [name for name, _ in _chosen(model, where)]
    for name, p in model.named_parameters():
        p.requires_grad_(_plain(name) in names)
    return names


def bias_only(model: nn.Module, head: Where) -> list[str]:
    """Train the biases and the task head, freeze the rest; returns the names of what trains.

        theta -> theta + delta,   delta nonzero for biases and head only        BitFit: Ben Zaken et al. 2022, section 3

    Args:
        head: names of the parameters of the head.

    Raises:
        ValueError: `head` matches nothing: a head left at its random start would answer at random; or there is no bias
            outside it, as in Llama.
    """
    _chosen(model, head, name="head")

    def bias(name: str) -> bool:
        return name.split(".")[-1] == "bias"

    if not any(bias(name) and not head(name) for name, _ in model.named_parameters()):
        raise ValueError(f"model must have biases beside its head, got none in {type(model).__name__}")
    return train_only(model, lambda name: bias(name) or head(name))


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices decay; biases, norms, lengths and embeddings do not.

        theta <- (1 - eta * weight_decay) theta - eta * step        Loshchilov and Hutter 2019, eq. 1

    Their lambda is $eta * weight_decay$. By number of dimensions, since maps rename parameters. Embeddings are left
    out because decay would shrink the vectors of words that the data never shows, with no gradient to hold them.

    Args:
        weight_decay: at least 0, per unit of learning rate.

    Raises:
        ValueError: negative decay, or nothing trains.
        TypeError: `model` is no module.
    """
    _check.kind("a torch module", "named_parameters", model=model)
    _check.at_least(0, weight_decay=weight_decay)
    words = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for _, p in _chosen(model, None, trains=True):
        (matrices if p.ndim >= 2 and id(p) not in words else rest).append(p)
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def layerwise_groups(groups: Sequence[dict[str, Any]], layers: Sequence[nn.Module],
                     decay: float) -> list[dict[str, Any]]:
    """Split parameter groups by layer, so that lower layers move less.

        rate of layer l of L, counted from below = rate * decay^(L + 1 - l);   of what is in no layer = rate

    Source: Howard and Ruder 2018, section 3.2, with decay 1/2.6; milder ones are usual, e.g. 0.95.

    Args:
        groups: e.g. `decay_groups(model, 0.01)`; their other settings are kept.
        layers: from bottom to top, e.g. `[encoder.embeddings, *encoder.encoder.layer]`.
        decay: above 0, at most 1.

    Returns:
        Groups with "lr_scale", by which `fit` multiplies the rate of its plan.

    Raises:
        ValueError: decay out of range, groups that are no dictionaries, or layers that hold none of the parameters.
    """
    groups = list(groups)
    if strange := [group for group in groups if not isinstance(group, dict)]:
        raise ValueError(f"groups must be dictionaries, as decay_groups makes, got {type(strange[0]).__name__}")
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1, got {decay}")
    below = {id(p): len(layers) - i for i, layer in enumerate(layers) for p in layer.parameters()}
    split: dict[tuple[int, int], list[nn.Parameter]] = {}
    for i, group in enumerate(groups):
        for p in group["params"]:
            split.setdefault((i, below.get(id(p), 0)), []).append(p)
    if not any(depth for _, depth in split):
        raise ValueError(f"layers must hold parameters of the groups, got {len(layers)} layers with none of them")
    return [{**groups[i], "params": params, "lr_scale": groups[i].get("lr_scale", 1.0) * decay**depth}
            for (i, depth), params in split.items()]


# Averages and stopping


def interpolate(start: State, tuned: State, alpha: float) -> dict[str, Tensor]:
    """Weights on the line from the start to the tuned model.

        (1 - alpha) theta0 + alpha theta        WiSE-FT: Wortsman et al. 2022a

    `model.state_dict()` is a view that training changes: keep the start with `snapshot(model)`, and the tuned weights
    with `snapshot` too. `model.load_state_dict(..., strict=False)` puts the result back.

    Args:
        start, tuned: weights by name, with the same names and shapes.
        alpha: from 0 (the start, bit for bit) to 1 (the tuned model, bit for bit).

    Raises:
        ValueError: alpha out of range, states that differ in names or shapes, or unmerged maps.
    """
    if not (isinstance(alpha, Real) and 0 <= alpha <= 1):
        raise ValueError(f"alpha must be between 0 and 1, got {alpha!r}")
    _check_states(start, tuned)
    return {name: torch.lerp(a, tuned[name], alpha) if a.is_floating_point() else (tuned[name] if alpha else a).clone()
            for name, a in start.items()}


def soup(states: Sequence[State]) -> dict[str, Tensor]:
    """The mean of the weights of several runs from one start.

        1/k sum_i theta_i        uniform soup: Wortsman et al. 2022b, section 2

    Keep each run's weights with `snapshot(model)`: a `state_dict()` is a view that further training changes.

    Args:
        states: weights by name, with the same names and shapes; what is no float is taken from the first.

    Raises:
        ValueError: no state, states that differ in names or shapes, or unmerged maps.
    """
    states = list(states)
    if not states:
        raise ValueError("states must hold at least one state dict, got none")
    _check_states(*states)
    return {name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value.clone()
            for name, value in states[0].items()}


def generalization_loss(metric: str, threshold: float) -> Callable[[Sequence[Mapping[str, float]]], bool]:
    """Stop rule: stop once the error has risen too far above its lowest value so far.

        GL(t) = 100 * (E(t) / min_{s <= t} E(s) - 1) > threshold        Prechelt 1998, class GL

    Args:
        metric: name of an error in the history: not negative, lower is better, e.g. the validation loss in nats.
        threshold: percent, at least 0; Prechelt's values are 1 to 5.

    Returns:
        `stop(history) -> bool`, a pure function of the records so far.

    Raises:
        ValueError: negative threshold; when called: a negative error, or no record of the history has `metric`.
    """
    _check.at_least(0, threshold=threshold)

    def stop(history: Sequence[Mapping[str, float]]) -> bool:
        seen = _check.recorded(metric, history)
        if seen and not min(seen) >= 0:
            raise ValueError(f"{metric} must be an error of at least 0, got {min(seen)}")
        return bool(seen) and seen[-1] > min(seen) * (1 + threshold / 100)

    return stop


def _plain(name: str) -> str:
    """The name a parameter has without maps: "q.parametrizations.weight.original" -> "q.weight"."""
    return re.sub(r"\.parametrizations\.(\w+)\.original$", r".\1", name)


def _unwrap(model: nn.Module) -> nn.Module:
    """The model inside a data-parallel wrapper."""
    return getattr(model, "module", model)


def _chosen(model: nn.Module, where: Where | None, *, trains: bool = False,
            name: str = "where") -> list[tuple[str, nn.Parameter]]:
    """Parameters by plain name that `where` matches, only those that train if asked; none is an error."""
    if where is not None and not callable(where):
        raise ValueError(f'{name} must be a function of a name, such as ends_in("query"), got {where!r}')
    named = [(_plain(name), p) for name, p in model.named_parameters()]
    found = [(name, p) for name, p in named if (where is None or where(name)) and (p.requires_grad or not trains)]
    if not found:
        raise ValueError(f"{name} must match a parameter{' that trains' * trains} and matches none of "
                         f"{[name for name, _ in named][:4]}...")
    return found


def _total(tensors: Any) -> Tensor:
    """Sum over all numbers of all tensors."""
    return torch.stack([tensor.sum() for tensor in tensors]).sum()


def _with_part(parts: dict[str, Tensor], name: str, value: Tensor) -> dict[str, Tensor]:
    """The parts of a loss with one more; twice the same regulariser is an error."""
    if name in parts:
        raise ValueError(f"the objective has a part {name!r} already; it would count twice")
    return {**parts, name: value.detach()}


def _check_states(*states: State) -> None:
    """Raise ValueError unless all states have the same names and shapes and hold no unmerged maps."""
    if strange := [state for state in states if not isinstance(state, Mapping)]:
        raise ValueError(f"states must be weights by name, as snapshot(model) gives, got {type(strange[0]).__name__}")
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in states]
    for other in shapes[1:]:
        if other != shapes[0]:
            differ = sorted(name for name in shapes[0] | other if shapes[0].get(name) != other.get(name))
            raise ValueError(f"the states must have the same names and shapes, they differ in {differ[:3]}")
    maps = [name for name in shapes[0] if ".parametrizations." in name or name.split(".")[-1] in ("A", "B", "place")]
    if maps:  # the mean of products is not the product of means
        raise ValueError(f"states with maps must be merged before they are averaged, got {maps[0]}")
