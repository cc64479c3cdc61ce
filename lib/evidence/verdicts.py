"""From paired differences to a verdict, by rules fixed before the run.

    n  seeds: repetitions, the same ones in every arm
    m  items: test sentences, the same ones in every arm
    d  difference between two arms under one seed
    sd  its standard deviation over seeds, above 0
    level  coverage of an interval, between 0.5 and 1
    power  probability of seeing what is there, between 0.5 and 1
    $t_k$  with k degrees of freedom, the quantile of Student's t that the level asks for

A null result is not $p > 0.05$ but "within the bound", and the bound is one that n seeds can reach.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from lib import _check
from lib.book._numerals import decimals, typeset

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A mean difference with its uncertainty: $difference +- t_dof * error$.

    Args:
        difference: mean of d, in the unit of what was compared.
        error: its standard error, same unit.
        dof: degrees of freedom of `error`, above 0.
        seeds: n, at least 2.
        level: coverage of the interval (`low`, `high`).
    """

    difference: float
    error: float
    dof: float
    seeds: int
    level: float = 0.95

    def interval(self, level: float) -> tuple[float, float]:
        """The interval (low, high) that holds the true difference with probability `level`, between 0 and 1.

        Raises:
            ValueError: a level out of range.
        """
        half = _t(self.dof, level) * self.error
        return self.difference - half, self.difference + half

    @property
    def low(self) -> float:
        """Lower end of the interval at `level`."""
        return self.interval(self.level)[0]

    @property
    def high(self) -> float:
        """Upper end of the interval at `level`."""
        return self.interval(self.level)[1]


