"""Files and folders that are never half-written: a kill or a full disk leaves the old content or the new."""
from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it: a kill leaves the old file or the new one.

    Args:
        path: the file; its folder is made.
        write: puts the whole content into the open file that it is given.

    Raises:
        OSError: the disk is full, its folder cannot be written to, or `path` is a folder.
    """
    partial = _beside(path)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            with suppress(OSError):
                partial.unlink()


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` at the end; where filling fails, the old one stays.

    Between the two renames there is a moment with neither.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    scratch, before = _beside(folder), _beside(folder)
    with _told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.mkdir()
            yield scratch
            if folder.exists():
                os.replace(folder, before)
            os.replace(scratch, folder)
        except BaseException:
            if before.exists():
                os.replace(before, folder)
            raise
        finally:
            for rest in (scratch, before):
                shutil.rmtree(rest, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A name that nobody else uses, in the same folder: a rename across file systems would not be atomic."""
    return path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}.partial")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a sentence that names what could not be written."""
    try:
        yield
    except OSError as error:
        raise OSError(f"could not write {path} ({error.strerror or error}): what it held before is unchanged; "
                      "make room or name another place") from error
