"""Intervals cover what they promise, powers are what they say, and a verdict is wrong as rarely as its rule allows."""
from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lib.evidence.verdicts import (
    Effect,
    bootstrap_effect,
    equivalent,
    fit_exponent,
    minimum_detectable,
    paired_effect,
    prediction_interval,
    reachable_bound,
    verdict,
)

RUNS = 2000  # simulated experiments; the standard error of a rate near 0.95 is 0.005, so 0.015 is three of them
TOLERANCE = 0.015


def differences(mean: float, sd: float, seeds: int, *, key: int, runs: int = RUNS) -> np.ndarray:
    return np.random.default_rng(key).normal(mean, sd, size=(runs, seeds))


def effects(mean: float, sd: float, seeds: int, *, key: int) -> list[Effect]:
    return [paired_effect(d, np.zeros(seeds)) for d in differences(mean, sd, seeds, key=key)]


def rates(mean: float, sd: float, seeds: int, *, key: int, bound: float = 1.0, direction: int = 1) -> dict[str, float]:
    words = Counter(verdict(e, bound=bound, direction=direction).word for e in effects(mean, sd, seeds, key=key))
    return {word: words[word] / RUNS for word in ("supported", "refuted", "inconclusive")}


# Effects --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seeds", [2, 5, 20])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_paired_effect_is_scipys_paired_t_test(seeds: int, level: float) -> None:
    a, b = np.random.default_rng(seeds).normal(size=(2, seeds))
    ours, theirs = paired_effect(a, b, level=level), stats.ttest_rel(a, b).confidence_interval(level)
    np.testing.assert_allclose([ours.low, ours.high], [theirs.low, theirs.high], rtol=1e-10)  # rounding only
    assert ours.seeds == seeds and ours.dof == seeds - 1


def test_paired_effect_by_hand() -> None:
    effect = paired_effect([3.0, 5.0, 7.0], [2.0, 3.0, 4.0])  # differences 1, 2, 3: mean 2, sd 1
    assert effect.difference == 2.0 and effect.error == pytest.approx(3**-0.5)
    assert effect.high - 2 == pytest.approx(4.302653 * 3**-0.5, rel=1e-6)  # t table: 0.975, 2 degrees of freedom


def test_the_paired_interval_covers_and_a_normal_one_does_not() -> None:
    found = effects(0.3, 1.0, 5, key=1)
    assert np.mean([e.low < 0.3 < e.high for e in found]) == pytest.approx(0.95, abs=TOLERANCE)
    normal = np.mean([abs(e.difference - 0.3) < 1.96 * e.error for e in found])
    assert normal < 0.95 - 3 * TOLERANCE


def test_pairing_is_what_makes_the_interval_narrow() -> None:
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 5, size=8)
    a, b = luck + rng.normal(1, 0.1, size=8), luck + rng.normal(0, 0.1, size=8)
    paired, broken = paired_effect(a, b), paired_effect(a, b[::-1])
    assert paired.low > 0.8 and broken.high - broken.low > 10 * (paired.high - paired.low)


def crossed(rng: np.random.Generator, seeds: int, items: int, sd: tuple[float, float, float]) -> np.ndarray:
    by_seed, by_item, rest = sd
    return (
        rng.normal(0, by_seed, (seeds, 1)) + rng.normal(0, by_item, (1, items)) + rng.normal(0, rest, (seeds, items))
    )


def test_bootstrap_error_has_its_closed_form() -> None:
    """For counts w, v of resampled seeds and items, E[w w'] = I + (1 - 1/n) (and v alike) give the variance exactly."""
    d = crossed(np.random.default_rng(0), 4, 30, (0.1, 0.3, 0.5))
    n, m = d.shape
    second_n, second_m = np.eye(n) + (1 - 1 / n), np.eye(m) + (1 - 1 / m)
    variance = np.einsum("ij,ik,kl,jl->", d, second_n, d, second_m) / (n * m) ** 2 - d.mean() ** 2
    exact = (variance + d.mean(axis=1).var(ddof=1) / n**2) ** 0.5
    ours = bootstrap_effect(d, np.zeros_like(d), key=0, draws=20_000)
    assert ours.error == pytest.approx(exact, rel=0.02)  # the error of the error is 1 / sqrt(40000), four times that
    assert ours.difference == pytest.approx(d.mean())
    assert bootstrap_effect(d, np.zeros_like(d), key=0) == bootstrap_effect(d, np.zeros_like(d), key=0)


