"""What checks the exercises of chapter 6: cases with their right results, and the mistakes that are named."""
from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lib.book.exercises import checker

Array = NDArray[np.float64]


def _weights(labels: Array) -> Array:
    counts = np.bincount(labels)
    return len(labels) / (len(counts) * counts)


_labels = [np.array([1] * 9 + [0]), np.array([0, 0, 1, 2, 2, 2, 2, 0]), np.array([0, 1, 1])]
check_weights = checker(
    [((labels,), _weights(labels)) for labels in _labels],
    {
        "that is the share of each class: the rare one must weigh more, not less":
            lambda y: np.bincount(y) / len(y),
        "divide by the number of classes, too: over the rows the mean weight must be one":
            lambda y: len(y) / np.bincount(y),
        "over the rows the mean weight must be one: multiply by the number of rows":
            lambda y: 1 / (len(np.bincount(y)) * np.bincount(y)),
        "inverse counts have the right proportions; over the rows their mean must be one":
            lambda y: 1 / np.bincount(y),
        "the weights of the classes need not average to one, those of the rows must":
            lambda y: 1 / np.bincount(y) / np.mean(1 / np.bincount(y)),
        "the weights of the classes need not sum to one; over the rows their mean must be one":
            lambda y: 1 / np.bincount(y) / np.sum(1 / np.bincount(y)),
        "one weight for each class, not for each row": lambda y: _weights(y)[y],
        "a count times its weight must be the same for all classes: no root": lambda y: np.sqrt(_weights(y)),
        "that is the weight of the rarest class alone": lambda y: _weights(y).max(),
        "over the rows the mean weight must be one, not the weight of the largest class":
            lambda y: np.bincount(y).max() / np.bincount(y),
        "the share of all others grows with rarity, but weight times count must be the same for all classes":
            lambda y: 1 - np.bincount(y) / len(y),
        "weight times count must be the same for all classes: no logarithm": lambda y: np.log(len(y) / np.bincount(y)),
        "the classes are not equally frequent, so equal weights do not make them count the same":
            lambda y: np.ones(len(np.bincount(y))),
    },
    praise="Ten complaints among two hundred rows weigh ten each; what `class_weights` gives to the loss.",
)


def _f1(table: Array, average: Callable[..., float] = np.mean, times: float = 2.0) -> float:
    return average(times * np.diag(table) / (table.sum(0) + table.sum(1)))


_tables = [np.array([[50, 10], [20, 20]]), np.array([[30, 5, 5], [2, 10, 8], [0, 1, 9]])]
check_macro_f1 = checker(
    [((table,), _f1(table)) for table in _tables],
    {
        "that is accuracy: every sentence weighs the same, so the large class decides":
            lambda t: np.diag(t).sum() / t.sum(),
        "take F1 of each class first, then the mean": lambda t: (
            2 * np.mean(np.diag(t) / t.sum(0)) * np.mean(np.diag(t) / t.sum(1))
            / (np.mean(np.diag(t) / t.sum(0)) + np.mean(np.diag(t) / t.sum(1)))
        ),
        "half of it: hits stand above once and below twice, in what was called and in what is; so the factor is two":
            lambda t: _f1(t, times=1.0),
        "twice as much: F1 of a perfect class is one, and yours would be two": lambda t: _f1(t, times=4.0),
        "that is the sum over classes: take the mean": lambda t: _f1(t, np.sum),
        "that is recall alone: F1 asks for precision too": lambda t: np.mean(np.diag(t) / t.sum(1)),
        "that is precision alone: F1 asks for recall too": lambda t: np.mean(np.diag(t) / t.sum(0)),
        "F1 is no plain mean of precision and recall: the smaller of the two must weigh more":
            lambda t: np.mean((np.diag(t) / t.sum(0) + np.diag(t) / t.sum(1)) / 2),
        "hits of all classes together are micro-F1, which is accuracy here: take F1 of each class, then the mean":
            lambda t: 2 * np.diag(t).sum() / (2 * t.sum()),
        "the hits stand in both sums and are not taken off: that would be twice the Jaccard index":
            lambda t: np.mean(2 * np.diag(t) / (t.sum(0) + t.sum(1) - np.diag(t))),
        "a share between zero and one, not per cent": lambda t: 100 * _f1(t),
        "those are the F1 of the classes: now take their mean": lambda t: _f1(t, lambda f: f),
        "F1 is the harmonic mean of precision and recall, not the geometric one":
            lambda t: np.mean(np.diag(t) / np.sqrt(t.sum(0) * t.sum(1))),
        "that is F1 of one class: take the mean over all": lambda t: _f1(t, lambda f: f[-1]),
        "weigh the classes alike": lambda t: _f1(t, lambda f: np.average(f, weights=t.sum(1))),
    },
    praise="Each class weighs the same, however rare it is.",
)


