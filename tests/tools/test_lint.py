"""Each rule for a chapter's source, seen green once and red once."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from tests.tools.tiny_book import Book
from tools.diagrams import faults, illustrated, name, sources
from tools.lint import book, lint, prose, visible
from tools.notebooks import ROOT


def sound() -> Any:
    return Book.notebook("run.record('a', 1)")


def test_a_sound_source_passes() -> None:
    assert lint(sound()) == []


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda n: n.cells[3].outputs.append({"output_type": "stream"}), "cell 4: carries outputs"),
    (lambda n: n.cells[3].update(execution_count=1), "cell 4: carries an execution count"),
    (lambda n: n.cells[3].update(id=n.cells[2].id), "is used 2 times"),
    (lambda n: n.cells[3].pop("id"), "1 cells have no id"),
    (lambda n: n.update(nbformat_minor=4), "must be in format 4.5, got 4.4"),
    (lambda n: n.metadata.kernelspec.update(name="conda"), "kernelspec must be python3, got 'conda'"),
    (lambda n: n.metadata.update(widgets={"state": 1}), "carries widget state"),
    (lambda n: n.cells[1].metadata.clear(), "first two code cells must be tagged setup and parameters"),
    (lambda n: n.cells.insert(1, new_code_cell("1")), "first two code cells must be tagged setup and parameters"),
    (lambda n: n.cells[2].update(source="PROFILE = 'full'\nSEED = 0\nLIVE = False"), "PROFILE must be 'quick', got"),
    (lambda n: n.cells[2].update(source="PROFILE = 'quick'\nSEED = 0\nLIVE = True"), "LIVE must be False, got True"),
    (lambda n: n.cells[3].update(source="run.record(f'a_{SEED}', 1)"), "record() needs a literal name"),
    (lambda n: n.cells[3].update(source="run.record('a', 1); run.record('a', 1)"), "a is recorded 2 times"),
    (lambda n: n.cells[3].update(source="run.record('a'"), "does not parse"),
    (lambda n: n.cells[0].update(source="It is {glue}`a` now."), "cell 1: {glue}` is a role that only Sphinx"),
])
def test_each_fault_is_named(spoil: Callable[[Any], Any], words: str) -> None:
    notebook = sound()
    spoil(notebook)
    assert any(words in line for line in lint(notebook))


WIDE, LINE = f"x = {'1' * 100}", "x = 1\n"


@pytest.mark.parametrize(("code", "tagged", "words"), [
    (LINE * 29 + "x = 1", [], []), (LINE * 30 + "x = 1", [], ["shows 31 lines, at most 30"]),
    ("x = " + "1" * 84, [], []), ("x = 1\nx = " + "1" * 85, [], ["line 2 has 89 signs, at most 88"]),
    (LINE * 40 + WIDE, ["hide-input"], []), (LINE * 40 + WIDE, ["solution"], []), (LINE * 40 + WIDE, ["listing"], []),
    (LINE * 40 + WIDE, ["exercise"], ["shows 41 lines", "line 41 has 104 signs"]),
])
def test_code_that_a_reader_sees_fits_the_page(code: str, tagged: list[str], words: list[str]) -> None:
    notebook = sound()
    notebook.cells.append(new_code_cell(code, metadata={"tags": tagged}))
    found = visible(notebook)
    assert len(found) == len(words) and all(word in line for word, line in zip(words, found, strict=True))


def test_no_chapter_may_show_more(tmp_path: Any) -> None:
    Book(tmp_path).chapter("99-new", "run.record('a', 1)", WIDE)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "setup_cell.txt").write_text("# @title Set-up\nfrom lib.book.record import run")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\n[project.urls]\nRepository = "https://github.com/a/b"\n[tool.book]\nref = "main"')
    assert book(tmp_path) == ["chapters/99-new.ipynb: cell 5: line 1 has 104 signs, at most 88 fit the page"]


@pytest.mark.parametrize("text", [
    "As {cite:p}`hu2021` says", "```{note}\nA note\n```", ":::{tip}\nA tip\n:::", "(sec-a)=\n# A title",
    "It reaches 82.5% here.", "About 82 % are right.", "A loss of 0.43.", "Better by 3 points.",
    "It is 2.5 times faster.",
])
def test_words_for_sphinx_and_typed_results_are_found(text: str) -> None:
    assert len(prose(text)) == 1


@pytest.mark.parametrize("text", [
    "Take $\\lambda = 0.01$ and $$p = 0.95$$.", "Set `lr=0.001`.", "```python\nx = 0.55\n```", "```text\n82 %\n```",
    "Seen once (Hahn 1991, p. 0.95).", "The 95 steps of 2 seeds.", "Half of them, 1.5 of 4.", "Set $W_{ij}$ and `a`.",
])
def test_formulas_code_and_plain_numbers_pass(text: str) -> None:
    assert prose(text) == []


def test_the_book_itself_passes() -> None:
    assert book(ROOT) == []


@pytest.mark.parametrize(("point", "words"), [
    ("- It helps. (`a`)", []),
    ("- It helps. (`a`, `C3`)", []),
    ("- It helps.", ["no record carries the takeaway '- It helps.'"]),
    ("- It helps. (`b`)", ["b carries a takeaway and is never recorded"]),
])
def test_a_takeaway_names_what_carries_it(point: str, words: list[str]) -> None:
    found = lint(concluding(point, "run.record('a', 1, at_least=0)\nrun.claim('C3', {})"))
    assert len(found) == len(words) and all(word in line for word, line in zip(words, found, strict=True))


def concluding(point: str, code: str) -> NotebookNode:
    """A notebook with one takeaway."""
    notebook = Book.notebook(code)
    notebook.cells.append(new_markdown_cell(f"## What we found\n\n{point}\n\n## Where the source is wrong\n\n- E1."))
    return notebook


@pytest.mark.parametrize(("bounds", "why"), [
    ("at_least=0", ""), ("at_most=-2.0", ""), ("at_most=1e-9", ""), ("at_least=0.9, at_most=1.1", ""),
    ("at_least=-1.1, at_most=-0.9", ""), ("at_least=-BOUND, at_most=BOUND", ""),
    ("unit='1'", "no bound of its own"), ("at_least=-3.0, at_most=3.0", "both sides of zero"),
    ("at_least=-1, at_most=2", "both sides of zero"), ("at_least=low, at_most=high", "computed"),
])
def test_a_takeaways_record_has_a_gate_that_can_turn_red_for_it(bounds: str, why: str) -> None:
    found = lint(concluding("- It helps. (`a`)", f"run.record('a', 1, {bounds})"))
    assert [why in line for line in found] == [True] * bool(why)


FLOWCHART = '<!-- mermaid\nflowchart LR\n  accDescr: One leads to two.\n  a["one"] ==> b["two"]\n-->'
PICTURES = {name(source): "iVBORw0KGgo=" for source in sources(FLOWCHART)}
TEXT = f"Before.\n\n{FLOWCHART}\n\nAfter."


def test_a_diagram_has_its_picture_beside_it_and_the_data_out_of_the_way() -> None:
    shown = illustrated(TEXT, PICTURES)
    assert sources(FLOWCHART) == ['flowchart LR\n  accDescr: One leads to two.\n  a["one"] --> b["two"]\n']
    assert f"-->\n\n![One leads to two.][{next(iter(PICTURES))}]\n\nAfter." in shown
    assert shown.endswith(f"After.\n\n[{next(iter(PICTURES))}]: data:image/png;base64,iVBORw0KGgo=")
    assert illustrated(shown, PICTURES) == shown and faults(shown) == []
    assert illustrated("No diagram.", PICTURES) == "No diagram."


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda text: TEXT, "lacks the picture of its present source"),
    (lambda text: text.replace("two", "three", 1), "lacks the picture of its present source"),
    (lambda text: text.replace('b["two"]', 'b["2"]'), "lacks the picture of its present source"),
    (lambda text: text.replace("![One leads to two.]", "![One.]"), "not beside its diagram"),
    (lambda text: text.replace(FLOWCHART, ""), "not beside its diagram"),
    (lambda text: text.replace("<!-- mermaid", "~~~ mermaid"), "must stand between lines"),
    (lambda text: text.replace("==>", "-->"), "must stand between lines"),
])
def test_a_diagram_without_its_picture_is_found(spoil: Callable[[str], str], words: str) -> None:
    notebook = sound()
    notebook.cells.append(new_markdown_cell(illustrated(TEXT, PICTURES)))
    assert lint(notebook) == []
    notebook.cells[-1].source = spoil(notebook.cells[-1].source)
    assert [words in line for line in lint(notebook)] == [True]
