"""The curve of a reader's own file, chapter 1: what it is drawn from, and which file is too short for it."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.data import hold_out, index_labels
from tools.notebooks import ROOT, read


def given(folder: Path, texts: list[str]) -> dict[str, Any]:
    """What the cell makes of a file with these texts, saved as a spreadsheet saves it."""
    file = folder / "mine.csv"
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *((text, "ab"[i % 2]) for i, text in enumerate(texts))])
    cell = next(cell for cell in read(ROOT / "chapters" / "01-background.ipynb").cells if cell.id == "own-data")
    names = {"SEED": 0, "csv": csv, "np": np, "hold_out": hold_out, "index_labels": index_labels}
    exec(cell.source.replace("FILE = None", f"FILE = {str(file)!r}"), names)
    return names


@pytest.mark.parametrize(("count", "sizes"), [(27, [8, 16]), (60, [9, 18, 36]), (300, [22, 45, 90, 180]),
                                              (2000, [100, 200, 400, 800])])
def test_a_curve_has_two_sizes_or_more_each_twice_the_one_before(tmp_path: Path, count: int, sizes: list[int]) -> None:
    assert given(tmp_path, [f"text {i}" for i in range(count)])["sizes"] == sizes


def test_a_file_too_short_for_a_curve_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a curve needs thirty texts or more, got 20"):
        given(tmp_path, [f"text {i}" for i in range(20)])


def test_each_draw_judges_by_other_texts_and_by_none_that_it_learned(tmp_path: Path) -> None:
    texts = [f"text {i % 50}" for i in range(60)]  # ten of them twice
    parts = given(tmp_path, texts)["parts"]
    for learn, judge in parts:
        assert sorted(learn + judge) == list(range(60))
        assert not {texts[i] for i in learn} & {texts[i] for i in judge}
    assert len({tuple(judge) for _, judge in parts}) == 3
