"""From paired differences to a verdict, by rules fixed before the run.

    n  seeds: repetitions, the same ones in every arm
    m  items: test sentences, the same ones in every arm
    d  difference between two arms under one seed
    sd  its standard deviation over seeds, above 0
    level  coverage of an interval, between 0.5 and 1
    power  probability of seeing what is there, between 0.5 and 1
    $t_k$  with k degrees of freedom, the quantile of Student's t that the level asks for

A null result is not $p > 0.05$ but an effect above the bound excluded, and the bound is one that n seeds can reach.
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
LOOK = 0.978  # coverage at each of three looks, so that all three together err 5 % of the time (Pocock, 1977)


@dataclass(frozen=True)
class Effect:
    """A mean difference with its uncertainty: $difference +- t_dof * error$.

    Args:
        difference: mean of d, in the unit of what was compared.
        error: its standard error, same unit.
        dof: degrees of freedom of `error`, above 0.
        seeds: n, at least 2.
        level: coverage of the interval (`low`, `high`).
        items: m, where the interval speaks of other test items too; 0 where it speaks of other seeds alone.
        over: what n counts: "seeds", or "repeats" of one run, which say nothing of another seed.
    """

    difference: float
    error: float
    dof: float
    seeds: int
    level: float = 0.95
    items: int = 0
    over: str = "seeds"

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


def paired_effect(a: ArrayLike, b: ArrayLike, *, level: float = 0.95, over: str = "seeds") -> Effect:
    """The mean of $a - b$ over paired seeds, with Student's interval.

    What a seed does to both arms (which examples, which order) is in both numbers and cancels in the difference, so few
    seeds tell more than with separate means. One wants it whenever two methods are compared on the same seeds.

    $mean(d) +- t_{n-1} sd / sqrt(n)$ (Student, 1908, "The probable error of a mean"). The test items are taken as
    given; `crossed_effect` asks about other items too.

    Args:
        a, b: (n,) one number a seed, the same seeds in the same order.
        level: coverage of the interval.
        over: "seeds", or "repeats" of one run, such as timings.

    Raises:
        ValueError: fewer than 2 seeds, shapes that differ, a value that is not finite.
    """
    d = _paired(a, b, axes=1)
    error = float(d.std(ddof=1)) / len(d) ** 0.5
    return Effect(float(d.mean()), error, len(d) - 1, len(d), _fraction("level", level), over=over)


def crossed_effect(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Effect:
    """The mean of $a - b$ over seeds and test items, with an interval for other seeds and other items.

    Ten seeds on one test set know those sentences well and others not at all, so an interval over seeds alone is too
    sure of a difference of accuracies. One wants this wherever two methods answered the same items under the same
    seeds. An arm without seeds, such as a zero-shot answer, is compared with every seed of the other; then more seeds
    help little, and more items do.

    $d_ij = mean + seed_i + item_j + rest_ij$, each with a variance of its own. With the mean squares of the two-way
    table (seeds, items, rest),

        Var(mean) = max(MS_seed + MS_item - MS_rest, MS_rest) / (n m)

    and Satterthwaite's $dof = (n m Var)^2 / (MS_seed^2 / (n-1) + MS_item^2 / (m-1) + MS_rest^2 / ((n-1) (m-1)))$, at
    least 1. Where the table shows neither seeds nor items to differ, the estimate could fall below the noise of one
    cell, and even below 0: hence the maximum.

    Source: Satterthwaite, 1946, Biometrics Bulletin 2; Searle, Casella and McCulloch, 1992, "Variance Components",
    chapter 4.

    Args:
        a: (n, m) score of each item under each seed: 0 or 1, times 100 for points, or any number.
        b: (n, m) for the same seeds and items, or (m,) for an arm without seeds.
        level: coverage of the interval.

    Raises:
        ValueError: fewer than 2 seeds or 2 items, shapes that do not fit, a value that is not finite.
    """
    a, b = _finite("a", a, axes=2), _numbers("b", b)
    d = _paired(a, np.tile(b, (len(a), 1)) if b.ndim == 1 else b, axes=2)
    (n, m), mean, by_seed, by_item = d.shape, d.mean(), d.mean(axis=1), d.mean(axis=0)
    seed = m * np.square(by_seed - mean).sum() / (n - 1)
    item = n * np.square(by_item - mean).sum() / (m - 1)
    rest = np.square(d - by_seed[:, None] - by_item + mean).sum() / ((n - 1) * (m - 1))
    total = max(seed + item - rest, rest)
    parts = seed**2 / (n - 1) + item**2 / (m - 1) + rest**2 / ((n - 1) * (m - 1))
    dof = max(float(total**2 / parts), 1.0) if parts else n - 1
    return Effect(float(mean), float((total / (n * m)) ** 0.5), dof, n, _fraction("level", level), m)


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
    return sd / seeds**0.5 * _detectable(seeds - 1, _fraction("power", power), _fraction("level", level))


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
    return sd / seeds**0.5 * _reachable(seeds - 1, _fraction("power", power), _fraction("level", level))


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
    """What the rule says of the evidence: a word for the claim, and for each effect that it rests on.

    Args:
        word: of the claim.
        words: of each effect.
        reasons: of each effect, the interval that decided and where it lies.
        levels: coverage of that interval, one an effect.
        effects: as they were judged.
        seeds: the number of seeds that were used, of the effect that has most.
    """

    word: str
    words: tuple[str, ...]
    reasons: tuple[str, ...]
    levels: tuple[float, ...]
    effects: tuple[Effect, ...]
    seeds: int


def verdict(effects: Effect | Sequence[Effect], *, bound: float, direction: int) -> Verdict:
    """The verdict on a claim that holds if all of `effects` hold, by a rule fixed before the run.

    "Not significant" is not "no effect": "no gain" is said only where a gain above the bound is excluded, and a claim
    is undecided where the runs cannot tell. One wants it to keep the person who hopes for a result from choosing the
    words.

    For one effect with a claimed sign, its interval at its own level (0.95), and the narrower one of `equivalent`
    (0.90), which leaves 5 % on either side:
        supported  the interval lies wholly on the claimed side of 0, and the effect is not within the bound;
        refuted    the interval lies wholly on the other side of 0, and the effect is not within the bound;
        no gain    an effect above the bound, with the claimed sign, is excluded: the narrower interval ends below it;
        undecided  none of these, or every seed gave the very same difference, not 0 (then the seeds vary nothing).
    Arms that agree to the bit under every seed differ by 0, which is within every bound.
    A claim of no difference (direction 0) is supported by an effect within the bound (`equivalent`), and refuted by an
    interval wholly outside it.
    For several, k of them: the word they share, for which all must hold, so that no correction for their number is due
    (Berger, 1982); no gain where each is that or refuted; mixed if one is supported and another refuted or without
    gain, each at the level $1 - (1 - level) / k$, since any two of them would do (Bonferroni); otherwise undecided,
    since the undecided ones could still turn it. If you quote one effect out of several, correct for their number; the
    word shown is uncorrected.

    Args:
        effects: one, or several of the same unit.
        bound: what counts as nothing, in that unit, fixed before the run (0.01 for one point of accuracy).
        direction: claimed sign of `difference`, 1 or -1, or 0 for a claim that there is none.

    Raises:
        ValueError: no effect, a bound not above 0, another direction.
    """
    several = _several(effects)
    if direction not in (-1, 0, 1):
        raise ValueError(f"direction must be 1, 0 or -1, got {direction}")
    words, reasons, levels = zip(*(_judge(effect, bound, direction) for effect in several), strict=True)
    strict = (replace(effect, level=1 - (1 - effect.level) / len(several)) for effect in several)
    if len(set(words)) == 1:
        word = words[0]
    elif set(words) == {"refuted", "no gain"}:
        word = "no gain"  # true of both
    else:
        found = {_judge(effect, bound, direction)[0] for effect in strict}
        word = "mixed" if "supported" in found and found & {"refuted", "no gain"} else "undecided"
    return Verdict(word, words, reasons, levels, several, max(effect.seeds for effect in several))


def sequential(effect_of: Callable[[int], Effect | Sequence[Effect]], *, bound: float, direction: int,
               looks: Sequence[int] = (10, 20, 30)) -> Verdict:
    """The verdict at the first look that decides, or at the last: more seeds only where they are needed.

    Whoever adds seeds until a result appears finds one that is not there: three looks at 95 % err up to 11 % of the
    time. Each look here is judged at the level 0.978, which keeps the whole trial's error at 5 %: a true zero is called
    supported or refuted, and a true effect as large as the bound is called "no gain", each at most that often (for
    three looks at seeds in equal steps; fewer looks err less).

    Source: Pocock, 1977, "Group sequential methods in the design and analysis of clinical trials", Biometrika 64.

    Args:
        effect_of: (n) -> the effect, or effects, of the first n seeds; called once a look, so it may run them.
        bound: as in `verdict`, fixed before the first run.
        direction: claimed sign, 1, -1 or 0.
        looks: numbers of seeds, at most 3, each above the one before, from 2 up.

    Raises:
        ValueError: other looks, an effect of fewer seeds than were asked for, and as `verdict`.
    """
    if not 1 <= len(looks) <= 3 or list(looks) != sorted(set(looks)) or looks[0] < 2:
        raise ValueError(f"looks must be one to three rising numbers of seeds, from 2 up, got {looks}")
    for n in looks:
        several = _several(effect_of(n))
        if any(effect.seeds != n for effect in several):
            raise ValueError(f"effect_of({n}) must use {n} seeds, got {[effect.seeds for effect in several]}")
        found = verdict([replace(effect, level=LOOK) for effect in several], bound=bound, direction=direction)
        if found.word != "undecided":
            break
    return found


def _several(effects: Effect | Sequence[Effect]) -> tuple[Effect, ...]:
    several = (effects,) if isinstance(effects, Effect) else tuple(effects)
    if not several:
        raise ValueError("effects must hold at least one effect, got none")
    return several


def _judge(effect: Effect, bound: float, direction: int) -> tuple[str, str, float]:
    """The word on one effect, the reason, and the level of the interval that decided."""
    level, narrower = effect.level, 2 * effect.level - 1  # the narrower one: two one-sided tests
    said, null = _said(effect, level), equivalent(effect, bound)
    if 0 < abs(effect.difference) and effect.error <= 1e-9 * abs(effect.difference):
        return "undecided", f"{said}: every seed gave the same difference, so the seeds vary nothing", level
    low, high = sorted((direction or 1) * end for end in effect.interval(level))
    above = max((direction or 1) * end for end in effect.interval(narrower))
    if null:
        return ("no gain" if direction else "supported"), f"{_said(effect, narrower)}: within {bound:g}", narrower
    if direction == 0 and (low > bound or high < -bound):
        return "refuted", f"{said}: beyond {bound:g}", level
    if direction and (low > 0 or high < 0):
        return ("supported" if low > 0 else "refuted"), f"{said}: beyond 0", level
    if direction and above < bound:
        return "no gain", f"{_said(effect, narrower)}: an effect beyond {direction * bound:g} is excluded", narrower
    least = effect.error * _reachable(effect.dof, 0.8, level)
    return "undecided", (f"{said}: undecided; if nothing is there, such runs confirm a bound of {least:.2g} with "
                         f"probability 0.8, and ours is {bound:g}"), level


def _said(effect: Effect, level: float) -> str:
    """The effect with its interval at `level`, to two figures of the interval's width."""
    ends = effect.interval(level)
    places = decimals(*ends)
    value, low, high = (typeset(f"{x:+z.{3 if places is None else places}f}") for x in (effect.difference, *ends))
    items = f" and {effect.items} test items" if effect.items else ""
    return f"{value} [{low}, {high}] at {100 * level:.3g}% over {effect.seeds} {effect.over}{items}"


