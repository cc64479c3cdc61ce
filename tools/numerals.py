"""Numbers as the pages print them: true minus signs, thousands apart, powers of ten, as many decimals as the interval
tells apart; and the tables that hold them.
"""
from __future__ import annotations

from collections.abc import Sequence

from lib.book._numerals import decimals, typeset

GAP = "\N{NO-BREAK SPACE}"


def number(value: float, decimals: int | None = None, *, sign: bool = False) -> str:
    """A number with so many decimals, or with four digits that count.

    Args:
        value: the number.
        decimals: how many follow the point; None for four digits in all, at least all of a whole number's.
        sign: whether a positive number has its sign.
    """
    if decimals is None and 1000 <= abs(value) < 1e15:
        decimals = 0
    text = format(value, ("+" if sign else "-") + (".4g" if decimals is None else f"z,.{decimals}f"))
    return typeset(text)


def spread(interval: Sequence[float], *, sign: bool = False) -> str:
    """`1.2 to 3.4`, which no line breaks."""
    low, high = (number(end, decimals(*interval), sign=sign) for end in interval)
    return f"{low}{GAP}to{GAP}{high}"


def bounds(low: float | None, high: float | None) -> str:
    """`≥ 2`, `≤ 3`, both, or `= 2` where they are one."""
    pairs = [("=", low)] if low == high else [("≥", low), ("≤", high)]
    return ", ".join(f"{sign}{GAP}{number(bound)}" for sign, bound in pairs if bound is not None)


def stacked(*rows: str, kind: str = "") -> list[str]:
    """A table that is a list on a phone (`tools/ext/typeset.py`)."""
    return [":::{table}", f":class: {f'stack {kind}'.strip()}", "", *rows, ":::"]
