"""The Chinese notebooks that Colab opens: the English ones with the prose in Chinese and `LANGUAGE = "zh"`.

They are made, not typed: `python -m tools.zh --write` writes them, and the gate says when one is not what it would be.
"""
from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from tools import diagrams
from tools.notebooks import chapters, read, tags, write
from tools.zh import blocks, stage

SPEAKS = 'LANGUAGE = "zh"  # 图、结果卡和检查器都说中文'
LINK = re.compile(r"\]\(([\w-]+)\.(?:ipynb|md)(#[\w-]+)?\)")


def made(root: Path, name: str, drawn: Mapping[str, str] | None = None) -> str:
    """A chapter's notebook in Chinese: the same cells, code equal but for comments and the line that sets LANGUAGE.

    Args:
        root: the repository.
        name: the chapter.
        drawn: name -> content of the pictures of its diagrams in Chinese; None for those that the notebook has so far.
    """
    drawn = pictures(root, name) if drawn is None else drawn
    (path,) = chapters(root, name)
    words, english = stage.catalogue(root, name[:2]), read(path)
    page = stage.prose(nbformat.from_dict(english), blocks.chinese(root, name) or {}, words)
    address = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["html"]["baseurl"].rstrip("/")
    for cell, original in zip(page.cells, read(path).cells, strict=True):
        if found := diagrams.DATA.findall(original.source):
            cell.source = illustrated(cell.source, found, drawn)
        if "parameters" in tags(cell):
            cell.source = f"{cell.source.rstrip()}\n{SPEAKS}"
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(/blob/[\w.-]+/chapters/)", r"\1zh/", LINK.sub(
                lambda match: f"]({address}/zh/chapters/{match[1]}.html{match[2] or ''})", cell.source))
    raw: Any = json.loads(nbformat.writes(page))
    return json.dumps(raw, indent=1, ensure_ascii=False) + "\n"


def illustrated(text: str, english: Sequence[tuple[str, str]], drawn: Mapping[str, str]) -> str:
    """A cell with the picture below each of its diagrams, whose source stands in a comment.

    Args:
        text: the cell in Chinese.
        english: name and content of each picture of the English cell, for a diagram that nobody has drawn in Chinese.
        drawn: name -> content of the pictures in Chinese.
    """
    waiting, used = list(english), dict[str, str]()

    def shown(match: re.Match[str]) -> str:
        words, key = re.search("accDescr: *(.+)", match[1]), diagrams.name(*diagrams.sources(match[0]))
        name, picture = waiting.pop(0) if waiting else (key, "")
        name, picture = (key, drawn[key]) if key in drawn else (name, picture)
        used[name] = picture
        return f"{match[0]}\n\n![{words[1] if words else ''}][{name}]" if picture else match[0]

    return diagrams.COMMENT.sub(shown, text) + "".join(
        f"\n\n[{name}]: data:image/png;base64,{data}" for name, data in used.items() if data)


def pictures(root: Path, name: str) -> dict[str, str]:
    """The pictures that a chapter's notebook in Chinese has so far: `make preview` draws them."""
    path = place(root, name)
    cells = read(path).cells if path.is_file() else []
    return {key: picture for cell in cells for key, picture in diagrams.DATA.findall(cell.source)}


def place(root: Path, name: str) -> Path:
    """Where a chapter's notebook in Chinese stands."""
    return root / blocks.FOLDER / f"{name}.ipynb"


def faults(root: Path, name: str) -> list[str]:
    """That the notebook in Chinese is not the one that today's sources make."""
    path = place(root, name)
    if not path.is_file() or path.read_text("utf-8") != made(root, name):
        return [f"zh/{name}: its notebook is not of today (`python -m tools.zh --write` makes it)"]
    return []


def put(root: Path, name: str) -> bool:
    """Write a chapter's notebook in Chinese; whether it changed."""
    if not faults(root, name):
        return False
    write(place(root, name), made(root, name))
    return True


def programs(notebook: NotebookNode) -> list[str]:
    """The syntax trees of a notebook's code, without the line that sets LANGUAGE."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and not re.search(r"^\s*[%!]", cell.source, re.M):
            tree = ast.parse(cell.source)
            tree.body = [line for line in tree.body if not (isinstance(line, ast.Assign) and ast.unparse(
                line).startswith("LANGUAGE = "))]
            found.append(ast.dump(tree))
    return found
