"""What the set-up cell installs, and what it leaves alone: in throw-away environments, from tiny packages."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lib.book import setup

ROOT = Path(__file__).parents[2]
CALL = ("import sys; sys.path.insert(0, {root!r}); from pathlib import Path; from lib.book.setup import ready; "
        "print(ready(Path({book!r})))")


def wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """A package that holds its version and asks for `needs`."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    meta = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}",
                      *(f"Requires-Dist: {need}" for need in needs)])
    files = {f"{name}.py": f"version = {version!r}", f"{info}/METADATA": meta + "\n",
             f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(each, text)
    return path


class Host:
    """An environment with packages of its own, and a registry that offers others."""

    def __init__(self, folder: Path, bare: Path) -> None:
        self.shop, self.book, self.venv = folder / "shop", folder / "book", folder / "venv"
        self.shop.mkdir()
        self.book.mkdir()
        shutil.copytree(bare, self.venv, symlinks=True)
        self.python = self.venv / "bin" / "python"
        self.environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.shop),
                            "PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": ""}

    def has(self, *packages: tuple[str, str]) -> None:
        install = [self.python, "-m", "pip", "install", "-q", "--no-deps"]
        wheels = [wheel(self.shop, *package) for package in packages]
        subprocess.run([*install, *wheels], check=True, env=self.environment)

    def needs(self, *requirements: str, serve: str = "") -> None:
        lines = ", ".join(f'"{requirement}"' for requirement in requirements)
        extra = f'[project.optional-dependencies]\nserve = ["{serve}"]\n' if serve else ""
        (self.book / "pyproject.toml").write_text(f"[project]\ndependencies = [{lines}]\n{extra}")

    def ready(self, patch: str = "", *extras: str) -> subprocess.CompletedProcess[str]:
        asked = CALL.replace("{book!r})", "{book!r}), *{extras!r}") if extras else CALL
        code = asked.format(root=str(ROOT), book=str(self.book), extras=extras)
        code = code.replace("; print", f"; {patch or 'pass'}; print")
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, env=self.environment)

    def version(self, name: str) -> str:
        code = f"import {name}; print({name}.version)"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip alone; it is copied, which is faster than making it anew."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def host(tmp_path: Path, bare: Path) -> Host:
    made = Host(tmp_path, bare)
    made.has(("torch", "2.9"), ("numpy", "1.0"), ("transformers", "5.0"))
    return made


def test_what_is_missing_or_too_old_is_installed_once_and_the_host_keeps_its_own(host: Host) -> None:
    host.has(("oldie", "0.1"))
    for package in (("oldie", "2.0"), ("gadget", "1.0", "numpy"), ("numpy", "3.0"), ("torch", "9.0")):
        wheel(host.shop, *package)
    host.needs("torch>=2.5", "numpy>=1.0", "transformers>=4.50", "oldie>=1.0", "gadget>=1.0")
    first = host.ready()
    assert first.stdout == ("installed oldie>=1.0, gadget>=1.0; left as they are: torch 2.9, numpy 1.0, "
                            "transformers 5.0.\n"), first.stderr
    assert [host.version(name) for name in ("oldie", "gadget", "numpy", "torch")] == ["2.0", "1.0", "1.0", "2.9"]
    assert host.ready().stdout == "nothing was missing.\n"


def test_a_chapter_gets_what_it_names_beside_the_rest(host: Host) -> None:
    wheel(host.shop, "server", "1.0")
    host.needs("numpy>=1.0", serve="server>=1.0")
    assert host.ready().stdout == "nothing was missing.\n"  # the control: others do without
    assert host.ready("", "serve").stdout.startswith("installed server>=1.0;")
    assert host.ready("", "serve").stdout == "nothing was missing.\n"
    assert "ValueError: extras must be among serve, got 'peers'" in host.ready("", "peers").stderr


@pytest.mark.parametrize("keeps", [True, False])
def test_a_host_outside_the_range_is_named_and_left(host: Host, keeps: bool) -> None:
    """There is a newer numpy; with nothing kept, the gadget brings it: the test can fail."""
    for package in (("gadget", "1.0", "numpy" if keeps else "numpy>=2"), ("numpy", "3.0")):
        wheel(host.shop, *package)
    host.needs("numpy>=2", "gadget>=1.0")
    done = host.ready("" if keeps else "import lib.book.setup; lib.book.setup.KEPT = ()")
    if keeps:
        assert done.stdout == ("installed gadget>=1.0; left as they are, outside the tested range: numpy 1.0 (the book "
                               "is tested with >=2).\n"), done.stderr
    assert (host.version("numpy") == "1.0") is keeps
    assert host.version("gadget") == "1.0"


def test_a_host_that_lacks_torch_gets_it(host: Host) -> None:
    subprocess.run([host.python, "-m", "pip", "uninstall", "-q", "-y", "torch"], check=True)
    wheel(host.shop, "torch", "9.0")
    host.needs("torch>=2.5")
    assert host.ready().stdout.startswith("installed torch>=2.5;")
    assert host.version("torch") == "9.0"


def test_a_package_that_nobody_has_is_an_error_and_the_next_try_goes_on(host: Host) -> None:
    host.needs("gadget>=1.0")
    failed = host.ready()
    assert failed.returncode == 1
    assert "RuntimeError: pip could not install gadget>=1.0:\n" in failed.stderr and "No matching" in failed.stderr
    wheel(host.shop, "gadget", "1.0")
    assert host.ready().stdout.startswith("installed gadget>=1.0;")


def test_the_systems_own_python_is_told_and_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["no-such-thing>=1"]\n')
    called: list[object] = []
    monkeypatch.setattr(setup, "_install", lambda *arguments: called.append(arguments))
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(tmp_path))
    with pytest.raises(RuntimeError, match="this Python lacks no-such-thing>=1: make a virtual environment"):
        setup.ready(tmp_path)
    assert called == []
    (tmp_path / "conda-meta").mkdir()  # conda's environments are made for this
    assert setup.ready(tmp_path).startswith("installed no-such-thing>=1") and len(called) == 1


@pytest.mark.parametrize("kind", ["colab", "google alone", "neither"])
def test_colab_is_known_by_its_module(tmp_path: Path, kind: str) -> None:
    if kind != "neither":
        (tmp_path / "google" / ("colab" if kind == "colab" else "other")).mkdir(parents=True)
    code = (f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]; "
            "import lib.book.setup as s; print(s.on_colab())")
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(kind == "colab")


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import lib.book.setup"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)
