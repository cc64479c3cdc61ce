"""`llms.txt`: the book for a language model that reads for somebody, from the table of contents and the claims.

Format: a title, a summary, then lists of links with what stands behind each (https://llmstxt.org).
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)


def described(path: Path) -> tuple[str, str]:
    """The title of a page, and the description that search engines get, "" where it has none.

    Raises:
        ValueError: it has no title.
    """
    if path.suffix == ".ipynb":
        notebook = json.loads(path.read_text("utf-8"))
        meta, text = notebook["metadata"], "".join(notebook["cells"][0]["source"])
    else:
        front = FRONT.match(path.read_text("utf-8"))
        meta, text = (yaml.safe_load(front[1]), front[2]) if front else ({}, path.read_text("utf-8"))
    about = next(iter(meta.get("myst", {}).get("html_meta", {}).values()), "")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    if not title:
        raise ValueError(f"{path.name} must have a title, a line that begins with one #")
    return title[1], about


def text(contents: Mapping[str, Any], folder: Path, judged: Sequence[tuple[str, str, str]], address: str,
         other: tuple[str, str] | None = None, say: Callable[[str], str] = str) -> str:
    """The file.

    Args:
        contents: `_toc.yml`.
        folder: where the pages that it names are staged.
        judged: of each claim its id, what is asked and the verdict.
        address: that of the site, with a slash at its end.
        other: the name of the book's other language, and where it says this; None where there is none.
        say: puts the file's own words and the claims into its language.
    """
    def line(name: str) -> str:
        path = next(path for ending in (".md", ".ipynb") if (path := folder / f"{name}{ending}").exists())
        title, about = described(path)
        return f"- [{title}]({address}{name}.html)" + (f": {about}" if about else "")

    title, about = described(folder / f"{contents['root']}.md")
    chapters = [line(each["file"]) for each in contents["chapters"] if re.match(r"\d", Path(each["file"]).name)]
    others = [line(each["file"]) for each in contents["chapters"] if not re.match(r"\d", Path(each["file"]).name)]
    claims = [f"- {say(f'{name}, {verdict}: {asks}')}" for name, asks, verdict in judged]
    lists = {"Chapters": chapters, f"Claims, judged by the book's own runs: {address}chapters/claims.html": claims,
             "Pages beside the chapters": others}
    parts = [f"## {say(heading)}\n\n" + "\n".join(lines) + "\n" for heading, lines in lists.items() if lines]
    beside = [f"{other[0]}: {other[1]}\n"] if other else []
    return "\n".join([f"# {title}\n\n> {about}\n", *beside, *parts])
