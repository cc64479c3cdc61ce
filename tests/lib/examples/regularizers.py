"""Examples of `lib.regularizers`; see `tests/lib/test_examples.py`."""

# %% log_probabilities
import torch

from lib.regularizers import log_probabilities

one, two = torch.tensor([[1.5]]), torch.tensor([[0.0, 1.5]])
assert torch.allclose(log_probabilities(one), log_probabilities(two))

# %% targets
import torch

from lib.regularizers import targets

assert targets(torch.tensor([2, 0]), classes=3).tolist() == [[0, 0, 1], [1, 0, 0]]
assert targets(torch.tensor([0.25]), classes=2).tolist() == [[0.75, 0.25]]  # P(class 1)

# %% cross_entropy
import torch
from torch import nn

from lib.regularizers import cross_entropy

model, x, labels = nn.Linear(8, 3), torch.randn(4, 8), torch.tensor([0, 2, 1, 1])
loss = cross_entropy(smoothing=0.1)(model, {"input": x, "labels": labels})
assert loss.logits.shape == (4, 3)
assert torch.isclose(loss.total, nn.CrossEntropyLoss(label_smoothing=0.1)(model(x), labels))

# %% symmetric_kl
import torch

from lib.regularizers import symmetric_kl

p, q = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
assert symmetric_kl(p, q) == symmetric_kl(q, p) > 0
assert symmetric_kl(p, p) == 0

# %% r_drop
import torch
from torch import nn

from lib.regularizers import cross_entropy, r_drop

model = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
batch = {"input": torch.randn(4, 8), "labels": torch.tensor([0, 2, 1, 1])}
loss = r_drop(cross_entropy(), alpha=0.5)(model, batch)
assert loss.parts["r_drop"] > 0  # the two masks disagree

# %% smart
from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.regularizers import cross_entropy, smart

model = Classifier(load_encoder("minilm"), ["bad", "good"])
batch = encode(model.tokenizer, ["a dull film", "a fine film"], [0, 1]).collate([0, 1])
loss = smart(cross_entropy(), weight=1.0)(model, batch)
assert loss.parts["smart"] > 0  # the worst small change moves the prediction

# %% penalized
import torch
from torch import nn

from lib.regularizers import cross_entropy, l2, penalized

model, objective = nn.Linear(8, 3), penalized(cross_entropy(), l2(0.01), "l2")
loss = objective(model, {"input": torch.randn(4, 8), "labels": torch.tensor([0, 2, 1, 1])})
assert torch.isclose(loss.total, loss.parts["ce"] + loss.parts["l2"])

# %% snapshot
import torch
from torch import nn

from lib.regularizers import snapshot

model = nn.Linear(8, 2)
start = snapshot(model)
nn.init.zeros_(model.weight)
assert list(start) == ["weight", "bias"] and start["weight"].any()  # a copy, not a view

# %% l2
import torch
from torch import nn

from lib.projection import ends_in
from lib.regularizers import l2

model = nn.Linear(8, 2)
l2(0.1, ends_in("weight"))(model).backward()
assert torch.allclose(model.weight.grad, 0.1 * model.weight)
assert model.bias.grad is None

# %% l2_sp
import torch
from torch import nn

from lib.regularizers import l2_sp, snapshot

model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
penalty = l2_sp(snapshot(model, lambda name: name.startswith("0.")), alpha=0.1, beta=0.01)
new = sum(p.square().sum() for p in model[1].parameters())
assert torch.isclose(penalty(model), 0.005 * new)  # the old part has not moved yet

# %% nuclear_factors
import torch
from torch import nn

from lib.projection import factorize
from lib.regularizers import nuclear_factors

model = nn.Sequential(nn.Linear(8, 6))
factorize(model, lambda name: name == "0", rank=3)
norm = torch.linalg.matrix_norm(model[0].weight, "nuc")
assert torch.isclose(nuclear_factors(0.1)(model), 0.1 * norm)

# %% set_dropout
from torch import nn

from lib.regularizers import set_dropout

model = nn.Sequential(nn.Dropout(0.1), nn.Linear(8, 2))
assert set_dropout(model, 0.3) == ["0"]
assert model[0].p == 0.3

# %% Mixout
import torch
from torch import nn

from lib.projection import attach, ends_in
from lib.regularizers import Mixout

model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(3, 8)
attach(model, ends_in("0"), lambda W: Mixout(W, p=0.5))
assert torch.equal(model(x), model.eval()(x))  # nothing was learned yet, so nothing is swapped

# %% SAM
import torch
from torch import nn

from lib.data import Dataset
from lib.regularizers import SAM, cross_entropy
from lib.training import Plan, fit

model = nn.ModuleDict({"words": nn.EmbeddingBag(9, 4), "head": nn.Linear(4, 2)})
model.forward = lambda input_ids, attention_mask: model["head"](model["words"](input_ids))
optimizer = SAM(torch.optim.AdamW(model.parameters()), rho=0.05)
data = Dataset([[1, 2], [3, 4], [1, 5], [3, 6]], labels=[0, 1, 0, 1])
assert len(fit(model, optimizer, cross_entropy(), data, Plan(epochs=2, batch_size=2), show=False)) == 4

# %% train_only
from torch import nn

from lib.projection import ends_in
from lib.regularizers import train_only

model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
assert train_only(model, ends_in("1.weight")) == ["1.weight"]
assert [p.requires_grad for p in model.parameters()] == [False, False, True, False]

# %% bias_only
from torch import nn

from lib.regularizers import bias_only

model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
names = bias_only(model, head=lambda name: name.startswith("1."))
assert names == ["0.bias", "1.weight", "1.bias"]

# %% decay_groups
import torch
from torch import nn

from lib.regularizers import decay_groups

model = nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4))
optimizer = torch.optim.AdamW(decay_groups(model, weight_decay=0.01))
decays = {p.ndim: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
assert decays == {2: 0.01, 1: 0.0}

# %% layerwise_groups
from torch import nn

from lib.regularizers import decay_groups, layerwise_groups

low, high, head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)
groups = decay_groups(nn.Sequential(low, high, head), 0.01)
scales = [group["lr_scale"] for group in layerwise_groups(groups, [low, high], decay=0.5)]
assert sorted(set(scales)) == [0.25, 0.5, 1.0]

# %% interpolate
import torch
from torch import nn

from lib.regularizers import interpolate

start, tuned = nn.Linear(8, 2).state_dict(), nn.Linear(8, 2).state_dict()
between = interpolate(start, tuned, alpha=0.5)
assert torch.allclose(between["bias"], (start["bias"] + tuned["bias"]) / 2)
nn.Linear(8, 2).load_state_dict(between)
assert torch.equal(interpolate(start, tuned, alpha=1)["weight"], tuned["weight"])

# %% soup
import torch
from torch import nn

from lib.regularizers import soup

states = [nn.Linear(8, 2).state_dict() for _ in range(3)]
mean = soup(states)
assert torch.allclose(mean["bias"], sum(state["bias"] for state in states) / 3)

# %% generalization_loss
from lib.regularizers import generalization_loss

stop = generalization_loss("nll", threshold=5)
history = [{"nll": 0.60}, {"nll": 0.50}, {"nll": 0.52}]
assert not stop(history)
assert stop([*history, {"nll": 0.53}])  # 6 percent above its lowest
