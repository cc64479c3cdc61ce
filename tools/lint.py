"""What must hold for a chapter's source before anybody runs it."""
from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from nbformat import NotebookNode

from tools import diagrams
from tools.notebooks import ROOT, chapters, command, read, record_calls, syntax, tags
from tools.repo import odd_ones, strangers

PARAMETERS = {"PROFILE": "quick", "SEED": 0, "LIVE": False, "EVIDENCE": False}
OPTIONAL = {"EVIDENCE"}
SPHINX_ONLY = {
    "role": r"\{[a-z][\w:.-]*\}`",
    "directive": r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{",
    "label": r"^\s*\([\w-]+\)=\s*$",
}
NOT_PROSE = r"\$\$.*?\$\$|\$[^$]*\$|```.*?```|`[^`]*`|\([^)]*\d{4}[^)]*\)"  # formulas, code, citations
TYPED_RESULT = (r"\b\d{1,3}\.\d+ ?%|\b\d{2} ?%|\b0\.\d{2,}\b"
                r"|\b\d+(?:\.\d+)? ?(?:points|times (?:faster|slower|smaller|larger|fewer|more))\b")


def lint(notebook: NotebookNode) -> list[str]:
    """Everything that is wrong with one notebook."""
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
        if cell.cell_type == "markdown":
            found = prose(diagrams.bare(cell.source)) + diagrams.faults(cell.source)
            wrong += [f"cell {number}: {words}" for words in found]
    try:
        calls = list(record_calls(notebook))
        wrong += parameters(code)
    except SyntaxError as error:
        return [*wrong, f"does not parse: {error}"]
    if None in calls:
        wrong.append("record() needs a literal name as its first argument")
    wrong += takeaways(notebook, {name for name in record_calls(notebook, "claim") if name} | gates(notebook).keys())
    return wrong + [f"{name} is recorded {n} times" for name, n in Counter(calls).items() if name and n > 1]


def takeaways(notebook: NotebookNode, recorded: set[str]) -> list[str]:
    """What is wrong with "What we found": each point ends with the records or claims that carry it, in parentheses."""
    wrong, gated = [], gates(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## What we found"):
            section = re.split(r"^## ", cell.source, flags=re.MULTILINE)[1]
            for line in re.findall(r"^- .+$", section, re.MULTILINE):
                ending = re.search(r"\((`\w+`(?:, `\w+`)*)\)$", line)
                names = re.findall(r"\w+", ending[1]) if ending else []
                if not names:
                    wrong.append(f"no record carries the takeaway {line[:60]!r}: end it with (`name`)")
                wrong += [f"{name} carries a takeaway and is never recorded" for name in names if name not in recorded]
                wrong += [f"{name} carries a takeaway, and its gate cannot turn red for it: {why}" for name in names
                          if (why := weakness(*gated.get(name, ("0", "0"))))]
    return wrong


def gates(notebook: NotebookNode) -> dict[str, tuple[str, str]]:
    """name -> (at_least, at_most) of each record, as they are written; "" where there is none."""
    found = {}
    for cell in notebook.cells:
        for node in ast.walk(syntax(cell)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "record" and node.args:
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                name = getattr(node.args[0], "value", None)
                found[str(name)] = (given.get("at_least", ""), given.get("at_most", ""))
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
    plain = re.sub(NOT_PROSE, "", text, flags=re.DOTALL)
    return wrong + [f"a typed result, {match[0]!r}: record() it and let the card speak"
                    for match in re.finditer(TYPED_RESULT, plain)]


def book(root: Path) -> list[str]:
    """Everything that is wrong with the chapters, and with the repository's address anywhere."""
    wrong, owner = [], dict[str, str]()
    for path in chapters(root):
        notebook = read(path)
        found = lint(notebook)
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
