"""Faults in formulas and diagrams stop the build, each named where it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import frontend

WORDS = "  accTitle: Two steps\n  accDescr: One leads to the other.\n"
FAULTS = {
    r"$\frobnicate{x}$": r"Undefined control sequence: \frobnicate",
    "$$\n\\frac{1}\n$$": "KaTeX parse error",
    "<!-- mermaid\nflowchart LR\n" + WORDS + '  a["one"] ==>\n-->': "cannot read",
    "<!-- mermaid\nflowchart LR\n" + WORDS + '  a["one" ==> b["two"]\n-->': "cannot read",
    "<!-- mermaid\nsequenceDiagram\n" + WORDS + "  a ->> b: hello\n-->": 'expected "flowchart LR"',
    '<!-- mermaid\nflowchart LR\n  a["one"] ==> b["two"]\n-->': 'a diagram needs a line "accTitle: ..."',
    "<!-- mermaid\nflowchart LR\n" + WORDS + '  a["one"] ==> b["two"]\n  class c accent\n-->': 'no node "c"',
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a build says of a book whose second page holds every fault."""
    stage = tmp_path_factory.mktemp("stage")
    frontend.vendor(stage)
    (stage / "_config.yml").write_text((frontend.ROOT / "_config.yml").read_text("utf-8"), "utf-8")
    (stage / "_toc.yml").write_text("format: jb-book\nroot: good\nchapters:\n  - file: bad\n", "utf-8")
    good = f'# Good\n\n$x^2$\n\n<!-- mermaid\nflowchart LR\n{WORDS}  a["one"] ==>|"then"| b["two"]\n-->\n'
    (stage / "good.md").write_text(good, "utf-8")
    (stage / "bad.md").write_text("# Bad\n\n" + "\n\n".join(FAULTS), "utf-8")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", "-W", "-n", "--keep-going", str(stage)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                          env=os.environ | {"PYTHONPATH": str(frontend.ROOT)})
    assert done.returncode != 0
    return done.stdout


def test_every_fault_is_a_warning_at_its_place(log: str) -> None:
    warnings = [line for line in log.splitlines() if "WARNING" in line]
    assert [line for line in warnings if "bad.md" not in line] == [], "the healthy page is clean"
    assert len(warnings) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_stops_the_build_and_is_named(log: str, fault: str) -> None:
    warnings = [line for line in log.splitlines() if "WARNING" in line and "bad.md" in line]
    assert any(FAULTS[fault] in line for line in warnings), log[-3000:]
