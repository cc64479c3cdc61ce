"""What folds on the site folds in JupyterLab and Colab too, with a title there; nothing else of a chapter changes."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.tools.tiny_book import Book
from tools.fold import FOLDED, faults, fold, folds, marks, title
from tools.lint import lint
from tools.notebooks import ROOT, chapters, read


def written(book: Book) -> Path:
    """A chapter with a cell of each folding tag, and two that do not fold, as its author left them."""
    path = book.chapter("03-a", "run.record('a', 1)", "x = 1").chapter
    notebook = json.loads(path.read_text())
    for number, tag in enumerate(sorted(FOLDED)):
        cell = new_code_cell(f"y = {number}\nz = 1", id=f"ex{number}-solution", metadata={"tags": [tag]})
        notebook["cells"].append({**cell, "source": cell.source.splitlines(keepends=True)})
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return path


def test_each_cell_that_folds_is_marked_and_titled_once_and_the_others_stay(book: Book) -> None:
    path = written(book)
    before = read(path)
    assert len([line for line in lint(before) if "python -m tools.fold" in line]) == 2 * len(FOLDED)
    assert fold(path) and not fold(path)
    after = read(path)
    assert lint(after) == []
    for old, new in zip(before.cells, after.cells, strict=True):
        if not folds(old):
            assert new == old
        elif "setup" not in old.metadata.tags or old.source.startswith("y"):
            assert new.source == f"# @title Solution of exercise 3.{old.id[2]}\n{old.source}"
            assert new.metadata == {"tags": old.metadata.tags, "cellView": "form", "jupyter": {"source_hidden": True}}


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda cell: cell["metadata"].pop("cellView"), "folds on the site and nowhere else"),
    (lambda cell: cell["metadata"].pop("jupyter"), "folds on the site and nowhere else"),
    (lambda cell: cell["metadata"]["jupyter"].update(source_hidden=False), "folds on the site and nowhere else"),
    (lambda cell: cell.update(source="x = 1"), "must begin with # @title"),
    (lambda cell: cell.update(source="# @title \nx = 1"), "must begin with # @title"),
    (lambda cell: cell["metadata"].update(tags=[]), "lacks a tag"),
])
def test_a_cell_that_folds_in_one_place_alone_is_named(spoil: Callable[[Any], Any], words: str) -> None:
    cell = new_code_cell("# @title Figure: tail\nx = 1", metadata=marks({"tags": ["hide-input"]}))
    assert faults(cell) == []
    spoil(cell)
    assert [words in line for line in faults(cell)] == [True]


@pytest.mark.parametrize(("name", "words"), [
    ("tail-figure", "Figure: tail"), ("ex2-solution", "Solution of exercise 5.2"), ("imports", "Imports"),
    ("quiz", "Quiz"), ("listing-tools", "Listing tools"),
])
def test_a_title_says_what_the_cell_holds(name: str, words: str) -> None:
    assert title(name, 5) == words


def test_the_book_folds_wherever_it_is_opened() -> None:
    """Read off the files as Colab and JupyterLab read them."""
    for path in chapters(ROOT):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        hidden = [cell for cell in cells if cell["metadata"].get("jupyter", {}).get("source_hidden")]
        assert hidden == [cell for cell in cells if cell["metadata"].get("cellView") == "form"]
        assert {tag for cell in hidden for tag in cell["metadata"]["tags"]} >= {"setup", "solution", "hide-input"}
        assert not [cell for cell in cells if cell not in hidden and folds(cell)]
