"""Who may import whom inside `lib`: what the design says, read off the sources."""
from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

LIB = Path(__file__).parents[2] / "lib"
FILES = {".".join(path.relative_to(LIB).with_suffix("").parts): path for path in sorted(LIB.rglob("*.py"))}
PEERS = {"accelerate", "peft", "trl", "sentence_transformers", "setfit", "loralib", "concept_erasure", "tools", "tests"}
METHOD = ("names", "loss", "projection", "adapters", "objectives", "regularizers", "optimizers", "averages", "stopping")


def imports(path: Path) -> set[str]:
    """Names of imported modules, those of `lib` in full, without the standard library's."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"lib.{alias.name}" for alias in node.names} if node.module == "lib" else {node.module}
    tops = {name if name.startswith("lib.") else name.partition(".")[0] for name in found}
    return tops - set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", METHOD)
def test_the_method_needs_torch_alone_and_its_parts_not_each_other(name: str) -> None:
    below = {"adapters": {"lib.projection"}}.get(name, set())
    assert imports(FILES[name]) <= {"torch", "lib._check", "lib.names", "lib.loss"} | below


def test_the_loop_knows_no_method_and_evidence_knows_no_model() -> None:
    loop = {name for file in ("training", "evaluation") for name in imports(FILES[file])}
    assert not loop & {"lib.projection", "lib.adapters", "lib.objectives", "lib.regularizers", "lib.models",
                       "transformers"}
    for name in ("sweeps", "store", "verdicts"):
        assert not imports(FILES[f"evidence.{name}"]) & {"torch", "transformers", "lib.models", "lib.training"}, name


@pytest.mark.parametrize("name", FILES)
def test_no_peer_and_no_room_that_stands_above(name: str) -> None:
    assert not imports(FILES[name]) & PEERS


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("book.")])
def test_ipython_is_for_the_room_that_draws(name: str) -> None:
    assert "IPython" not in imports(FILES[name])


def test_there_is_no_circle() -> None:
    graph = {name: {other.removeprefix("lib.") for other in imports(path) if other.startswith("lib.")}
             for name, path in FILES.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError where there is one
    assert order.index("loss") < order.index("projection") and order.index("evaluation") < order.index("models")
