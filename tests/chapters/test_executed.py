"""The chapters as they were run for the site: what the gate read, read again by other means."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from lib.book.cards import GOOD, RESULT
from tools.execute import DECODER_MB, DECODERS

ROOT = Path(__file__).parents[2]
EXECUTED = sorted((ROOT / "_build" / "executed").glob("*.ipynb"))
LEDGER = ROOT / "_build" / "results.json"


def outputs(notebook: Path) -> list[dict]:
    return [output for cell in nbformat.read(notebook, as_version=4).cells for output in cell.get("outputs", [])]


def test_every_chapter_was_executed() -> None:
    assert [path.name for path in EXECUTED] == [path.name for path in sorted((ROOT / "chapters").glob("*.ipynb"))]


@pytest.mark.parametrize("notebook", EXECUTED, ids=lambda path: path.stem)
def test_an_executed_chapter_holds_no_error_no_stderr_and_no_widget_state(notebook: Path) -> None:
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs(notebook))
    assert "widgets" not in nbformat.read(notebook, as_version=4).metadata


@pytest.mark.parametrize("notebook", EXECUTED, ids=lambda path: path.stem)
def test_the_ledger_says_what_the_cards_say(notebook: Path) -> None:
    cards = {
        output.data[RESULT]["name"]: output.data[RESULT]
        for output in outputs(notebook) if RESULT in output.get("data", {})
    }
    results = json.loads(LEDGER.read_text())["chapters"][notebook.stem]["results"]
    assert cards.keys() == results.keys() and len(cards) >= 5
    for name, card in cards.items():
        assert results[name]["value"] == card["value"]
        assert results[name]["status"] in GOOD


@pytest.mark.parametrize("notebook", EXECUTED, ids=lambda path: path.stem)
def test_every_figure_has_alternative_text(notebook: Path) -> None:
    figures = [
        svg
        for output in outputs(notebook)
        for svg in re.findall(r"<svg class=\"par-svg\"[^>]*>", output.get("data", {}).get("text/html", ""))
    ]
    assert len(figures) >= 3
    assert all(re.search(r'role="img" aria-label="[^"]{40,}"', svg) for svg in figures)
    assert not any("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.parametrize("notebook", EXECUTED, ids=lambda path: path.stem)
def test_a_chapter_stays_within_its_budget(notebook: Path) -> None:
    """Memory, and the share of the time limit: seconds depend on the machine, so the limit is a generous one."""
    chapter = json.loads(LEDGER.read_text())["chapters"][notebook.stem]
    assert 0 < chapter["peak_mb"] < (DECODER_MB if notebook.stem in DECODERS else 2048)
    assert 0 < chapter["seconds"] < 600


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder of this tree that is not the book's own: so it is this tree's book, whichever one is installed."""
    with tempfile.TemporaryDirectory(dir=ROOT / "_build") as folder:
        yield Path(folder)


REFUSAL = """
import json, sys
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
for path, parameters in json.loads(sys.stdin.read()):
    notebook = parameterize_notebook(load_notebook_node(path), parameters)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"][:4]  # with the cell that it injects
    try:
        exec("\\n".join(code), {"print": lambda *_: None})
        print("ran")
    except ValueError as error:
        print(error)
"""


def test_every_chapter_refuses_bad_parameters_in_its_first_cells(elsewhere: Path) -> None:
    """Parametrised by papermill, run in one process, since a kernel for each would take minutes."""
    chapters = [str(path) for path in sorted((ROOT / "chapters").glob("*.ipynb"))]
    asked = [(chapter, what) for chapter in chapters for what in ({"SEED": -1}, {"PROFILE": "bogus"}, {"SEED": 1})]
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    command = [sys.executable, "-c", REFUSAL]
    done = subprocess.run(
        command, cwd=elsewhere, env=environment, input=json.dumps(asked), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == len(chapters) * [
        "seed must be a whole number from 0 up, got -1",
        "profile must be one of quick, full, got 'bogus'",
        "ran",
    ]


@pytest.mark.parametrize(
    "parameter, message",
    [
        ("PROFILE=huge", "profile must be one of quick, full, got 'huge'"),
        ("SEED=-1", "seed must be a whole number from 0 up, got -1"),
        ("SEED=abc", "seed must be a whole number from 0 up, got 'abc'"),
    ],
)
def test_plain_papermill_refuses_bad_parameters_from_another_folder(
    parameter: str, message: str, elsewhere: Path
) -> None:
    name, value = parameter.split("=")
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(ROOT / "chapters/05-bert-case-study.ipynb"),
        "out.ipynb",
        "-p",
        name,
        value,
        "-k",
        "python3",
    ]
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert message in done.stderr
    left = outputs(elsewhere / "out.ipynb")  # what ran before is kept, and the error beside it
    assert left[0].name == "stdout" and "nothing was missing" in left[0].text
    assert [output.output_type for output in left].count("error") == 1 and message in left[-1].evalue
