"""Links to a section that has another name now lead on: its old anchor stands above what took its content."""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from docutils.nodes import make_id
from nbformat import NotebookNode

HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def table(folder: Path) -> dict[str, dict[str, str]]:
    """Chapter -> old anchor -> the anchor of today; empty where nothing has moved."""
    path = folder / "moved.yml"
    return yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}


def anchors(notebook: NotebookNode) -> list[str]:
    """Those of a chapter's headings, in order."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [make_id(heading) for heading in HEADING.findall(text)]


def lead_on(page: NotebookNode, moved: Mapping[str, str]) -> None:
    """Put the old anchors above today's headings."""
    def with_old(match: re.Match[str]) -> str:
        old = [was for was, now in moved.items() if now == make_id(match[1])]
        return "".join(f'<div id="{was}"></div>' for was in old) + "\n\n" * bool(old) + match[0]

    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = HEADING.sub(with_old, cell.source)
