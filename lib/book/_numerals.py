"""Numbers as print has them: as many decimals as their interval tells apart, true minus signs, raised powers of ten."""
from __future__ import annotations

import math
import re

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimals(low: float, high: float) -> int | None:
    """How many show two figures of the interval's width; None where it has no width."""
    return max(0, 1 - math.floor(math.log10(high - low))) if high > low else None


def typeset(text: str) -> str:
    """A number of Python's in print: 1e-06 is 10⁻⁶."""
    number, _, power = text.partition("e")
    if power:
        number = re.sub(r"^([+-]?)1×", r"\1", f"{number}×10{str(int(power)).translate(_RAISED)}")
    return number.replace("-", "\N{MINUS SIGN}")
