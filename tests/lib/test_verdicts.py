"""Intervals cover what they promise, powers are what they say, and a verdict is wrong as rarely as its rule allows."""
from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lib.book.record import RESULTS
from lib.evidence.store import read_runs
from lib.evidence.verdicts import (
    Effect,
    crossed_effect,
    equivalent,
    minimum_detectable,
    paired_effect,
    prediction_interval,
    reachable_bound,
    sequential,
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
    return {word: words[word] / RUNS for word in ("supported", "refuted", "no gain", "undecided")}


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
    assert "over 3 seeds" in verdict(effect, bound=1.0, direction=1).reasons[0]
    timed = verdict(paired_effect([3.0, 5.0], [2.0, 3.0], over="repeats"), bound=1.0, direction=1)
    assert "over 2 repeats: " in timed.reasons[0] and "seeds: " not in timed.reasons[0]
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


def by_least_squares(d: np.ndarray) -> tuple[float, float]:
    """Error and dof of the crossed mean from nested regressions on dummy variables, without any table of means."""
    n, m = d.shape
    ones, rows, columns = np.ones((n * m, 1)), np.kron(np.eye(n), np.ones((m, 1))), np.kron(np.ones((n, 1)), np.eye(m))

    def residual(*blocks: np.ndarray) -> float:
        design = np.hstack(blocks)
        return float(np.square(d.ravel() - design @ np.linalg.lstsq(design, d.ravel(), rcond=None)[0]).sum())

    freedom = np.array([n - 1, m - 1, (n - 1) * (m - 1)])
    unexplained = residual(rows, columns)
    squares = np.array([residual(ones) - residual(rows), residual(ones) - residual(columns), unexplained]) / freedom
    total = max(squares @ [1, 1, -1], squares[2])
    return (total / (n * m)) ** 0.5, total**2 / (squares**2 / freedom).sum()


def crossed(rng: np.random.Generator, n: int, m: int, sd: Any, runs: int) -> np.ndarray:
    """Tables of noise (runs, n, m) whose seeds, items and cells have these standard deviations."""
    by_seed, by_item, rest = (rng.normal(0, s, (runs, *shape)) for s, shape in zip(sd, [(n, 1), (1, m), (n, m)],
                                                                                   strict=True))
    return by_seed + by_item + rest


def covered(tables: np.ndarray) -> dict[str, float]:
    """How often the intervals at 95 % hold the true 0: of seeds and items, of seeds alone, of items alone."""
    hits = Counter[str]()
    for d in tables:
        for name, effect in {"both": crossed_effect(d, np.zeros_like(d)),
                             "seeds": paired_effect(d.mean(1), np.zeros(len(d))),
                             "items": paired_effect(d.mean(0), np.zeros(d.shape[1]))}.items():
            hits[name] += effect.low < 0 < effect.high
    return {name: hits[name] / len(tables) for name in ("both", "seeds", "items")}


@pytest.mark.parametrize(("n", "m", "sd"), [(2, 2, (1, 1, 1)), (4, 30, (0.1, 0.3, 0.5)), (10, 25, (2, 0, 1)),
                                            (6, 40, (0, 3, 1)), (7, 11, (0, 0, 1))])
def test_the_crossed_error_is_that_of_nested_regressions(n: int, m: int, sd: Any) -> None:
    for d in crossed(np.random.default_rng(n), n, m, sd, 5):
        a = d + 7
        ours, (error, dof) = crossed_effect(a, np.full((n, m), 5.0)), by_least_squares(d)
        assert (ours.difference, ours.seeds) == (pytest.approx(d.mean() + 2), n)
        assert (ours.error, ours.dof) == (pytest.approx(error, rel=1e-6), pytest.approx(max(dof, 1), rel=1e-6))


def test_the_crossed_interval_by_hand() -> None:
    """Rows 0 2 and 4 10 have mean 4; MS of seeds 36, of items 16, of the rest 4, so Var = (36 + 16 - 4) / 4 = 12."""
    effect = crossed_effect([[0, 2], [4, 10]], [[0, 0], [0, 0]])
    assert (effect.difference, effect.error) == (4.0, pytest.approx(12**0.5))
    assert effect.dof == pytest.approx(48**2 / (36**2 + 16**2 + 4**2))
    assert (effect.seeds, effect.items) == (2, 2)
    assert " at 95% over 2 seeds and 2 test items: " in verdict(effect, bound=1.0, direction=1).reasons[0]
    assert crossed_effect([[0, 1], [1, 0]], [[0, 0], [0, 0]]).error == 0.5  # MS 0, 0, 1: the floor, not below zero
    assert crossed_effect([[1, 3], [5, 7]], [0, 0]) == crossed_effect([[1, 3], [5, 7]], [[0, 0], [0, 0]])


def test_where_one_source_varies_the_crossed_interval_is_students() -> None:
    rng = np.random.default_rng(0)
    items, seeds = rng.normal(size=50), rng.normal(size=(8, 1))
    ours, theirs = crossed_effect(np.tile(items, (3, 1)), np.zeros(50)), stats.ttest_1samp(items, 0)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    ours, theirs = crossed_effect(np.tile(seeds, (1, 90)), np.zeros(90)), stats.ttest_1samp(seeds[:, 0], 0)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    same = crossed_effect(np.ones((3, 4)), np.ones(4))
    assert (same.difference, same.error, same.dof) == (0, 0, 2)


@cache
def stored(question: str, chapter: str, arm: str) -> np.ndarray:
    """(seeds, items) of 0 and 100 from the book's own evidence, in the order of the seeds."""
    rows = {run["spec"]["seed"]: run["result"]["correct"]
            for run in read_runs(RESULTS / "evidence" / f"{chapter}-quick.json")["runs"].values()
            if run["question"] == question and run["spec"]["arm"] == arm
            and run["spec"].get("labels", 400) == (600 if chapter == "01-background" else 400)}
    return 100.0 * np.array([rows[seed] for seed in sorted(rows)])


@cache
def flipped(method: str) -> np.ndarray:
    """The same of chapter 5's fresh trial with one label in five wrong, whose runs hold a result for each method."""
    rows = {run["spec"]["seed"]: run["result"][method]
            for run in read_runs(RESULTS / "evidence" / "05-bert-case-study-quick.json")["runs"].values()
            if run["question"] == "the gain of weight decay, tried again" and run["spec"]["noise"] == 0.2}
    return 100.0 * np.array([rows[seed] for seed in sorted(rows)])


def components(d: np.ndarray) -> list[float]:
    """Standard deviations of seeds, items and rest, from the mean squares (Searle and others, 1992, section 4.3)."""
    n, m = d.shape
    by_seed, by_item = d.mean(1), d.mean(0)
    rest = np.square(d - by_seed[:, None] - by_item + d.mean()).sum() / ((n - 1) * (m - 1))
    return [max(part, 0) ** 0.5 for part in (by_seed.var(ddof=1) - rest / m, by_item.var(ddof=1) - rest / n, rest)]


SCRATCH = "MiniLM's network from random weights, tuned"
DIFFERENCES = {
    "tuned against an arm without seeds": lambda: stored("MiniLM tuned, by labels", "01-background", "pretrained"),
    "tuned minus from scratch": lambda: stored("MiniLM tuned, by labels", "01-background", "pretrained")
    - stored(SCRATCH, "01-background", "scratch"),
    "low rank minus plain": lambda: stored("labels, lower layers read once", "03-algorithm", "projected")
    - stored("labels, lower layers read once", "03-algorithm", "plain"),
    "weight decay minus plain": lambda: flipped("weight decay") - flipped("plain"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_at_the_spreads_of_our_own_runs_the_crossed_interval_covers_and_seeds_alone_less(name: str) -> None:
    sd = components(DIFFERENCES[name]())
    found = covered(crossed(np.random.default_rng(1), 10, 600, sd, 1000))
    assert 0.93 <= found["both"] <= 0.97, (sd, found)  # 0.007 is the standard error over a thousand draws
    assert found["seeds"] < (0.8 if name.endswith("without seeds") else found["both"]), (sd, found)


@pytest.mark.parametrize(("sd", "fails"), [((2.0, 40.0, 10.0), "seeds"), ((4.0, 5.0, 10.0), "items")])
def test_an_interval_over_one_of_the_two_is_too_sure(sd: Any, fails: str) -> None:
    found = covered(crossed(np.random.default_rng(2), 10, 600, sd, 1000))
    assert 0.93 <= found["both"] <= 0.97 and found[fails] < 0.85, found


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
        (-0.5, 0.5, 1, "no gain"),
        (0.1, 0.9, 1, "no gain"),  # surely positive, surely too small to matter
        (-0.9, -0.1, 1, "no gain"),  # surely negative, and as small
        (-3.0, 0.9, 1, "no gain"),  # a gain above the bound is excluded, a loss is not
        (-3.0, 1.2, 1, "no gain"),  # excluded by the interval at 90 %, which ends at 0.7
        (-1.0, 3.0, 1, "undecided"),
        (-4.0, -2.0, -1, "supported"),
        (2.0, 4.0, -1, "refuted"),
        (-0.5, 0.5, -1, "no gain"),
        (-3.0, 1.0, -1, "undecided"),
        (-0.9, 3.0, -1, "no gain"),
        (-0.5, 0.5, 0, "supported"),
        (1.1, 3.0, 0, "refuted"),
        (-3.0, -1.1, 0, "refuted"),
        (0.5, 3.0, 0, "undecided"),
        (-3.0, 0.9, 0, "undecided"),
    ],
)
def test_the_rule(low: float, high: float, direction: int, word: str) -> None:
    found = verdict(effect(low, high), bound=1.0, direction=direction)
    assert found.word == word and found.words == (word,)
    narrower = word == "no gain" or word == "supported" and direction == 0
    level, (low, high) = (90, effect(low, high).interval(0.9)) if narrower else (95, (low, high))
    assert found.levels == (pytest.approx(level / 100),) and found.seeds == 5
    reason = found.reasons[0].replace("\N{MINUS SIGN}", "-")
    shown = re.search(rf"^\S+ \[(\S+), (\S+)\] at {level}% over 5 seeds: ", reason)
    assert shown and [float(shown[1]), float(shown[2])] == pytest.approx([low, high], abs=0.06)


def test_the_numbers_of_a_reason_have_the_decimals_that_its_interval_allows() -> None:
    for low, high, text in [(-0.06, 0.18, "+0.06 [\N{MINUS SIGN}0.06, +0.18]"), (10.0, 400.0, "+205 [+10, +400]")]:
        assert verdict(effect(low, high), bound=0.001, direction=1).reasons[0].startswith(text)


def test_several_effects() -> None:
    yes, no, none, open_ = effect(2, 4), effect(-4, -2), effect(-0.5, 0.5, seeds=9), effect(-1, 3)
    for given, word in [
        ([yes, yes], "supported"), ([no, no], "refuted"), ([none, none], "no gain"), ([no, none], "no gain"),
        ([yes, no], "mixed"), ([yes, none], "mixed"), ([yes, no, open_], "mixed"), ([none, open_], "undecided"),
        ([yes, open_], "undecided"), ([no, open_], "undecided"),
    ]:  # fmt: skip
        assert verdict(given, bound=1.0, direction=1).word == word
    found = verdict([yes, no, none, open_], bound=1.0, direction=1)
    assert found.words == ("supported", "refuted", "no gain", "undecided") and found.seeds == 9
    assert found.effects == (yes, no, none, open_) and found.levels == pytest.approx((0.95, 0.95, 0.9, 0.95))


def test_mixed_is_as_rare_as_its_level_says_where_nothing_is_there() -> None:
    """Six looks at nothing: without the correction some two of them would often disagree."""
    looks = [effects(0.0, 1.0, 5, key=100 + k) for k in range(6)]
    found = [verdict(list(six), bound=0.05, direction=1) for six in zip(*looks, strict=True)]
    naive = np.mean(["supported" in f.words and {"refuted", "no gain"} & set(f.words) != set() for f in found])
    assert np.mean([f.word == "mixed" for f in found]) < 0.005 < 0.01 < naive


def test_mixed_needs_both_at_the_corrected_level() -> None:
    t = stats.t.ppf([0.975, 1 - 0.025 / 3], 4)
    barely, clear = (Effect(3.0, 3.0 / (1.1 * quantile), 4, 5) for quantile in t)
    other = Effect(-clear.difference, clear.error, 4, 5)
    assert verdict([clear, other, effect(-1, 3)], bound=0.1, direction=1).word == "mixed"
    assert verdict([barely, other, effect(-1, 3)], bound=0.1, direction=1).word == "undecided"
    assert verdict([barely, barely], bound=0.1, direction=1).word == "supported"  # all must hold: nothing to correct


def test_clear_results_get_the_clear_word() -> None:
    assert rates(3.0, 0.5, 5, key=10)["supported"] > 0.99
    assert rates(-3.0, 0.5, 5, key=11)["refuted"] > 0.99
    assert rates(0.0, 0.3, 5, key=12)["no gain"] > 0.99  # a null that five seeds can show
    assert rates(0.0, 0.3, 5, key=13, direction=0)["supported"] > 0.99


@pytest.mark.parametrize("sd", [0.3, 1.0, 3.0])
def test_false_verdicts_are_rare(sd: float) -> None:
    nothing = rates(0.0, sd, 5, key=20)
    assert max(nothing["supported"], nothing["refuted"]) < 0.025 + 3 * 0.0035  # one tail and three standard errors
    real = rates(1.0, sd, 5, key=21)  # an effect as large as the bound
    assert real["no gain"] < 0.05 + TOLERANCE and real["refuted"] < 0.025


def test_a_small_true_gain_is_almost_never_refuted() -> None:
    """The word that this book once had for it: a true gain of half the bound was "refuted" as often as shown small."""
    found = rates(0.5, 0.5, 5, key=23)
    assert found["refuted"] < 0.005 and found["no gain"] > 0.2


def test_too_few_seeds_end_in_undecided_where_p_above_five_percent_would_end_in_no_effect() -> None:
    """The classic mistake, put back: an effect of twice the bound, seen through noise, becomes 'no effect'."""
    found = effects(2.0, 3.0, 3, key=22)
    naive = np.mean([e.low < 0 < e.high for e in found])
    ours = Counter(verdict(e, bound=1.0, direction=1).word for e in found)
    assert naive > 0.7 and ours["refuted"] + ours["no gain"] < 0.03 * RUNS and ours["undecided"] > 0.7 * RUNS
    hopeless = verdict(effect(-4.0, 4.0, seeds=3), bound=1.0, direction=1)
    sd = 4.0 / stats.t.ppf(0.975, 2) * 3**0.5
    assert f"confirm a bound of {reachable_bound(sd, 3):.2g} with probability 0.8, and ours is 1" in hopeless.reasons[0]


def test_seeds_that_vary_nothing_decide_nothing() -> None:
    same = paired_effect([0.82] * 5, [0.80] * 5)
    found = verdict(same, bound=0.01, direction=1)
    assert found.word == "undecided" and "the seeds vary nothing" in found.reasons[0]
    assert verdict(paired_effect([0.8] * 5, [0.8] * 5), bound=0.01, direction=1).word == "no gain"  # identical arms


# Seeds until it is decided --------------------------------------------------------------------------------------------
def trials(mean: float, sd: float, *, level: float | None = None, runs: int = RUNS) -> Counter[str]:
    """Words of the sequential rule at bound 1; with `level`, of one that looks at this level instead."""
    words = Counter[str]()
    for row in differences(mean, sd, 30, key=30, runs=runs):
        def effect_of(n: int, row: np.ndarray = row) -> Effect:
            return paired_effect(row[:n], np.zeros(n))
        found = sequential(effect_of, bound=1.0, direction=1) if level is None else next(
            (f for n in (10, 20, 30) if (f := verdict(effect_of(n), bound=1.0, direction=1)).word != "undecided"),
            verdict(effect_of(30), bound=1.0, direction=1))
        words[found.word] += 1
        words["seeds"] += found.seeds
    return words


@pytest.mark.parametrize("sd", [1.0, 2.0, 3.5])
def test_three_looks_err_no_more_than_one_would(sd: float) -> None:
    nothing, real = trials(0.0, sd), trials(1.0, sd)
    assert nothing["supported"] + nothing["refuted"] < (0.05 + TOLERANCE) * RUNS
    assert nothing["supported"] < (0.025 + 3 * 0.0035) * RUNS
    assert real["no gain"] < (0.05 + TOLERANCE) * RUNS


def test_three_looks_at_the_level_of_one_err_too_often() -> None:
    """Negative control: looking three times at 95 %, as whoever adds seeds until it works does."""
    naive, ours = (trials(1.0, 2.0, level=level) for level in (0.95, None))
    assert naive["no gain"] > 0.075 * RUNS > ours["no gain"]


def test_the_trial_ends_with_the_first_look_that_decides() -> None:
    asked: list[int] = []

    def effect_of(n: int, sure: int) -> list[Effect]:
        asked.append(n)
        return [Effect(3.0, 0.1 if n >= sure else 9.0, n - 1, n), Effect(3.0, 0.1, n - 1, n)]

    for sure, looks in ((2, [10]), (11, [10, 20]), (30, [10, 20, 30])):
        asked.clear()
        found = sequential(lambda n, sure=sure: effect_of(n, sure), bound=1.0, direction=1)
        assert (found.word, found.seeds, asked) == ("supported", looks[-1], looks)
        assert {effect.level for effect in found.effects} == {0.978}
    assert sequential(lambda n: effect_of(n, 99), bound=1.0, direction=1).word == "undecided"
    wide = Effect(1.0, 1 / stats.t.ppf(0.985, 9), 9, 10)  # its interval at 95 % holds zero not, at 97.8 % it does
    assert verdict(wide, bound=0.1, direction=1).word == "supported"
    assert sequential(lambda n: wide, bound=0.1, direction=1, looks=(10,)).word == "undecided"


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
        (lambda: crossed_effect([[1, 0]], [[1, 0]]), r"a must have shape \(seeds, items\).*got \(1, 2\)"),
        (lambda: crossed_effect([[1, 0], [NAN, 1]], [[1, 0]] * 2), "got nan at seed number 1"),
        (lambda: crossed_effect([[1, 0]] * 2, [1, 0, 1]), r"same shape, got \(2, 2\) and \(2, 3\)"),
        (lambda: crossed_effect([[1, 0]] * 2, [[1, 0], [1]]), "b must be numbers"),
        (lambda: crossed_effect([[1, 0]] * 2, [1, 0], level=0.5), "level must be between 0.5 and 1, got 0.5"),
        (lambda: sequential(lambda n: effect(2, 4, n), bound=1.0, direction=1, looks=()), "looks must be one to three"),
        (lambda: sequential(lambda n: effect(2, 4, n), bound=1.0, direction=1, looks=(9, 9)), r"got \(9, 9\)"),
        (lambda: sequential(lambda n: effect(2, 4, n), bound=1.0, direction=1, looks=(1, 9)), r"got \(1, 9\)"),
        (lambda: sequential(lambda n: effect(2, 4, n), bound=1.0, direction=1, looks=(2, 3, 4, 5)), "one to three"),
        (lambda: sequential(lambda n: effect(2, 4, 5), bound=1.0, direction=1), r"\(10\) must use 10 seeds, got \[5\]"),
        (lambda: sequential(lambda n: [], bound=1.0, direction=1), "effects must hold at least one effect"),
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
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
