"""Examples of `lib.tasks.sandbox`; see `tests/lib/test_examples.py`."""

# %% Outcome
from lib.tasks.sandbox import Outcome

outcome = Outcome(finished=False, said="NameError: name 'x' is not defined")
assert not outcome.finished

# %% run_safely
from lib.tasks.sandbox import run_safely

outcome = run_safely("open('/etc/passwd')")  # not there, or not run at all
assert not outcome.finished

# %% namespaces
import contextlib

from lib.tasks.sandbox import namespaces

finished = False
with contextlib.suppress(RuntimeError):  # this system has none
    finished = namespaces("open('/etc/passwd')", 5, 256).finished
assert not finished

# %% in_webassembly
import contextlib

from lib.tasks.sandbox import in_webassembly

finished = False
with contextlib.suppress(RuntimeError):  # no Node, or no Pyodide
    finished = in_webassembly("open('/etc/passwd')", 5, 256).finished
assert not finished

# %% require_sandbox
import contextlib

from lib.tasks.sandbox import require_sandbox, run_safely

closed = True
with contextlib.suppress(RuntimeError):  # its message says what is missing
    closed = require_sandbox() is not None
assert run_safely("print('hello')").finished != closed
