"""Examples of `lib.run.host`; see `tests/lib/test_examples.py`."""

# %% Local
from torch import nn

from lib.run.host import Local

host = Local("cpu", bf16=False)
model, _ = host.prepare(nn.Linear(8, 2), None)
assert model.weight.device == host.device and host.num_processes == 1

# %% seed_step
import torch

from lib.run.host import seed_step

seed_step(0, 12)
a = torch.rand(3)
seed_step(0, 12)
assert torch.equal(torch.rand(3), a)

# %% deterministic
import torch

from lib.run.host import deterministic

before = torch.are_deterministic_algorithms_enabled()
with deterministic():
    assert torch.are_deterministic_algorithms_enabled()
assert torch.are_deterministic_algorithms_enabled() == before

# %% precision
from lib.run.host import Local, precision

assert precision(Local("cpu", bf16=True)) == "bfloat16"
