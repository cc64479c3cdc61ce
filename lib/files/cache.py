"""Results that cost time, kept in files that are never half-written, named by what they depend on."""
from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filelock import FileLock
from numpy.typing import NDArray

from lib.files.atomic import write_atomically

Json = dict[str, Any]
"""What JSON gives back as it took it: text keys; text, numbers, truth values, None, lists and such dictionaries."""


def cache_folder() -> Path:
    """Where this user's downloads and measurements lie; `PROJECT_AND_REGULARIZE_CACHE` names another place."""
    named = os.environ.get("PROJECT_AND_REGULARIZE_CACHE")
    return Path(named or platformdirs.user_cache_path("project-and-regularize", appauthor=False))


def digest(content: Json) -> str:
    """The name of `content`: the first 16 hexadecimal digits of the SHA-256 of its JSON with sorted keys.

    Raises:
        ValueError: JSON cannot hold `content` and give it back.
    """
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{content} must hold only what JSON can: {error}") from None
    if json.loads(text) != content:
        raise ValueError(f"{content} must come back from JSON as it was: lists, not tuples; text keys")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cached(folder: Path, key: Json, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays that `compute()` returns, computed once and shared by every process that asks for the same `key`.

    It is for what many runs share and no seed changes, such as the frozen features of a data set: without it each
    worker of a sweep computes them again. Where they cannot be kept, a line says so, and they are returned.

    Args:
        folder: where they lie, one `.npz` a key. Its checksums are verified; a damaged file is computed anew.
        key: everything the arrays depend on: hashes of model and data, settings.
        compute: returns arrays by name.

    Raises:
        ValueError: `key` is not JSON, or an array holds Python objects.
    """
    path = Path(folder) / f"{digest(key)}.npz"
    if stored := _stored(path):  # who may read need not be allowed to write, not even a lock
        return stored
    with ExitStack() as held:
        try:
            held.enter_context(locked(path))
        except OSError as error:
            print(f"{error}; nothing is kept, and the next run computes it again")
            return _arrays(compute)
        if stored := _stored(path):  # another process made it in the meantime
            return stored
        made: dict[str, Any] = _arrays(compute)
        try:
            write_atomically(path, lambda file: np.savez(file, **made))
        except OSError as error:
            print(f"{error}; nothing is kept, and the next run computes it again")
        return made


def _stored(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in a file; none where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error):
        return {}


def _arrays(compute: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """What `compute` gives, if a file can hold it."""
    made: dict[str, Any] = {name: np.asarray(array) for name, array in compute().items()}
    for name, array in made.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name} must hold numbers or text, got dtype {array.dtype}")
    return made


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing `path`, by a lock file beside it; makes its folder.

    Raises:
        OSError: the folder cannot be written to, or another user holds the lock file.
    """
    lock = FileLock(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise OSError(f"could not lock {path} ({error.strerror or error}): {path.parent} must be a folder that this "
                      "user can write to") from error
    try:
        yield
    finally:
        lock.release()
