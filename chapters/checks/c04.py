"""What checks the exercises of chapter 4."""
from __future__ import annotations

from typing import Any

import numpy as np

from lib.book.exercises import Answer, checker
from lib.book.quiz import Feedback

MARGINS = np.array([-800.0, -40.0, -3.0, 0.0, 2.0, 800.0])
SIGMA = np.array([3.0, 1.0, 0.2])
SLANTED = np.array([[1.0, -2.0], [0.0, 0.0]])
THETA, G = np.array([2.0, -1.0]), np.array([0.5, 4.0])
W, X = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 1.0]]), np.array([2.0, 1.0, -0.5])
BACK = np.array([3.0, -2.0])


def _sure(function: Answer) -> Answer:
    """The same function without a warning about overflow: mistakes may overflow here."""

    def quiet(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return quiet


def _flat(function: Answer) -> Answer:
    """The same function with the arrays that it returns in one row, so that a pair can be compared."""

    def row(*arguments: Any) -> Any:
        found = function(*arguments)
        if not isinstance(found, (tuple, list)):
            return found
        return np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in found])

    return row


def _clipped(least: float) -> Answer:
    return _sure(lambda z: -np.log(np.clip(1 / (1 + np.exp(-z)), least, 1)))


def _stable(z: Any) -> Any:
    return np.maximum(-z, 0) + np.log1p(np.exp(-np.abs(z)))


check_stable_loss = checker(
    [((MARGINS,), _stable(MARGINS))],
    {
        "exp overflows for very negative z: take the absolute value first": _sure(lambda z: np.log1p(np.exp(-z))),
        "this is the loss of class 0: turn the sign of z": lambda z: _stable(-z),
        "the part max(-z, 0) is missing": lambda z: np.log1p(np.exp(-np.abs(z))),
        "for negative z the logarithm counts too: at -3 it is not zero": lambda z: np.where(
            z > 0, np.log1p(np.exp(-np.abs(z))), -z
        ),
    }
    | {
        f"the clip at {least:g} hides the overflow: below it the loss stays at {-np.log(least):.1f}, so the sentence "
        "that is most wrong has no gradient": _clipped(least)
        for least in (*(10.0**-k for k in range(4, 17)), *(5.0 * 10.0**-k for k in range(5, 17)))
    },
    praise="It does not overflow, however large z is.",
)


def _backward(W: Any, x: Any, g: Any) -> Any:
    delta = g * (W @ x > 0)
    return np.outer(delta, x), W.T @ delta


_check_backward = checker(
    [((W, X, BACK), _flat(_backward)(W, X, BACK)), ((-W, X, BACK), _flat(_backward)(-W, X, BACK))],
    {
        hint: _flat(mistake)
        for hint, mistake in {
            "take the gradient back through ReLU first: a unit that is off passes nothing on": lambda W, x, g: (
                np.outer(g, x), W.T @ g
            ),
            "the gradient of W is fine; x gets it through W, and W is missing": lambda W, x, g: (
                np.outer(g * (W @ x > 0), x), g * (W @ x > 0)
            ),
            "the gradient of W has the shape of W: a row for each output": lambda W, x, g: (
                np.outer(x, g * (W @ x > 0)), W.T @ (g * (W @ x > 0))
            ),
            "ReLU's derivative is 1 or 0: this multiplies by its output": lambda W, x, g: (
                np.outer(g * np.maximum(W @ x, 0), x), W.T @ (g * np.maximum(W @ x, 0))
            ),
            "both are right, in the other order: first W, then x": lambda W, x, g: _backward(W, x, g)[::-1],
            "x gets the gradient through ReLU as well": lambda W, x, g: (
                np.outer(g * (W @ x > 0), x), W.T @ g
            ),
            "the gate looks at the layer's own output, W x, not at its input": lambda W, x, g: (
                np.outer(g * (W @ x > 0), x), W.T @ (g * (W @ x > 0)) * (x > 0)
            ),
            "the gate looks at W x, not at the sign of the gradient": lambda W, x, g: (
                np.outer(np.maximum(g, 0), x), W.T @ np.maximum(g, 0)
            ),
            "return two arrays: the gradient of W, then the one of x": lambda W, x, g: _backward(W, x, g)[0],
        }.items()
    },
    praise="Two rules, and with them any depth: an outer product for W, and W transposed for the way on.",
)  # fmt: skip


