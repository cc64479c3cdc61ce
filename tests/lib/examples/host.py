"""Examples of `lib.host`; see `tests/lib/test_examples.py`."""

# %% has_bf16
import torch

from lib.host import Local, has_bf16

assert Local("cpu").bf16 == has_bf16(torch.device("cpu"))

# %% Local
from torch import nn

from lib.host import Local

host = Local("cpu", bf16=False)
model, _ = host.prepare(nn.Linear(8, 2), None)
assert model.weight.device == host.device and host.num_processes == 1

# %% seed_step
import torch

from lib.host import seed_step

seed_step(0, 12)
a = torch.rand(3)
seed_step(0, 12)
assert torch.equal(torch.rand(3), a)

# %% deterministic
import torch

from lib.host import deterministic

before = torch.are_deterministic_algorithms_enabled()
with deterministic():
    assert torch.are_deterministic_algorithms_enabled()
assert torch.are_deterministic_algorithms_enabled() == before

# %% FastDropout
import torch
from torch.nn import functional as F

from lib.host import FastDropout

with FastDropout():
    y = F.dropout(torch.ones(10_000), 0.5)
assert set(y.tolist()) == {0.0, 2.0}
