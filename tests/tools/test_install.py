"""What is pinned, what is ranged, and that `tools` never loads torch."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]


def test_every_dependency_is_pinned_but_for_what_torch_brings() -> None:
    for line in PINS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", line), f"{line} is no plain pin"
        assert not re.match(r"(nvidia|cuda|triton)", line)
    assert any(line.startswith("torch==") for line in PINS)


def test_the_pins_lie_inside_the_ranges() -> None:
    pins = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in PINS}
    extras = [line for group in PROJECT["optional-dependencies"].values() for line in group]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras]):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_a_wheel_holds_every_room_and_nothing_else(tmp_path: Path) -> None:
    """Installed from a copy of what git holds, and read in an empty folder, where the checkout is out of reach."""
    listed = subprocess.run(["git", "ls-files", "-z", "lib", "pyproject.toml", "README.md", "LICENSE"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    for name in listed:
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "copy" / name)
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target",
                    str(site), str(tmp_path / "copy")], check=True)
    found = {str(path.relative_to(site)) for path in site.rglob("*")
             if path.is_file() and path.suffix != ".pyc" and ".dist-info" not in str(path)}
    assert found == {name for name in listed if name.startswith("lib/")}
    code = "import lib.book.record, lib.evidence.sweeps, lib.serve.write as last; print(last.__file__)"
    told = subprocess.run([sys.executable, "-P", "-c", code], cwd=empty, env={**os.environ, "PYTHONPATH": str(site)},
                          capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(site / "lib" / "serve" / "write.py")


def test_tools_never_import_torch() -> None:
    modules = [f"tools.{path.stem}" for path in (ROOT / "tools").glob("*.py") if path.stem != "__init__"]
    code = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_help_lists_every_target() -> None:
    """Read beside .PHONY, which make itself needs."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make (\w+) +\w", listed, re.MULTILINE) == phony[1].split()


def test_the_oldest_versions_are_those_of_the_ranges() -> None:
    """What `make oldest` hands to pip, read out of the shell's own command."""
    told = subprocess.run(["make", "--dry-run", "oldest"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    script = re.search(r"sed -n '/[^']*' pyproject\.toml", told)
    assert script
    found = subprocess.run(script[0], shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found.split() == [requirement.replace(">=", "==") for requirement in PROJECT["dependencies"]]
    assert all(">=" in requirement for requirement in PROJECT["dependencies"])
