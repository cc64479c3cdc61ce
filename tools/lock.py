"""One at a time in a folder: whoever comes second says so and waits.

The lock is the kernel's, so it ends with the process that holds it, however that ends. A child that gets the lock's
descriptor holds it too: what a killed build left running keeps the next build waiting, not failing.

As a command: `python tools/lock.py FILE WORDS COMMAND ...` runs the command alone.
"""
from __future__ import annotations

import fcntl
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TextIO, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")
_HELD: list[int] = []
HALVES = ("_build/cache/*.partial*", "results/.*.partial", "results/evidence/.*.partial", "chapters/.*.partial")


def held() -> tuple[int, ...]:
    """The descriptors of the locks that this process holds, for the `pass_fds` of its children."""
    return tuple(_HELD)


def take(path: Path, words: str) -> TextIO:
    """Wait until nobody else holds `path`, saying `words` where that is not at once; to close the file is to let go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"  {words}", flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


@contextmanager
def alone(path: Path, words: str) -> Iterator[None]:
    """Hold the lock `path`; `words` are said by who has to wait for it."""
    with take(path, words) as file:
        _HELD.append(file.fileno())
        try:
            yield
        finally:
            _HELD.remove(file.fileno())


def one_build(work: Callable[Concatenate[Path, Given], Made]) -> Callable[Concatenate[Path, Given], Made]:
    """Let `work`, which begins with the repository's folder, be the only build there; a killed one's halves go."""
    @functools.wraps(work)
    def guarded(root: Path, *given: Given.args, **named: Given.kwargs) -> Made:
        with alone(root / "_build" / "build.lock", "another build is running in this folder; waiting for it"):
            for half in (path for pattern in HALVES for path in root.glob(pattern)):
                half.unlink(missing_ok=True)
            return work(root, *given, **named)

    return guarded


if __name__ == "__main__":
    lock = take(Path(sys.argv[1]), sys.argv[2])
    os.set_inheritable(lock.fileno(), True)
    os.execvp(sys.argv[3], sys.argv[3:])
