"""Numbers out of range, in one sentence that says name, range and value."""
from __future__ import annotations

import math
from numbers import Real


def at_least(low: float, **values: float) -> None:
    """Raise ValueError for the first value that is no finite number of at least `low`."""
    for name, value in values.items():
        if not (isinstance(value, Real) and low <= value < math.inf):
            raise ValueError(f"{name} must be at least {low}, got {value!r}")


def above_zero(**values: float) -> None:
    """Raise ValueError for the first value that is no finite number above 0."""
    for name, value in values.items():
        if not (isinstance(value, Real) and 0 < value < math.inf):
            raise ValueError(f"{name} must be above 0, got {value!r}")


def rate(**values: float) -> None:
    """Raise ValueError for the first value that is no number in [0, 1)."""
    for name, value in values.items():
        if not (isinstance(value, Real) and 0 <= value < 1):
            raise ValueError(f"{name} must be at least 0 and below 1, got {value!r}")
