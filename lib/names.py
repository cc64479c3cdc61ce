"""Layers and parameters by the names they have: which are meant, and which of them carry a map."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

State = Mapping[str, Tensor]
"""Weights by name: what `snapshot(model)` or `model.state_dict()` gives."""
Where = Callable[[str], bool]
"""Whether a dotted name is meant, e.g. "encoder.layer.0.attention.self.query" of a layer; `ends_in` makes one."""


def ends_in(*suffixes: str) -> Where:
    """Predicate: the dotted name ends in one of `suffixes`, whole components only.

    `ends_in("query")` is true of "self.query" and "query", not of "subquery" or "query.bias".

    Raises:
        ValueError: no suffix, or an empty one.
    """
    if not suffixes or not all(isinstance(suffix, str) and suffix for suffix in suffixes):
        raise ValueError(f"suffixes must be one or more non-empty names, got {suffixes}")
    return lambda name: any(f".{name}".endswith(f".{suffix}") for suffix in suffixes)


def _plain(name: str) -> str:
    """The name a parameter has without maps: "q.parametrizations.weight.original" -> "q.weight"."""
    return re.sub(r"\.parametrizations\.(\w+)\.original$", r".\1", name)


def _chosen(model: nn.Module, where: Where | None, *, trains: bool = False,
            name: str = "where") -> list[tuple[str, nn.Parameter]]:
    """Parameters by plain name that `where` matches, with `trains` only those that train; none is an error."""
    if where is not None and not callable(where):
        raise ValueError(f'{name} must be a function of a name, such as ends_in("query"), got {where!r}')
    named = [(_plain(name), p) for name, p in model.named_parameters()]
    found = [(name, p) for name, p in named if (where is None or where(name)) and (p.requires_grad or not trains)]
    if not found:
        wanted = "a parameter that trains" if trains else "a parameter"
        raise ValueError(f"{name} must match {wanted} and matches none of {[name for name, _ in named][:4]}...")
    return found


def _matching(model: nn.Module, where: Where) -> list[tuple[str, nn.Linear]]:
    """The linear layers whose names satisfy `where`; none is an error."""
    if not callable(where):
        raise ValueError(f'where must be a function of a name, such as ends_in("query"), got {where!r}')
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    hits = [(name, module) for name, module in linear if where(name)]
    if not hits:
        other = [f", but {name}, a {type(m).__name__}" for name, m in model.named_modules() if where(name)] or [""]
        raise ValueError(f"where must match an nn.Linear and matches none of {[name for name, _ in linear][:4]}..."
                         + other[0])
    return hits


def _mapped(model: nn.Module) -> list[tuple[str, Any]]:
    """The modules whose weight carries a map."""
    return [(name, module) for name, module in model.named_modules() if parametrize.is_parametrized(module, "weight")]


def _unmapped(model: nn.Module, where: Where) -> list[tuple[str, nn.Linear]]:
    """`_matching`, and an error where one carries a map."""
    hits, taken = _matching(model, where), {name for name, _ in _mapped(model)}
    for name, _ in hits:
        if name in taken:
            raise ValueError(f"{name} already carries a map; merge or detach it first")
    return hits