@lru_cache
def _detectable(dof: float, power: float, level: float) -> float:
    s, t = _spreads(dof), _t(dof, level)
    return _solve(lambda shift: stats.norm.cdf(shift - t * s) + stats.norm.cdf(-shift - t * s), power, t)


@lru_cache
def _reachable(dof: float, power: float, level: float) -> float:
    s, t = _spreads(dof), _t(dof, 2 * level - 1)  # one-sided
    return _solve(lambda bound: np.maximum(2 * stats.norm.cdf(bound - t * s) - 1, 0), power, t)


def _t(dof: float, level: float) -> float:
    """The t beyond which, on either side, lies (1 - level) / 2 of Student's distribution."""
    return float(special.stdtrit(dof, 0.5 + _fraction("level", level, above=0.0) / 2))


def _spreads(dof: float) -> Floats:
    """4000 equally probable values of the estimated error over the true one, for averages over it."""
    return np.asarray(stats.chi.ppf((np.arange(4000) + 0.5) / 4000, dof) / dof**0.5)


def _solve(chance: Callable[[float], Floats], power: float, t: float) -> float:
    """The shift, in standard errors, at which `chance` has the mean `power`."""
    return float(optimize.brentq(lambda shift: np.mean(chance(shift)) - power, 0, 100 * t + 100))


def _numbers(name: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None


def _finite(name: str, values: ArrayLike, *, axes: int) -> Floats:
    array = _numbers(name, values)
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
