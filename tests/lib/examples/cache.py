"""Examples of `lib.files.cache`; see `tests/lib/test_examples.py`."""

# %% digest
from lib.files.cache import digest

assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
assert len(digest({})) == 16

# %% cached
from pathlib import Path

import numpy as np

from lib.files.cache import cached

first = cached(Path("cache"), {"model": "m", "seed": 0}, lambda: {"x": np.random.rand(3)})
again = cached(Path("cache"), {"model": "m", "seed": 0}, lambda: {"x": np.random.rand(3)})
assert (first["x"] == again["x"]).all()  # read, not drawn again

# %% cache_folder
import os

from lib.files.cache import cache_folder

os.environ["PROJECT_AND_REGULARIZE_CACHE"] = "here"
name = cache_folder().name
del os.environ["PROJECT_AND_REGULARIZE_CACHE"]
assert name == "here"

# %% locked
from pathlib import Path

from lib.files.cache import locked

with locked(Path("shared/numbers.json")):
    found = Path("shared/numbers.json.lock").exists()
assert found
