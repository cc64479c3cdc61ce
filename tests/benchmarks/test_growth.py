"""The exponent of a cost: exact where the law is, covered where it is noisy, the line that numpy fits."""
from __future__ import annotations

import numpy as np
import pytest

from benchmarks.growth import fit_exponent


def test_an_exact_power_law_is_found_exactly() -> None:
    x = np.array([64.0, 128.0, 256.0, 512.0])
    law = fit_exponent(x, 3.0 * x**1.5)
    np.testing.assert_allclose([law.exponent, law.low, law.high, law.scale], [1.5, 1.5, 1.5, 3.0], rtol=1e-6)


def test_the_exponents_interval_covers() -> None:
    rng, x = np.random.default_rng(0), np.geomspace(10, 1000, 5)
    flat = fit_exponent(x, np.full(len(x), 3.0))
    assert (flat.exponent, flat.low, flat.high) == (0, 0, 0)
    laws = [fit_exponent(x, 2.0 * x**1.2 * np.exp(rng.normal(0, 0.2, 5))) for _ in range(2000)]
    assert np.mean([law.low < 1.2 < law.high for law in laws]) == pytest.approx(0.95, abs=0.015)
    slope, intercept = np.polyfit(np.log(x), np.log(x) ** 2, 1)
    law = fit_exponent(x, np.exp(np.log(x) ** 2))
    np.testing.assert_allclose([law.exponent, law.scale], [slope, np.exp(intercept)], rtol=1e-9)


@pytest.mark.parametrize(("x", "y", "words"), [
    ([1, 2], [1, 2], r"at least 3 points, got \(2,\) and \(2,\)"),
    ([1, 2, 3], [1, 0, 2], "must be above 0 and x must vary"),
    ([1, 2, 3], [1, float("nan"), 2], "must be above 0 and x must vary"),
    ([2, 2, 2], [1, 2, 3], "must be above 0 and x must vary")])
def test_what_is_no_law_is_refused(x: list[float], y: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_exponent(x, y)
