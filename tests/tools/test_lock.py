"""Commands side by side in one folder, commands that are killed, and folders with a name that a shell takes apart."""
from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.tools.tiny_book import Book
from tools import lock
from tools.frontend import whole
from tools.notebooks import ROOT

WAITS = "waiting for it"
BUILD = """import signal
from pathlib import Path
from tools.book import run
from tools.execute import Settings
from tools.notebooks import command
signal.signal(signal.SIGINT, signal.default_int_handler)
command(lambda: run(Path({!r}), Settings(), site=False))"""
PYTHON = """#!/bin/sh
# stands for Python: it works, makes an environment that is a copy of itself, and its pip takes a second
case "$*" in
  -c*) ;;
  --version) echo "Python 3.11" ;;
  "-m venv"*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo venv >> log ;;
  "-m pip install --requirement"*) echo begins >> log; sleep 1; test -e broken && exit 1; echo ends >> log ;;
  tools/*) exec {} "$@" ;;
esac
"""


def start(code: str) -> subprocess.Popen[str]:
    """Run Python code beside the test."""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def until(ready: Path, *running: subprocess.Popen[str]) -> None:
    """Wait for a file that a running process writes."""
    end = time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < end and all(process.poll() is None for process in running)
        time.sleep(0.05)


def test_the_second_of_two_builds_waits_says_so_and_finds_the_runs_of_the_first(book: Book) -> None:
    begun, go = book.root / "begun", book.root / "go"
    book.chapter("01-a", f"import pathlib, time; open({str(begun)!r}, 'a').write('.')\n"
                 f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.1)",
                 "run.record('a', 0.8, at_least=0.5)")
    first = start(BUILD.format(str(book.root)))
    until(begun, first)
    second = start(BUILD.format(str(book.root)))
    assert second.stdout and WAITS in second.stdout.readline()
    go.touch()
    told = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), told
    assert begun.read_text() == "." and "its results are reused" in told[1] and WAITS not in told[0]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stopped_build_leaves_nothing_half_done_and_the_next_one_is_right(book: Book, how: signal.Signals) -> None:
    begun = book.root / "begun"
    book.chapter("01-a", f"import pathlib, time; begun = pathlib.Path({str(begun)!r}); again = begun.exists(); "
                 "begun.touch(); time.sleep(0 if again else 600)",
                 "run.record('a', 0.8, at_least=0.5)")
    first = start(BUILD.format(str(book.root)))
    until(begun, first)
    family = psutil.Process(first.pid).children(recursive=True)
    assert len(family) >= 2, "papermill and its kernel"
    first.send_signal(how)
    told, _ = first.communicate(timeout=60)
    assert "Traceback" not in told
    assert first.returncode == -how if how in (signal.SIGINT, signal.SIGKILL) else 128 + how
    assert ("stopped; what was finished is kept" in told) == (how == signal.SIGINT)
    assert psutil.wait_procs(family, timeout=20)[1] == []
    if how != signal.SIGKILL:  # which nobody hears: the next build cleans up
        assert list(book.root.rglob("*.partial*")) == []
    second = start(BUILD.format(str(book.root)))
    told, _ = second.communicate(timeout=120)
    assert second.returncode == 0 and list(book.root.rglob("*.partial*")) == [], told


def test_a_lock_ends_with_its_holder_or_with_the_child_that_got_it(tmp_path: Path) -> None:
    path, log = tmp_path / "deep" / "a.lock", tmp_path / "log"
    child = f"import time; log = open({str(log)!r}, 'a', 1); print(1, file=log); time.sleep(3); print(2, file=log)"
    begin = ("import subprocess, sys\nfrom pathlib import Path\nfrom tools import lock\n"
             f"with lock.alone(Path({str(path)!r}),")
    holder = start(f"{begin} ''): subprocess.run([sys.executable, '-c', {child!r}], pass_fds=lock.held())")
    until(log, holder)
    holder.kill()
    holder.wait()
    told, _ = start(f"{begin} 'waits'): print(Path({str(log)!r}).read_text())").communicate(timeout=60)
    assert told.split() == ["waits", "1", "2"]
    assert lock.held() == ()


EMPTY = {"name": "empty", "version": "1.0.0", "lockfileVersion": 3, "requires": True}


def manifest(folder: Path) -> Path:
    """What npm installs nothing from, so that it needs no network."""
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "empty", "version": "1.0.0"}')
    (folder / "package-lock.json").write_text(json.dumps(EMPTY | {"packages": {"": {"name": "empty"}}}))
    return folder


def test_two_first_installs_from_npm_both_succeed_and_a_half_one_is_made_whole(tmp_path: Path) -> None:
    source, into = manifest(tmp_path / "source"), tmp_path / "node"
    code = ("from pathlib import Path; from tools.frontend import install; "
            f"install(Path({str(source)!r}), Path({str(into)!r}))")
    with lock.alone(into / "node.lock", ""):
        (into / "0.partial").mkdir()
        both = [start(code), start(code)]
        time.sleep(2)
        assert [process.poll() for process in both] == [None, None]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert all(WAITS in words for words in told)
    target, = (path for path in into.iterdir() if path.is_dir())
    assert whole(target)
    (target / "package.json").unlink()  # as an install that was cut off, under its final name
    assert not whole(target) and start(code).wait(timeout=120) == 0 and whole(target)


def test_a_package_that_is_missing_is_seen_and_one_for_another_system_is_not_missed(tmp_path: Path) -> None:
    target = manifest(tmp_path / "target")
    packages = {"": {}, "node_modules/a": {}, "node_modules/b": {"optional": True}}
    (target / "package-lock.json").write_text(json.dumps(EMPTY | {"packages": packages}))
    assert not whole(target)
    (target / "node_modules" / "a").mkdir(parents=True)
    (target / "node_modules" / "a" / "package.json").touch()
    assert whole(target)


def makes(folder: Path) -> Path:
    """A folder with the Makefile and a stand-in for Python."""
    (folder / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "tools" / "lock.py", folder / "tools")
    for name in ("requirements.txt", "pyproject.toml"):
        (folder / name).touch()
    (folder / "python").write_text(PYTHON.format(sys.executable))
    (folder / "python").chmod(0o755 | stat.S_IXUSR)
    return folder


def make(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.Popen(["make", "lint", "PYTHON=./python", *words], cwd=folder, text=True, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_two_first_makes_install_once_in_a_folder_with_a_space_and_chinese_letters(tmp_path: Path) -> None:
    folder = makes(tmp_path / "a b 书")
    (folder / "broken").touch()
    failed = make(folder)
    assert failed.wait(timeout=60) != 0, "negative control: pip fails"
    (folder / "broken").unlink()
    (folder / "log").unlink()
    both = [make(folder), make(folder)]
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum(WAITS in words for words in told) == 1, told
    assert (folder / "log").read_text().split() == ["begins", "ends"], "the environment of the failed try was there"
    third = make(folder)
    assert third.wait(timeout=60) == 0 and (folder / "log").read_text().split() == ["begins", "ends"]
    shutil.rmtree(folder / ".venv")
    assert make(folder).wait(timeout=60) == 0
    assert (folder / "log").read_text().split() == ["begins", "ends", "venv", "begins", "ends"]


def test_an_environment_whose_path_has_a_space_is_refused_in_one_line(tmp_path: Path) -> None:
    told = make(makes(tmp_path / "a"), "VENV=/tmp/a b").communicate(timeout=60)[0]
    assert 'VENV must be a path without spaces, got "/tmp/a b"' in told and told.count("\n") == 1
