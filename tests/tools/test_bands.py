"""The rule of the bands, and that a method broken on purpose lands outside."""
from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.tools.tiny_book import Book, executed, result
from tools import bands, gate

RUNS = [0.81, 0.79, 0.83, 0.80, 0.78]


def test_the_rule_is_the_prediction_interval_of_a_regression_on_a_constant() -> None:
    low, high = bands.band(RUNS)
    half = np.std(RUNS, ddof=1) * np.sqrt(1 + 1 / 5)
    np.testing.assert_allclose((low, high), stats.t.interval(0.99, 4, loc=np.mean(RUNS), scale=half), rtol=1e-12)


def test_99_of_100_new_runs_fall_inside() -> None:
    draws = np.random.default_rng(0).normal(0.8, 0.05, size=(4_000, 6))
    inside = [low <= new <= high for *runs, new in draws for low, high in [bands.band(runs)]]
    assert abs(np.mean(inside) - 0.99) < 4 * np.sqrt(0.99 * 0.01 / 4_000)  # four standard errors


def test_runs_that_agree_still_leave_room_for_other_machines() -> None:
    assert bands.band([0.5, 0.5, 0.5]) == pytest.approx((0.495, 0.505))
    assert bands.band([-2.0] * 5) == pytest.approx((-2.02, -1.98))
    assert bands.band([0.0] * 3) == pytest.approx((-1e-6, 1e-6))


def test_a_broken_method_lands_outside() -> None:
    """A classifier with shuffled labels guesses: half of two classes right."""
    low, high = bands.band(RUNS)
    published = {"01-a": {"accuracy": {"low": low, "high": high}}}
    assert gate.check({"01-a": executed(result("accuracy", 0.82))}, published) == []
    assert "accuracy is out of band" in gate.check({"01-a": executed(result("accuracy", 0.52))}, published)[0]


@pytest.mark.parametrize("seeds", [[], [0, 1], [1, 1, 1]])
def test_too_few_seeds_are_refused(book: Book, seeds: list[int]) -> None:
    with pytest.raises(ValueError, match="SEEDS must name at least 3"):
        bands.publish(book.root, "quick", seeds)
    with pytest.raises(ValueError, match="at least 3 different seeds, got 2"):
        bands.band([0.1, 0.2])


def test_publishing_writes_what_the_runs_gave(book: Book, monkeypatch: Any, capsys: Any) -> None:
    book.chapter("01-a")
    values = dict(zip(range(5), RUNS, strict=True))

    def runs(jobs: Any) -> list[Any]:
        return [executed(result("accuracy", values[job.settings.seed]),
                         result("bound", 0.0, at_most=1.0)) for job in jobs]

    monkeypatch.setattr(bands, "execute", runs)
    assert bands.publish(book.root, "quick", [3, 1, 0, 2, 4]) == 0
    written = json.loads((book.root / "results" / "quick-cpu.json").read_text())
    low, high = bands.band(RUNS)
    assert written["chapters"] == {"01-a": {"accuracy": {"low": low, "high": high, "runs": RUNS, "unit": "1"}}}
    assert set(written["provenance"]) == {"commit", "when", "device", "versions", "seeds", "rule", "commits"}
    assert written["provenance"]["seeds"] == [0, 1, 2, 3, 4]
    assert "from 5 runs of each chapter, by this rule" in capsys.readouterr().out


def test_one_chapter_alone_leaves_the_bands_of_the_others_and_drops_those_of_chapters_that_are_gone(
        book: Book, monkeypatch: Any) -> None:
    book.chapter("01-a")
    book.chapter("02-b")
    book.publish({"01-a": {"accuracy": (0.0, 1.0)}, "02-b": {"accuracy": (0.0, 1.0)}, "09-z": {"x": (0.0, 1.0)}})
    ran = []

    def runs(jobs: Any) -> list[Any]:
        ran.extend(job.chapter.stem for job in jobs)
        return [executed(result("accuracy", RUNS[job.settings.seed])) for job in jobs]

    monkeypatch.setattr(bands, "execute", runs)
    assert bands.publish(book.root, "quick", range(5), "02") == 0
    written = json.loads((book.root / "results" / "quick-cpu.json").read_text())
    assert ran == ["02-b"] * 5
    assert list(written["chapters"]) == ["01-a", "02-b"]
    assert (written["chapters"]["01-a"]["accuracy"]["low"], written["chapters"]["01-a"]["accuracy"]["high"]) == (0, 1)
    assert written["chapters"]["02-b"]["accuracy"]["runs"] == RUNS
    assert list(written["provenance"]["commits"]) == ["02-b"]


def test_nothing_is_published_from_unsound_or_broken_runs(book: Book, monkeypatch: Any, capsys: Any) -> None:
    book.chapter("01-a")
    for bad, words in ((executed(result("bound", 2.0, at_most=1.0)), "seed 0: 01-a: bound is broken"),
                       (executed(result("a", 1.0), result("a", 1.0)), "seed 0: 01-a: a is recorded 2 times")):
        monkeypatch.setattr(bands, "execute", lambda jobs, bad=bad: [bad] * len(jobs))
        assert bands.publish(book.root, "quick", [0, 1, 2]) == 1
        assert words in capsys.readouterr().err
        assert not (book.root / "results").exists()
