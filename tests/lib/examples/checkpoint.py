"""Examples of `lib.checkpoint`; see `tests/lib/test_examples.py`."""

# %% describe
from lib.checkpoint import describe
from lib.regularizers import l2

assert describe(l2(0.1)) == describe(l2(0.1))
assert describe(l2(0.1)) != describe(l2(0.2))

# %% save_checkpoint
from pathlib import Path

import torch

from lib.checkpoint import save_checkpoint

save_checkpoint(Path("run/last.pt"), {"run": {"seed": 0}, "theta": torch.ones(2)})
assert torch.load("run/last.pt")["theta"].tolist() == [1, 1]

# %% load_checkpoint
from pathlib import Path

from lib.checkpoint import load_checkpoint, save_checkpoint

save_checkpoint(Path("last.pt"), {"run": {"seed": 0}, "step": 7})
assert load_checkpoint(Path("last.pt"), {"seed": 0})["step"] == 7  # {"seed": 1} would be refused
