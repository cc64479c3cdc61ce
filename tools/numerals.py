"""Numbers as the pages print them: true minus signs, thousands apart, powers of ten, as many decimals as the interval
tells apart.
"""
from __future__ import annotations

import math
import re
from collections.abc import Sequence

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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
    factor, _, power = text.partition("e")
    if power:
        text = re.sub(r"^([+-]?)1×", r"\1", f"{factor}×10{str(int(power)).translate(RAISED)}")
    return text.replace("-", "−")


def decimals(interval: Sequence[float]) -> int | None:
    """So many that the interval's width shows two digits; None where it has no width."""
    width = abs(interval[1] - interval[0])
    return max(0, 1 - math.floor(math.log10(width))) if width else None


def spread(interval: Sequence[float], *, sign: bool = False) -> str:
    """`1.2 to 3.4`, which no line breaks."""
    low, high = (number(end, decimals(interval), sign=sign) for end in interval)
    return f"{low}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{high}"


def bounds(low: float | None, high: float | None) -> str:
    """`≥ 2`, `≤ 3`, both, or `= 2` where they are one."""
    pairs = [("=", low)] if low == high else [("≥", low), ("≤", high)]
    return ", ".join(f"{sign}\N{NO-BREAK SPACE}{number(bound)}" for sign, bound in pairs if bound is not None)
