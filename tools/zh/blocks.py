"""What there is to translate on a page, cut into blocks, and the Chinese that stands for each.

A notebook's blocks are its cells, by their ids; those of a page in Markdown are its sections, by the ids of their
headings. `chapters/zh/NAME.yml` holds for each block `of`, the hash of its English, and `text` (`comments` for code).
"""
from __future__ import annotations

import ast
import hashlib
import io
import re
import tokenize
from pathlib import Path
from typing import Any

import yaml
from docutils.nodes import make_id
from nbformat import NotebookNode

from tools import diagrams
from tools.fold import folds
from tools.notebooks import read

FOLDER = Path("chapters") / "zh"
ABOUT = "description"  # the block of what a page says of itself to search engines
FENCE = re.compile(r"^(```+|~~~+)[^\n]*\n.*?^\1[ \t]*$", re.M | re.S)
PICTURE = re.compile(r"^<svg\b.*?</svg>[ \t]*$", re.M | re.S)
HEADING = re.compile(r"^#{1,6} .+$", re.M)
FRONT = re.compile(r"\A---\n(.*?)\n---\n+", re.S)
CODE = "{code}"     # stands in the Chinese for the next piece of code of the English block
QUIET = ("fmt:", "noqa", "type:", "ruff:")
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same by libyaml, ten times as fast
Blocks = dict[str, str]


def digest(text: str) -> str:
    """What the Chinese is a translation of, in ten figures: spaces at the ends of lines do not count."""
    return hashlib.sha256("\n".join(line.rstrip() for line in text.strip().splitlines()).encode()).hexdigest()[:10]


def of_notebook(notebook: NotebookNode) -> Blocks:
    """Cell id -> what is to be said in Chinese: Markdown, or the comments of code that a reader sees, one a line."""
    found = {cell.id: diagrams.bare(cell.source) if cell.cell_type == "markdown" else "\n".join(comments(cell))
             for cell in notebook.cells}
    about = notebook.metadata.get("myst", {}).get("html_meta", {}).get("description lang=en", "")
    return {name: text for name, text in ({ABOUT: about} | found).items() if text}


def of_page(text: str) -> Blocks:
    """Id of a heading -> its section, of a page in Markdown."""
    front = FRONT.match(text)
    meta = yaml.safe_load(front[1]) if front else {}
    body = text[front.end():] if front else text
    starts = [match.start() for match in HEADING.finditer(hidden(body))]
    parts = [body[start:end].strip() for start, end in zip(starts, [*starts[1:], len(body)], strict=True)]
    about = meta.get("myst", {}).get("html_meta", {}).get("description lang=en", "")
    return ({ABOUT: about} if about else {}) | {slug(part): part for part in parts}


def hidden(text: str) -> str:
    """Markdown with its code and diagrams blanked out, so that nothing in them reads as Markdown; places stay."""
    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return diagrams.COMMENT.sub(blank, FENCE.sub(blank, text))


def headings(text: str) -> list[str]:
    """The headings of a block, as they are written."""
    return HEADING.findall(hidden(text))


def slug(heading: str) -> str:
    """The id that Sphinx gives the section of a heading."""
    words = re.sub(r"^#+ ", "", heading.partition("\n")[0])
    return make_id(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", words).translate(str.maketrans("", "", "*`$\\")))


def comments(cell: NotebookNode) -> list[str]:
    """The comments of a code cell that a reader sees; of a folded one there are none."""
    if cell.cell_type != "code" or folds(cell) or re.search(r"^\s*[%!]", cell.source, re.M):
        return []
    return [token.string.lstrip("# ") for token in _comments(cell.source)]


def _comments(code: str) -> list[tokenize.TokenInfo]:
    found = tokenize.generate_tokens(io.StringIO(code).readline)
    return [token for token in found if token.type == tokenize.COMMENT
            and re.search(r"[A-Za-z]{2}", token.string) and not token.string.lstrip("# ").startswith(QUIET)]


def commented(code: str, said: list[str]) -> str:
    """Code with its comments in Chinese, in order; all else stays byte for byte.

    Raises:
        ValueError: another number of comments than the code has.
    """
    places = _comments(code)
    if len(places) != len(said):
        raise ValueError(f"{len(places)} comments, {len(said)} in Chinese")
    lines = code.split("\n")
    for token, words in zip(places, said, strict=True):
        (row, column), mark = token.start, re.match(r"#+\s*", token.string)
        lines[row - 1] = lines[row - 1][:column] + (mark[0] if mark else "# ") + words
    return "\n".join(lines)


def same_code(one: str, other: str) -> bool:
    """Whether two notebooks' cells hold the same program: equal but for comments."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return one == other


def pieces(block: str) -> list[str]:
    """The pieces of a block that are not its text, in order: fenced code, pictures, diagrams."""
    found = [*FENCE.finditer(block), *PICTURE.finditer(hidden(block)), *diagrams.COMMENT.finditer(block)]
    return [block[match.start():match.end()] for match in sorted(found, key=lambda match: match.start())]


def with_pieces(text: str, english: str) -> str:
    """Chinese in which each `{code}`, on a line of its own, is the next piece of the English that it does not write."""
    waiting = pieces(english)
    for own in pieces(text):
        if same := next((each for each in waiting if bare_code(each) == bare_code(own)), None):
            waiting.remove(same)

    def next_one(match: re.Match[str]) -> str:
        return waiting.pop(0) if waiting else match[0]

    return re.sub(rf"^{re.escape(CODE)}$", next_one, text, flags=re.M)


def bare_code(piece: str) -> str:
    """A piece without its comments and labels, which a translation may change."""
    if diagrams.COMMENT.match(piece):
        piece = re.sub(r"\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|\|[^|]*\||\"[^\"]*\"", "[]", piece)
    return re.sub(r"\s+", " ", re.sub(r'(?m)#[^\n]*$|aria-label="[^"]*"|(?<=accTitle:).*$|(?<=accDescr:).*$', "",
                                     piece))


def chinese(root: Path, name: str) -> dict[str, Any] | None:
    """The Chinese of a page: block -> {of, text}; None where there is none yet."""
    path = root / FOLDER / f"{name}.yml"
    return yaml.load(path.read_text("utf-8"), FAST) or {} if path.is_file() else None


def english(root: Path, name: str) -> Blocks:
    """The blocks of a page: a chapter's notebook, or a page in Markdown; empty for a page that is made of entries."""
    notebook, page = (root / "chapters" / f"{name}{ending}" for ending in (".ipynb", ".md"))
    if notebook.is_file():
        return of_notebook(read(notebook))
    return of_page(page.read_text("utf-8")) if page.is_file() else {}


def translated(root: Path) -> list[str]:
    """The pages that have a Chinese file."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.yml"))
