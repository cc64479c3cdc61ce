"""Numbers in print."""
from __future__ import annotations

import pytest

from tools.numerals import bounds, number, spread

GAP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(("value", "shown"), [
    (-8.2, "−8.2"), (1801, "1,801"), (12345.6, "12,346"), (24.966, "24.97"), (1e-6, "10⁻⁶"), (-1e-12, "−10⁻¹²"),
    (5.066e-7, "5.066×10⁻⁷"), (0.0, "0"),
])
def test_a_number_is_set_as_in_print(value: float, shown: str) -> None:
    assert number(value) == shown


def test_decimals_follow_the_width_of_the_interval() -> None:
    assert spread([22.651, 27.282]) == f"22.7{GAP}to{GAP}27.3"
    assert spread([-0.0013, 0.0311], sign=True) == f"−0.001{GAP}to{GAP}+0.031"
    assert spread([-120.4, 3891.0]) == f"−120{GAP}to{GAP}3,891"
    assert spread([50.0, 50.0]) == f"50{GAP}to{GAP}50"
    assert number(-0.04, 1) == "0.0", "nothing has no sign"


def test_bounds_that_meet_are_one() -> None:
    assert bounds(2, 2) == f"={GAP}2"
    assert bounds(None, 1e-6) == f"≤{GAP}10⁻⁶"
    assert bounds(-3.0, 3.0) == f"≥{GAP}−3, ≤{GAP}3"
