"""The book's cache: folders that are filled once, checked whenever they are read, and filled anew where damaged."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from lib.files.atomic import whole_folder
from lib.files.cache import cache_folder

T = TypeVar("T")
_MADE: dict[Path, tempfile.TemporaryDirectory[str]] = {}  # what no cache could keep, for as long as this process lives


def kept(name: str, fill: Callable[[Path], object], read: Callable[[Path], T], *, cache: Path | None = None) -> T:
    """What `read` makes of the folder `name` in the book's cache, which `fill` fills the first time.

    Several processes may ask at once: one fills, the others wait and read. Where the cache cannot be written to, the
    content is used all the same, in a folder that goes with the process, and a line says that nothing was kept.

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
    if os.path.exists(folder):  # false, and no error, where a folder around it is another user's alone
        with suppress(Exception):  # the one that holds the lock looks again
            return read(folder)
    lock = FileLock(home / f"{name}.lock")
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        print(f"{home} cannot be written to ({error.strerror}): {name} is made again in each process; "
              "name another place in PROJECT_AND_REGULARIZE_CACHE")
        if folder not in _MADE:
            place = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            fill(Path(place.name))
            _MADE[folder] = place
        return read(Path(_MADE[folder].name))
    try:
        if folder.exists():
            try:
                return read(folder)  # another process filled it in the meantime
            except Exception:  # what a damaged file makes of its reader is anybody's guess
                print(f"{folder} is damaged: making it again")
        with whole_folder(folder) as scratch:
            fill(scratch)
        return read(folder)
    finally:
        lock.release()
