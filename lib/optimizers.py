"""What trains, how fast, and how it steps: parameter groups, and SAM around any optimizer of torch."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from lib import _check
from lib.names import Where, _chosen, _plain


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation around any optimizer: the gradient at the worst point near by, applied here.

        e = rho * g / |g|_2,   g = grad L(theta);   theta <- inner step with grad L(theta + e)

    Source: Foret et al. 2021, algorithm 1.

    A minimum in whose neighbourhood the loss rises steeply is left for a flatter one, which often does better on unseen
    data. One wants it where a model overfits and a step may cost two forward and two backward passes.

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
