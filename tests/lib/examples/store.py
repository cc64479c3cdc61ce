"""Examples of `lib.evidence.store`; see `tests/lib/test_examples.py`."""

# %% read_runs
from pathlib import Path

from lib.evidence.store import read_runs

assert read_runs(Path("none.json")) == {"provenance": {}, "runs": {}}

# %% save_run
from pathlib import Path

from lib.evidence.store import commit, place, read_runs, save_run

save_run(Path("runs.json"), "k", {"result": {"accuracy": 0.8}}, place() | commit(Path()))
run = read_runs(Path("runs.json"))["runs"]["k"]
assert run["result"] == {"accuracy": 0.8} and run["provenance"]

# %% place
from lib.evidence.store import place

here = place()
assert here["device"].startswith(("cpu", "cuda")) and here["threads"] >= 1
assert "numpy" in here["versions"]

# %% commit
from pathlib import Path

from lib.evidence.store import commit

code = commit(Path())
assert set(code) == {"commit", "dirty"}
assert code["commit"] == "unknown" or len(code["commit"]) == 40
