"""Argument checks: each error names the argument, the allowed values and the value received."""
from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence, Set
from numbers import Integral, Real
from typing import Any

_NO_INK = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0",  # letters and patterns that are empty by design
           "\ufffe", "\uffff", *map(chr, range(0xFDD0, 0xFDF0))}  # and what is no character at all


def at_least(low: float, **values: float) -> None:
    """Raise ValueError for the first value that is no finite number of at least `low`."""
    for name, value in values.items():
        _finite(name, value)
        if not (isinstance(value, Real) and low <= value):
            raise ValueError(f"{name} must be at least {low}, got {value!r}")


def above_zero(**values: float) -> None:
    """Raise ValueError for the first value that is no finite number above 0."""
    for name, value in values.items():
        _finite(name, value)
        if not (isinstance(value, Real) and value > 0):
            raise ValueError(f"{name} must be above 0, got {value!r}")


def rate(**values: float) -> None:
    """Raise ValueError for the first value that is no number in [0, 1)."""
    for name, value in values.items():
        if not (isinstance(value, Real) and 0 <= value < 1):
            raise ValueError(f"{name} must be at least 0 and below 1, got {value!r}")


def whole(low: int, high: float = math.inf, /, **values: int) -> None:
    """Raise ValueError for the first value that is no whole number of at least `low` and at most `high`."""
    for name, value in values.items():
        if isinstance(value, bool) or not (isinstance(value, Integral) and low <= value <= high):
            allowed = f"of at least {low}" if high == math.inf else f"between {low} and {high}"
            raise ValueError(f"{name} must be a whole number {allowed}, got {value!r}")


def rows(rows: Sequence[int], count: int, *, empty: bool = False) -> None:
    """Raise ValueError unless each of `rows` numbers one of `count`: neither a mask nor a count from the end."""
    if not empty and len(rows) == 0:
        raise ValueError("rows must not be empty")
    for row in rows:
        truth = isinstance(row, bool) or "bool" in str(getattr(row, "dtype", ""))
        if truth or not 0 <= row < count:
            raise ValueError(f"rows must be numbers between 0 and {count - 1}, got {row}")


def kind(what: str, wanted: str, **values: Any) -> None:
    """Raise TypeError for the first value without the attribute `wanted`: it is not `what` it should be."""
    for name, value in values.items():
        if not hasattr(value, wanted):
            raise TypeError(f"{name} must be {what}, got {shown(value)}")


def rises(metric: str | None) -> None:
    """Raise ValueError for what the loop calls by a name of which less is better."""
    if metric in ("nll", "loss"):
        raise ValueError(f"metric must be higher where the model is better, got {metric!r}; evaluate its negative, "
                         "under another name")


def recorded(metric: str, history: Sequence[Mapping[str, float]]) -> list[float]:
    """The values of `metric` in the records that have it; ValueError where none of them has it or one is nan."""
    seen = [record[metric] for record in history if metric in record]
    if history and not seen:
        raise ValueError(f"metric must be one of {sorted(set().union(*history))}, got {metric!r}")
    if any(value != value for value in seen):
        raise ValueError(f"{metric} must be a number in each record that has it, got nan")
    return seen


def listed(of: str, **values: Any) -> list[Any]:
    """The value as a list, by place and not by a column's labels; ValueError for what is no list `of` rows."""
    ((name, value),) = values.items()
    table = hasattr(value, "columns")  # a list of it would be that of its columns' names
    if table or isinstance(value, str | bytes | Mapping | Set) or not hasattr(value, "__iter__"):
        got = f"a table; give one of its columns, {list(value.columns)[:5]}" if table else shown(value)
        raise ValueError(f"{name} must be a list of {of}, got {got}")
    return list(value)


def readable(what: str, text: Any, where: str) -> None:
    """Raise ValueError unless `text` holds something to read, a character with ink, and can be written in Unicode.

    The one rule for every way in: blanks, controls, marks without a letter and what else has no width are blank.
    """
    if isinstance(text, bytes):
        raise ValueError(f"{what} must be decoded text, got the bytes {shown(text)} {where}: text.decode(encoding), "
                         "with that of their file")
    if not isinstance(text, str):  # a missing one, in a column
        raise ValueError(f"{what} must not be blank, got {shown(text)} {where}")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError(f"{what} must be whole Unicode, got {shown(text)} {where}: bytes that cannot be decoded")
    blank = ("Cc", "Cf", "Co", "Mn", "Me", "Zs", "Zl", "Zp")  # a letter newer than this Python's tables is none of them
    if all(unicodedata.category(c) in blank or c in _NO_INK for c in text):
        raise ValueError(f"{what} must not be blank, got {shown(text)} {where}")


def shown(value: Any) -> str:
    """What was given, on one line and not at length."""
    if isinstance(value, str) and len(value) > 60:
        return f"{len(value)} characters that begin {value[:20]!r}"
    return " ".join(repr(value).split())[:200]


def _finite(name: str, value: float) -> None:
    """Raise ValueError for infinity."""
    if value == math.inf:
        raise ValueError(f"{name} must be finite, got {value!r}")