@pytest.mark.parametrize("sd", [(0.1, 0.0, 0.1), (0.1, 0.5, 0.1), (0.0, 0.5, 0.5)])
def test_the_crossed_interval_covers_other_seeds_and_items_where_a_one_way_one_fails(sd: Any) -> None:
    seeds, items, runs = 6, 40, 250
    rng = np.random.default_rng(7)
    covered, by_seed, by_item = [], [], []
    for run in range(runs):
        d = crossed(rng, seeds, items, sd)
        effect = bootstrap_effect(d, np.zeros_like(d), key=run, draws=100)
        covered.append(effect.low < 0 < effect.high)
        one = paired_effect(d.mean(axis=1), np.zeros(seeds))
        by_seed.append(one.low < 0 < one.high)
        by_item.append(abs(d.mean()) < 1.96 * stats.sem(d.mean(axis=0)))
    assert np.mean(covered) > 0.95 - 3 * 0.014  # 0.014 is the standard error over 250 runs; it may be too wide
    if sd[1] > 0:
        assert np.mean(by_seed) < 0.9
    if sd[1] == 0:
        assert np.mean(by_item) < 0.9


def test_one_way_bootstrap_is_the_limit_where_seeds_agree() -> None:
    item = np.random.default_rng(0).normal(size=50)
    effect = bootstrap_effect(np.tile(item, (3, 1)), np.zeros((3, 50)), key=0, draws=4000)
    theirs = stats.bootstrap((item,), np.mean, n_resamples=4000, rng=np.random.default_rng(0), method="percentile")
    assert effect.error == pytest.approx(theirs.standard_error, rel=0.05)  # two Monte Carlo errors of 1.1 % each
    assert effect.dof == pytest.approx(49)


# Prediction, power, equivalence ---------------------------------------------------------------------------------------
def test_the_prediction_interval_holds_a_new_run_and_the_intervals_of_the_mean_does_not() -> None:
    sample = differences(80.0, 1.0, 6, key=3)  # five runs of evidence, one new run
    inside = [low < new < high for (*old, new) in sample for low, high in [prediction_interval(old)]]
    assert np.mean(inside) == pytest.approx(0.95, abs=TOLERANCE)
    means = [paired_effect(row[:5], np.zeros(5)) for row in sample]
    assert np.mean([e.low < row[5] < e.high for e, row in zip(means, sample, strict=True)]) < 0.85


def test_prediction_interval_by_hand() -> None:
    low, high = prediction_interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2.0)
    assert (high - low) / 2 == pytest.approx(4.302653 * (4 / 3) ** 0.5, rel=1e-6)


@pytest.mark.parametrize(("seeds", "power", "level"), [
    (5, 0.8, 0.95), (10, 0.8, 0.95), (10, 0.95, 0.95), (30, 0.6, 0.95), (10, 0.6, 0.6)])  # at 0.6 both tails weigh
def test_minimum_detectable_is_the_noncentral_t_test(seeds: int, power: float, level: float) -> None:
    difference = minimum_detectable(2.0, seeds, power=power, level=level)
    t, shift = stats.t.ppf((1 + level) / 2, seeds - 1), difference * seeds**0.5 / 2.0
    assert stats.nct.sf(t, seeds - 1, shift) + stats.nct.cdf(-t, seeds - 1, shift) == pytest.approx(power, abs=1e-3)


