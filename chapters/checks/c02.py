"""What checks the exercises of chapter 2."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.book.exercises import checker

Array = NDArray[np.float64]
_rng = np.random.default_rng(0)
_A = _rng.standard_normal((12, 5)) + 2 * _rng.standard_normal(5)  # rows that are not centred
_d = np.array([3.0, 2.0, 0.5])
_Z, _y, _new = _rng.standard_normal((9, 3)) + 1, _rng.standard_normal(9) + 2, _rng.standard_normal((4, 3))
_table = np.array([[0.8, 0.4, 0.6], [0.5, 0.7, 0.3], [0.1, 0.4, 0.4]])


def _directions(A: Array, k: int) -> Array:
    """The first k principal directions, (k, features)."""
    directions: Array = np.linalg.svd(A, full_matrices=False)[2][:k]
    return directions


def _onto(A: Array, V: Array, mean: Any = 0.0) -> Array:
    """Rows projected onto the span of the rows of V, around a mean."""
    return (A - mean) @ V.T @ V + mean


def _ridge(Z: Array, y: Array, lam: float, new: Array, *, centre: Any, level: Any) -> Any:
    """Predictions of ridge around a point of the features and a level of the labels."""
    w = np.linalg.solve((Z - centre).T @ (Z - centre) + lam * np.eye(Z.shape[1]), (Z - centre).T @ (y - level))
    return (new - centre) @ w + level


def _penalised_intercept(Z: Array, y: Array, lam: float, new: Array) -> Any:
    ones = [np.column_stack([np.ones(len(rows)), rows]) for rows in (Z, new)]
    return _ridge(ones[0], y, lam, ones[1], centre=0.0, level=0.0)


def _own(table: Array) -> Array:
    return np.diag(table)


def _abroad(table: Array) -> Array:
    return table[~np.eye(len(table), dtype=bool)]


check_project = checker(
    [((_A, k), _onto(_A, _directions(_A - _A.mean(0), k), _A.mean(0))) for k in (2, 3)],
    {
        "subtract the mean before the decomposition": lambda A, k: _onto(A, _directions(A, k)),
        "the directions must come from the centred rows too": lambda A, k: _onto(A, _directions(A, k), A.mean(0)),
        "project the centred rows: the plane goes through the mean, not through zero": lambda A, k: (
            _onto(A, _directions(A - A.mean(0), k))
        ),
        "take the mean off each column, not off each row": lambda A, k: _onto(
            A, _directions(A - A.mean(1, keepdims=True), k), A.mean(1, keepdims=True)
        ),
        "one mean for each column, not one for all numbers": lambda A, k: _onto(
            A, _directions(A - A.mean(), k), A.mean()
        ),
        "put the mean back at the end": lambda A, k: _onto(A, _directions(A - A.mean(0), k), A.mean(0)) - A.mean(0),
        "these are the coordinates on the plane: map them back": lambda A, k: (
            (A - A.mean(0)) @ _directions(A - A.mean(0), k).T
        ),
        "do not divide by the spread: the plane is in the space of the features as they are": lambda A, k: (
            _onto((A - A.mean(0)) / A.std(0), _directions((A - A.mean(0)) / A.std(0), k)) * A.std(0) + A.mean(0)
        ),
        "`np.linalg.eigh` sorts from small to large: these are the last directions, not the first": lambda A, k: _onto(
            A, np.linalg.svd(A - A.mean(0))[2][-k:], A.mean(0)
        ),
        "`np.linalg.svd` returns V transposed: the directions are its rows": lambda A, k: _onto(
            A, np.linalg.svd(A - A.mean(0), full_matrices=False)[2].T[:k], A.mean(0)
        ),
    },
    praise="That is PCA: projected, and back in the space of the features.",
)
check_freedom = checker(
    [((_d, 0.1, t), float((1 - (1 - 0.1 * _d**2) ** t).sum())) for t in (1, 4)],
    {
        "square the singular values": lambda d, eta, steps: float((1 - (1 - eta * d) ** steps).sum()),
        "this is what is still missing; the degrees of freedom are what is there": lambda d, eta, steps: float(
            ((1 - eta * d**2) ** steps).sum()
        ),
        "each step closes the same share of what is *left*: a power, not a product": lambda d, eta, steps: float(
            (steps * eta * d**2).sum()
        ),
        "that is the rank: count each direction by the part of it that is there": lambda d, eta, steps: float(len(d)),
        "sum the factors, do not average them": lambda d, eta, steps: float((1 - (1 - eta * d**2) ** steps).mean()),
        "add the shares of the directions up": lambda d, eta, steps: 1 - (1 - eta * d**2) ** steps,
        "count each direction by its share, not by the share squared": lambda d, eta, steps: float(
            ((1 - (1 - eta * d**2) ** steps) ** 2).sum()
        ),
        "one step too many: after no step nothing is fitted": lambda d, eta, steps: float(
            (1 - (1 - eta * d**2) ** (steps + 1)).sum()
        ),
        "one step too few: after one step something is fitted": lambda d, eta, steps: float(
            (1 - (1 - eta * d**2) ** (steps - 1)).sum()
        ),
        "that is ridge with the strength 1 / (eta * steps): near, and not the same": lambda d, eta, steps: float(
            (d**2 / (d**2 + 1 / (eta * steps))).sum()
        ),
    },
    praise="None before the first step, and the rank in the end.",
)
check_ridge = checker(
    [
        ((_Z, _y, lam, _new), _ridge(_Z, _y, lam, _new, centre=_Z.mean(0), level=_y.mean()))
        for lam in (0.5, 4.0)
    ],
    {
        "there is no intercept: labels whose mean is not zero need one": lambda Z, y, lam, new: _ridge(
            Z, y, lam, new, centre=0.0, level=0.0
        ),
        "the intercept must cost nothing, and here it is penalised like a weight": _penalised_intercept,
        "centre the features too: otherwise the weights pay for the features' mean": lambda Z, y, lam, new: _ridge(
            Z, y, lam, new, centre=0.0, level=y.mean()
        ),
        "add the mean of the labels in the end": lambda Z, y, lam, new: (
            _ridge(Z, y, lam, new, centre=Z.mean(0), level=y.mean()) - y.mean()
        ),
        "take the mean of the *training* features off the new ones": lambda Z, y, lam, new: (
            _ridge(Z, y, lam, new - new.mean(0) + Z.mean(0), centre=Z.mean(0), level=y.mean())
        ),
        "the new features need the same shift as the training features": lambda Z, y, lam, new: (
            _ridge(Z, y, lam, new + Z.mean(0), centre=Z.mean(0), level=y.mean())
        ),
        "these are the predictions for Z; `new` is asked for": lambda Z, y, lam, new: (
            _ridge(Z, y, lam, Z, centre=Z.mean(0), level=y.mean())
        ),
        "do not scale the features: the penalty is for their weights as they are": lambda Z, y, lam, new: _ridge(
            Z / Z.std(0), y, lam, new / Z.std(0), centre=Z.mean(0) / Z.std(0), level=y.mean()
        ),
        "the penalty is for the sum of squares: do not multiply it by the number of sentences": lambda Z, y, lam, new: (
            _ridge(Z, y, lam * len(Z), new, centre=Z.mean(0), level=y.mean())
        ),
        "that is least squares: the penalty is missing": lambda Z, y, lam, new: (
            _ridge(Z, y, 0.0, new, centre=Z.mean(0), level=y.mean())
        ),
        "lam goes in once, not squared": lambda Z, y, lam, new: (
            _ridge(Z, y, lam**2, new, centre=Z.mean(0), level=y.mean())
        ),
    },
    praise="Centred, penalised, and the mean put back: a head for any frozen features.",
)
check_bag = checker(
    [
        ((np.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]), np.array([1, 1, 0])), np.array([2.0, 3.0])),
        ((np.array([[1.0, 2.0], [9.0, 9.0], [5.0, 4.0], [6.0, 0.0]]), np.array([1, 0, 1, 1])), np.array([4.0, 2.0])),
    ],
    {
        "padding does not count: use the mask": lambda x, mask: x.mean(0),
        "`x[mask]` takes rows by number; take those where the mask is 1": lambda x, mask: x[mask].mean(0),
        "a mean, not a sum": lambda x, mask: (x * mask[:, None]).sum(0),
        "over the tokens, which are the rows": lambda x, mask: (x * mask[:, None]).sum(1) / mask.sum(),
        "divide by the number of tokens, not by the width of the batch": lambda x, mask: (
            (x * mask[:, None]).sum(0) / len(x)
        ),
        "the real tokens need not be the first ones: use the mask as it is": lambda x, mask: x[: mask.sum()].mean(0),
    },
    praise="No token knows where it stands, and padding weighs nothing.",
)
check_kept = checker(
    [((t,), _abroad(t).mean() / _own(t).mean()) for t in (_table, np.array([[0.9, 0.3], [0.6, 0.5]]))],
    {
        "leave the diagonal out of the first mean": lambda table: table.mean() / _own(table).mean(),
        "a share, not a difference": lambda table: _own(table).mean() - _abroad(table).mean(),
        "a share of one, not per cent": lambda table: 100 * _abroad(table).mean() / _own(table).mean(),
        "means, not sums: more cells lie abroad than at home": lambda table: _abroad(table).sum() / _own(table).sum(),
        "first the two means, then one ratio, not one for each row": lambda table: (
            (table.sum(1) / _own(table) - 1) / (len(table) - 1)
        ).mean(),
        "first the two means, then one ratio, not one for each column": lambda table: (
            (table.sum(0) / _own(table) - 1) / (len(table) - 1)
        ).mean(),
        "means, not medians": lambda table: np.median(_abroad(table)) / np.median(_own(table)),
        "this takes half of the table: the cells below the diagonal lie abroad as well": lambda table: (
            table[np.triu_indices(len(table), 1)].mean() / _own(table).mean()
        ),
        "turned over: abroad divided by home": lambda table: _own(table).mean() / _abroad(table).mean(),
        "this is what is lost: one minus it is kept": lambda table: 1 - _abroad(table).mean() / _own(table).mean(),
    },
    praise="What is left of the gain when it crosses.",
)
