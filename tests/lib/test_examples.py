"""The examples of the library's page: every public name has one, each is short, runs as it stands and can fail."""
from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
import torch

from tools.api import examples, library

HERE = Path(__file__).parent
LIBRARY = library(HERE.parents[1] / "lib")
EXAMPLES = examples(HERE / "examples")
CELLS = [(module, name) for module, cells in EXAMPLES.items() for name in cells]
LINES = 5


def faults(code: str) -> list[str]:
    """What is wrong with an example: it is long, does not use the name, or its end cannot fail."""
    lines = [line for line in code.splitlines() if line.strip()]
    imports = {i for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)
               for i in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    long = len(lines) - len(imports)
    wrong = [f"has {long} lines, at most {LINES} are allowed"] * (long > LINES)
    last: ast.stmt = ast.parse(code).body[-1]
    last = last.body[-1] if isinstance(last, ast.For) else last  # never what an `except` or an `if` may pass by
    asks = isinstance(last, ast.Assert) and any(isinstance(node, ast.Name) for node in ast.walk(last.test))
    return wrong + ["must end in an assert of something computed"] * (not asks)


def run(code: str) -> None:
    """Run an example as a program of its own."""
    torch.manual_seed(0)
    exec(compile(code, "example", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("module", LIBRARY)
def test_every_public_name_has_an_example(module: str) -> None:
    assert {entry.name for entry in LIBRARY[module][1]} == set(EXAMPLES.get(module.rpartition(".")[2], {}))


@pytest.mark.parametrize(("module", "name"), CELLS)
def test_an_example_runs(module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = EXAMPLES[module][name]
    assert not faults(code), code
    run(code)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("x = 1\nassert True", "must end in an assert"),
        ("x = 1\nprint(x)", "must end in an assert"),
        ("try:\n    f()\nexcept ValueError as error:\n    assert str(error) == 'no'", "must end in an assert"),
        ("x = 1\n" * 5 + "assert x", "has 6 lines"),
    ],
)
def test_an_example_that_cannot_fail_or_is_long_is_named(code: str, fault: str) -> None:
    """Negative control."""
    assert any(fault in line for line in faults(code))


def test_an_example_that_is_wrong_fails() -> None:
    """Negative control: the penalty of the example without its half."""
    code = EXAMPLES["regularizers"]["l2"].replace("0.1 * model", "0.2 * model")
    assert "0.2 * model" in code
    with pytest.raises(AssertionError):
        run(code)


def test_the_examples_name_what_they_show() -> None:
    for module, name in CELLS:
        code = EXAMPLES[module][name]
        names = {full.rpartition(".")[2]: entries for full, (_, entries) in LIBRARY.items()}
        entry = next(entry for entry in names[module] if entry.name == name)
        used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
        assert name in used or isinstance(entry.node, ast.ClassDef), inspect.cleandoc(code)
