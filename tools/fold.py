"""What folds on the site folds wherever a notebook is opened: `python -m tools.fold` marks the cells of every chapter.

JupyterLab and VS Code read `jupyter.source_hidden`; Colab reads `cellView: form` and shows the first line's `# @title`.
"""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tools.notebooks import ROOT, chapters, command, write

FOLDED = {"setup", "hide-input", "hide-cell", "remove-input", "remove-cell", "solution", "checker"}
TITLE = "# @title "
KINDS = {"imports": "Imports", "checkers": "What checks the exercises", "quiz": "Quiz"}


def folds(cell: Any) -> bool:
    """Whether the site folds this cell's code, or shows none of it."""
    return cell["cell_type"] == "code" and bool(FOLDED & set(cell["metadata"].get("tags", [])))


def marks(metadata: Any) -> Any:
    """A cell's metadata with what folds it elsewhere."""
    return {**metadata, "cellView": "form", "jupyter": {**metadata.get("jupyter", {}), "source_hidden": True}}


def title(cell_id: str, chapter: int) -> str:
    """What a folded cell is called, from its id: `tail-figure` is "Figure: tail"."""
    if solved := re.fullmatch(r"ex(\d+)-solution", cell_id):
        return f"Solution of exercise {chapter}.{solved[1]}"
    words = cell_id.replace("-", " ")
    drawn = words.removesuffix(" figure")
    return KINDS.get(cell_id) or (f"Figure: {drawn}" if drawn != words else words.capitalize())


def faults(cell: Any) -> list[str]:
    """What keeps a cell that the site folds from folding elsewhere; of another cell, that it is folded."""
    first = "".join(cell["source"]).partition("\n")[0]
    marked = dict(cell["metadata"]) == marks(cell["metadata"])
    if not folds(cell):
        odd = cell["cell_type"] == "code" and (marked or first.startswith(TITLE))
        return ["folds in JupyterLab or Colab and not on the site: it lacks a tag"] * odd
    return (["folds on the site and nowhere else (`python -m tools.fold` marks it)"] * (not marked)
            + [f"must begin with {TITLE}and what it holds (`python -m tools.fold` adds it)"]
            * (not first.removeprefix(TITLE).strip() or not first.startswith(TITLE)))


def fold(path: Path) -> bool:
    """Mark and title the folded cells of a chapter; the others, and all other code, stay as they are.

    Returns:
        Whether the file changed.
    """
    notebook = json.loads(path.read_text("utf-8"))
    changed = False
    for cell in notebook["cells"]:
        if folds(cell) and faults(cell):
            changed, cell["metadata"] = True, marks(cell["metadata"])
            if not "".join(cell["source"]).startswith(TITLE):
                cell["source"] = [f"{TITLE}{title(cell['id'], int(path.stem[:2]))}\n", *cell["source"]]
    if changed:
        write(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return changed


def main() -> int:
    """The command line."""
    for path in chapters():
        if fold(path):
            print(f"  {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    command(main)
