"""Examples of `lib.tasks.webassembly`; see `tests/lib/test_examples.py`."""

# %% webassembly
import contextlib
import tempfile
from pathlib import Path

from lib.tasks.webassembly import webassembly

with tempfile.TemporaryDirectory() as place, contextlib.suppress(RuntimeError):  # no Node, or no Pyodide
    program = Path(place, "program.py")
    program.write_text("print('hello')")
    assert "--permission" in webassembly(program, 256)
