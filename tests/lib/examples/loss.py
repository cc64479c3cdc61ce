"""Examples of `lib.loss`; see `tests/lib/test_examples.py`."""

# %% Loss
import torch
from torch import nn

from lib.loss import Loss


def objective(model: nn.Module, batch: dict) -> Loss:  # an objective of your own
    logits = model(batch["input"])
    hinge = nn.functional.multi_margin_loss(logits, batch["labels"])
    return Loss(hinge, logits, {"hinge": hinge.detach()})


assert objective(nn.Linear(8, 3), {"input": torch.randn(4, 8), "labels": torch.tensor([0, 2, 1, 1])}).total > 0
