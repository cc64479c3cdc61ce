"""Typical wrong answers to the exercises of chapter 1, and the words that must name the mistake."""

import numpy as np
from scipy import stats

from lib.evidence.verdicts import minimum_detectable


def normal_interval(x, y):
    d = x - y
    return d.mean() + stats.norm.ppf([0.025, 0.975]) * d.std(ddof=1) / len(d) ** 0.5


def without_root(x, y):
    d = x - y
    return d.mean() + stats.t.ppf([0.025, 0.975], len(d) - 1) * d.std(ddof=1)


def for_five(x, y):
    d = x - y
    return d.mean() + stats.t.ppf([0.025, 0.975], 4) * stats.sem(d)


def n_degrees(x, y):
    d = x - y
    return d.mean() + stats.t.ppf([0.025, 0.975], len(d)) * stats.sem(d)


WRONG = [
    ("check_gap", lambda train, test: np.mean(train) - np.mean(test), "times a hundred"),
    ("check_gap", lambda train, test: 100 * (np.mean(test) - np.mean(train)), "training minus unseen"),
    ("check_gap", lambda train, test: 100 * abs(np.mean(train) - np.mean(test)), "keep the sign"),
    ("check_interval", lambda x, y: stats.ttest_rel(y, x).confidence_interval(), "not the other way round"),
    ("check_interval", lambda x, y: stats.ttest_rel(x, y).confidence_interval(0.9), "quantile at 0.975"),
    ("check_interval", n_degrees, "degree of freedom"),
    ("check_interval", lambda x, y: stats.ttest_ind(x, y).confidence_interval(), "seeds are paired"),
    ("check_interval", normal_interval, "take Student's t"),
    ("check_interval", without_root, "square root of n"),
    ("check_interval", lambda x, y: x.mean() - y.mean(), "expected"),
    ("check_interval", for_five, "expected"),
    ("check_interval", lambda x, y: [str(end) for end in stats.ttest_rel(x, y).confidence_interval()], "expected"),
    ("check_gap", lambda train, test: f"{100 * (np.mean(train) - np.mean(test)):.1f}", "numbers and not text"),
    ("check_gap", lambda train, test: round(100 * (np.mean(train) - np.mean(test))), "expected"),
    ("check_is_null", lambda low, high, bound: int(-1 < low and high < 1), "expected"),
    ("check_is_null", lambda low, high, bound: int(low * low < bound and high * high < bound), "expected"),
    ("check_is_null", lambda low, high, bound: int(-bound <= low and high <= bound), "an end on the bound"),
    ("check_is_null", lambda low, high, bound: 1 if -bound < low and high < bound else None, "returns nothing yet"),
    ("check_is_null", lambda low, high, bound: 1 if low <= 0 <= high else 0, "must lie inside the bound"),
    ("check_is_null", lambda low, high, bound: 1 if high < bound else 0, "both ends"),
    ("check_is_null", lambda low, high, bound: 1 if low > -bound else 0, "the upper one too"),
    ("check_is_null", lambda low, high, bound: int(not (low > bound or high < -bound)), "to overlap the bound"),
    (
        "check_judge",
        lambda low, high, a, b, bound: 2 if low > 0 and b >= bound else int(max(-a, b) >= bound),
        "below zero",
    ),
    (
        "check_judge",
        lambda low, high, a, b, bound: 0 if high < 0 or max(-low, high) < bound else 2 if low > 0 else 1,
        "90-percent interval says",
    ),
    (
        "check_judge",
        lambda low, high, a, b, bound: 2 if low > 0 else 0 if high < 0 or max(-a, b) < bound else 1,
        "too small",
    ),
    ("check_judge", lambda low, high, a, b, bound: 2 if low > 0 and b >= bound else 0, "a null is not shown"),
    ("check_judge", lambda *numbers: "supported", "expected"),
    (
        "check_judge",
        lambda low, high, a, b, bound: 0 if high < 0 or max(-a, b) < bound else 2 if low > bound else 1,
        "not above the bound",
    ),
    (
        "check_judge",
        lambda low, high, a, b, bound: 0 if b < 0 or max(-a, b) < bound else 2 if low > 0 else 1,
        "expected",
    ),
    (
        "check_judge",
        lambda low, high, a, b, bound: 0 if high < 0 or max(-a, b) < bound else 2 if a > 0 else 1,
        "expected",
    ),
    ("check_judge", lambda low, high, a, b, bound: 0 if high < 0 or b < bound else 2 if low > 0 else 1, "expected"),
    ("check_judge", lambda low, high, a, b, bound: 0 if high < 0 or b - a < bound else 2 if low > 0 else 1, "expected"),
    (
        "check_seeds_needed",
        lambda sd, gain: sum(minimum_detectable(sd, n) > gain for n in range(3, 99)) + 4,
        "one too many",
    ),
    ("check_seeds_needed", lambda sd, gain: max(3, np.ceil((2.8016 * sd / gain) ** 2)), "normal quantiles"),
    (
        "check_seeds_needed",
        lambda sd, gain: next(n for n in range(3, 99) if minimum_detectable(1, n) <= gain),
        "spread of the differences",
    ),
    ("check_seeds_needed", lambda sd, gain: 5, "expected"),
    (
        "check_seeds_needed",
        lambda sd, gain: next(n for n in range(5, 99) if minimum_detectable(sd, n) <= gain),
        "expected",
    ),
]
