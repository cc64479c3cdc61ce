"""Which of the book's own files a notebook reaches: read from the syntax, nothing is imported.

Imports count wherever they stand, inside functions too; so do modules that a string names, as in
`[sys.executable, "-m", "lib.serve.service"]`, and the `__init__` of each package on the way. Docstrings name much and
run none of it, so they do not count.
"""
from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import cells, syntax

ROOMS = ("lib", "chapters.checks")  # "chapters" is also where notebooks run, so its checkers are `checks` to them
DRAWN = ("lib.book.cards", "lib.book.languages")  # what staging draws or says again: its look is no part of a run
NAMED = re.compile(r"(?<![\w.])(?:lib|chapters\.checks|checks)(?:\.\w+)+")
FROM = re.compile(r"\bfrom +((?:lib|chapters\.checks|checks)(?:\.\w+)*) +import +\(?([\w, ]+)")


def reached(root: Path, notebook: NotebookNode) -> list[Path]:
    """The files of `lib` and `chapters/checks` that the notebook's code reaches, through others too, sorted."""
    trees = [syntax(cell) for cell in cells(notebook) if cell.cell_type == "code"]
    waiting, found = [file for tree in trees for name in named(tree) for file in files(root, name)], set[Path]()
    while waiting:
        if (path := waiting.pop()) not in found:
            found.add(path)
            here = ".".join(path.relative_to(root).with_suffix("").parts)
            package = here.removesuffix(".__init__") if path.name == "__init__.py" else here.rpartition(".")[0]
            waiting += [file for name in named(ast.parse(path.read_text("utf-8")), package)
                        for file in files(root, name)]
    return sorted(found)


def named(tree: ast.Module, package: str = "") -> Iterator[str]:
    """The dotted names that code imports or that its strings name: modules, or names in a module.

    Args:
        package: where the code stands, for `from . import x`.
    """
    told = set(docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{origin}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told:
            yield from NAMED.findall(node.value)
            yield from (f"{origin}.{name}" for origin, names in FROM.findall(node.value)
                        for name in re.findall(r"\w+", names))


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """The strings that stand alone: docstrings, of attributes too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def files(root: Path, name: str) -> Iterable[Path]:
    """The files that importing a dotted name runs: the packages on its way and its module; none that is not ours."""
    parts = name.split(".")
    if parts[0] == "checks":
        parts = ["chapters", *parts]
    if not any(".".join(parts).startswith(f"{room}.") or ".".join(parts) == room for room in ROOMS):
        return
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        if ".".join(parts[:length]) in DRAWN:
            return
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path
