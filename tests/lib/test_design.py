"""Who may import whom inside `lib`: what the design says, read off the sources."""
from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[2] / "lib").glob("*.py"))
PEERS = {"accelerate", "peft", "sentence_transformers", "setfit", "loralib", "concept_erasure", "tools", "tests"}


def imports(path: Path) -> set[str]:
    """Names of imported modules, with two components for those of `lib`, without the standard library's."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"lib.{alias.name}" for alias in node.names} if node.module == "lib" else {node.module}
    tops = {name if name.startswith("lib.") else name.partition(".")[0] for name in found}
    return tops - set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", ["projection", "regularizers"])
def test_projections_and_regularizers_need_torch_alone(name: str) -> None:
    assert imports(FILES[0].with_name(f"{name}.py")) == {"torch", "lib.loss", "lib._check"}


def test_the_loop_knows_no_method_and_experiments_know_no_model() -> None:
    of = {path.stem: imports(path) for path in FILES}
    assert not of["training"] & {"lib.projection", "lib.regularizers", "lib.models", "transformers"}
    for name in ("experiments", "store", "verdicts"):
        assert not of[name] & {"torch", "transformers", "lib.models", "lib.training"}, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_peer_and_no_room_that_stands_above(path: Path) -> None:
    assert not imports(path) & PEERS


def test_there_is_no_circle() -> None:
    graph = {path.stem: {name[4:] for name in imports(path) if name.startswith("lib.")} for path in FILES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError where there is one
    assert order.index("loss") < order.index("projection") and order.index("training") < order.index("models")