def test_ten_paired_seeds_detect_about_one_standard_deviation() -> None:
    assert minimum_detectable(1.0, 10) == pytest.approx(1.0, abs=0.01)
    found = effects(minimum_detectable(1.0, 10), 1.0, 10, key=4)
    assert np.mean([e.low > 0 for e in found]) == pytest.approx(0.8, abs=0.027)  # three standard errors at 0.8


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_reachable_bound_is_reached_as_often_as_it_says(seeds: int) -> None:
    bound = reachable_bound(0.5, seeds)
    found = effects(0.0, 0.5, seeds, key=seeds)
    assert np.mean([equivalent(e, bound) for e in found]) == pytest.approx(0.8, abs=0.027)
    assert np.mean([equivalent(e, bound / 2) for e in found]) < 0.5


def test_equivalent_is_two_one_sided_t_tests_at_five_percent() -> None:
    agree = Counter()
    for d in differences(0.4, 0.6, 6, key=5, runs=300):
        above = stats.ttest_1samp(d, -1.0, alternative="greater").pvalue
        below = stats.ttest_1samp(d, 1.0, alternative="less").pvalue
        assert equivalent(paired_effect(d, np.zeros(6)), 1.0) == (max(above, below) < 0.05)
        agree[max(above, below) < 0.05] += 1
    assert min(agree.values()) > 50  # both answers occurred


def test_a_difference_as_large_as_the_bound_is_called_a_null_once_in_twenty() -> None:
    found = effects(1.0, 0.3, 5, key=6)
    assert np.mean([equivalent(e, 1.0) for e in found]) == pytest.approx(0.05, abs=TOLERANCE)


# Verdicts -------------------------------------------------------------------------------------------------------------
def effect(low: float, high: float, seeds: int = 5) -> Effect:
    return Effect((low + high) / 2, (high - low) / 2 / stats.t.ppf(0.975, seeds - 1), seeds - 1, seeds)


@pytest.mark.parametrize(
    ("low", "high", "direction", "word"),
    [
        (2.0, 4.0, 1, "supported"),
        (0.1, 3.0, 1, "supported"),
        (-4.0, -2.0, 1, "refuted"),
        (-0.5, 0.5, 1, "refuted"),
        (0.1, 0.9, 1, "refuted"),  # surely positive, surely too small to matter
        (-1.0, 3.0, 1, "inconclusive"),
        (-4.0, -2.0, -1, "supported"),
        (2.0, 4.0, -1, "refuted"),
        (-0.5, 0.5, -1, "refuted"),
        (-3.0, 1.0, -1, "inconclusive"),
        (-0.5, 0.5, 0, "supported"),
        (1.1, 3.0, 0, "refuted"),
        (-3.0, -1.1, 0, "refuted"),
        (0.5, 3.0, 0, "inconclusive"),
    ],
)
def test_the_rule(low: float, high: float, direction: int, word: str) -> None:
    found = verdict(effect(low, high), bound=1.0, direction=direction)
    assert found.word == word and found.words == (word,)
    level, (low, high) = (90, effect(low, high).interval(0.9)) if -1 < low and high < 1 else (95, (low, high))
    reason = found.reasons[0].replace("\N{MINUS SIGN}", "-")
    shown = re.search(rf"^\S+ \[(\S+), (\S+)\] at {level}% over 5 seeds: ", reason)
    assert shown and [float(shown[1]), float(shown[2])] == pytest.approx([low, high], abs=0.06)


def test_the_numbers_of_a_reason_have_the_decimals_that_its_interval_allows() -> None:
    for low, high, text in [(-0.06, 0.18, "+0.06 [\N{MINUS SIGN}0.06, +0.18]"), (10.0, 400.0, "+205 [+10, +400]")]:
        assert verdict(effect(low, high), bound=0.001, direction=1).reasons[0].startswith(text)


