"""Make the clean tree that Jupyter Book reads: today's prose with the results of the runs, and nothing else."""
from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from lib.book.cards import CLAIM, RESULT, card, claim_card
from tools import api, budget, light, llms, moved, quoted, register, repo, report
from tools.notebooks import Mistake, cells, chapters, read, record_calls

NOT_YET = 'class="par-verdict par-not-yet"'
YOUR_TURN = '<div class="par-verdict par-turn"><strong>Your turn.</strong> ' \
            "Write it in the notebook, run the cell, and it says what is right or names what is wrong.</div>"


def merge(source: NotebookNode, executed: NotebookNode, bands: Mapping[str, Any], language: str = "en") -> NotebookNode:
    """The source with the outputs of its run: the text is today's, and what papermill added is left behind.

    Each card is drawn from its facts; what was recorded quietly is not shown; figures are made lighter. What a checker
    says of an exercise's empty stub becomes an invitation: on a page nobody can have answered yet.

    Args:
        bands: name of a result -> the published band that judges it, if one does.
        language: that of the cards.

    Raises:
        Mistake: the code is not the code that ran.
    """
    page = copy.deepcopy(source)
    code, ran = ([cell for cell in cells(notebook) if cell.cell_type == "code"] for notebook in (page, executed))
    if [cell.source for cell in code] != [cell.source for cell in ran]:
        raise Mistake("the code of a chapter changed while it ran; run the command again")
    for cell, run in zip(code, ran, strict=True):
        cell.outputs, cell.execution_count = copy.deepcopy(run.outputs), run.execution_count
        cell.outputs = [output for output in cell.outputs if output.get("data", {}).get(RESULT, {}).get("card", True)]
        for data in (output.get("data", {}) for output in cell.outputs):
            if facts := data.get(RESULT):
                data.clear()
                data.update(card(facts, bands.get(facts["name"]), language))
            elif facts := data.get(CLAIM):
                data.clear()
                data.update(claim_card(facts, language))
            if shown := data.get("text/html"):
                stub = "exercise" in cell.metadata.get("tags", []) and NOT_YET in "".join(shown)
                data["text/html"] = YOUR_TURN if stub else light.page("".join(shown))
    return page


def run_page(root: Path, entries: Mapping[str, Any], sources: Mapping[str, NotebookNode],
             executed: Mapping[str, NotebookNode]) -> str:
    """The page of the run, with what the stored runs took."""
    return report.page(entries, sources, executed, repository=repo.setting(root),
                       evidence=budget.took(budget.stores(root)))


def stage(root: Path, executed: Mapping[str, NotebookNode], entries: dict[str, Any], *, pdf: bool = False,
          present: Sequence[str] = ()) -> Path:
    """Build `_build/stage/` afresh; a chapter with no run stands there without outputs.

    Args:
        root: the repository, whose layout the stage mirrors (the links to Colab come from it).
        executed: chapter -> executed notebook.
        entries: the ledger of the run.
        pdf: whether the pages link to their PDF, which `tools.pdf` will print.
        present: the pages that stand beside these in Chinese, which they link to.
    """
    target = root / "_build" / "stage"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "chapters", target / "chapters", ignore=shutil.ignore_patterns(".*", "*.ipynb", "zh"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(root / name, target / name)
    sources = {path.stem: read(path) for path in chapters(root)}
    owner = {name: stem for stem, source in sources.items() for name in record_calls(source) if name}
    found = {name: facts for chapter in entries["chapters"].values() for name, facts in chapter["results"].items()}
    former = moved.table(root / "chapters")
    for path in chapters(root):
        page = read(path)
        if path.stem in executed:
            judged = entries["chapters"][path.stem]["results"]
            page = merge(page, executed[path.stem], {name: facts["band"] for name, facts in judged.items()})
        else:
            print(f"  {path.stem}: not run yet, its page will have no outputs", flush=True)
        moved.lead_on(page, former.get(path.stem, {}))
        quoted.page(page, path.stem, owner, found)
        (target / "chapters" / path.name).write_text(nbformat.writes(page), encoding="utf-8")
    api.write(root, target / "chapters")
    register.write(root / "chapters", target / "chapters", sources, executed)
    meta = yaml.safe_dump({"myst": {"html_meta": {"description lang=en": report.DESCRIPTION}}}, width=1000)
    text = run_page(root, entries, sources, executed)
    (target / "chapters" / "run.md").write_text(f"---\n{meta}---\n\n{text}", encoding="utf-8")
    for path in (target / "chapters").glob("*.md"):
        text = light.page(path.read_text("utf-8"))
        path.write_text(quoted.linked(text, path.stem, owner, found), encoding="utf-8")
    facts = {"times": report.times(entries, sources, executed), "machine": entries["machine"],
             "profile": entries["profile"], "pdf": pdf, "present": list(present)}
    (target / "site.json").write_text(json.dumps(facts), encoding="utf-8")
    contents, config = (yaml.safe_load((target / name).read_text("utf-8")) for name in ("_toc.yml", "_config.yml"))
    verdicts = register.verdicts(register.entries(root / "chapters" / "claims"), register.judgements(executed))
    (target / "extra").mkdir()
    home = config["html"]["baseurl"]
    (target / "extra" / "llms.txt").write_text(llms.text(
        contents, target, verdicts, home, ("In Chinese", f"{home}zh/llms.txt") if present else None), encoding="utf-8")
    return target
