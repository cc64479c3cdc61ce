"""Files where something is in the way: a full disk, a kill, a mount point, a link, another user, a strict umask.

Full disks and mount points are real ones: small file systems in memory, mounted for a test.
"""
from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.evidence.store import save_run
from lib.files.atomic import whole_folder, write_atomically
from lib.files.cache import cached
from lib.files.folders import kept
from lib.models import Classifier, Encoder, load, save
from lib.run.checkpoint import load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[2]
NOBODY = 65534
WRITERS: dict[str, Callable[[Path, Classifier], object]] = {
    "write_atomically": lambda path, model: write_atomically(path, lambda file: file.write(bytes(2 << 20))),
    "checkpoint": lambda path, model: save_checkpoint(path, {"run": {}, "w": torch.zeros(1 << 19)}),
    "save_run": lambda path, model: save_run(path, "k", {"question": "q" * (2 << 20)}, {}),
    "save": lambda path, model: save(model, path),
}


@pytest.fixture
def model(toy_encoder: Encoder) -> Classifier:
    return Classifier(toy_encoder, ["bad", "good"])


@pytest.fixture
def big(model: Classifier) -> Classifier:
    """A classifier of more than a megabyte."""
    model.encoder.resize_token_embeddings(20_000)
    return model


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix != ".lock")


# Full


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_nothing_half_written_stays(name: str, small: Path, big: Classifier) -> None:
    with pytest.raises(OSError, match=r"^could not write .*/disk/new \(No space left on device\): what it held before "
                                      "is unchanged; the disk is full: make room or name another place$"):
        WRITERS[name](small / "new", big)
    assert everything(small) == []


def test_without_the_chain_of_causes_torch_would_say_something_else(small: Path) -> None:
    """The control of the test above for checkpoints: torch's own words do not tell."""
    with pytest.raises(RuntimeError, match="unexpected pos"), (small / "c.pt").open("wb") as file:
        torch.save(torch.zeros(1 << 19), file)


def test_a_full_disk_keeps_what_was_there(small: Path, model: Classifier) -> None:
    save(model, small / "model")
    save_checkpoint(small / "c.pt", {"run": {}, "w": torch.zeros(9)})
    before = everything(small)
    (small / "ballast").write_bytes(bytes(os.statvfs(small).f_bavail * os.statvfs(small).f_bsize))
    with pytest.raises(OSError, match="the disk is full"):
        save(Classifier(Encoder(model.encoder, model.tokenizer, "", ""), ["no", "yes"]), small / "model")
    with pytest.raises(OSError, match="the disk is full"):
        save_checkpoint(small / "c.pt", {"run": {}, "w": torch.zeros(1 << 15)})
    (small / "ballast").unlink()
    assert everything(small) == before
    assert load(small / "model").labels == ["bad", "good"] and len(load_checkpoint(small / "c.pt", {})["w"]) == 9


def test_a_limit_on_the_size_of_files_is_named(tmp_path: Path) -> None:
    code = """import resource; from pathlib import Path; from lib.files.atomic import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_atomically(Path("a"), lambda file: file.write(bytes(2000)))"""
    done = python(code, tmp_path)
    assert "could not write a (File too large): " in done.stderr and "a limit on the size of files" in done.stderr
    assert everything(tmp_path) == []


