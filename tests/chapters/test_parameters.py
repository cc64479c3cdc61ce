"""What a reader types behind `papermill -p` means what it says, or is refused before anything runs."""
from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tools.notebooks import ROOT, chapters, read, syntax, tags


def begins(notebook: NotebookNode) -> tuple[dict[str, str], set[str], ast.stmt]:
    """The parameters that `start` gets, as keyword -> name, those that there are, and the statement that hands them on.

    Raises:
        ValueError: another cell than the first one after the parameters begins the record.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    at = next(place for place, cell in enumerate(code) if "parameters" in tags(cell))
    there = {target.id for line in syntax(code[at]).body if isinstance(line, ast.Assign) for target in line.targets
             if isinstance(target, ast.Name)}
    for line in syntax(code[at + 1]).body:
        call = getattr(line, "value", None)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "start":
            return {word.arg or "": ast.unparse(word.value) for word in call.keywords}, there, line
    raise ValueError("the cell after the parameters must call start")


@pytest.mark.parametrize("path", chapters(ROOT), ids=lambda path: path.stem)
def test_every_parameter_is_checked_before_it_is_used(path: Path) -> None:
    given, there, _ = begins(read(path))
    assert given == {name.lower(): name for name in there}


def papermill(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the beginning of a chapter, without what it imports beside, as a reader does."""
    notebook = read(ROOT / "chapters" / "05-bert-case-study.ipynb")
    _, _, line = begins(notebook)
    first = [cell for cell in notebook.cells if cell.cell_type == "code"][:2]
    last = nbformat.v4.new_code_cell(f"from lib.book.record import start\n{ast.unparse(line)}\nprint('it', 'ran')")
    notebook.cells = [*first, last]
    nbformat.write(notebook, folder / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar", "--log-output", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("words", "told"), [
    ("-p LIVE false", "live must be True or False, got 'false'"),
    ("-p EVIDENCE no", "evidence must be True or False, got 'no'"),
    ("-r LIVE True", "live must be True or False, got 'True'"),
    ("-p SEED 7.0", "seed must be a whole number from 0 up, got 7.0"),
    ("-p PROFILE Quick", "profile must be one of quick, full, got 'Quick'"),
])
def test_what_is_no_value_of_a_parameter_is_refused(tmp_path: Path, words: str, told: str) -> None:
    done = papermill(tmp_path, *words.split())
    assert done.returncode == 1 and f"ValueError: {told}" in done.stderr and "it ran" not in done.stderr


def test_what_is_a_value_is_taken(tmp_path: Path) -> None:
    done = papermill(tmp_path, *"-p LIVE False -p EVIDENCE True -p SEED 7 -p PROFILE full".split())
    assert done.returncode == 0 and "it ran" in done.stderr, done.stderr
