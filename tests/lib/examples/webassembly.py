"""Examples of `lib.tasks.webassembly`; see `tests/lib/test_examples.py`."""

# %% webassembly
import contextlib
from pathlib import Path

from lib.tasks.webassembly import webassembly

line = ["--permission"]
with contextlib.suppress(RuntimeError):  # no Node, or no Pyodide
    line = webassembly(Path("program.py").absolute(), 256)
assert "--permission" in line
