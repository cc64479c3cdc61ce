"""How a cost grows with what it depends on: a power law through measured points, and how sure its exponent is."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class PowerLaw:
    """A power law $y = scale * x^exponent$, with the interval (`low`, `high`) of the exponent.

    Args:
        scale: y at $x = 1$, in the units of y.
        exponent: by how much log y grows with log x, without units.
        low, high: ends of its interval, without units.
    """

    scale: float
    exponent: float
    low: float
    high: float


def fit_exponent(x: ArrayLike, y: ArrayLike, *, level: float = 0.95) -> PowerLaw:
    """How `y` grows with `x`: least squares of $log y = log scale + exponent log x$, with Student's interval.

    It has $n - 2$ degrees of freedom.

    Source: Draper and Smith, 1998, "Applied Regression Analysis", section 1.4.

    Args:
        x, y: (n,) above 0, n at least 3; `scale` carries their units.

    Raises:
        ValueError: fewer than 3 points, shapes that differ, a value not above 0 or not finite, all `x` equal.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 3:
        raise ValueError(f"x and y must have one shape of at least 3 points, got {x.shape} and {y.shape}")
    if not (np.isfinite([x, y]).all() and min(x.min(), y.min()) > 0 and np.ptp(x)):
        raise ValueError(f"x and y must be above 0 and x must vary, got x in [{x.min()}, {x.max()}], y from {y.min()}")
    line = stats.linregress(np.log(x), np.log(y))
    error = float(line.stderr) if np.ptp(y) else 0.0  # scipy gives nan where y never changes
    slope, half = float(line.slope), float(stats.t.ppf((1 + level) / 2, len(x) - 2)) * error
    return PowerLaw(float(np.exp(line.intercept)), slope, slope - half, slope + half)
