"""Checkers for exercises: they say what is wrong, never raise, and never stop a notebook."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.book.quiz import Feedback, feedback

MOST_SHOWN = 12  # numbers of an array that a learner still reads
Answer = Callable[..., Any]
"""The function that a learner writes: the arguments of a case to its result."""


def checker(
    cases: Sequence[tuple[tuple[Any, ...], Any]],
    mistakes: Mapping[str, Answer],
    *,
    praise: str,
    tolerance: float = 1e-6,
) -> Callable[[Answer], Feedback]:
    """A function that judges an answer by its results and names the mistake behind a wrong one.

    Args:
        cases: arguments and the right result for them: a number, an array, a tensor or a list of these.
        mistakes: what to tell the learner -> a function that makes this mistake.
        praise: what the right answer shows, in a sentence.
        tolerance: largest absolute difference that counts as equal, at least 0.
    """

    def check(answer: Answer) -> Feedback:
        got: list[Any] = []
        for arguments, _ in cases:
            try:
                got.append(answer(*deepcopy(arguments)))  # an answer may work in place
            except Exception as error:  # the learner's code may raise anything, and the notebook goes on
                return feedback(False, f"your function raised {type(error).__name__}: {error}")
            if got[-1] is None:
                where = f"for {_shown(arguments)} " if len(got) > 1 else ""
                return feedback(False, f"{where}your function returns nothing yet")
        right = [_same(result, expected, tolerance) for result, (_, expected) in zip(got, cases, strict=True)]
        if all(right):
            return feedback(True, praise)
        for hint, mistake in mistakes.items():
            if all(_made(mistake, result, case[0], tolerance) for result, case in zip(got, cases, strict=True)):
                return feedback(False, hint)
        first = right.index(False)
        arguments, expected = cases[first]
        return feedback(
            False,
            f"for {_shown(arguments)} your function gives `{_shown(got[first])}`, expected `{_shown(expected)}`"
            f"{_apart(got[first], expected)}",
        )

    return check


def _made(mistake: Answer, result: Any, arguments: tuple[Any, ...], tolerance: float) -> bool:
    """Whether `result` is what the mistake gives; one that cannot be made with these arguments was not."""
    try:
        return _same(result, mistake(*deepcopy(arguments)), tolerance)
    except Exception:  # its helpers may bear names that the learner has given to something else
        return False


def _numbers(value: Any) -> NDArray[np.float64]:
    """A result as numbers; TypeError for text and for complex numbers."""
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    if array.dtype.kind in "USc":
        raise TypeError("not a number")
    return array.astype(np.float64)


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two results have one shape and differ by no more than `tolerance` anywhere; nan is nan."""
    try:
        a, b = _numbers(a), _numbers(b)
    except Exception:  # a learner's result can be any object
        return False
    return a.shape == b.shape and bool(np.allclose(a, b, atol=tolerance, rtol=0, equal_nan=True))


def _apart(a: Any, b: Any) -> str:
    """How far two results are apart that `_shown` shows alike."""
    if _shown(a) != _shown(b):
        return ""
    try:
        return f" with other numbers: the largest difference is {np.abs(_numbers(a) - _numbers(b)).max():.2g}"
    except Exception:  # no numbers
        return ", numbers and not text"


def _shown(value: Any) -> str:
    """A short text for a case: small arrays by their numbers, large ones by their shape."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or shape == ():
        return f"{value}"
    if math.prod(shape) > MOST_SHOWN:
        return f"an array of shape {tuple(shape)}"
    try:
        text = np.array2string(_numbers(value), separator=", ", formatter={"float_kind": "{:.4g}".format})
        return " ".join(text.split())
    except Exception:  # an array of something else
        return f"{value}"
