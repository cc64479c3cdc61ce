"""Make the clean tree that Jupyter Book reads: today's prose with the results of the runs, and nothing else."""
from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from tools import api, register, repo, report
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


def stage(root: Path, executed: Mapping[str, NotebookNode], entries: dict[str, Any], *, bands: Any = None,
          lighthouse: Any = None, pdf: bool = False) -> Path:
    """Build `_build/stage/` afresh; a chapter with no run stands there without outputs.

    Args:
        root: the repository, whose layout the stage mirrors (the links to Colab come from it).
        executed: chapter -> executed notebook.
        entries: the ledger of the run.
        bands: where the published bands come from, if any are.
        lighthouse: what `tools.lighthouse` measured on this site, if it did.
        pdf: whether the pages link to their PDF, which `tools.pdf` will print.
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
    api.write(root, target / "chapters")
    sources = {path.stem: read(path) for path in chapters(root)}
    register.write(root / "chapters", target / "chapters", sources, executed)
    meta = yaml.safe_dump({"myst": {"html_meta": {"description lang=en": report.DESCRIPTION}}}, width=1000)
    text = report.page(entries, sources, executed, repository=repo.setting(root), bands=bands, lighthouse=lighthouse)
    (target / "chapters" / "run.md").write_text(f"---\n{meta}---\n\n{text}", encoding="utf-8")
    facts = {"times": report.times(entries, sources, executed), "machine": entries["machine"],
             "profile": entries["profile"], "pdf": pdf}
    (target / "site.json").write_text(json.dumps(facts), encoding="utf-8")
    return target
