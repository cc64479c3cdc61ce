"""A command line of ours: what stops it is one line and a status, and any terminal can show what it prints."""
from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

BAD, STOPPED, NO_READER = 2, 130, 141  # as shells have it: 128 and the number of the signal


def command(name: str, work: Callable[[], int | None]) -> int:
    """Do `work` and give the status to exit with: its own, or that of what stopped it.

    Characters that the terminal cannot show are printed as their numbers.

    Args:
        name: what the person typed, which begins the line on stderr.
        work: returns a status, or None for 0; raises a ValueError, a RuntimeError or the system's error for what the
            person can put right.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = work() or 0
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where an error still can be told
        return status
    except BrokenPipeError:  # who read our lines has gone
        _print_no_more()
        return NO_READER
    except KeyboardInterrupt:
        return _told(name, "stopped", STOPPED)
    except OSError as error:
        _print_no_more()  # the full disk may be where our lines go
        return _told(name, str(error), BAD)
    except (ValueError, RuntimeError, ImportError) as error:
        return _told(name, str(error), BAD)


def lines() -> list[str]:
    """The lines of stdin, by the ends that shells know; bytes that are no text stay recognizable, to be named."""
    if sys.stdin is None:  # closed
        return []
    content = sys.stdin.buffer.read()
    marked = content.startswith(codecs.BOM_UTF8)  # by some editors, and then it is UTF-8 whatever the terminal
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig" if marked else sys.stdin.encoding, "surrogateescape")
    return [line.rstrip("\r\n") for line in text]


def _told(name: str, words: str, status: int) -> int:
    """The status, said with its reason where somebody listens."""
    with suppress(OSError):
        print(f"{name}: error: {' '.join(words.split())}", file=sys.stderr, flush=True)
    return status


def _print_no_more() -> None:
    """Let what is still to be printed go nowhere: Python would fail again when it ends."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
