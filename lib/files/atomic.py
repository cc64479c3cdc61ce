"""Files and folders that are never half-written: a kill or a full disk leaves the old content or the new."""
from __future__ import annotations

import errno
import fcntl
import glob
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_REMEDIES = {
    errno.ENOSPC: "the disk is full: make room or name another place",
    errno.EDQUOT: "the quota is used up: make room or name another place",
    errno.EFBIG: "a limit on the size of files is reached: raise it or name another place",
    errno.EROFS: "the disk is read-only: name another place",
    errno.EBUSY: "it is a mount point: name a place in it",
}


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it: a kill leaves the old file or the new one.

    The umask decides who may read it. Where `path` is a link, the file that it leads to is written. What an earlier
    process left behind when it was killed is removed.

    Args:
        path: the file; its folder is made.
        write: puts the whole content into the open file that it is given.

    Raises:
        OSError: the disk is full, its folder cannot be written to, or `path` is a folder or a device.
    """
    with _told(path):
        path = Path(os.path.realpath(path))
        if path.exists() and not path.is_file():
            number = errno.EISDIR if path.is_dir() else errno.ENOTSUP
            raise OSError(number, os.strerror(number))
        with _partial(path, _new_file) as (partial, descriptor):
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                write(file)
                file.flush()
                os.fsync(descriptor)
            os.replace(partial, path)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` at the end; where filling fails, the old one stays.

    The umask decides who may read its files, whatever wrote them. Where `folder` is a link, the folder that it leads to
    is replaced. Between the two renames there is a moment with neither; who is killed then leaves the old one beside,
    which the next call puts back.

    Raises:
        OSError: the disk is full, the folder around it cannot be written to, or `folder` is a file, a mount point or
            the current folder, which cannot be replaced.
    """
    with _told(folder):
        folder = Path(os.path.realpath(folder))
        _check_replaceable(folder)
        before = folder.with_name(f"{folder.name}-{uuid.uuid4().hex[:8]}.before")
        with _partial(folder, _new_folder) as (scratch, _):
            yield scratch
            _settle(scratch)
            with _locked(folder.parent):
                if folder.exists():
                    os.replace(folder, before)
                try:
                    os.replace(scratch, folder)
                except BaseException:
                    if before.exists():
                        os.replace(before, folder)
                    raise
            _remove(before)


def _check_replaceable(folder: Path) -> None:
    """Raise OSError for what no rename can move away."""
    if os.path.isfile(folder):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    why = "a mount point" if os.path.ismount(folder) else ""
    with suppress(FileNotFoundError):  # where the current folder was deleted
        why = why or "the current folder" * Path.cwd().is_relative_to(folder)
    if why:
        raise OSError(f"could not write {folder}, which is {why} and cannot be replaced as a whole: name a folder in "
                      f"it, such as {folder / 'model'}")


@contextmanager
def _partial(path: Path, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """Something new beside `path`, locked while its process lives, and gone at the end unless it was renamed.

    What processes that were killed left for `path` is removed: nobody has it locked.
    """
    new = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        for rest in path.parent.glob(f"{glob.escape(path.name)}-*.before"):
            if path.exists():
                _remove(rest)
            else:
                os.replace(rest, path)
        for rest in path.parent.glob(f"{glob.escape(path.name)}-*.partial"):
            with suppress(OSError), _locked(rest, wait=False):
                _remove(rest)
        descriptor = make(new)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield new, descriptor
    finally:
        _remove(new)
        os.close(descriptor)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the kernel's lock on a file or folder; BlockingIOError where somebody else does and we do not `wait`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _settle(folder: Path) -> None:
    """Put what is in the folder on the disk, with the rights that the umask gave the folder itself."""
    rights = folder.stat().st_mode & 0o777
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(rights if path.is_dir() else rights & 0o666)  # some writers make files for their user alone
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a sentence that names what could not be written, and what to do."""
    try:
        yield
    except Exception as error:
        if str(error).startswith("could not write "):  # a writer inside has told it
            raise
        number = _error_number(error)
        if number not in _REMEDIES and not isinstance(error, OSError):
            raise
        words = os.strerror(number) if number else str(error)
        remedy = _REMEDIES.get(number, f"{Path(path).parent} must be a folder that can be written to; make room or "
                                       "name another place")
        raise OSError(f"could not write {path} ({words}): what it held before is unchanged; {remedy}") from error


def _error_number(error: BaseException | None) -> int:
    """The system's number of an error, or of what it hides: torch raises another one, Rust writes it in the words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        if found := re.search(r"\(os error (\d+)\)", str(error)):
            return int(found[1])
        error = error.__context__
    return 0
