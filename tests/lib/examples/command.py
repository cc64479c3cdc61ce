"""Examples of `lib.run.command`; see `tests/lib/test_examples.py`."""

# %% command
from lib.run.command import command


def fail() -> None:
    raise ValueError("texts must be\nof one line")


assert command("python -m lib.serve.predict", lambda: print("good")) == 0
assert command("python -m lib.serve.predict", fail) == 2  # and the reason is one line on stderr

# %% lines
import io
import sys

from lib.run.command import lines

before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfgood film\r\nbad\n"), "utf-8")
texts, sys.stdin = lines(), before
assert texts == ["good film", "bad"]  # without the byte-order mark
