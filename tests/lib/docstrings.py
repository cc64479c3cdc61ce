"""What is missing in the docstrings of a module, found by comparing them with the code that they describe."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.api import YEAR, Doc, Entry, public

LIB = Path(__file__).resolve().parents[2] / "lib"
SHAPE = r"\((?:[A-Za-z0-9* ]+, ?)+[A-Za-z0-9* ]*\)|\bscalar\b|\bvector\b|\bmatrix\b|\bof its shape\b|\b[sS]hape\b"
RANGE = (r"\babove\b|\bbelow\b|\bat (?:least|most)\b|\bbetween\b|-?\d+(?:\.\d+)? (?:to|or) |\bfrom \d|\bfraction\b|"
         r"\bnumber of\b|\bunits?\b|\bseeds?\b|\bnats\b|\bpercent\b|\bdigits\b|\bsteps\b|\btokens\b|\bsign\b")
# An argument is evident without a word where its name and its type say all.
EVIDENT = {("model", "nn.Module"), ("model", "Classifier"), ("history", "Sequence[Record]"), ("folder", "str | Path"),
           ("encoder", "Encoder"), ("effect", "Effect"), ("sentence", "Sentence"), ("path", "Path"),
           ("model", "LanguageModel")}
# where each name has an equation and a source
METHODS = ("projection", "adapters", "objectives", "regularizers", "optimizers", "averages")
PLUMBING = {"ends_in", "attach", "merge", "detach", "only_rows"}  # but for these, which do no mathematics


def faults(module: str, source: str) -> list[str]:
    """Everything that the docstrings of a module lack.

    Each public function, class and method has a summary of one sentence; describes each argument (there or in the
    module's legend), an array with its shape and a number with its range or unit; and names in Raises what it raises,
    itself or through functions of lib.
    In `METHODS` each has an equation and a source.
    """
    tree = ast.parse(source)
    legend = re.findall(r"^    (\w+)  +\S", ast.get_docstring(tree, clean=False) or "", re.M)
    found = []
    for entry in public(tree.body):
        found += [f"{module}.{entry.name}: {fault}" for fault in _faults(entry, entry.doc, legend)]
        found += _errors(module, entry, source)
        for method in entry.methods:
            if method.name not in ("forward", "get_input_embeddings") and not _protocol(entry):
                doc = Doc(method.doc.summary, [*method.doc.body, entry.doc.text], method.doc.sections)
                found += [f"{module}.{entry.name}.{method.name}: {fault}" for fault in _faults(method, doc, legend)]
        if module in METHODS and entry.name not in PLUMBING:
            equation = [part for part in entry.doc.body if part.startswith(" ")]
            lines = [*equation, *(part for part in entry.doc.body if part.startswith("Source:"))]
            found += [f"{module}.{entry.name}: no equation"] * (not equation)
            found += [f"{module}.{entry.name}: no source"] * (not any(re.search(YEAR, line) for line in lines))
    return found


def _protocol(entry: Entry) -> bool:
    return any(ast.unparse(base) == "Protocol" for base in getattr(entry.node, "bases", []))


def _faults(entry: Entry, doc: Doc, legend: list[str]) -> Iterator[str]:
    """What is wrong with summary and arguments; the module's legend describes some of them."""
    if not re.fullmatch(r"(?:[^.]|\.(?! [A-Z])(?!$))+\.", doc.summary):
        yield f"its first paragraph must be one sentence, got {doc.summary!r}"
    said = doc.sections.get("Args", {})
    for name, kind in arguments(entry.node):
        here = said.get(name, "")
        if (name, kind) in EVIDENT or name in legend or here.startswith("as in `"):
            continue
        named = rf"`[^`]*\b{name}\b[^`]*`" if len(name) < 3 else rf"\b{name}\b"
        if not here and not re.search(named, doc.text):
            yield f"argument {name} is not described"
        elif kind in ("Tensor", "ArrayLike", "np.ndarray") and not re.search(SHAPE, here + doc.text):
            yield f"argument {name} has no shape"
        elif kind in ("float", "int") and not re.search(RANGE, here or doc.text):
            yield f"argument {name} has no range or unit"
    for name in said.keys() - {name for name, _ in arguments(entry.node)}:
        yield f"{name} is described, but it is no argument"
    returns = ast.unparse(entry.node.returns) if isinstance(entry.node, ast.FunctionDef) and entry.node.returns else ""
    if returns in ("Tensor", "np.ndarray", "NDArray[np.float64]"):
        if not re.search(SHAPE, doc.text + doc.sections.get("Returns", {}).get("", "")):
            yield "its result has no shape"


def arguments(node: ast.FunctionDef | ast.ClassDef) -> list[tuple[str, str]]:
    """The arguments and their types; those of a dataclass are its fields."""
    if isinstance(node, ast.ClassDef):
        start = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        if start:
            return arguments(start[0])
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)] if node.decorator_list else []
        pairs = [(ast.unparse(each.target), ast.unparse(each.annotation)) for each in fields]
    else:
        given = [*node.args.args, node.args.vararg, *node.args.kwonlyargs, node.args.kwarg]
        pairs = [(each.arg, ast.unparse(each.annotation) if each.annotation else "") for each in given if each]
    return [(name, kind) for name, kind in pairs if name != "self" and not name.startswith("_")]


def _errors(module: str, entry: Entry, source: str) -> list[str]:
    """The errors that a name raises and does not document, or documents and does not raise."""
    said = {name for part in [entry, *entry.methods] for name in part.doc.sections.get("Raises", {})}
    does = raised(module, entry.name, source)
    return [f"{module}.{entry.name}: raises {name}, and Raises does not say so" for name in sorted(does - said)] + \
        [f"{module}.{entry.name}: Raises says {name}, and nothing raises it" for name in sorted(said - does)]


@cache
def _module(source: str) -> tuple[dict[str, ast.AST], dict[str, tuple[str, str]]]:
    """What a module defines, and what it imports from lib: name -> (module, name there)."""
    tree = ast.parse(source)
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    known = {alias.asname or alias.name: (node.module.removeprefix("lib."), alias.name) for node in imports
             if node.module and node.module.startswith("lib.") for alias in node.names}
    return defined, known


@cache
def raised(module: str, name: str, source: str) -> frozenset[str]:
    """Types that `name` of the module raises itself, or through what it calls by name in lib."""
    defined, imported = _module(source)
    if name in imported:
        where, there = imported[name]
        return raised(where, there, (LIB / f"{where.replace('.', '/')}.py").read_text("utf-8"))
    if name not in defined:
        return frozenset()
    types, calls = set(), set()
    for node in _uncaught(defined[name]):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            types.add(ast.unparse(node.exc.func))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.args or node.keywords or not node.func.id[0].isupper():  # a class takes its own defaults
                calls.add(node.func.id)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_check."):
            types |= raised("_check", node.func.attr, (LIB / "_check.py").read_text("utf-8"))
        if isinstance(node, ast.ClassDef):
            calls |= {ast.unparse(base) for base in node.bases}
    return frozenset(types).union(*(raised(module, call, source) for call in calls - {name}))


def _uncaught(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below, without the bodies of `try` whose errors are handled."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.Try) and node.handlers and child in node.body):
            yield from _uncaught(child)
