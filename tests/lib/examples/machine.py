"""Examples of `lib.run.machine`; see `tests/lib/test_examples.py`."""

# %% processor
from lib.run.machine import processor

assert processor()

# %% speed_ups
from lib.run.machine import speed_ups

assert all(ratio > 0 for ratio in speed_ups().values())  # empty where nothing was measured yet

# %% note
from lib.run.machine import note

assert note().name == "precision.json"
