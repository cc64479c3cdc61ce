"""Examples of `lib.run.machine`; see `tests/lib/test_examples.py`."""

# %% processor
from lib.run.machine import processor

assert processor()
