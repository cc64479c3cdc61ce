"""The pages that are made of entries, in Chinese: their Markdown line by line, from `chapters/zh/NAME.yml`.

Its `strings` are templates, as for what code prints: one for each line, or cell of a table, without what Markdown needs
in front of it. A number that a line quotes is filled in as in prose. What only some runs say, such as a verdict, stands
in `sometimes`, where nothing is left over.
"""
from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from nbformat import NotebookNode

from lib.book.languages import WORD, Catalogue
from tools import api, register
from tools.notebooks import chapters, read
from tools.stage import run_page
from tools.zh import blocks, check, numbers

PAGES = ("claims", "errata", "recipe", "references", "speed", "api", "run")
FRONT = re.compile(r"^(?:#{1,6} |[-*] |\d+\. |> ?|: )+")
KEPT = re.compile(r"^(?:\s*$|\([\w-]+\)=$|:{3,}|:class:|\||```|<figure|<div|</|---|## lib\.[\w.]+$|### \w+$)")
SOURCE = re.compile(r"\(Source, sections? [\w., ]+\)$")
RECORD = re.compile(r'\s*<span id="')  # the short name of a record, which may be longer in Chinese
TEXT = re.compile(r"(?<=>)[^<>]*[A-Za-z\u3400-\u9fff][^<>]*(?=<)|(?<=aria-label=\")[^\"]*(?=\")")
NAMED = re.compile(r"\[[\w.]+\]\(#api-[\w-]+\)|`[^`]*`|\$[^$]*\$")  # links to names, code and formulas are no words


def english(root: Path, executed: Mapping[str, NotebookNode], entries: Mapping[str, Any]) -> dict[str, str]:
    """These pages as they are in English, before numbers are linked; their descriptions are left out.

    Args:
        root: the repository.
        executed: chapter -> executed notebook.
        entries: the ledger of the run.
    """
    with tempfile.TemporaryDirectory() as folder:
        target, sources = Path(folder), {path.stem: read(path) for path in chapters(root)}
        register.write(root / "chapters", target, sources, executed)
        api.write(root, target)
        texts = {path.stem: path.read_text("utf-8") for path in target.glob("*.md") if path.stem in PAGES}
    texts["run"] = run_page(root, entries, sources, executed)
    return {name: blocks.FRONT.sub("", text) for name, text in texts.items()}


def catalogue(root: Path, name: str) -> Catalogue:
    """The strings of a page, over those that any page may have; where it names results, also those of the chapters."""
    words, folder = dict[str, str](), root / blocks.FOLDER
    spoken = sorted((folder / "words").glob("[0-9][0-9].yml")) if name in ("claims", "recipe", "run") else []
    for path in (folder / f"{name}.yml", folder / "words" / "book.yml", *spoken):  # the first has the last word
        held: dict[str, Any] = yaml.load(path.read_text("utf-8"), blocks.FAST) if path.is_file() else {}
        held = held or {}
        own_words = held.get("strings", {}) | held.get("sometimes", {})
        words |= {english: said for english, said in own_words.items() if english not in words}
    words = (headings(root) if spoken else {}) | words
    book = yaml.load((folder / "words" / "book.yml").read_text("utf-8"), blocks.FAST) or {}
    own = blocks.chinese(root, name) or {}
    return Catalogue(words, [*book.get("names", []), *own.get("names", [])])


def headings(root: Path) -> dict[str, str]:
    """The headings of chapters and pages, English -> Chinese, by which pages made of entries call them."""
    found = dict[str, str]()
    for name in blocks.translated(root):
        said = blocks.chinese(root, name) or {}
        for block, text in blocks.english(root, name).items():
            pair = blocks.headings(text), blocks.headings(str(said.get(block, {}).get("text", "")))
            found |= {one.lstrip("# "): other.lstrip("# ") for one, other in zip(*pair, strict=False)}
    return found


def page(text: str, words: Catalogue, pairs: list[tuple[str, str]] | None = None) -> str:
    """A page in Chinese; a line that the catalogue lacks stays, and is noted there.

    Args:
        text: the page in English.
        words: its catalogue.
        pairs: takes each line, or cell of a table, that is said, in both languages.
    """
    parts = re.split(r"(^```.*?^```$|^<figure.*?</figure>$)", text, flags=re.M | re.S)
    pairs = [] if pairs is None else pairs
    return "".join(_kept(part, words, pairs) if number % 2 else "\n".join(
        _line(line, words, pairs) for line in part.split("\n")) for number, part in enumerate(parts))


def _kept(part: str, words: Catalogue, pairs: list[tuple[str, str]]) -> str:
    """Code as it is, and a figure, which goes over many lines, with its texts in Chinese."""
    if not part.startswith("<figure"):
        return part
    said = words.markup(part)
    pairs += zip(TEXT.findall(part), TEXT.findall(said), strict=True)
    return said


def _line(line: str, words: Catalogue, pairs: list[tuple[str, str]]) -> str:
    if line.startswith("|") and not re.fullmatch(r"[|:\- ]+", line):
        cells = re.split(r"(?<!\\)\|", line)
        return "|".join(cell if not cell.strip() else _said(cell, words, pairs) for cell in cells)
    if KEPT.match(line):
        return line
    front = FRONT.match(line)
    start = front.end() if front else 0
    return line[:start] + _said(line[start:], words, pairs)


def _said(text: str, words: Catalogue, pairs: list[tuple[str, str]]) -> str:
    if not WORD.search(NAMED.sub("", text)):
        return text
    said = numbers.filled(words.say(text), text)
    if said != text:
        pairs.append((text, said))
    return said


def faults(text: str, name: str, words: Catalogue, own: Mapping[str, str],
           terms: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """What is wrong with a page: a line without Chinese, an entry left over, and all that a block may have wrong.

    Args:
        text: the page in English.
        name: its name, for the messages.
        words: its catalogue.
        own: the entries that must be used.
        terms: the glossary's entries, with `chinese` and perhaps `also`.
    """
    pairs: list[tuple[str, str]] = []
    page(text, words, pairs)
    terms = [term for term in terms if name not in term.get("elsewhere", ())]
    wrong = [f"zh/{name}: no Chinese for {line!r}" for line in words.missing]
    wrong += [f"zh/{name}: left over, nothing says {line!r}" for line in own if line not in words.used]
    for line, said in dict.fromkeys(pairs):
        quoted = SOURCE.search(line)  # the source's words, which stand there in Chinese already
        found = check.left(said) if RECORD.match(line) else check.differences(
            said, *((quoted[0],) if quoted else (line, terms)))
        wrong += [f"zh/{name}, {line.strip()[:70]!r}: {fault}" for fault in found]
    return wrong