def _ece(sure: Array, right: Array, bins: int) -> float:
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [(sure[place == b].mean() - right[place == b].mean(), (place == b).mean()) for b in set(place)]
    return sum(abs(gap) * share for gap, share in gaps)


def _bins(sure: Array, bins: int) -> list[Array]:
    """Which answers each bin holds, of the bins that hold any."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return [place == b for b in set(place)]


_rng = np.random.default_rng(0)
_sure = _rng.uniform(0.5, 1, 400)
_sure[:4] = 0.12, 0.33, 1, 1
_right = _rng.random(400) < 0.85  # too sure above, not sure enough below
_right[2:4] = False
_few, _hit = np.array([0.92, 0.94, 0.96, 1.0]), np.array([True, True, True, False])  # only the answer at 1 is too sure


def _no_number(result: object) -> bool:
    """Whether an answer is nan."""
    return isinstance(result, float | np.floating) and bool(np.isnan(result))


_check_ece = checker(
    [((_sure, _right, bins), _ece(_sure, _right, bins)) for bins in (5, 10)]
    + [((_few, _hit, 10), _ece(_few, _hit, 10))],
    {
        "without the absolute value, too sure here and not sure enough there cancel":
            lambda s, r, bins: np.mean(s) - np.mean(r),
        "a confidence of exactly one belongs to the last bin": lambda s, r, bins: (
            sum(abs((s - r)[(s * bins).astype(int) == b].sum()) for b in range(bins)) / len(s)
        ),
        "that is the gap over all answers, in one bin": lambda s, r, bins: abs(np.mean(s) - np.mean(r)),
        "a share of the answers, not their number": lambda s, r, bins: len(s) * _ece(s, r, bins),
        "weigh each bin by its share of the answers": lambda s, r, bins: np.mean(
            [
                abs(s[p].mean() - r[p].mean())
                for p in ((np.minimum((s * bins).astype(int), bins - 1) == b) for b in range(bins))
                if p.any()
            ]
        ),
        "that is the widest gap of a bin: take the mean, each bin weighted by its share of the answers":
            lambda s, r, bins: max(abs((s - r)[p].mean()) for p in _bins(s, bins)),
        "a share, not per cent": lambda s, r, bins: 100 * _ece(s, r, bins),
        "that is the distance of each single answer: in a bin take the means first, then their distance":
            lambda s, r, bins: np.abs(s - r).mean(),
        "the distance in a bin, not its square":
            lambda s, r, bins: sum((s - r)[p].mean() ** 2 * p.mean() for p in _bins(s, bins)),
        "the bins go from zero to one, not from one half": lambda s, r, bins: (
            sum(abs((s - r)[np.clip(((s - 0.5) * 2 * bins).astype(int), 0, bins - 1) == b].sum()) for b in range(bins))
            / len(s)
        ),
    },
    praise="And it depends on the number of bins, so name it.",
)


def check_ece(answer: Callable[..., float]) -> object:
    """As any checker; nan, which equals nothing, is named here."""
    from lib.book.quiz import feedback

    try:
        with np.errstate(all="ignore"):
            empty = _no_number(answer(_few.copy(), _hit.copy(), 10))
    except Exception:  # the checker says what was raised
        empty = False
    if empty:
        return feedback(False, "your function gives nan: an empty bin has no mean; leave it out, or take sums, which "
                               "are zero there")
    return _check_ece(answer)


def _slope(z: Array, y: Array, T: float) -> float:
    p = np.exp(z / T) / np.exp(z / T).sum(1, keepdims=True)
    return ((z[np.arange(len(y)), y] - (p * z).sum(1)) / T**2).mean()


def _rows(z: Array, y: Array, T: float) -> Array:
    """-log p of the true class, a sentence."""
    return np.log(np.exp(z / T).sum(1)) - z[np.arange(len(y)), y] / T


def _loss(z: Array, y: Array, T: float) -> float:
    return _rows(z, y, T).mean()


_z, _y = _rng.normal(size=(6, 3)), np.array([0, 2, 1, 1, 0, 2])
check_slope = checker(
    [((_z, _y, T), _slope(_z, _y, T)) for T in (0.7, 2.0)],
    {
        "the sign is turned": lambda z, y, T: -_slope(z, y, T),
        "the inner derivative of z / T is missing": lambda z, y, T: _slope(z, y, T) * T**2,
        "the inner derivative of z / T has the square of T below": lambda z, y, T: _slope(z, y, T) * T,
        "the softmax is at z / T, too": lambda z, y, T: _slope(z, y, 1.0) / T**2,
        "the mean over the sentences": lambda z, y, T: _slope(z, y, T) * len(y),
        "that is the slope with respect to 1 / T: the chain rule adds a factor of minus one over T squared":
            lambda z, y, T: -_slope(z, y, T) * T**2,
        "that is the loss itself: take its derivative": _loss,
        "that is the slope with respect to the true logit: go on to T, through all logits": lambda z, y, T: (
            np.exp(-_rows(z, y, T)).mean() - 1
        ),
        "the mean logit weighs the classes by p, not alike": lambda z, y, T: (
            ((z[np.arange(len(y)), y] - z.mean(1)) / T**2).mean()
        ),
        "the model expects the mean of the logits under p, not the largest": lambda z, y, T: (
            ((z[np.arange(len(y)), y] - z.max(1)) / T**2).mean()
        ),
        "that is one number a sentence: take their mean": lambda z, y, T: (
            (z[np.arange(len(y)), y] - (np.exp(z / T) / np.exp(z / T).sum(1, keepdims=True) * z).sum(1)) / T**2
        ),
    },
    praise="Zero where, on average, the logit of the true class equals the logit that the model expects.",
)


def _lower(old: Array, new: Array) -> float:
    d = new.astype(float) - old
    return d.mean() - 1.96 * d.std(ddof=1) / np.sqrt(len(d))


_answers = [(_rng.random(n) < before, _rng.random(n) < after)
            for n, before, after in ((300, 0.8, 0.85), (120, 0.8, 0.85), (200, 0.9, 0.75))]  # the last one is worse
check_lower = checker(
    [((old, new), _lower(old, new)) for old, new in _answers],
    {
        "a new model may be worse: the difference keeps its sign": lambda a, b: (
            abs(b.mean() - a.mean()) - 1.96 * (b.astype(float) - a).std(ddof=1) / np.sqrt(len(a))
        ),
        "both models answered the same sentences: take the spread of the differences": lambda a, b: (
            b.mean() - a.mean() - 1.96 * np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        ),
        "the error of a mean: divide the spread by the root of the number of sentences": lambda a, b: (
            b.mean() - a.mean() - 1.96 * (b.astype(float) - a).std(ddof=1)
        ),
        "divide by n minus one in the standard deviation (ddof=1)": lambda a, b: (
            b.mean() - a.mean() - 1.96 * (b.astype(float) - a).std() / np.sqrt(len(a))
        ),
        "the doubt about the difference, not about the new model alone": lambda a, b: (
            b.mean() - a.mean() - 1.96 * b.std(ddof=1) / np.sqrt(len(b))
        ),
        "1.96 standard errors, not 1.645": lambda a, b: (
            b.mean() - a.mean() - 1.645 * (b.astype(float) - a).std(ddof=1) / np.sqrt(len(a))
        ),
        "a share, not points": lambda a, b: 100 * _lower(a, b),
        "new minus old": lambda a, b: _lower(b, a),
        "that is the upper end": lambda a, b: 2 * (b.mean() - a.mean()) - _lower(a, b),
        "that is the difference itself: take 1.96 standard errors off it": lambda a, b: b.mean() - a.mean(),
        "that is the lower end of the new model's accuracy: the question is the difference to the old one":
            lambda a, b: b.mean() - 1.96 * np.sqrt(b.mean() * (1 - b.mean()) / len(b)),
        "1.96 standard errors, not two": lambda a, b: (
            b.mean() - a.mean() - 2 * (b.astype(float) - a).std(ddof=1) / np.sqrt(len(a))
        ),
        "the spreads of two models do not add up: take the spread of the differences": lambda a, b: (
            b.mean() - a.mean() - 1.96 * (a.std(ddof=1) + b.std(ddof=1)) / np.sqrt(len(a))
        ),
        "sentences that both answer alike count as differences of zero: leave them in": lambda a, b: (
            _lower(a[a != b], b[a != b])
        ),
        "a difference has a sign: where the old model alone is right it is minus one":
            lambda a, b: _lower(np.zeros(len(a)), a != b),
    },
    praise="Sentences that both get right, or both get wrong, add nothing to the doubt.",
)


def _form(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _leaked(train: list[str], test: list[str], form: Callable[[str], str] = _form) -> int:
    known = set(map(form, train))
    return sum(form(text) in known for text in test)


_texts = [
    (["A fine film.", "Dull; too long", "So-so", "it has  heart"],
     ["a FINE film", "Dull, too long!", "dull too long", "Another one", "A fine film.", "It has heart", "so so"]),
    (["A fine film, all in all"], ["a fine film all told", "A fine film: all in all", "a fine"]),
    (["good", "bad"], ["neither", "nor"]),
    (["One two", "one, two"], ["ONE TWO", "one  two.", "three"]),
    (["Not good, bad.", "A now here"],
     ["bad, not good", "good: bad, not", "Good", "bad", "here", "NOT GOOD: BAD", "a nowhere", "a now here!"]),
]
check_leaks = checker(
    [(pair, _leaked(*pair)) for pair in _texts],
    {
        "exact copies alone: case, punctuation and spaces must not count": lambda a, b: _leaked(a, b, str),
        "case is gone, punctuation and spaces still count": lambda a, b: _leaked(a, b, str.casefold),
        "punctuation is gone, case still counts":
            lambda a, b: _leaked(a, b, lambda text: " ".join(re.findall(r"\w+", text))),
        "spaces at the ends are gone, punctuation and case still count": lambda a, b: _leaked(a, b, str.strip),
        "count rows of `test`: two copies there are two sentences that were seen":
            lambda a, b: len({*map(_form, a)} & {*map(_form, b)}),
        "count rows of `test`, not of `train`": lambda a, b: _leaked(b, a),
        "how many, not whether any": lambda a, b: _leaked(a, b) > 0,
        "the same beginning is no copy: compare whole texts":
            lambda a, b: sum(any(_form(text)[:8] == _form(other)[:8] for other in a) for text in b),
        "a part of a text is no copy of it: compare whole texts":
            lambda a, b: sum(any(_form(text) in _form(other) for other in a) for text in b),
        "the same words in another order are another text":
            lambda a, b: _leaked(a, b, lambda text: " ".join(sorted(set(_form(text).split())))),
        "spaces part words: make one of many, do not take all away":
            lambda a, b: _leaked(a, b, lambda text: "".join(_form(text).split())),
        "a share, not a count": lambda a, b: _leaked(a, b) / len(b),
        "those that are new were counted": lambda a, b: len(b) - _leaked(a, b),
    },
    praise="And if it is not zero, split again, by texts.",
)