def test_several_effects() -> None:
    yes, no, open_ = effect(2, 4), effect(-4, -2), effect(-1, 3)
    for given, word in [
        ([yes, yes], "supported"), ([no, effect(-0.5, 0.5)], "refuted"), ([yes, no], "mixed"),
        ([yes, no, open_], "mixed"), ([yes, open_], "inconclusive"), ([no, open_], "inconclusive"),
    ]:  # fmt: skip
        assert verdict(given, bound=1.0, direction=1).word == word
    assert verdict([yes, no, open_], bound=1.0, direction=1).words == ("supported", "refuted", "inconclusive")


def test_mixed_is_as_rare_as_its_level_says_where_nothing_is_there() -> None:
    """Six looks at nothing: without the correction some two of them would often disagree."""
    looks = [effects(0.0, 1.0, 5, key=100 + k) for k in range(6)]
    found = [verdict(list(six), bound=0.05, direction=1) for six in zip(*looks, strict=True)]
    naive = np.mean([{"supported", "refuted"} <= set(f.words) for f in found])
    assert np.mean([f.word == "mixed" for f in found]) < 0.005 < 0.01 < naive


def test_mixed_needs_both_at_the_corrected_level() -> None:
    t = stats.t.ppf([0.975, 1 - 0.025 / 3], 4)
    barely, clear = (Effect(3.0, 3.0 / (1.1 * quantile), 4, 5) for quantile in t)
    other = Effect(-clear.difference, clear.error, 4, 5)
    assert verdict([clear, other, effect(-1, 3)], bound=0.1, direction=1).word == "mixed"
    assert verdict([barely, other, effect(-1, 3)], bound=0.1, direction=1).word == "inconclusive"
    assert verdict([barely, barely], bound=0.1, direction=1).word == "supported"  # all must hold: nothing to correct


def test_clear_results_get_the_clear_word() -> None:
    assert rates(3.0, 0.5, 5, key=10)["supported"] > 0.99
    assert rates(-3.0, 0.5, 5, key=11)["refuted"] > 0.99
    assert rates(0.0, 0.3, 5, key=12)["refuted"] > 0.99  # a null that five seeds can show
    assert rates(0.0, 0.3, 5, key=13, direction=0)["supported"] > 0.99


@pytest.mark.parametrize("sd", [0.3, 1.0, 3.0])
def test_false_verdicts_are_rare(sd: float) -> None:
    nothing = rates(0.0, sd, 5, key=20)
    assert nothing["supported"] < 0.025 + 3 * 0.0035  # the level's one tail and three standard errors
    real = rates(1.0, sd, 5, key=21)  # an effect as large as the bound
    assert real["refuted"] < 0.05 + TOLERANCE


def test_too_few_seeds_end_in_inconclusive_where_p_above_five_percent_would_end_in_no_effect() -> None:
    """The classic mistake, put back: an effect of twice the bound, seen through noise, becomes 'no effect'."""
    found = effects(2.0, 3.0, 3, key=22)
    naive = np.mean([e.low < 0 < e.high for e in found])
    ours = Counter(verdict(e, bound=1.0, direction=1).word for e in found)
    assert naive > 0.7 and ours["refuted"] / RUNS < 0.03 and ours["inconclusive"] / RUNS > 0.7
    hopeless = verdict(effect(-4.0, 4.0, seeds=3), bound=1.0, direction=1)
    sd = 4.0 / stats.t.ppf(0.975, 2) * 3**0.5
    assert f"confirm a bound of {reachable_bound(sd, 3):.2g} with probability 0.8, and ours is 1" in hopeless.reasons[0]


def test_seeds_that_vary_nothing_decide_nothing() -> None:
    same = paired_effect([0.82] * 5, [0.80] * 5)
    found = verdict(same, bound=0.01, direction=1)
    assert found.word == "inconclusive" and "the seeds vary nothing" in found.reasons[0]
    assert verdict(paired_effect([0.8] * 5, [0.8] * 5), bound=0.01, direction=1).word == "refuted"  # identical arms


