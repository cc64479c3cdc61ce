"""Examples of `lib.optimizers`; see `tests/lib/test_examples.py`."""

# %% SAM
import torch
from torch import nn

from lib.data import Dataset
from lib.objectives import cross_entropy
from lib.optimizers import SAM
from lib.training import Plan, fit

model = nn.ModuleDict({"words": nn.EmbeddingBag(9, 4), "head": nn.Linear(4, 2)})
model.forward = lambda input_ids, attention_mask: model["head"](model["words"](input_ids))
optimizer = SAM(torch.optim.AdamW(model.parameters()), rho=0.05)
data = Dataset([[1, 2], [3, 4], [1, 5], [3, 6]], labels=[0, 1, 0, 1])
assert len(fit(model, optimizer, cross_entropy(), data, Plan(epochs=2, batch_size=2), show=False)) == 4
