"""Examples of `lib.run.progress`; see `tests/lib/test_examples.py`."""

# %% progress
from lib.run.progress import progress

assert sum(progress(range(4), label="add")) == 6
