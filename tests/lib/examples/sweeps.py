"""Examples of `lib.evidence.sweeps`; see `tests/lib/test_examples.py`."""

# %% Row
from lib.evidence.sweeps import sweep

(row,) = sweep(lambda seed: {"twice": 2 * seed}, [{"seed": 3}], question="doubling")
assert row.spec == {"seed": 3} and row.result == {"twice": 6} and row.seconds >= 0

# %% product
from lib.evidence.sweeps import product

grid = product(arm=["none", "l2"], seed=range(2))
assert len(grid) == 4 and grid[1] == {"arm": "none", "seed": 1}

# %% sweep
from pathlib import Path

from lib.evidence.sweeps import product, sweep

grid, store = product(arm=["none", "l2"], seed=range(3)), Path("runs.json")
rows = sweep(lambda arm, seed: {"accuracy": 0.8 + 0.01 * seed}, grid, question="toy", store=store)
again = sweep(lambda arm, seed: {}, grid, question="toy", store=store, execute=False)  # read, not run
assert again == rows and len(rows) == 6

# %% per_seed
from lib.evidence.sweeps import per_seed, product, sweep
from lib.evidence.verdicts import paired_effect

grid = product(arm=["none", "l2"], seed=range(3))
rows = sweep(lambda arm, seed: {"accuracy": seed / 10 + (arm == "l2") / 5}, grid, question="toy")
effect = paired_effect(per_seed(rows, "accuracy", arm="l2"), per_seed(rows, "accuracy", arm="none"))
assert abs(effect.difference - 0.2) < 1e-9

# %% accuracy
from lib.evidence.sweeps import accuracy, product, sweep

rows = sweep(lambda seed: {"correct": [1, 1, seed, 0]}, product(seed=[0, 1]), question="four sentences")
assert accuracy(rows).tolist() == [50, 75]  # by seed
