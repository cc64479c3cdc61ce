"""What makes the book out of its chapters. Notebooks are data here, and torch is never imported.

Whoever stops a command with Ctrl-C reads one line, also while its modules are being loaded.
"""
import sys
from types import TracebackType


def _stopped(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("\n  stopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _stopped
