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
W, X = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 1.0]]), np.array([2.0, 1.0, 0.5])
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
            "take the gradient back through the bend first: a unit that is off passes nothing on": lambda W, x, g: (
                np.outer(g, x), W.T @ g
            ),
            "the gradient of W is fine; x gets it through W, and W is missing": lambda W, x, g: (
                np.outer(g * (W @ x > 0), x), g * (W @ x > 0)
            ),
            "the gradient of W has the shape of W: a row for each output": lambda W, x, g: (
                np.outer(x, g * (W @ x > 0)), W.T @ (g * (W @ x > 0))
            ),
            "the bend's derivative is 1 or 0: this multiplies by its output": lambda W, x, g: (
                np.outer(g * np.maximum(W @ x, 0), x), W.T @ (g * np.maximum(W @ x, 0))
            ),
            "both are right, in the other order: first W, then x": lambda W, x, g: _backward(W, x, g)[::-1],
            "x gets the gradient through the bend as well": lambda W, x, g: (
                np.outer(g * (W @ x > 0), x), W.T @ g
            ),
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
)
_check_adam = checker(
    [(case, _flat(_adam)(*case)) for case in _STEPS],
    {
        hint: _flat(mistake)
        for hint, mistake in {
            "the root is missing: the step has the unit of one over the gradient": _without_root,
            "the running means begin at zero, too small at first: divide by one minus beta to the t": _uncorrected,
            "the correction is for the step alone: m and v go on uncorrected": _correction_kept,
            "this steps along the last gradient, not along its running mean": _without_mean,
            "v is the running mean of the squares: square g": _not_squared,
            "the sign is turned: this climbs": _climbing,
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


check_decay_step = checker(
    [((THETA, G, 0.1, lam), (1 - 0.1 * lam) * THETA - 0.1 * G) for lam in (0.5, 0.2, 3.0)],
    {
        "the penalty pulls as well: its gradient is missing": lambda t, g, eta, lam: t - eta * g,
        "the half in the penalty cancels the two of the square": lambda t, g, eta, lam: t - eta * (g + lam / 2 * t),
        "lambda is missing: the pull must depend on the strength": lambda t, g, eta, lam: t - eta * (g + t / 2),
        "lambda is missing from the pull": lambda t, g, eta, lam: t - eta * (g + t),
        "the decay is multiplied by the learning rate too": lambda t, g, eta, lam: (1 - lam) * t - eta * g,
        "the sign of the decay is turned: weights would grow": lambda t, g, eta, lam: (1 + eta * lam) * t - eta * g,
        "this decays after the step, and so the gradient as well": lambda t, g, eta, lam: (
            (1 - eta * lam) * (t - eta * g)
        ),
    },
    praise="One step on the loss plus lambda over two times the squared norm.",
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
        "a projection it is: now ask whether it is symmetric": lambda P: int(np.allclose(P @ P, P)),
        "idempotent alone does not make it orthogonal": lambda P: 2 * int(np.allclose(P @ P, P)),
    },
    praise="Idempotent makes a projection, symmetric makes it orthogonal.",
)

check_effective_dimensions = checker(
    [
        ((SIGMA, 1.0), float(np.sum(SIGMA**2 / (SIGMA**2 + 1)))),
        ((SIGMA, 4.0), float(np.sum(SIGMA**2 / (SIGMA**2 + 4)))),
        ((SIGMA, 0.0), 3.0),
    ],
    {
        "square the singular values": lambda s, lam: float(np.sum(s / (s + lam))),
        "square the singular values, not the strength": lambda s, lam: float(np.sum(s**2 / (s**2 + lam**2))),
        "the sum of the factors, not their mean": lambda s, lam: float(np.mean(s**2 / (s**2 + lam))),
        "this counts what is taken away, not what is left": lambda s, lam: float(np.sum(lam / (s**2 + lam))),
    },
    praise="At strength zero it is the rank; it falls smoothly to nothing.",
)
