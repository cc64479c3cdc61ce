"""Get a kernel ready for the book: install what it lacks, and leave what its host brought.

The set-up cell of every chapter calls `ready` before anything else is there, so this module imports the standard
library alone.
"""
from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from types import ModuleType

KEPT = ("torch", "numpy", "transformers")  # a host ties its GPU driver and its other packages to these


def on_colab() -> bool:
    """Whether this kernel is Google Colab's, which brings a module of its own."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # no `google` at all
        return False


def may_install() -> bool:
    """Whether this environment was made for throwing away: Colab's, conda's, or a virtual one; not the system's."""
    return on_colab() or sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir()


def ready(book: str | Path, *extras: str) -> str:
    """Install the requirements in `book`'s pyproject.toml that are missing or outside their range.

    torch, numpy and transformers stay as they are wherever they are installed, outside our range too.

    Args:
        book: the book's folder.
        extras: groups of its optional dependencies that a chapter needs as well, e.g. "serve".

    Returns:
        One sentence about what was done.

    Raises:
        ValueError: the folder has no pyproject.toml with the book's requirements, or that names no such extra.
        RuntimeError: pip fails, or something is missing in a Python of the system's own, where nothing is installed.
    """
    requirements = _requirements()
    try:
        project = tomllib.loads((Path(book) / "pyproject.toml").read_text("utf-8"))["project"]
        declared = list(project["dependencies"])
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"book must be the folder with the book's pyproject.toml, got {book}: {error!r}") from None
    groups = project.get("optional-dependencies", {})
    for extra in extras:
        if extra not in groups:
            raise ValueError(f"extras must be among {', '.join(sorted(groups))}, got {extra!r}")
        declared += groups[extra]
    missing, kept, strange = [], [], []
    for asked in map(requirements.Requirement, declared):
        try:
            found = importlib.metadata.version(asked.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(str(asked))
            continue
        fits = asked.specifier.contains(found, prereleases=True)
        if asked.name in KEPT:
            kept.append(f"{asked.name}=={found}")
            strange += [] if fits else [f"{asked.name} {found} (the book is tested with {asked.specifier})"]
        elif not fits:
            missing.append(str(asked))
    if missing and not may_install():
        raise RuntimeError(f"this Python lacks {', '.join(missing)}: make a virtual environment for the book, or run\n"
                           f"  {sys.executable} -m pip install {' '.join(map(repr, missing))}")  # fmt: skip
    if missing:
        _install(missing, kept)
    done = f"installed {', '.join(missing)}" if missing else "nothing was missing"
    if strange:
        return f"{done}; left as they are, outside the tested range: {', '.join(strange)}."
    return f"{done}; left as they are: {', '.join(kept).replace('==', ' ') or 'none'}." if missing else f"{done}."


def _requirements() -> ModuleType:
    """The module that reads requirements: its own package, or pip's copy where that is all there is."""
    try:
        return importlib.import_module("packaging.requirements")
    except ModuleNotFoundError:
        return importlib.import_module("pip._vendor.packaging.requirements")


def _install(missing: list[str], kept: list[str]) -> None:
    """Let pip install `missing` while `kept` stays, and tell the running kernel."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "kept.txt"
        constraints.write_text("\n".join(kept), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*command, "--constraint", str(constraints), *missing], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install {', '.join(missing)}:\n{done.stderr.strip()[-2000:]}")
    importlib.invalidate_caches()
