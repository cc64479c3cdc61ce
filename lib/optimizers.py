"""How training steps: SAM around any optimizer of torch."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lib import _check


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
