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

# %% learned_at
import torch

from lib.loss import UNLEARNED, learned_at

labels = torch.tensor([[UNLEARNED, UNLEARNED, 7, 9]])  # two tokens of a prompt, two of an answer
assert learned_at(labels).tolist() == [[False, True, True, False]]  # each is said one place before

# %% model_inputs
import torch

from lib.loss import model_inputs

ids = torch.tensor([[5, 6, 7]])
assert model_inputs({"input_ids": ids, "labels": torch.tensor([1])}).keys() == {"input_ids"}
assert model_inputs({"input_ids": ids, "labels": ids}).keys() == {"input_ids", "at"}

# %% terms
import torch

from lib.loss import terms

assert terms({"labels": torch.tensor([0, 2, 1])}) == 3
assert terms({"labels": torch.tensor([[-100, 7, 9], [-100, 4, -100]])}) == 3  # tokens that are learned
