"""Examples of `lib.objectives`; see `tests/lib/test_examples.py`."""

# %% log_probabilities
import torch

from lib.objectives import log_probabilities

one, two = torch.tensor([[1.5]]), torch.tensor([[0.0, 1.5]])
assert torch.allclose(log_probabilities(one), log_probabilities(two))

# %% targets
import torch

from lib.objectives import targets

assert targets(torch.tensor([2, 0]), classes=3).tolist() == [[0, 0, 1], [1, 0, 0]]
assert targets(torch.tensor([0.25]), classes=2).tolist() == [[0.75, 0.25]]  # P(class 1)

# %% cross_entropy
import torch
from torch import nn

from lib.objectives import cross_entropy

model, x, labels = nn.Linear(8, 3), torch.randn(4, 8), torch.tensor([0, 2, 1, 1])
loss = cross_entropy(smoothing=0.1)(model, {"input": x, "labels": labels})
assert loss.logits.shape == (4, 3)
assert torch.isclose(loss.total, nn.CrossEntropyLoss(label_smoothing=0.1)(model(x), labels))

# %% any_of
import torch
from torch import nn

from lib.objectives import any_of

model, batch = nn.Linear(8, 4), {"input": torch.randn(2, 8), "labels": torch.tensor([0, 1])}
loss = any_of([[0, 2], [1, 3]])(model, batch)  # label 0 means class 0 or 2
p = loss.logits.softmax(1)
assert torch.isclose(loss.total, -(p[0, [0, 2]].sum().log() + p[1, [1, 3]].sum().log()) / 2)

# %% symmetric_kl
import torch

from lib.objectives import symmetric_kl

p, q = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
assert symmetric_kl(p, q) == symmetric_kl(q, p) > 0
assert symmetric_kl(p, p) == 0

# %% r_drop
import torch
from torch import nn

from lib.objectives import cross_entropy, r_drop

model = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
batch = {"input": torch.randn(4, 8), "labels": torch.tensor([0, 2, 1, 1])}
loss = r_drop(cross_entropy(), alpha=0.5)(model, batch)
assert loss.parts["r_drop"] > 0  # the two masks disagree

# %% smart
from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.objectives import cross_entropy, smart

model = Classifier(load_encoder("minilm"), ["bad", "good"])
batch = encode(model.tokenizer, ["a dull film", "a fine film"], [0, 1]).collate([0, 1])
loss = smart(cross_entropy(), weight=1.0)(model, batch)
assert loss.parts["smart"] > 0  # the worst small change moves the prediction

# %% penalized
import torch
from torch import nn

from lib.objectives import cross_entropy, penalized
from lib.regularizers import l2

model, objective = nn.Linear(8, 3), penalized(cross_entropy(), l2(0.01), "l2")
loss = objective(model, {"input": torch.randn(4, 8), "labels": torch.tensor([0, 2, 1, 1])})
assert torch.isclose(loss.total, loss.parts["ce"] + loss.parts["l2"])
