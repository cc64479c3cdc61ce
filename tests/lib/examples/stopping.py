"""Examples of `lib.stopping`; see `tests/lib/test_examples.py`."""

# %% generalization_loss
from lib.stopping import generalization_loss

stop = generalization_loss("nll", threshold=5)
history = [{"nll": 0.60}, {"nll": 0.50}, {"nll": 0.52}]
assert not stop(history)
assert stop([*history, {"nll": 0.53}])  # 6 percent above its lowest

# %% never
from lib.stopping import never

assert never([{"accuracy": 0.5}]) is False

# %% patience
from lib.stopping import patience

stop = patience("accuracy", evaluations=2)
assert not stop([{"accuracy": 0.7}, {"accuracy": 0.8}, {"accuracy": 0.8}])
assert stop([{"accuracy": 0.8}, {"accuracy": 0.8}, {"accuracy": 0.7}])
