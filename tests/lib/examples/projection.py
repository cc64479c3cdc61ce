"""Examples of `lib.projection`; see `tests/lib/test_examples.py`."""

# %% ends_in
from lib.projection import ends_in

where = ends_in("query", "value")
assert where("encoder.layer.0.attention.self.query")
assert not where("encoder.layer.0.attention.self.key")

# %% truncate
import torch

from lib.projection import truncate

W = torch.randn(6, 4)
W_2 = truncate(W, rank=2)
assert torch.linalg.matrix_rank(W_2) == 2
assert torch.allclose(truncate(W_2, rank=2), W_2, atol=1e-5)  # a projection

# %% tail_energy
import torch

from lib.projection import tail_energy, truncate

W = torch.randn(6, 4)
left = (W - truncate(W, rank=2)).square().sum()
assert torch.isclose(tail_energy(W, rank=2), left)

# %% tail_penalty
import torch
from torch import nn

from lib.projection import ends_in, tail_penalty
from lib.regularizers import cross_entropy, penalized

model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))
penalty = tail_penalty(ends_in("0"), rank=2, strength=0.1)
objective = penalized(cross_entropy(), penalty, "tail")
loss = objective(model, {"input": torch.randn(5, 8), "labels": torch.tensor([0, 1, 2, 0, 1])})
assert torch.isclose(loss.total, loss.parts["ce"] + loss.parts["tail"])

# %% tail_prox
import torch

from lib.projection import tail_energy, tail_prox

W = torch.randn(6, 4)
X = tail_prox(W, rank=2, step=0.5, strength=2.0)
assert torch.isclose(tail_energy(X, 2), tail_energy(W, 2) / 4)  # the tail is halved

# %% Thin
from torch import nn

from lib.projection import Thin

linear = nn.Linear(100, 80)
thin = Thin(linear, rank=10)
assert sum(p.numel() for p in thin.parameters()) == 10 * (100 + 80) + 80
assert thin.bias is linear.bias

# %% factorize
from torch import nn

from lib.projection import ends_in, factorize

model = nn.Sequential(nn.Linear(100, 80), nn.Tanh(), nn.Linear(80, 2))
assert factorize(model, ends_in("0"), rank=10) == ["0"]
assert [p.shape for p in model[0].parameters()][1:] == [(10, 100), (80, 10)]

# %% LoRA
from torch import nn

from lib.projection import LoRA, attach, ends_in

model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
attach(model, ends_in("0"), lambda W: LoRA(W, rank=2, alpha=4))
trains = [p.shape for p in model.parameters() if p.requires_grad]
assert trains == [(2, 8), (8, 2)]  # A and B

# %% DoRA
from torch import nn

from lib.projection import DoRA, attach, ends_in

model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
attach(model, ends_in("0"), lambda W: DoRA(W, rank=2, alpha=4))
trains = [p.shape for p in model.parameters() if p.requires_grad]
assert trains == [(2, 8), (8, 2), (8,)]  # A, B and the lengths M

# %% PiSSA
import torch
from torch import nn

from lib.projection import PiSSA, attach, ends_in, truncate

model = nn.Sequential(nn.Linear(8, 8))
W = model[0].weight.detach().clone()
attach(model, ends_in("0"), lambda W: PiSSA(W, rank=2, alpha=2))
map_ = model[0].parametrizations.weight[0]
assert torch.allclose(map_.B @ map_.A, truncate(W, rank=2), atol=1e-5)

# %% RandomSubspace
import torch
from torch import nn

from lib.projection import RandomSubspace, attach, ends_in

model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
z = nn.Parameter(torch.zeros(5))
attach(model, ends_in("0", "2"), lambda W: RandomSubspace(W, z))
assert [p.shape for p in model.parameters() if p.requires_grad] == [(5,)]  # both weights move with z

# %% Rows
import torch
from torch import nn

from lib.projection import Rows

embedding, tokens = nn.Embedding(1000, 4), torch.tensor([[3, 7], [7, 9]])
thin = Rows(embedding, [3, 7])  # 9 is a constant
assert torch.equal(thin(tokens), embedding(tokens))
assert [p.shape for p in thin.parameters()] == [(2, 4)]

# %% only_rows
from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.projection import only_rows

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull."], [1, 0])
only_rows(model, {token for row in data.ids for token in row})
assert sum(p.numel() for p in model.parameters() if p.requires_grad) < 11_000_000  # of 22 million

# %% attach
from lib.models import Classifier, load_encoder
from lib.projection import LoRA, attach, ends_in

model = Classifier(load_encoder("minilm"), ["bad", "good"])
names = attach(model.encoder, ends_in("query", "value"), lambda W: LoRA(W, rank=8, alpha=16))
assert len(names) == 12 and names[0] == "encoder.layer.0.attention.self.query"
assert model.classifier.weight.requires_grad  # the head still trains

# %% merge
import torch
from torch import nn

from lib.projection import LoRA, attach, ends_in, merge

model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(3, 8)
attach(model, ends_in("0"), lambda W: LoRA(W, rank=2, alpha=4))
before = model(x)
assert merge(model) == ["0"] and list(model.state_dict()) == ["0.bias", "0.weight"]
assert torch.equal(model(x), before)

# %% detach
import torch
from torch import nn

from lib.projection import LoRA, attach, detach, ends_in

model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(3, 8)
before = model(x)
attach(model, ends_in("0"), lambda W: LoRA(W, rank=2, alpha=4))
nn.init.ones_(model[0].parametrizations.weight[0].B)
assert detach(model) == ["0"] and torch.equal(model(x), before)

# %% project_ball
import torch
from torch import nn

from lib.projection import project_ball
from lib.regularizers import snapshot

model = nn.Linear(8, 2)
start = snapshot(model)
nn.init.ones_(model.weight)
project_ball(model, start, radius=0.5)
assert torch.isclose((model.weight - start["weight"]).norm(), torch.tensor(0.5))
