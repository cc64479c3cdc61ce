"""Examples of `lib.averages`; see `tests/lib/test_examples.py`."""

# %% interpolate
import torch
from torch import nn

from lib.averages import interpolate

start, tuned = nn.Linear(8, 2).state_dict(), nn.Linear(8, 2).state_dict()
between = interpolate(start, tuned, alpha=0.5)
assert torch.allclose(between["bias"], (start["bias"] + tuned["bias"]) / 2)
nn.Linear(8, 2).load_state_dict(between)
assert torch.equal(interpolate(start, tuned, alpha=1)["weight"], tuned["weight"])

# %% soup
import torch
from torch import nn

from lib.averages import soup

states = [nn.Linear(8, 2).state_dict() for _ in range(3)]
mean = soup(states)
assert torch.allclose(mean["bias"], sum(state["bias"] for state in states) / 3)