def check_layer_backward(answer: Answer) -> Feedback:
    """Whether an answer gives the gradients of a ReLU layer with respect to its matrix and its input.

    Args:
        answer: (W, x, g) -> two arrays, of the shapes of W and x.
    """
    return _check_backward(_flat(answer))


def _adam(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    return theta - eta * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def _without_root(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = _adam(theta, g, m, v, t, eta)[1:]
    return theta - eta * (m / (1 - 0.9**t)) / (v / (1 - 0.999**t) + 1e-8), m, v


def _uncorrected(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = _adam(theta, g, m, v, t, eta)[1:]
    return theta - eta * m / (np.sqrt(v) + 1e-8), m, v


def _corrected(
    theta: Any, g: Any, m: Any, v: Any, t: int, eta: float, *, first: bool = True, second: bool = True, later: int = 0
) -> Any:
    m, v = _adam(theta, g, m, v, t, eta)[1:]
    m_hat = m / (1 - 0.9 ** (t + later)) if first else m
    v_hat = v / (1 - 0.999 ** (t + later)) if second else v
    return theta - eta * m_hat / (np.sqrt(v_hat) + 1e-8), m, v


def _under_the_root(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = _adam(theta, g, m, v, t, eta)[1:]
    return theta - eta * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.999**t) + 1e-8), m, v


def _betas_turned(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = 0.1 * m + 0.9 * g, 0.001 * v + 0.999 * g**2
    return theta - eta * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def _one_beta(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = 0.9 * m + 0.1 * g, 0.9 * v + 0.1 * g**2
    return theta - eta * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-8), m, v


def _correction_kept(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    theta, m, v = _adam(theta, g, m, v, t, eta)
    return theta, m / (1 - 0.9**t), v / (1 - 0.999**t)


def _without_mean(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = _adam(theta, g, m, v, t, eta)[1:]
    return theta - eta * g / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def _not_squared(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g
    return theta - eta * (m / (1 - 0.9**t)) / (np.sqrt(np.abs(v) / (1 - 0.999**t)) + 1e-8), m, v


def _climbing(theta: Any, g: Any, m: Any, v: Any, t: int, eta: float) -> Any:
    return (2 * theta - _adam(theta, g, m, v, t, eta)[0], *_adam(theta, g, m, v, t, eta)[1:])


_STEPS = (
    (THETA, G, np.zeros(2), np.zeros(2), 1, 0.1),
    (THETA, G, np.array([0.2, -0.3]), np.array([0.04, 0.5]), 7, 0.01),
    (THETA, 1e-4 * G, np.zeros(2), np.zeros(2), 1, 0.1),  # gradients so small that the place of epsilon counts
)
_check_adam = checker(
    [(case, _flat(_adam)(*case)) for case in _STEPS],
    {
        hint: _flat(mistake)
        for hint, mistake in {
            "the root is missing: the step has the unit of one over the gradient": _without_root,
            "the running means begin at zero, too small at first: divide by one minus beta to the t": _uncorrected,
            "the correction is for the step alone: m and v go on uncorrected": _correction_kept,
            "v needs its correction too": lambda *case: _corrected(*case, second=False),
            "epsilon stands beside the root, not under it: with small gradients the step would shrink": _under_the_root,
            "m needs its correction too": lambda *case: _corrected(*case, first=False),
            "t counts from one: the first correction divides by one minus beta": lambda theta, g, m, v, t, eta: (
                _corrected(theta, g, m, v, t, eta, later=1)
            ),
            "beta is the share of the old mean that stays; the new gradient gets the rest": _betas_turned,
            "v has a beta of its own, 0.999": _one_beta,
            "this steps along the last gradient, not along its running mean": _without_mean,
            "v is the running mean of the squares: square g": _not_squared,
            "the sign is turned: this climbs": _climbing,
            "return the new m and v as well: the next step needs them": lambda *case: _adam(*case)[0],
        }.items()
    },
    praise="On the first step theta moves by eta, whatever the gradient.",
)


def check_adam_step(answer: Answer) -> Feedback:
    """Whether an answer takes one step of Adam.

    Args:
        answer: (theta, g, m, v, t, eta) -> the new theta, m and v.
    """
    return _check_adam(_flat(answer))


START = np.array([1.5, 1.0])


def _anchored(t: Any, s: Any, g: Any, eta: float, lam: float) -> Any:
    return t - eta * (g + lam * (t - s))


check_anchored_step = checker(
    [((THETA, START, G, 0.1, lam), _anchored(THETA, START, G, 0.1, lam)) for lam in (0.5, 0.2, 3.0)],
    {
        "the penalty pulls as well: its gradient is missing": lambda t, s, g, eta, lam: t - eta * g,
        "the gradient of the loss is missing": lambda t, s, g, eta, lam: t - eta * lam * (t - s),
        "this pulls towards zero: the anchor is at the start": lambda t, s, g, eta, lam: t - eta * (g + lam * t),
        "the sign is turned: this pushes away from the start": lambda t, s, g, eta, lam: _anchored(t, s, g, eta, -lam),
        "the half in the penalty cancels the two of the square": lambda t, s, g, eta, lam: (
            _anchored(t, s, g, eta, lam / 2)
        ),
        "that is the penalty; take its gradient": lambda t, s, g, eta, lam: t - eta * (g + lam / 2 * (t - s) ** 2),
        "lambda is missing: the pull must depend on the strength": lambda t, s, g, eta, lam: (
            _anchored(t, s, g, eta, 1.0)
        ),
        "the pull is multiplied by the learning rate too": lambda t, s, g, eta, lam: t - eta * g - lam * (t - s),
        "this takes the step from the start, not from where theta is": lambda t, s, g, eta, lam: (
            s - eta * (g + lam * (t - s))
        ),
        "both gradients belong to the same point: this pulls from where the loss's step has led": (
            lambda t, s, g, eta, lam: _anchored(t - eta * g, s, 0, eta, lam)
        ),
    },
    praise="At the start the penalty does nothing; the further theta goes, the harder it pulls back.",
)

check_projection_kind = checker(
    [
        ((np.eye(2),), 2),
        ((SLANTED,), 1),
        ((np.array([[2.0, 0.0], [0.0, 1.0]]),), 0),
        ((np.array([[0.5, 0.5], [0.5, 0.5]]),), 2),
        ((np.array([[1.0, 1.0], [0.0, 1.0]]),), 0),
        ((np.outer([0.6, 0.0, 0.8], [0.6, 0.0, 0.8]),), 2),
    ],
    {
        "symmetric is not enough: the map must do nothing the second time": lambda P: 2 if np.allclose(P, P.T) else 1,
        "an orthogonal projection is symmetric; its matrix is not an orthogonal one": lambda P: (
            2 if np.allclose(P.T @ P, np.eye(len(P))) else int(np.allclose(P @ P, P))
        ),
        "a symmetric map that changes its own shadow is no projection at all, and gets 0": lambda P: (
            int(np.allclose(P @ P, P)) + int(np.allclose(P, P.T))
        ),
        "a projection it is: now ask whether it is symmetric": lambda P: int(np.allclose(P @ P, P)),
        "idempotent alone does not make it orthogonal": lambda P: 2 * int(np.allclose(P @ P, P)),
    },
    praise="Idempotent makes a projection, symmetric makes it orthogonal.",
)



def _solve(left: Answer, freedom: float) -> float:
    """The strength at which `left`, which falls as the strength grows, is `freedom`; far off where it never is."""
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > freedom else (low, middle)
    return low


def _strength(sigma: Any, freedom: float) -> float:
    return _solve(lambda lam: np.sum(sigma**2 / (sigma**2 + lam)), freedom)


check_strength_for = checker(
    [((SIGMA, freedom), _strength(SIGMA, freedom)) for freedom in (0.7, 1.5, 2.5)],
    {
        "square the singular values": lambda s, f: _solve(lambda lam: np.sum(s / (s + lam)), f),
        "square the singular values, not the strength": lambda s, f: _strength(s, f) ** 0.5,
        "the shares add up to the degrees of freedom: a sum, not a mean": lambda s, f: _strength(s, f * len(s)),
        "so many are taken away; so many must be left": lambda s, f: _strength(s, len(s) - f),
        "more strength leaves fewer degrees of freedom, so this search runs the wrong way": lambda s, f: 1e6,
        "this halves a single direction; add up the shares of all": lambda s, f: s[int(f)] ** 2,
    },
    praise="Ridge of this strength and a projection of this rank are equally free to follow noise.",
    tolerance=1e-4,
)
