"""Examples of `lib.adapters`; see `tests/lib/test_examples.py`."""

# %% LoRA
from torch import nn

from lib.adapters import LoRA, attach
from lib.names import ends_in

model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
attach(model, ends_in("0"), lambda W: LoRA(W, rank=2, alpha=4))
trains = [p.shape for p in model.parameters() if p.requires_grad]
assert trains == [(2, 8), (8, 2)]  # A and B

# %% DoRA
from torch import nn

from lib.adapters import DoRA, attach
from lib.names import ends_in

model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
attach(model, ends_in("0"), lambda W: DoRA(W, rank=2, alpha=4))
trains = [p.shape for p in model.parameters() if p.requires_grad]
assert trains == [(2, 8), (8, 2), (8,)]  # A, B and the lengths M

# %% PiSSA
import torch
from torch import nn

from lib.adapters import PiSSA, attach
from lib.names import ends_in
from lib.projection import truncate

model = nn.Sequential(nn.Linear(8, 8))
W = model[0].weight.detach().clone()
attach(model, ends_in("0"), lambda W: PiSSA(W, rank=2, alpha=2))
map_ = model[0].parametrizations.weight[0]
assert torch.allclose(map_.B @ map_.A, truncate(W, rank=2), atol=1e-5)

# %% Rows
import torch
from torch import nn

from lib.adapters import Rows

embedding, tokens = nn.Embedding(1000, 4), torch.tensor([[3, 7], [7, 9]])
thin = Rows(embedding, [3, 7])  # 9 is a constant
assert torch.equal(thin(tokens), embedding(tokens))
assert [p.shape for p in thin.parameters()] == [(2, 4)]

# %% only_rows
from lib.adapters import only_rows
from lib.data import encode
from lib.models import Classifier, load_encoder

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull."], [1, 0])
only_rows(model, {token for row in data.ids for token in row})
assert sum(p.numel() for p in model.parameters() if p.requires_grad) < 11_000_000  # of 22 million

# %% attach
from lib.adapters import LoRA, attach
from lib.models import Classifier, load_encoder
from lib.names import ends_in

model = Classifier(load_encoder("minilm"), ["bad", "good"])
names = attach(model.encoder, ends_in("query", "value"), lambda W: LoRA(W, rank=8, alpha=16))
assert len(names) == 12 and names[0] == "encoder.layer.0.attention.self.query"
assert model.classifier.weight.requires_grad  # the head still trains

# %% merge
import torch
from torch import nn

from lib.adapters import LoRA, attach, merge
from lib.names import ends_in

model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(3, 8)
attach(model, ends_in("0"), lambda W: LoRA(W, rank=2, alpha=4))
before = model(x)
assert merge(model) == ["0"] and list(model.state_dict()) == ["0.bias", "0.weight"]
assert torch.equal(model(x), before)

# %% detach
import torch
from torch import nn

from lib.adapters import LoRA, attach, detach
from lib.names import ends_in

model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(3, 8)
before = model(x)
attach(model, ends_in("0"), lambda W: LoRA(W, rank=2, alpha=4))
nn.init.ones_(model[0].parametrizations.weight[0].B)
assert detach(model) == ["0"] and torch.equal(model(x), before)

# %% LoRAGA
import torch
from torch import nn

from lib.adapters import LoRAGA, attach
from lib.names import ends_in

model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(3, 8)
before = model(x)
before.square().sum().backward()  # the first gradient
attach(model, ends_in("0"), lambda W: LoRAGA(W, rank=2, alpha=4))
assert torch.allclose(model(x), before, atol=1e-5)

# %% NullLoRA
import torch
from torch import nn

from lib.adapters import NullLoRA, attach
from lib.names import ends_in

model, U = nn.Sequential(nn.Linear(8, 8)), torch.linalg.qr(torch.randn(8, 3)).Q
before = model(U.T)
attach(model, ends_in("0"), lambda W: NullLoRA(W, U, rank=2, alpha=4))
nn.init.ones_(model[0].parametrizations.weight[0].B)
assert torch.allclose(model(U.T), before, atol=1e-5)

# %% GroupLoRA
import torch
from torch import nn

from lib.adapters import GroupLoRA

W = torch.randn(4, 64)
map_ = GroupLoRA(W, rank=2, alpha=4)
nn.init.normal_(map_.B)
change = (map_(W) - W).unflatten(1, (2, 32))
assert torch.allclose(change, change[..., :1].expand_as(change), atol=1e-5)  # one number a block
