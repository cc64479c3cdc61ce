"""Examples of `lib.regularizers`; see `tests/lib/test_examples.py`."""

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

from lib.names import ends_in
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

# %% fisher
import torch
from torch import nn

from lib.regularizers import fisher

model = nn.Linear(3, 2, bias=False)  # of two features at zero and one that is on, the third weight alone matters
found = fisher(model, [{"input": torch.tensor([[0.0, 0, 1]]), "labels": torch.tensor([0])}])
assert (found["weight"] > 0).tolist() == [[False, False, True]] * 2

# %% ewc
import torch
from torch import nn

from lib.regularizers import ewc, snapshot

model = nn.Linear(2, 1, bias=False)
penalty = ewc(snapshot(model), {"weight": torch.tensor([[9.0, 0.0]])}, strength=1.0)
nn.init.constant_(model.weight, 5.0)
penalty(model).backward()
assert model.weight.grad[0, 1] == 0  # what does not matter may move

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

from lib.adapters import attach
from lib.names import ends_in
from lib.regularizers import Mixout

model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(3, 8)
attach(model, ends_in("0"), lambda W: Mixout(W, p=0.5))
assert torch.equal(model(x), model.eval()(x))  # nothing was learned yet, so nothing is swapped
