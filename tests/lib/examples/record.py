"""Examples of `lib.book.record`; see `tests/lib/test_examples.py`."""

# %% device
from lib.book.record import device

assert device() in ("cpu", "cuda")

# %% Run
from lib.book.record import start
from lib.evidence.verdicts import paired_effect

run = start("my-notebook", profile="quick", seed=0)
run.record("accuracy", [0.81, 0.83, 0.82], unit="fraction", at_least=0.8)
effect = paired_effect([0.81, 0.83, 0.82], [0.71, 0.72, 0.74])
run.claim("C1", {"tuned minus frozen": effect}, unit="fraction", bound=0.01, direction=1)
assert run.seed == 0

# %% start
from lib.book.record import start

run = start("my-notebook", profile="quick", seed=0)
assert run.profile == "quick" and run.bands == {}

# %% interval
from lib.book.record import interval

low, high = interval([0.80, 0.82, 0.81])
assert low < 0.81 < high and interval([0.8]) is None
