"""Examples of `lib.run.checkpoint`; see `tests/lib/test_examples.py`."""

# %% describe
from lib.regularizers import l2
from lib.run.checkpoint import describe

assert describe(l2(0.1)) == describe(l2(0.1))
assert describe(l2(0.1)) != describe(l2(0.2))

# %% describe_model
from torch import nn

from lib.regularizers import set_dropout
from lib.run.checkpoint import describe_model

model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
before = describe_model(model)
set_dropout(model, 0.5)
assert describe_model(model) != before

# %% save_checkpoint
from pathlib import Path

import torch

from lib.run.checkpoint import save_checkpoint

save_checkpoint(Path("run/last.pt"), {"run": {"seed": 0}, "theta": torch.ones(2)})
assert torch.load("run/last.pt")["theta"].tolist() == [1, 1]

# %% load_checkpoint
from pathlib import Path

from lib.run.checkpoint import load_checkpoint, save_checkpoint

save_checkpoint(Path("last.pt"), {"run": {"seed": 0}, "step": 7})
assert load_checkpoint(Path("last.pt"), {"seed": 0})["step"] == 7  # {"seed": 1} would be refused
