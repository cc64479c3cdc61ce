"""What every tool needs to know about a chapter's notebook, and how to write a file whole or not at all."""
from __future__ import annotations

import ast
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from lib.files.atomic import write_atomically

ROOT = Path(__file__).resolve().parents[1]


NAMELESS = "record() needs a literal name as its first argument"


class Mistake(ValueError):
    """What the person at the terminal can put right: shown as one line, without a traceback."""


def command(main: Callable[[], int]) -> NoReturn:
    """Run a command line's `main` and exit with what it returns; what stops it from outside is said in one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # so that `finally` is reached; nohup's choice stays
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except Mistake as mistake:
        sys.exit(f"  {mistake}")
    except BrokenPipeError:  # whoever read our lines has gone, as in `make report | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        sys.exit(f"  {error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def chapters(root: Path = ROOT, name: str = "") -> list[Path]:
    """The chapters' notebooks in order; with `name`, those whose file name begins so."""
    everything = sorted((root / "chapters").glob("*.ipynb"))
    chosen = [path for path in everything if path.name.startswith(name)]
    if not chosen:
        raise Mistake(f"NAME must begin like one of {', '.join(p.stem for p in everything) or 'none'}, got {name!r}")
    return chosen


def read(path: Path) -> NotebookNode:
    """Read a notebook without touching it (the lint speaks about missing and duplicate ids)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return nbformat.reads(path.read_text(encoding="utf-8"), as_version=nbformat.NO_CONVERT)
        except (ValueError, nbformat.ValidationError) as error:
            raise Mistake(f"{path.name} must be a notebook, got what does not read as one: {error}") from None


def write(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename: a reader sees the old file or the new one, never a half."""
    write_atomically(path, lambda file: file.write(text.encode()))


def tags(cell: NotebookNode) -> list[str]:
    """The cell's tags, sorted."""
    return sorted(cell.metadata.get("tags", []))


def cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells as their author wrote them: without the one that papermill injects, and without its error markers."""
    ours = {"injected-parameters", "papermill-error-cell-tag"}
    return [cell for cell in notebook.cells if not ours & set(tags(cell))]


def join_streams(notebook: NotebookNode) -> None:
    """Join neighbouring outputs of one stream: a busy kernel may send what one call prints in two pieces."""
    for cell in notebook.cells:
        joined: list[NotebookNode] = []
        for output in cell.get("outputs", []):
            if joined and output.output_type == joined[-1].output_type == "stream" and output.name == joined[-1].name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        if cell.cell_type == "code":
            cell.outputs = joined


def syntax(cell: NotebookNode) -> ast.Module:
    """The syntax tree of a code cell, with its `%magic` and `!shell` lines turned into Python."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def calls(notebook: NotebookNode, method: str = "record") -> Iterator[ast.Call]:
    """Each `run.record(...)`, or another `method`, in the source, called as an attribute or by its bare name."""
    for cell in cells(notebook):
        for node in ast.walk(syntax(cell)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.Call) and (node.args or node.keywords):
                called = node.func
                if (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == method:
                    yield node


def literal(call: ast.Call) -> str | None:
    """The name that a call gives as its first argument; None where it is no literal."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def record_calls(notebook: NotebookNode, method: str = "record") -> Iterator[str | None]:
    """The name in each `run.record(...)`, or another `method`, in the source; None where it is no literal."""
    return map(literal, calls(notebook, method))