def test_what_a_cache_cannot_keep_for_want_of_room_is_given_all_the_same(
        small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = cached(small, {"k": 1}, lambda: {"x": np.zeros(1 << 18)})
    assert found["x"].shape == (1 << 18,) and everything(small) == []
    assert "the disk is full: make room or name another place; nothing is kept" in capsys.readouterr().out


# Killed


def python(code: str, folder: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, **settings)


KILLED = {
    "file": """write_atomically(Path("a"), lambda file: (file.write(b"half"), file.flush(), print("now", flush=True),
                                                         time.sleep(60)))""",
    "folder": """
with whole_folder(Path("a")) as scratch:
    (scratch / "b").write_text("half")
    print("now", flush=True)
    time.sleep(60)""",
    "between the renames": """
real = os.replace
def slow(old, new):
    if str(new).endswith("/a"):
        print("now", flush=True)
        time.sleep(60)
    real(old, new)
os.replace = slow
with whole_folder(Path("a")) as scratch:
    (scratch / "b").write_text("new")""",
}


@pytest.mark.parametrize("where", KILLED)
def test_the_next_writer_clears_what_a_killed_one_left_and_only_that(where: str, tmp_path: Path) -> None:
    def write(text: str) -> None:
        if where == "file":
            write_atomically(tmp_path / "a", lambda file: file.write(text.encode()))
        else:
            with whole_folder(tmp_path / "a") as scratch:
                (scratch / "b").write_text(text)

    def read() -> str:
        return (tmp_path / "a" if where == "file" else tmp_path / "a" / "b").read_text()

    write("old")
    code = "import os, time; from pathlib import Path; from lib.files.atomic import *; import lib.files.atomic\n"
    victim = subprocess.Popen([sys.executable, "-c", code + KILLED[where]], cwd=tmp_path, stdout=subprocess.PIPE,
                              text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert victim.stdout is not None and victim.stdout.readline() == "now\n"
    if where != "between the renames":
        write("another")
        assert len([*tmp_path.iterdir()]) == 2 and read() == "another"  # that of the living one stays
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert len([*tmp_path.iterdir()]) == 2
    if where == "between the renames":
        assert not (tmp_path / "a").exists()
        with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "a"):
            raise ZeroDivisionError  # a writer that fails as well: the old one is back
        assert read() == "old"
    write("new")
    assert read() == "new" and [path.name for path in tmp_path.iterdir()] == ["a"]


# In the way


def test_a_mount_point_is_named(small: Path, model: Classifier, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=rf"^could not write {small}, which is a mount point and cannot be replaced as a "
                                      rf"whole: name a folder in it, such as {small}/model$"):
        save(model, small)
    save(model, small / "model")  # the remedy
    (tmp_path / "file").touch()
    (tmp_path / "source").touch()
    subprocess.run(["mount", "--bind", tmp_path / "source", tmp_path / "file"], check=True)
    try:
        with pytest.raises(OSError, match=r"could not write .*/file \(Device or resource busy\): .*it is a mount poi"):
            write_atomically(tmp_path / "file", lambda file: file.write(b"a"))
    finally:
        subprocess.run(["umount", tmp_path / "file"], check=True)
    assert not [*tmp_path.glob("*.partial")]


def test_the_current_folder_is_named(model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deep")
    for folder in (".", "..", tmp_path / "here"):
        with pytest.raises((OSError, ValueError), match=r"^could not write /.*here\S*, which is the current folder and "
                                                        "cannot|^folder must be new, empty or"):
            save(model, folder)
    save(model, "../model")
    monkeypatch.chdir(tmp_path / "here" / "model")
    with pytest.raises(OSError, match="the current folder"):
        save(model, ".")
    assert load(".").labels == ["bad", "good"]


def test_a_current_folder_that_was_deleted_is_no_obstacle_to_another(model: Classifier, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    save(model, tmp_path / "model")
    with pytest.raises(OSError, match=r"could not write model \(No such file or directory\)"):
        save(model, "model")


def test_a_link_is_followed_and_stays(model: Classifier, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "model").symlink_to("far/model")
    (tmp_path / "c.pt").symlink_to("far/c.pt")
    for _ in range(2):
        save(model, tmp_path / "model")
        save_checkpoint(tmp_path / "c.pt", {"run": {}})
    assert (tmp_path / "model").is_symlink() and (tmp_path / "c.pt").is_symlink()
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == ["c.pt", "model"]
    assert load(tmp_path / "far" / "model").labels == ["bad", "good"]


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(OSError, match=rf"could not write {path} \(Operation not supported\)"):
            write_atomically(path, lambda file: file.write(b"a"))
    assert Path(os.devnull).is_char_device()


# Other users


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user may look into, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


def as_nobody(code: str, folder: Path, warm: str = "") -> subprocess.CompletedProcess[str]:
    """Run as a user who owns nothing; `warm` runs before, for what is imported late from where only root reads."""
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    return python(f"""import os, sys; from pathlib import Path
import torch, numpy as np
from lib.evidence.store import save_run
from lib.files.atomic import write_atomically; from lib.files.cache import cached; from lib.files.folders import kept
from lib.models import load, save
from lib.run.checkpoint import save_checkpoint
from lib.run.precision import _remembered
{warm}
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
{code}""", folder)


def test_modes_of_all_that_is_saved_are_what_the_umask_leaves(model: Classifier, tmp_path: Path) -> None:
    for mask in (0o022, 0o077, 0o002):
        before, place = os.umask(mask), tmp_path / oct(mask)
        try:
            save(model, place / "model")
            save_checkpoint(place / "c.pt", {"run": {}})
            cached(place / "cache", {"k": 1}, lambda: {"x": np.zeros(3)})
            kept("a", lambda folder: (folder / "b").touch(0o600), lambda folder: folder, cache=place / "kept")
            save_run(place / "store.json", "k", {"question": "q"}, {})
        finally:
            os.umask(before)
        for path in (place, *place.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~mask, (path, oct(mask))
        assert len([*place.rglob("*")]) > 12


def test_a_second_user_reads_what_a_first_one_kept(model: Classifier, open_place: Path) -> None:
    home = open_place / "shared"
    before = os.umask(0o022)
    try:
        cached(home, {"k": 1}, lambda: {"x": np.arange(3.0)})
        kept("a", lambda folder: (folder / "b").write_text("b"), lambda folder: folder, cache=home)
        save(model, home / "model")
        (home / "precision.json").write_text('{"k": 1.5}')
    finally:
        os.umask(before)
    done = as_nobody(f"""os.environ["PROJECT_AND_REGULARIZE_CACHE"] = {str(home)!r}
home = Path({str(home)!r})
assert list(cached(home, {{"k": 1}}, lambda: sys.exit("computed anew"))["x"]) == [0, 1, 2]
assert kept("a", lambda _: sys.exit("filled anew"), lambda folder: (folder / "b").read_text(), cache=home) == "b"
assert load(home / "model").labels == ["bad", "good"]
assert _remembered("k", torch.device("cpu")) == 1.5""", open_place,
                     f"load({str(home / 'model')!r}); cached(Path({str(home)!r}), {{'k': 1}}, dict)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_second_user_works_where_nothing_can_be_kept(open_place: Path) -> None:
    home = open_place / "shared"
    home.mkdir(0o755)
    (home / "closed").mkdir(0o700)
    code = f"""
for home in (Path({str(home)!r}), Path({str(home)!r}) / "closed", Path({str(home)!r}) / "closed" / "deep"):
    assert list(cached(home, {{"k": 1}}, lambda: {{"x": np.arange(3.0)}})["x"]) == [0, 1, 2]
    for _ in range(2):
        folder = kept("a", lambda folder: (folder / "b").write_text("b"), lambda folder: folder, cache=home)
        assert (folder / "b").read_text() == "b"  # it outlives the call"""
    done = as_nobody(code, open_place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("must be a folder that this user can write to; nothing is kept") == 3
    assert done.stdout.count("cannot be written to (Permission denied): a is made again") == 6


@pytest.mark.parametrize("name", ["write_atomically", "checkpoint", "save_run", "save"])
def test_a_user_who_may_not_write_is_told_where(name: str, open_place: Path, model: Classifier) -> None:
    save(model, open_place / "ready")
    (open_place / "locked").mkdir(0o755)
    call = {"write_atomically": "write_atomically(path, lambda file: 1)",
            "checkpoint": 'save_checkpoint(path, {"run": {}})',
            "save_run": 'save_run(path, "k", {"question": "q"}, {})',
            "save": f'save(load({str(open_place / "ready")!r}), path)'}[name]
    done = as_nobody(f"""
path = Path({str(open_place / "locked" / "new")!r})
try:
    {call}
except OSError as error:
    print(error)""", open_place, f"""save(load({str(open_place / "ready")!r}), {str(open_place / "warm")!r})
try:
    {call.replace("path", 'Path("/dev/null/new")')}
except OSError:
    pass""")
    assert done.stderr == "" and f"{open_place}/locked must be a folder that" in done.stdout
    assert "(Permission denied)" in done.stdout and everything(open_place / "locked") == []


def test_two_who_save_into_one_folder_at_once_both_succeed(tmp_path: Path) -> None:
    code = f"""import sys; from pathlib import Path; from lib.files.atomic import whole_folder
for i in range(200):
    with whole_folder(Path({str(tmp_path / "a")!r})) as scratch:
        (scratch / "b").write_text("whole")"""
    both = [subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
                             stderr=subprocess.PIPE, text=True) for _ in range(2)]
    while any(each.poll() is None for each in both):
        time.sleep(0.05)
    assert [each.communicate()[1] for each in both] == ["", ""]
    assert everything(tmp_path) == ["a", "a/b"]


def test_words_of_the_system_are_kept_for_what_has_no_remedy_of_its_own(tmp_path: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"could not write .*/a \(Input/output error\)"):
        write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert everything(tmp_path) == []
