"""Checkers for exercises: they say what is wrong, never raise, and never stop a notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lib.figures import Verdict, verdict

Answer = Callable[..., Any]
"""The function that a learner writes: the arguments of a case to its result."""


def checker(
    cases: Sequence[tuple[tuple[Any, ...], Any]],
    mistakes: Mapping[str, Answer],
    *,
    praise: str,
    tolerance: float = 1e-6,
) -> Callable[[Answer], Verdict]:
    """A function that judges an answer by its results and names the mistake behind a wrong one.

    Args:
        cases: arguments and the right result for them: a number, an array, a tensor or a list of these.
        mistakes: what to tell the learner -> a function that makes this mistake.
        praise: what the right answer shows, in a sentence.
        tolerance: largest absolute difference that counts as equal, at least 0.
    """

    def check(answer: Answer) -> Verdict:
        got = []
        for arguments, _ in cases:
            try:
                got.append(answer(*arguments))
            except Exception as error:  # the learner's code may raise anything, and the notebook goes on
                return verdict(False, f"your function raised {type(error).__name__}: {error}")
            if got[-1] is None:
                return verdict(False, "your function returns nothing yet")
        right = [_same(result, expected, tolerance) for result, (_, expected) in zip(got, cases, strict=True)]
        if all(right):
            return verdict(True, praise)
        for hint, mistake in mistakes.items():
            if all(
                _same(result, mistake(*arguments), tolerance) for result, (arguments, _) in zip(got, cases, strict=True)
            ):
                return verdict(False, hint)
        first = right.index(False)
        return verdict(
            False,
            f"for {_shown(cases[first][0])} your function gives `{_shown(got[first])}`, "
            f"expected `{_shown(cases[first][1])}`",
        )

    return check


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two results have one shape and differ by no more than `tolerance` anywhere."""
    try:
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return False
    return a.shape == b.shape and bool(np.allclose(a, b, atol=tolerance, rtol=0))


def _shown(value: Any) -> str:
    """A short text for a case: matrices and long vectors by their shape."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    shape = getattr(value, "shape", ())
    return f"an array of shape {tuple(shape)}" if len(shape) > 1 or sum(shape) > 8 else f"{value}"
