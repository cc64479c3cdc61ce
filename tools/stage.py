"""Make the clean tree that Jupyter Book reads: today's prose with the results of the runs, and nothing else."""
from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools import register
from tools.notebooks import CLAIM, RESULT, Mistake, cells, chapters, read


def merge(source: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """The source with the outputs of its run: the text is today's, and what papermill added is left behind.

    Raises:
        Mistake: the code is not the code that ran.
    """
    page = copy.deepcopy(source)
    code, ran = ([cell for cell in cells(notebook) if cell.cell_type == "code"] for notebook in (page, executed))
    if [cell.source for cell in code] != [cell.source for cell in ran]:
        raise Mistake("the code of a chapter changed while it ran; run the command again")
    for cell, run in zip(code, ran, strict=True):
        cell.outputs, cell.execution_count = copy.deepcopy(run.outputs), run.execution_count
        for output in cell.outputs:
            for kind in (RESULT, CLAIM):
                output.get("data", {}).pop(kind, None)  # for the gate only: Sphinx warns about it
    return page


def stage(root: Path, executed: Mapping[str, NotebookNode]) -> Path:
    """Build `_build/stage/` afresh; a chapter with no run stands there without outputs.

    Args:
        root: the repository, whose layout the stage mirrors (the links to Colab come from it).
        executed: chapter -> executed notebook.
    """
    target = root / "_build" / "stage"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "chapters", target / "chapters", ignore=shutil.ignore_patterns(".*", "*.ipynb"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(root / name, target / name)
    for path in chapters(root):
        page = read(path)
        if path.stem in executed:
            page = merge(page, executed[path.stem])
        else:
            print(f"  {path.stem}: not run yet, its page will have no outputs", flush=True)
        (target / "chapters" / path.name).write_text(nbformat.writes(page), encoding="utf-8")
    register.write(root / "chapters", target / "chapters", {path.stem: read(path) for path in chapters(root)}, executed)
    return target
