"""The book's cache: folders that are filled once, checked whenever they are read, and filled anew where damaged."""
from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from lib.files.atomic import whole_folder
from lib.files.cache import cache_folder

T = TypeVar("T")


def kept(name: str, fill: Callable[[Path], object], read: Callable[[Path], T], *, cache: Path | None = None) -> T:
    """What `read` makes of the folder `name` in the book's cache, which `fill` fills the first time.

    Several processes may ask at once: one fills, the others wait and read. Where the cache cannot be written to, the
    content is used all the same, and a line says that nothing was kept.

    Args:
        name: of the folder; with a hash of its content in it, another version gets another folder.
        fill: writes the files into the new folder that it is given.
        read: returns the content; raises an error where the folder is not what it should be.
        cache: where the folders lie; by default the environment's `PROJECT_AND_REGULARIZE_CACHE`, else the user's.

    Raises:
        OSError: the disk is full.
    """
    home = cache or cache_folder()
    folder = home / name
    if folder.exists():
        with suppress(Exception):  # the one that holds the lock looks again
            return read(folder)
    lock = FileLock(home / f"{name}.lock")
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        print(f"{home} cannot be written to ({error.strerror}): {name} is made again each time; name another place in "
              "PROJECT_AND_REGULARIZE_CACHE")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            fill(Path(place))
            return read(Path(place))
    try:
        if folder.exists():
            try:
                return read(folder)  # another process filled it in the meantime
            except Exception:  # what a damaged file makes of its reader is anybody's guess
                print(f"{folder} is damaged: making it again")
        for rest in home.glob(f"{name}-*.partial"):  # of a process that was killed: nobody else has the lock
            shutil.rmtree(rest, ignore_errors=True)
        with whole_folder(folder) as scratch:
            fill(scratch)
        return read(folder)
    finally:
        lock.release()