def paired_effect(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Effect:
    """The mean of $a - b$ over paired seeds, with Student's interval.

    What a seed does to both arms (which examples, which order) is in both numbers and cancels in the difference, so few
    seeds tell more than with separate means. One wants it whenever two methods are compared on the same seeds.

    $mean(d) +- t_{n-1} sd / sqrt(n)$ (Student, 1908, "The probable error of a mean"). The test items are taken as
    given; `bootstrap_effect` asks about other items too.

    Args:
        a, b: (n,) one number a seed, the same seeds in the same order.
        level: coverage of the interval.

    Raises:
        ValueError: fewer than 2 seeds, shapes that differ, a value that is not finite.
    """
    d = _paired(a, b, axes=1)
    return Effect(float(d.mean()), float(d.std(ddof=1)) / len(d) ** 0.5, len(d) - 1, len(d), _fraction("level", level))


def bootstrap_effect(
    correct_a: ArrayLike, correct_b: ArrayLike, *, key: int | Sequence[int], draws: int = 2000, level: float = 0.95
) -> Effect:
    """The mean of $a - b$ over seeds and items, with an interval for other seeds and other items.

    It is for a claim about other sentences than those tested: `paired_effect` speaks of the tested ones alone, from one
    number a seed, and this needs the score of each item under each seed.

    Each draw resamples n seeds and, independently, m items (the pigeonhole bootstrap; Owen, 2007, "The pigeonhole
    bootstrap", Annals of Applied Statistics 1). The variance of the draws lacks $1/n$ of the seeds' part, large for
    few seeds, so that is added. With $V$ the total and $V_s = sd^2 / n$ that of the seeds' means, the interval is
    Student's with Satterthwaite's $dof = V^2 / (V_s^2 / (n-1) + (V - V_s)^2 / (m-1))$. It errs to the wide side:
    variation that belongs to neither a seed nor an item counts up to three times.

    Args:
        correct_a, correct_b: (n, m) score of each item under each seed: 0 or 1, or any number.
        key: seed of the draws.
        draws: number of resamples; the error of the standard error is about $1 / sqrt(2 draws)$ of it.
        level: coverage of the interval.

    Raises:
        ValueError: fewer than 2 seeds, 2 items or 100 draws, shapes that differ, a value that is not finite.
    """
    d = _paired(correct_a, correct_b, axes=2)
    n, m = d.shape
    _check.whole(100, draws=draws)
    rng = np.random.default_rng(key)

    def counts(size: int) -> NDArray[np.int64]:
        return np.bincount(rng.integers(size, size=size), minlength=size)

    means = [counts(n) @ d @ counts(m) / (n * m) for _ in range(draws)]
    by_seed = float(d.mean(axis=1).var(ddof=1)) / n
    total = float(np.var(means)) + by_seed / n
    parts = by_seed**2 / (n - 1) + max(total - by_seed, 0.0) ** 2 / (m - 1)
    dof = total**2 / parts if parts else n - 1
    return Effect(float(d.mean()), total**0.5, dof, n, _fraction("level", level))


def prediction_interval(values: ArrayLike, *, level: float = 0.95) -> tuple[float, float]:
    """Where one new run falls with probability `level`: $mean +- t_{n-1} sd sqrt(1 + 1/n)$.

    Source: Hahn and Meeker, 1991, "Statistical Intervals", section 4.7.

    Args:
        values: (n,) one number a seed.

    Raises:
        ValueError: fewer than 2 seeds, a value that is not finite.
    """
    x = _finite("values", values, axes=1)
    mean, half = float(x.mean()), _t(len(x) - 1, level) * float(x.std(ddof=1)) * (1 + 1 / len(x)) ** 0.5
    return mean - half, mean + half


def minimum_detectable(sd: float, seeds: int, *, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest true difference whose interval excludes 0 with probability `power`, in the unit of `sd`.

    Solves $P(|T| > t_{n-1}) = power$, where T is noncentral t with noncentrality $difference sqrt(n) / sd$ (Cohen,
    1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2).

    Args:
        sd: standard deviation of the paired differences.
        seeds: n, at least 2.

    Raises:
        ValueError: an argument outside its range.
    """
    _check.above_zero(sd=sd)
    _check.whole(2, seeds=seeds)
    return sd * _detectable(seeds, _fraction("power", power), _fraction("level", level))


def reachable_bound(sd: float, seeds: int, *, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest bound within which `equivalent` places a true difference of 0 with probability `power`.

    Solves $E max(0, 2 Phi(bound sqrt(n) / sd - t s) - 1) = power$, where $s^2 (n-1)$ is chi-squared with n-1 degrees
    of freedom and t the one-sided quantile of $t_{n-1}$ (Phillips, 1990, Journal of Pharmacokinetics and
    Biopharmaceutics 18). A smaller bound asks for more seeds.

    Args:
        sd: standard deviation of the paired differences.
        seeds: n, at least 2.

    Raises:
        ValueError: an argument outside its range.
    """
    _check.above_zero(sd=sd)
    _check.whole(2, seeds=seeds)
    return sd * _reachable(seeds, _fraction("power", power), _fraction("level", level))


def equivalent(effect: Effect, bound: float) -> bool:
    """Whether the difference is within $+- bound$, by two one-sided tests.

    True if the interval at $2 level - 1$ (0.90 for 0.95) lies inside $+- bound$. A true difference as large as the
    bound passes with probability $1 - level$ at most (Schuirmann, 1987, Journal of Pharmacokinetics and
    Biopharmaceutics 15).

    Args:
        bound: in the unit of `effect`, fixed before the run.

    Raises:
        ValueError: `bound` is not above 0.
    """
    _check.above_zero(bound=bound)
    low, high = effect.interval(2 * effect.level - 1)
    return -bound < low and high < bound


@dataclass(frozen=True)
class Verdict:
    """What the rule says of the evidence: `word` for the claim, `words` and `reasons` for each effect it rests on."""

    word: str
    words: tuple[str, ...]
    reasons: tuple[str, ...]


def verdict(effects: Effect | Sequence[Effect], *, bound: float, direction: int) -> Verdict:
    """The verdict on a claim that holds if all of `effects` hold, by a rule fixed before the run.

    "Not significant" is not "no effect": the claim is refuted for want of an effect only where the interval lies within
    a bound that was named beforehand, and is inconclusive where the runs cannot tell. One wants it to keep the person
    who hopes for a result from choosing the words.

    For one effect, with its interval at its own level (0.95):
        supported     the interval lies wholly on the claimed side of 0, and the effect is not within the bound;
        refuted       the interval lies wholly on the other side of 0, or the effect is within the bound;
        inconclusive  neither, or every seed gave the very same difference, not 0 (then the seeds vary nothing).
    Arms that agree to the bit under every seed differ by 0, which is within every bound.
    A claim of no difference (direction 0) is supported by an effect within the bound and refuted by an interval wholly
    outside it. "Within the bound" is `equivalent`.
    For several, k of them: the word they share, for which all must hold, so that no correction for their number is due
    (Berger, 1982); mixed if one is supported and another refuted, each at the level $1 - (1 - level) / k$, since any
    two of them would do (Bonferroni); otherwise inconclusive, since the undecided ones could still turn it. If you
    quote one effect out of several, correct for their number; the word shown is uncorrected.

    Args:
        effects: one, or several of the same unit.
        bound: what counts as nothing, in that unit, fixed before the run (0.01 for one point of accuracy).
        direction: claimed sign of `difference`, 1 or -1, or 0 for a claim that there is none.

    Raises:
        ValueError: no effect, a bound not above 0, another direction.
    """
    several = [effects] if isinstance(effects, Effect) else list(effects)
    if not several:
        raise ValueError("effects must hold at least one effect, got none")
    if direction not in (-1, 0, 1):
        raise ValueError(f"direction must be 1, 0 or -1, got {direction}")
    words, reasons = zip(*(_judge(effect, bound, direction) for effect in several), strict=True)
    if len(set(words)) == 1:
        return Verdict(words[0], words, reasons)
    strict = (replace(effect, level=1 - (1 - effect.level) / len(several)) for effect in several)
    found = {_judge(effect, bound, direction)[0] for effect in strict}
    return Verdict("mixed" if {"supported", "refuted"} <= found else "inconclusive", words, reasons)


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
        ValueError: fewer than 3 points, shapes that differ, a value not above 0, all `x` equal.
    """
    x, y = _finite("x", x, axes=1), _finite("y", y, axes=1)
    if x.shape != y.shape or len(x) < 3:
        raise ValueError(f"x and y must have one shape of at least 3 points, got {x.shape} and {y.shape}")
    if min(x.min(), y.min()) <= 0 or np.ptp(x) == 0:
        raise ValueError(f"x and y must be above 0 and x must vary, got x in [{x.min()}, {x.max()}], y from {y.min()}")
    line = stats.linregress(np.log(x), np.log(y))
    error = float(line.stderr) if np.ptp(y) else 0.0  # scipy gives nan where y never changes
    slope, half = float(line.slope), _t(len(x) - 2, level) * error
    return PowerLaw(float(np.exp(line.intercept)), slope, slope - half, slope + half)


def _judge(effect: Effect, bound: float, direction: int) -> tuple[str, str]:
    null, low, high = equivalent(effect, bound), effect.low, effect.high
    reason = _said(effect, effect.level)
    if 0 < abs(effect.difference) and effect.error <= 1e-9 * abs(effect.difference):
        return "inconclusive", f"{reason}: every seed gave the same difference, so the seeds vary nothing"
    if direction == 0:
        supported, refuted = null, low > bound or high < -bound
    else:
        ahead, behind = (low > 0, high < 0) if direction > 0 else (high < 0, low > 0)
        supported, refuted = ahead and not null, behind or null
    if supported or refuted:
        where = f"beyond {0 if direction else bound:g}"
        if null:  # what decides is the interval of the two one-sided tests
            reason, where = _said(effect, 2 * effect.level - 1), f"within {bound:g}"
        return "supported" if supported else "refuted", f"{reason}: {where}"
    least = reachable_bound(effect.error * effect.seeds**0.5, effect.seeds, level=effect.level)
    return "inconclusive", (f"{reason}: undecided; if nothing is there, such seeds confirm a bound of {least:.2g} with "
                            f"probability 0.8, and ours is {bound:g}")


def _said(effect: Effect, level: float) -> str:
    """The effect with its interval at `level`, to two figures of the interval's width."""
    ends = effect.interval(level)
    places = decimals(*ends)
    value, low, high = (typeset(f"{x:+z.{3 if places is None else places}f}") for x in (effect.difference, *ends))
    return f"{value} [{low}, {high}] at {100 * level:.3g}% over {effect.seeds} seeds"


@lru_cache
def _detectable(seeds: int, power: float, level: float) -> float:
    s, t = _spreads(seeds), _t(seeds - 1, level)
    return _solve(lambda shift: stats.norm.cdf(shift - t * s) + stats.norm.cdf(-shift - t * s), power, t, seeds)


@lru_cache
def _reachable(seeds: int, power: float, level: float) -> float:
    s, t = _spreads(seeds), _t(seeds - 1, 2 * level - 1)  # one-sided
    return _solve(lambda bound: np.maximum(2 * stats.norm.cdf(bound - t * s) - 1, 0), power, t, seeds)


def _t(dof: float, level: float) -> float:
    """The t beyond which, on either side, lies (1 - level) / 2 of Student's distribution."""
    return float(special.stdtrit(dof, 0.5 + _fraction("level", level, above=0.0) / 2))


def _spreads(seeds: int) -> Floats:
    """4000 equally probable values of the sample's sd over the true sd, for averages over it."""
    return np.asarray(stats.chi.ppf((np.arange(4000) + 0.5) / 4000, seeds - 1) / (seeds - 1) ** 0.5)


def _solve(chance: Callable[[float], Floats], power: float, t: float, seeds: int) -> float:
    """The shift, in sd, at which `chance`, a function of shift * sqrt(n), has the mean `power`."""
    return float(optimize.brentq(lambda shift: np.mean(chance(shift)) - power, 0, 100 * t + 100) / seeds**0.5)


def _finite(name: str, values: ArrayLike, *, axes: int) -> Floats:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None
    if array.ndim != axes or min(array.shape) < 2:
        wanted = "(seeds,)" if axes == 1 else "(seeds, items)"
        raise ValueError(f"{name} must have shape {wanted}, each at least 2, got {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at seed number {where[0]} (the first is 0)")
    return array


def _paired(a: ArrayLike, b: ArrayLike, *, axes: int) -> Floats:
    a, b = _finite("a", a, axes=axes), _finite("b", b, axes=axes)
    if a.shape != b.shape:
        raise ValueError(f"a and b must have the same shape, got {a.shape} and {b.shape}")
    return a - b


def _fraction(name: str, value: float, *, above: float = 0.5) -> float:
    if not (isinstance(value, Real) and above < value < 1):
        raise ValueError(f"{name} must be between {above:g} and 1, got {value!r}")
    return value
