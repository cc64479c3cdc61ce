"""A tiny book in a temporary folder, with a `lib` of its own that records without torch."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.book.cards import RESULT
from tools.execute import Job, Settings
from tools.fold import marks
from tools.notebooks import ROOT, chapters

COMMON = {"interval": None, "level": 0.95, "seeds": 1, "items": 0, "over": "seeds", "unit": "1", "digits": 3,
          "note": "", "at_least": None, "at_most": None, "card": True, "stored": False,
          "profile": "quick", "device": "cpu"}
RECORD = f'''
from IPython.display import display
class Run:
    def record(self, name, value, **other):
        facts = {COMMON!r} | {{"name": name, "value": value, "values": [value]}} | other
        display({{"text/plain": name, {RESULT!r}: facts}}, raw=True)
run = Run()
'''
PARAMETERS = 'PROFILE = "quick"\nSEED = 0\nLIVE = False\nEVIDENCE = False'


class Book:
    """A repository with chapters, made cell by cell."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "lib" / "book").mkdir(parents=True)
        (root / "chapters").mkdir()
        (root / "lib" / "__init__.py").touch()
        (root / "lib" / "book" / "record.py").write_text(RECORD)

    def chapter(self, name: str, *code: str, prose: str = "A page.", **settings: Any) -> Job:
        """Write a chapter; give the job that runs it."""
        notebook = self.notebook(*code, prose=prose)
        path = self.root / "chapters" / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return Job(path, Settings(**settings))

    @staticmethod
    def notebook(*code: str, prose: str = "A page.") -> nbformat.NotebookNode:
        """A sound source: title, set-up, parameters, then `code`."""
        first = new_code_cell("# @title Set-up\nfrom lib.book.record import run", metadata=marks({"tags": ["setup"]}))
        second = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        return new_notebook(cells=[new_markdown_cell(prose), first, second, *map(new_code_cell, code)],
                            metadata={"kernelspec": kernel})

    def pages(self) -> None:
        """What a site needs beside the chapters that are there: settings, contents and a cover."""
        for name in ("_config.yml", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        files = ["run", *(path.stem for path in chapters(self.root))]
        contents = {"format": "jb-book", "root": "chapters/intro",
                    "chapters": [{"file": f"chapters/{name}"} for name in files]}
        (self.root / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False))
        (self.root / "chapters" / "intro.md").write_text("# Cover\n\nA tiny book.\n")

    def publish(self, bands: dict[str, dict[str, tuple[float, float]]]) -> None:
        """Publish bands for the quick profile."""
        chapters = {chapter: {name: {"low": low, "high": high} for name, (low, high) in names.items()}
                    for chapter, names in bands.items()}
        (self.root / "results").mkdir(exist_ok=True)
        (self.root / "results" / "quick-cpu.json").write_text(json.dumps({"provenance": {}, "chapters": chapters}))


def result(name: str, value: float, **other: Any) -> dict[str, Any]:
    """What `record` writes into a cell's output where all is well."""
    seeds = len(other.get("values", [value]))
    return COMMON | {"name": name, "value": value, "values": [value], "seeds": seeds} | other


def executed(*found: dict[str, Any], source: str | None = None, extra: tuple[Any, ...] = ()) -> nbformat.NotebookNode:
    """An executed notebook that recorded `found`, made without a kernel."""
    code = source if source is not None else "\n".join(f'run.record("{each["name"]}", 0)' for each in found)
    notebook = Book.notebook(code)
    shown = [new_output("display_data", data={"text/plain": "card", RESULT: each}) for each in found]
    notebook.cells[-1].outputs = [*shown, *extra]
    notebook.metadata["book"] = {"seconds": 1.0, "peak_mb": 100, "cached": False}
    return nbformat.from_dict(notebook)