# Growth ---------------------------------------------------------------------------------------------------------------
def test_an_exact_power_law_is_found_exactly() -> None:
    x = np.array([64.0, 128.0, 256.0, 512.0])
    law = fit_exponent(x, 3.0 * x**1.5)
    np.testing.assert_allclose([law.exponent, law.low, law.high, law.scale], [1.5, 1.5, 1.5, 3.0], rtol=1e-6)


def test_the_exponents_interval_covers() -> None:
    rng, x = np.random.default_rng(0), np.geomspace(10, 1000, 5)
    flat = fit_exponent(x, np.full(len(x), 3.0))
    assert (flat.exponent, flat.low, flat.high) == (0, 0, 0)
    laws = [fit_exponent(x, 2.0 * x**1.2 * np.exp(rng.normal(0, 0.2, 5))) for _ in range(RUNS)]
    assert np.mean([law.low < 1.2 < law.high for law in laws]) == pytest.approx(0.95, abs=TOLERANCE)
    slope, intercept = np.polyfit(np.log(x), np.log(x) ** 2, 1)
    law = fit_exponent(x, np.exp(np.log(x) ** 2))
    np.testing.assert_allclose([law.exponent, law.scale], [slope, np.exp(intercept)], rtol=1e-9)


# Bad input ------------------------------------------------------------------------------------------------------------
NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_effect([1.0], [2.0]), r"a must have shape \(seeds,\), each at least 2, got \(1,\)"),
        (lambda: paired_effect([1.0, 2.0], [[1.0, 2.0]] * 2), r"b must have shape \(seeds,\).*got \(2, 2\)"),
        (lambda: paired_effect([1.0, 2.0], [1.0, 2.0, 3.0]), r"same shape, got \(2,\) and \(3,\)"),
        (lambda: paired_effect([1.0, 2.0], [1.0, NAN]), "b must be finite, got nan at seed number 1"),
        (lambda: paired_effect([1.0, 2.0], [1.0, 1.0], level=1.0), "level must be between 0.5 and 1, got 1.0"),
        (lambda: bootstrap_effect([[1, 0]], [[1, 0]], key=0), r"a must have shape \(seeds, items\).*got \(1, 2\)"),
        (lambda: bootstrap_effect([[1, 0], [NAN, 1]], [[1, 0]] * 2, key=0), "got nan at seed number 1"),
        (lambda: bootstrap_effect([[1, 0]] * 2, [[1, 0]] * 2, key=0, draws=9), "draws must be .* at least 100, got 9"),
        (lambda: prediction_interval([1.0]), "values must have shape"),
        (lambda: prediction_interval([1.0, 2.0], level=1.0), "level must be between 0 and 1, got 1.0"),
        (lambda: minimum_detectable(0.0, 5), "sd must be above 0, got 0.0"),
        (lambda: minimum_detectable(1.0, 1), "seeds must be a whole number of at least 2, got 1"),
        (lambda: minimum_detectable(1.0, 5, power=0.2), "power must be between 0.5 and 1, got 0.2"),
        (lambda: reachable_bound(NAN, 5), "sd must be above 0, got nan"),
        (lambda: reachable_bound(1.0, 0), "seeds must be a whole number of at least 2, got 0"),
        (lambda: equivalent(effect(-1, 1), 0.0), "bound must be above 0, got 0.0"),
        (lambda: verdict(effect(-1, 1), bound=-1.0, direction=1), "bound must be above 0, got -1.0"),
        (lambda: verdict(effect(-1, 1), bound=1.0, direction=2), "direction must be 1, 0 or -1, got 2"),
        (lambda: verdict([], bound=1.0, direction=1), "effects must hold at least one effect"),
        (lambda: fit_exponent([1, 2], [1, 2]), r"at least 3 points, got \(2,\) and \(2,\)"),
        (lambda: fit_exponent([1, 2, 3], [1, 0, 2]), "must be above 0 and x must vary"),
        (lambda: fit_exponent([2, 2, 2], [1, 2, 3]), "must be above 0 and x must vary"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
