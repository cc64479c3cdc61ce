"""Examples of `lib.serve.write`; see `tests/lib/test_examples.py`."""

# %% main
from lib.serve.write import main

assert main(["--tokens", "5", "Name a fruit."]) == 0  # prints the answer as it is written
