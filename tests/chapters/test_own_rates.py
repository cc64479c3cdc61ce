"""The search of a calm rate, chapter 3: where it ends, against the best of a grid that leaves nothing out."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lib.evidence.sweeps import Row, per_seed, product
from tools.notebooks import ROOT, read

START, SENTENCES = 1e-3, 400


def search(good: Callable[[int], float], turned: Callable[[int], float]) -> dict[str, Any]:
    """The step taken and the steps tried, where the rate START times 2^k has these percentages at step k."""
    def sweep(run: None, grid: list[dict[str, Any]], **_: Any) -> list[Row]:
        def answers(spec: dict[str, Any]) -> list[int]:
            k = round(np.log2(spec["lr"] / START))
            right = np.zeros(SENTENCES, int)
            right[: round(good(k) / 100 * SENTENCES)] = 1
            if spec["nudge"]:  # as many sentences turn, and the accuracy stays
                half = round(turned(k) / 200 * SENTENCES)
                ones = int(right.sum())
                right[ones - half : ones], right[ones : ones + half] = 0, 1
            return right.tolist()
        return [Row(spec, {"correct": answers(spec)}, 0.0) for spec in grid]

    cell = next(cell for cell in read(ROOT / "chapters" / "03-algorithm.ipynb").cells if cell.id == "rates-again")
    names = {"np": np, "CALM": 3.0, "NUDGE": 2.0**-9, "FIXED": {"passes": [800]}, "RATE": {"plain": START},
             "STORED": {}, "product": product, "sweep": sweep, "tuned": None,
             "answers": lambda rows, **where: 100 * per_seed(rows, "correct", **where)}
    exec(cell.source, names)
    rate, found = names["own_rate"]("plain")
    return {"taken": round(np.log2(rate / START)), "tried": sorted(round(np.log2(lr / START)) for lr in found)}


@pytest.mark.parametrize("peak", [-6, -2, -1, 0, 1, 3, 6])
@pytest.mark.parametrize("calm_to", [-5, -2, 0, 1, 8])
def test_it_ends_at_the_best_calm_rate_of_a_wide_grid(peak: int, calm_to: int) -> None:
    good, turned = lambda k: 80.0 - 2 * abs(k - peak), lambda k: 1.0 if k <= calm_to else 10.0
    best = max((k for k in range(-12, 13) if turned(k) < 3 and good(k) > 55), key=good)
    found = search(good, turned)
    assert found["taken"] == best
    assert best - 1 in found["tried"] and best + 1 in found["tried"]


def test_where_nothing_is_learned_it_goes_down_eight_rates_and_takes_the_smallest() -> None:
    assert search(lambda k: 50.0, lambda k: 0.0) == {"taken": -9, "tried": list(range(-9, 2))}


def test_where_no_rate_is_calm_it_takes_the_calmest() -> None:
    assert search(lambda k: 70.0, lambda k: 8.0 if k != -3 else 4.0)["taken"] == -3


def test_where_none_learns_enough_it_takes_the_best_of_the_calm_ones() -> None:
    found = search(lambda k: 54.0 - abs(k), lambda k: 0.0 if k < 0 else 8.0)
    assert found == {"taken": -1, "tried": list(range(-9, 2))}
