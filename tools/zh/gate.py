"""Whether the Chinese pages are whole and of today's English: page -> what is wrong with it.

The prose is held to the English block by block (`check.py`); the strings of a chapter's outputs and checkers are held
to its catalogue, in which nothing may be missing and nothing left over.
"""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from nbformat import NotebookNode

from lib.book.languages import Catalogue
from tools import quoted
from tools.closure import docstrings
from tools.fold import TITLE
from tools.gate import results
from tools.notebooks import chapters, read
from tools.stage import merge
from tools.zh import blocks, check, lines, notebook, stage


def review(root: Path, executed: Mapping[str, NotebookNode], entries: Mapping[str, Any]) -> dict[str, list[str]]:
    """Everything that is wrong with each page that is there in Chinese; nothing is wrong with a page that is present.

    Args:
        root: the repository.
        executed: chapter -> executed notebook; of one that did not run, the strings are not looked at.
        entries: the ledger of the run.
    """
    found = {}
    terms = known(root)
    sources = {path.stem: path for path in chapters(root)}
    made = lines.english(root, executed, entries) if set(lines.PAGES) & set(blocks.translated(root)) else {}
    for name in blocks.translated(root):
        if name in lines.PAGES:
            own = (blocks.chinese(root, name) or {}).get("strings", {})
            found[name] = lines.faults(made.get(name, ""), name, lines.catalogue(root, name), own,
                                       terms)
            continue
        said, english = blocks.chinese(root, name) or {}, stage.english(root, name)
        code = [cell.id for cell in read(sources[name]).cells if cell.cell_type == "code"] if name in sources else []
        wrong = check.page(name, english, said, code, [] if name == "glossary" else terms)
        if not english:
            wrong = [f"zh/{name}: no such page in English"]
        if name in sources and name in executed:
            bands = {each: result["band"] for each, result in entries["chapters"][name]["results"].items()}
            page = merge(read(sources[name]), executed[name], bands, "zh")
            wrong += [f"zh/{name}, strings: {words}" for words in strings(root, name, page, executed)]
        if name in sources and not wrong:
            wrong += notebook.faults(root, name)
        found[name] = wrong
    return found


def known(root: Path) -> list[dict[str, Any]]:
    """The glossary's terms, with the names that `chapters/zh/words/terms.yml` allows beside each."""
    path = root / blocks.FOLDER / "words" / "terms.yml"
    also = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}
    return [term | {"also": also.get(term["term"], [])} for term in stage.merged(root)]


def strings(root: Path, name: str, page: NotebookNode, executed: Mapping[str, NotebookNode]) -> list[str]:
    """What is wrong with a chapter's strings: one that it shows or may say has no Chinese, or an entry is left over."""
    words = asked(root, name, page)
    for result in results(executed[name]):  # what pointing at a number shows
        words.say(result["name"].replace("_", " "), asked=False)
        words.say(result["unit"], asked=False)
    own = stage.held(root, name).get("strings", {})
    wrong = [f"no Chinese for {text!r}" for text in words.missing]
    wrong += [f"no Chinese for {text!r}, which a quoted number shows" for text in quoted_names(root, name, executed)]
    return wrong + [f"left over, nothing says {text!r}" for text in own if text not in words.used]


def asked(root: Path, name: str, page: NotebookNode) -> Catalogue:
    """A chapter's catalogue after it was asked for all that the chapter shows or may say, on the site and in Colab."""
    words = stage.catalogue(root, name[:2])
    stage.outputs(page, words, stage.held(root, name).get("data", ()))
    for template in spoken(root, name[:2]):
        words.say(template)
    for cell in page.cells:
        if cell.cell_type == "code" and cell.source.startswith(TITLE):
            words.say(cell.source.partition("\n")[0].removeprefix(TITLE))
    return words


def quoted_names(root: Path, name: str, executed: Mapping[str, NotebookNode]) -> list[str]:
    """The names and units of the records that a chapter quotes, where they have no Chinese."""
    words = stage.catalogue(root, *(path.stem[:2] for path in chapters(root)))
    facts = {result["name"]: result for book in executed.values() for result in results(book)}
    for text in blocks.english(root, name).values():
        for match in quoted.quotes(text):
            if match["name"] in facts:
                words.say(match["name"].replace("_", " "))
                words.say(facts[match["name"]]["unit"])
    return list(words.missing)


def spoken(root: Path, chapter: str) -> Iterator[str]:
    """What the checkers of a chapter may say: their texts of two words or more, a number in the place of each value."""
    path = root / "chapters" / "checks" / f"c{chapter}.py"
    if not path.is_file():
        return
    tree = ast.parse(path.read_text("utf-8"))
    quiet, inside = set(docstrings(tree)), set[ast.AST]()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= set(ast.walk(node)) - {node}
        if node in inside or node in quiet:
            continue
        text = sample(node)
        if len(re.findall(r"[A-Za-z]{2,}", text)) > 1 and " " in text.strip():
            yield text


def sample(node: ast.AST) -> str:
    """A string as it may be said; "" for what is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


