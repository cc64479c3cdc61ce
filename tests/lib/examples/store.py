"""Examples of `lib.store`; see `tests/lib/test_examples.py`."""

# %% digest
from lib.store import digest

assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
assert len(digest({})) == 16

# %% cached
from pathlib import Path

import numpy as np

from lib.store import cached

first = cached(Path("cache"), {"model": "m", "seed": 0}, lambda: {"x": np.random.rand(3)})
again = cached(Path("cache"), {"model": "m", "seed": 0}, lambda: {"x": np.random.rand(3)})
assert (first["x"] == again["x"]).all()  # read, not drawn again

# %% read_runs
from pathlib import Path

from lib.store import read_runs

assert read_runs(Path("none.json")) == {"provenance": {}, "runs": {}}

# %% save_run
from pathlib import Path

from lib.store import commit, place, read_runs, save_run

save_run(Path("runs.json"), "k", {"result": {"accuracy": 0.8}}, place() | commit(Path()))
run = read_runs(Path("runs.json"))["runs"]["k"]
assert run["result"] == {"accuracy": 0.8} and run["provenance"]

# %% place
from lib.store import place

here = place()
assert here["device"].startswith(("cpu", "cuda")) and here["threads"] >= 1
assert "numpy" in here["versions"]

# %% commit
from pathlib import Path

from lib.store import commit

code = commit(Path())
assert set(code) == {"commit", "dirty"}
assert code["commit"] == "unknown" or len(code["commit"]) == 40
