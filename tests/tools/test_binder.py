"""The files that Binder builds its image from: repo2docker reads them in the repository's folder."""
from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def installs(folder: Path) -> list[str]:
    """What pip is asked to install: the lines that are no comment and no option."""
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def test_binder_installs_the_book_itself_on_a_python_that_the_book_allows() -> None:
    assert installs(ROOT / ".binder") == [".[serve,tasks]"]
    python = (ROOT / ".binder" / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])


def test_a_forgotten_book_is_seen(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# the book\n--extra-index-url x\ntorch\n", encoding="utf-8")
    assert installs(tmp_path) == ["torch"]
