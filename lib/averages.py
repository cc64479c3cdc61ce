"""Averages of weights: on the line from the start to the tuned model, and over several runs."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

import torch
from torch import Tensor

from lib.names import State


def interpolate(start: State, tuned: State, alpha: float) -> dict[str, Tensor]:
    """Weights on the line from the start to the tuned model.

        (1 - alpha) theta0 + alpha theta        WiSE-FT: Wortsman et al. 2022a

    Halfway, a model often keeps most of what tuning gained and gets back part of what it forgot, without any training.
    One wants it where the tuned model must also serve data unlike those it was tuned on; choose alpha on both.

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

    The luck of single runs averages out, as in an ensemble, but one model is served and not k. It works for runs that
    start from the same weights and end near each other; average no runs from different initialisations.

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
