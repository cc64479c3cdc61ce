"""What must hold for a chapter's source before anybody runs it."""
from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Set
from pathlib import Path

from nbformat import NotebookNode

from tools import diagrams, fold
from tools.notebooks import NAMELESS, ROOT, calls, chapters, command, literal, read, record_calls, syntax, tags
from tools.quoted import LINK, parse, quotes, said, texts
from tools.repo import odd_ones, strangers

PARAMETERS = {"PROFILE": "quick", "SEED": 0, "LIVE": False, "EVIDENCE": False}
OPTIONAL = {"EVIDENCE"}
LINES, COLUMNS = 30, 88  # of code that a reader sees
SPHINX_ONLY = {
    "role": r"\{[a-z][\w:.-]*\}`",
    "directive": r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{",
    "label": r"^\s*\([\w-]+\)=\s*$",
}
NOT_PROSE = r"\$\$.*?\$\$|\$[^$]*\$|```.*?```|`[^`]*`|\([^)]*\d{4}[^)]*\)"  # formulas, code, citations
TYPED_RESULT = (r"\b\d{1,3}\.\d+ ?%|\b\d{2} ?%|\b0\.\d{2,}\b"
                r"|\b\d+(?:\.\d+)? ?(?:points|times (?:faster|slower|smaller|larger|fewer|more))\b")


def lint(notebook: NotebookNode, known: Set[str] | None = None) -> list[str]:
    """Everything that is wrong with one notebook.

    Args:
        known: the records of the whole book, which its prose may quote; its own if not given.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    wrong = []
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        wrong.append(f"must be in format 4.5, got {notebook.nbformat}.{notebook.nbformat_minor}")
    if (kernel := notebook.metadata.get("kernelspec", {}).get("name")) != "python3":
        wrong.append(f"kernelspec must be python3, got {kernel!r}")
    if notebook.metadata.get("widgets"):
        wrong.append("carries widget state")
    for cell_id, count in Counter(cell.get("id", "") for cell in notebook.cells).items():
        if count > 1 or not cell_id:
            wrong.append(f"cell id {cell_id!r} is used {count} times" if cell_id else f"{count} cells have no id")
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code":
            wrong += [f"cell {number}: carries {what}" for what, held in
                      (("outputs", cell.outputs), ("an execution count", cell.execution_count)) if held]
        wrong += [f"cell {number}: {words}" for words in fold.faults(cell)]
        if cell.cell_type == "markdown":
            text = diagrams.COMMENT.sub("", diagrams.bare(cell.source))
            found = prose(text) + diagrams.faults(cell.source)
            wrong += [f"cell {number}: {words}" for words in found]
    try:
        names = list(record_calls(notebook))
        wrong += parameters(code)
    except SyntaxError as error:
        return [*wrong, f"does not parse: {error}"]
    if None in names:
        wrong.append(NAMELESS)
    own = gates(notebook).keys()
    for number, cell in enumerate(notebook.cells, start=1):
        found = numbers(cell.source, own | known if known else own) if cell.cell_type == "markdown" else []
        wrong += [f"cell {number}: {words}" for words in found]
    wrong += takeaways(notebook, {name for name in record_calls(notebook, "claim") if name} | own)
    return wrong + [f"{name} is recorded {n} times" for name, n in Counter(names).items() if name and n > 1]


def recorded(notebook: NotebookNode) -> set[str]:
    """The names that a notebook records; none where it does not parse, which is a fault of its own."""
    try:
        return {name for name in record_calls(notebook) if name}
    except SyntaxError:
        return set()


def takeaways(notebook: NotebookNode, recorded: set[str]) -> list[str]:
    """What is wrong with "What we found": each point says a number as a link, or ends with what carries it.

    A number's link is held to its record wherever it stands; a name at the end, in parentheses, is a record or a claim.
    """
    wrong, gated = [], gates(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## What we found"):
            section = re.split(r"^## ", cell.source, flags=re.MULTILINE)[1]
            for line in re.findall(r"^- .+$", section, re.MULTILINE):
                ending = re.search(r"\((`\w+`(?:, `\w+`)*)\)$", line)
                names = re.findall(r"\w+", ending[1]) if ending else []
                if not names and not any(quotes(line)):
                    wrong.append(f"no record carries the takeaway {line[:60]!r}: say its number as [79 %](#name)")
                wrong += [f"{name} carries a takeaway and is never recorded" for name in names if name not in recorded]
                wrong += [f"{name} carries a takeaway, and its gate cannot turn red for it: {why}" for name in names
                          if (why := weakness(*gated.get(name, ("0", "0"))))]
    return wrong


def visible(notebook: NotebookNode) -> list[str]:
    """What is too long in the code that a reader sees; a cell tagged `listing` quotes the source and may be longer."""
    shown = [(number, cell.source.split("\n")) for number, cell in enumerate(notebook.cells, start=1)
             if cell.cell_type == "code" and not fold.folds(cell) and "listing" not in tags(cell)]
    long = [f"cell {number}: shows {len(lines)} lines, at most {LINES} are for reading" for number, lines in shown
            if len(lines) > LINES]
    return long + [f"cell {number}: line {place} has {len(line)} signs, at most {COLUMNS} fit the page"
                   for number, lines in shown for place, line in enumerate(lines, start=1) if len(line) > COLUMNS]


def numbers(text: str, known: Set[str]) -> list[str]:
    """What is wrong with the links to records: none is there, or the text says no number, or two."""
    return [f"{match[0]} is a link to no record of the book" if match["name"] not in known else
            f"{match[0]} must say one number" for match in quotes(text)
            if match["name"] not in known or parse(said(match)) is None]


def gates(notebook: NotebookNode) -> dict[str, tuple[str, str]]:
    """name -> (at_least, at_most) of each record, as they are written; "" where there is none."""
    found = {}
    for call in calls(notebook):
        if name := literal(call):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            found[name] = (given.get("at_least", ""), given.get("at_most", ""))
    return found


def weakness(low: str, high: str) -> str:
    """Why bounds cannot carry a sign or an ordering; "" where they can.

    Bounds on both sides of zero allow either sign. They carry a null only as -NAME and NAME: a bound declared by name.
    """
    if not low and not high:
        return "it has no bound of its own"
    if not (low and high) or low == f"-{high}" and high.isidentifier():
        return ""
    try:
        return "its bounds lie on both sides of zero" if float(low) < 0 < float(high) else ""
    except ValueError:
        return "its bounds are computed"


def parameters(code: list[NotebookNode]) -> list[str]:
    """What is wrong with the first two code cells: set-up, then the parameters with the reader's defaults."""
    if len(code) < 2 or "setup" not in tags(code[0]) or "parameters" not in tags(code[1]):
        return ["its first two code cells must be tagged setup and parameters"]
    found: dict[str, object] = {}
    for line in syntax(code[1]).body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
            found |= {target.id: line.value.value for target in line.targets if isinstance(target, ast.Name)}
    return [f"parameter {name} must be {value!r}, got {found.get(name)!r}" for name, value in PARAMETERS.items()
            if found.get(name) != value and not (name in OPTIONAL and name not in found)]


def prose(text: str) -> list[str]:
    """What is wrong with a markdown cell: words that only Sphinx understands, and results typed by hand."""
    wrong = [f"{match[0].strip()} is a {kind} that only Sphinx understands"
             for kind, pattern in SPHINX_ONLY.items() for match in re.finditer(pattern, text, re.MULTILINE)]
    plain = re.sub(NOT_PROSE, "", LINK.sub("", text), flags=re.DOTALL)
    return wrong + [f"a typed result, {match[0]!r}: record() it and say it as [{match[0]}](#name)"
                    for match in re.finditer(TYPED_RESULT, plain)]


def book(root: Path) -> list[str]:
    """Everything that is wrong with the chapters, and with the repository's address anywhere."""
    wrong, owner = [], dict[str, str]()
    notebooks = {path: read(path) for path in chapters(root)}
    known = {name for notebook in notebooks.values() for name in recorded(notebook)}
    wrong += [f"{where}: {words}" for where, text in texts(root) if "." in where for words in numbers(text, known)]
    for path in chapters(root):
        notebook = notebooks[path]
        found = lint(notebook, known) + visible(notebook)
        if not any("parse" in words for words in found):
            for name in set(record_calls(notebook)) - {None}:
                if owner.setdefault(str(name), path.stem) != path.stem:
                    found.append(f"{name} is recorded in {owner[str(name)]} as well")
        wrong += [f"{path.relative_to(root)}: {words}" for words in found]
    wrong += [f"{path.relative_to(root)}: its set-up cell is not tools/setup_cell.txt (`make repo` puts it there)"
              for path in odd_ones(root)]
    return wrong + strangers(root)


def main() -> int:
    """The command line behind `make lint`."""
    complaints = book(ROOT)
    print("\n".join(complaints) or "  every notebook is as it should be")
    return bool(complaints)


if __name__ == "__main__":
    command(main)
