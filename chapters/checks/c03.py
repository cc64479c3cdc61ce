"""What checks the exercises of chapter 3."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.book.exercises import Answer, checker

RATES = np.array([1e-4, 4e-4, 1.6e-3, 6.4e-3])
DEV = np.array([[70.0, 72.0, 71.0], [76.0, 69.0, 78.0], [79.0, 60.0, 62.0], [70.5, 70.5, 70.5]])
MORE = np.array(
    [[71.0, 72.0, 60.0, 75.0], [70.0, 70.0, 70.0, 70.5], [58.0, 74.0, 73.0, 76.0], [74.0, 72.0, 71.0, 70.0]]
)
UNEVEN = np.array([[77.0, 77.0, 50.0], [74.0, 73.0, 72.0], [60.0, 66.0, 79.0], [81.0, 60.0, 60.0]])

check_rate = checker(
    [((RATES, DEV), 4e-4), ((RATES, MORE), 6.4e-3), ((RATES, UNEVEN), 4e-4)],
    {
        "take the mean over seeds first: one lucky seed must not choose": lambda rates, dev: rates[
            np.unravel_index(dev.argmax(), dev.shape)[0]
        ],
        "a row is a rate, a column a seed: the mean goes along a row": lambda rates, dev: rates[dev.mean(0).argmax()],
        "the rate, not its accuracy": lambda rates, dev: dev.mean(1).max(),
        "the mean decides, not the worst seed": lambda rates, dev: rates[dev.min(1).argmax()],
        "return the rate, not its place in the list": lambda rates, dev: int(dev.mean(1).argmax()),
        "these are accuracies, not losses: the highest mean": lambda rates, dev: rates[dev.mean(1).argmin()],
        "the mean, not the median": lambda rates, dev: rates[np.median(dev, axis=1).argmax()],
        "that is the choice of the last seed alone": lambda rates, dev: rates[dev[:, -1].argmax()],
        "that is the choice of the first seed alone": lambda rates, dev: rates[dev[:, 0].argmax()],
    },
    praise="The mean over seeds chooses, on development sentences.",
)

check_perplexity = checker(
    [((np.array([-1.0, -2.0, -6.0]),), np.exp(3.0)), ((np.array([-0.5, -0.5]),), np.exp(0.5))],
    {
        "the mean over the tokens, not the sum": lambda log_p: np.exp(-log_p.sum()),
        "the sign: probabilities below one have negative logarithms": lambda log_p: np.exp(log_p.mean()),
        "that is the loss in nats: exponentiate it": lambda log_p: -log_p.mean(),
        "nats go with base e, not with base two": lambda log_p: 2 ** -log_p.mean(),
        "first the mean, then the exponential": lambda log_p: np.exp(-log_p).mean(),
        "the mean of the logarithms, not of the probabilities": lambda log_p: 1 / np.exp(log_p).mean(),
        "nats go with base e, not with base ten": lambda log_p: 10 ** -log_p.mean(),
        "all tokens count, not the least likely alone": lambda log_p: np.exp(-log_p.min()),
    },
    praise="As if the model guessed among that many tokens, all equally likely.",
)


def _waits(scores: Sequence[float], wait: int, *, ties: bool = False, reset: bool = True) -> int:
    """The evaluation kept by a rule that takes a tie for a new best, or whose counter is never reset."""
    best = worse = 0
    for i, score in enumerate(scores[1:], start=1):
        if score > scores[best] or (ties and score == scores[best]):
            best, worse = i, 0 if reset else worse
        else:
            worse += 1
        if worse == wait:
            break
    return best


def _tie_resets(scores: Sequence[float], wait: int) -> int:
    """The first of equals is kept, and yet a tie lets the waiting begin anew."""
    return scores.index(scores[_waits(scores, wait, ties=True)])


check_kept = checker(
    [
        (([0.7, 0.75, 0.74, 0.73, 0.9], 2), 1),
        (([0.5, 0.6, 0.7], 2), 2),
        (([0.8, 0.7, 0.9, 0.6, 0.5], 2), 2),
        (([0.5, 0.4, 0.6, 0.55, 0.7], 2), 4),
        (([0.8, 0.6, 0.7, 0.65, 0.9], 2), 0),
        (([0.5, 0.4, 0.6, 0.7, 0.65, 0.8], 2), 5),
        (([0.7, 0.7, 0.6, 0.5], 2), 0),
        (([0.7, 0.7, 0.6, 0.9], 2), 0),
        (([0.6, 0.5, 0.7], 1), 0),
    ],
    {
        "keep the best weights, not the last": lambda scores, wait: len(scores) - 1,
        "one too early: it stops after `wait` evaluations without a new best": lambda scores, wait: next(
            (i for i in range(len(scores) - 1) if scores[i + 1] <= scores[i]), len(scores) - 1
        ),
        "the run had stopped before that evaluation": lambda scores, wait: int(np.argmax(scores)),
        "not after `wait` evaluations, but after `wait` without a new best": lambda scores, wait: int(
            np.argmax(scores[: wait + 1])
        ),
        "one too late: the run stops at the `wait`-th evaluation without a new best": lambda scores, wait: _waits(
            scores, wait + 1
        ),
        "the index of the evaluation, not its score": lambda scores, wait: scores[_waits(scores, wait)],
        "the first evaluation has index 0": lambda scores, wait: _waits(scores, wait) + 1,
        "keep the best weights, not those of the step at which the run stopped": lambda scores, wait: next(
            (i for i in range(wait, len(scores)) if max(scores[i - wait + 1 : i + 1]) <= max(scores[: i - wait + 1])),
            len(scores) - 1,
        ),
        "a tie is no new best: keep the first of equals, and go on counting": lambda scores, wait: _waits(
            scores, wait, ties=True
        ),
        "a tie is no new best: it must not reset the counter": _tie_resets,
        "a new best resets the counter: `wait` evaluations in a row, not altogether": lambda scores, wait: _waits(
            scores, wait, reset=False
        ),
    },
    praise="Wait, then keep the best.",
)

check_doublings = checker(
    [
        ((74.0, 70.0, 70.0, 78.0, 100, 400), 1.0),
        ((73.0, 70.0, 66.0, 78.0, 100, 800), 0.75),
        ((69.0, 70.0, 70.0, 78.0, 100, 400), -0.25),
    ],
    {
        "divide by what one doubling buys, not by the whole rise": lambda a, b, low, high, few, many: (
            (a - b) / (high - low)
        ),
        "the number of doublings between few and many, not their ratio": lambda a, b, low, high, few, many: (
            (a - b) * (many / few) / (high - low)
        ),
        "in doublings: base two, not ten": lambda a, b, low, high, few, many: (
            (a - b) * np.log10(many / few) / (high - low)
        ),
        "in doublings: base two": lambda a, b, low, high, few, many: (a - b) * np.log(many / few) / (high - low),
        "doublings are counted by log2(many / few), not by many - few": lambda a, b, low, high, few, many: (
            (a - b) * (many - few) / (high - low)
        ),
        "upside down: the gain stands above what one doubling buys": lambda a, b, low, high, few, many: (
            (high - low) / np.log2(many / few) / (a - b)
        ),
        "divide by what one doubling buys; do not multiply": lambda a, b, low, high, few, many: (
            (a - b) * (high - low) / np.log2(many / few)
        ),
        "the sign: the gain is from b to a, and more labels buy more": lambda a, b, low, high, few, many: (
            (b - a) * np.log2(many / few) / (high - low)
        ),
        "a loss is worth a negative number of doublings: keep the sign": lambda a, b, low, high, few, many: (
            abs(a - b) * np.log2(many / few) / (high - low)
        ),
    },
    praise="Points become labels through the slope of the plain curve.",
)

_LAYERS = [
    (np.array([[1.0, 0, 2], [0, 1, 1]]), np.array([[1.0, 2, 0], [0, 1, 1]]), np.array([[3.0, 0], [1, 2]]), 4.0),
    (np.eye(3), np.array([[0.0, 1, 0]]), np.array([[0.0], [0], [2]]), 3.0),
    (
        np.array([[0.0, 1, 0], [0, 0, 2], [1, 0, 0]]),
        np.arange(9.0).reshape(3, 3),
        np.array([[1.0, 0, 0], [0, 2, 0], [1, 0, 1]]),
        6.0,
    ),
]
_INPUTS = [
    np.array([[1.0, 2, -1], [0, 1, 3], [2, 0, 1]]),
    np.array([[2.0, 1, 0]]),
    np.array([[1.0, 0, 2], [0, -3, 1], [1, 1, 0]]),  # A x has both signs
]


def _merged(W: Any, A: Any, B: Any, alpha: float) -> Any:
    return W + alpha / len(A) * B @ A


_SCALES: dict[str, Answer] = {  # what stands where alpha / r belongs
    "the scale: alpha over the rank": lambda A, B, alpha: 1.0,
    "divide alpha by the rank": lambda A, B, alpha: alpha,
    "by the rank, not by its root": lambda A, B, alpha: alpha / len(A) ** 0.5,
    "the rank is the number of rows of A, not of B": lambda A, B, alpha: alpha / len(B),
    "the rank is the number of rows of A, and n that of the columns of A": lambda A, B, alpha: alpha / A.shape[1],
    "add the change, do not take it away": lambda A, B, alpha: -alpha / len(A),
    "divide alpha by the rank, do not multiply": lambda A, B, alpha: alpha * len(A),
    "the scale comes once, not once for A and once for B": lambda A, B, alpha: (alpha / len(A)) ** 2,
    "upside down: alpha over the rank": lambda A, B, alpha: len(A) / alpha,
}


def _forward_scaled(scale: Answer) -> Answer:
    return lambda x, W, A, B, alpha: x @ W.T + scale(A, B, alpha) * (x @ A.T) @ B.T


def _merge_scaled(scale: Answer) -> Answer:
    return lambda W, A, B, alpha: W + scale(A, B, alpha) * B @ A


check_forward = checker(
    [((x, *case), x @ _merged(*case).T) for x, case in zip(_INPUTS, _LAYERS, strict=True)],
    {hint: _forward_scaled(scale) for hint, scale in _SCALES.items()}
    | {
        "the frozen layer is missing: x W^T": lambda x, W, A, B, alpha: alpha / len(A) * (x @ A.T) @ B.T,
        "an adapter is linear: nothing stands between A and B": lambda x, W, A, B, alpha: (
            x @ W.T + alpha / len(A) * np.maximum(x @ A.T, 0) @ B.T
        ),
        "W maps a column; for rows of x it is transposed": lambda x, W, A, B, alpha: (
            x @ (W if W.shape[0] == W.shape[1] else W.T) + alpha / len(A) * (x @ A.T) @ B.T
        ),
        "the adapter is missing": lambda x, W, A, B, alpha: x @ W.T,
        "the rank is the number of rows of A, not of x": lambda x, W, A, B, alpha: (
            x @ W.T + alpha / len(x) * (x @ A.T) @ B.T
        ),
        "x holds one input a row, so the output does too: transpose": lambda x, W, A, B, alpha: (
            x @ _merged(W, A, B, alpha).T
        ).T,
        "the scale belongs to the adapter alone, not to W": lambda x, W, A, B, alpha: (
            alpha / len(A) * (x @ W.T + (x @ A.T) @ B.T)
        ),
    },
    praise="The same as with the merged matrix; multiply x by A first, and that matrix is never made.",
)

check_merge = checker(
    [(case, _merged(*case)) for case in _LAYERS],
    {hint: _merge_scaled(scale) for hint, scale in _SCALES.items()}
    | {
        "as for a row x: merge the matrix itself, not its transpose": lambda W, A, B, alpha: _merged(W, A, B, alpha).T,
        "that is the change alone: add it to W": lambda W, A, B, alpha: alpha / len(A) * B @ A,
        "B stands on the left: a change of W has the shape of W": lambda W, A, B, alpha: (
            W + alpha / len(A) * (A.T @ B.T if W.shape[0] == W.shape[1] else B @ A)
        ),
    },
    praise="One plain matrix, and nobody can tell that it was ever two.",
)
