"""The forecast of missing evidence, and what the evidence took: sums over the seconds that the runs keep."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import budget

TWO, ONE = {"threads": 2}, {"threads": 1}


def store(*runs: tuple[str, float, str]) -> dict[str, Any]:
    """A store of runs: question, seconds, on "one" or "two" threads (or "many")."""
    provenance = {"one": ONE, "two": TWO, "many": {"threads": 16}}
    return {"provenance": provenance, "runs": {
        f"{n}": {"question": question, "seconds": seconds, "provenance": where, "spec": {"rate": n, "seed": 0}}
        for n, (question, seconds, where) in enumerate(runs)}}


BOOK = {
    "01-words-quick": store(("rates", 60, "two"), ("rates", 60, "one"), ("SmolLM2, tuned", 600, "two")),
    "03-loop-decoder-quick": store(("writes", 120, "many")),
    "08-keep-quick": store(("adapters", 1200, "one"), ("SmolLM2 forgets", 60, "two")),
    "09-jobs-quick": store(("SmolLM2 on jobs", 180, "two")),
}


def test_a_run_on_one_of_two_threads_counts_half() -> None:
    found = {(row.store[:2], row.question): (row.runs, row.minutes) for row in budget.took(BOOK)}
    assert found == {("01", "rates"): (2, 1.5), ("01", "SmolLM2, tuned"): (1, 10), ("03", "writes"): (1, 2),
                     ("08", "adapters"): (1, 10), ("08", "SmolLM2 forgets"): (1, 1), ("09", "SmolLM2 on jobs"): (1, 3)}


def test_alone_a_run_takes_what_the_quickest_of_its_seeds_took() -> None:
    held = store(("rates", 60, "two"), ("rates", 300, "two"), ("rates", 90, "two"), ("rates", 40, "two"))
    for key, spec in zip("0123", ({"rate": 1, "seed": 0}, {"seed": 1, "rate": 1}, {"rate": 1, "seed": 2}, {"rate": 2}),
                         strict=True):
        held["runs"][key]["spec"] = spec
    (row,) = budget.took({"01-words-quick": held})
    assert (row.minutes, row.alone) == (pytest.approx(490 / 60), pytest.approx((3 * 60 + 40) / 60))


def test_each_minute_is_paid_by_one_budget_and_stands_in_one_column() -> None:
    table = "\n".join(budget.table(budget.took(BOOK)))
    for line in ("| 1 | 2 | 10 |", "| 3 |  | 2 |", "| 8 | 10 | 1 |", "| 9 |  | 3 |",
                 "| the encoder's claims | 2 | 2 | 120 |", "| the decoder's columns | 12 | 12 | 120 |",
                 "| the frontiers | 11 | 11 | 180 |", "| the applications | 3 | 3 | 120 |"):
        assert f"{line}\n" in f"{table}\n"


def test_a_budget_that_was_not_kept_is_named() -> None:
    def said(encoder: float, decoder: float) -> str:
        rows = [budget.Took("01-a", "rates", 1, 999, encoder), budget.Took("03-a", "SmolLM2", 1, 7, 7),
                budget.Took("05-a", "SmolLM2", 1, decoder, decoder - 7), budget.Took("08-a", "adapters", 1, 200, 180)]
        return next((line for line in budget.table(rows) if line.startswith("Over budget")), "")

    assert said(120.0, 119.0) == ""
    assert said(119.0, 174.2) == "Over budget, in minutes: the decoder's columns (174 of 120)."
    assert said(146.4, 174.2) == ("Over budget, in minutes: the encoder's claims (146 of 120), "
                                  "the decoder's columns (174 of 120).")
    assert "no column for a GPU" in budget.table([])[-1] and "beside other work" in budget.table([])[-1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that has committed the book's stores."""
    folder = tmp_path / "results" / "evidence"
    folder.mkdir(parents=True)
    for name, held in BOOK.items():
        (folder / f"{name}.json").write_text(json.dumps(held))
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@y.z", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_what_is_missing_is_what_was_committed_and_is_gone(root: Path) -> None:
    def missing() -> list[budget.Took]:
        return budget.took(budget.committed(root), but=budget.stores(root))

    assert missing() == []
    folder = root / "results" / "evidence"
    (folder / "09-jobs-quick.json").unlink()
    held = store(*[("rates", 60, "two")] * 4)  # the keys 0 to 3: all three of the committed ones and a new one
    del held["runs"]["1"]
    (folder / "01-words-quick.json").write_text(json.dumps(held))
    assert [(row.store, row.question, row.runs, row.minutes) for row in missing()] == [
        ("01-words-quick", "rates", 1, 0.5), ("09-jobs-quick", "SmolLM2 on jobs", 1, 3.0)]
    total = "      3.5 min     2 runs on two cores; each at the pace of its quickest seed 3.5"
    assert budget.lines(missing())[-1] == total
    for path in folder.iterdir():
        path.unlink()
    everything = budget.took(BOOK)
    assert missing() == everything, "from empty stores"
    assert sum(row.minutes for row in everything) == 27.5


def test_outside_git_nothing_is_known_to_be_missing(tmp_path: Path) -> None:
    assert budget.committed(tmp_path) == {} and budget.stores(tmp_path) == {}
    assert budget.lines([]) == ["      0.0 min     0 runs on two cores; each at the pace of its quickest seed 0.0"]
