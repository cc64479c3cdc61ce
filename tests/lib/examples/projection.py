"""Examples of `lib.projection`; see `tests/lib/test_examples.py`."""

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

from lib.names import ends_in
from lib.objectives import cross_entropy, penalized
from lib.projection import tail_penalty

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

from lib.names import ends_in
from lib.projection import factorize

model = nn.Sequential(nn.Linear(100, 80), nn.Tanh(), nn.Linear(80, 2))
assert factorize(model, ends_in("0"), rank=10) == ["0"]
assert [p.shape for p in model[0].parameters()][1:] == [(10, 100), (80, 10)]

# %% output_truncate
import torch

from lib.projection import output_truncate, truncate

W, X = torch.randn(6, 5), torch.diag(torch.tensor([9.0, 1, 1, 1, 0.1])) @ torch.randn(5, 99)  # columns are inputs
aware = output_truncate(W, X @ X.T / 99, rank=2)
assert ((W - aware) @ X).norm() < ((W - truncate(W, rank=2)) @ X).norm()

# %% intruders
import torch

from lib.projection import intruders

W = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
known = torch.linalg.svd(W).U
louder = W + 9 * torch.ones(3, 3) / 3  # a direction between those that were there
assert intruders(W, known, count=1).shape == (3, 0)
assert intruders(louder, known, count=1, below=0.8).shape == (3, 1)

# %% round_q4_1
import torch

from lib.projection import round_q4_1

W = round_q4_1(torch.randn(4, 64))
assert torch.equal(round_q4_1(W + 1e-5, like=W), W)  # an update below half a level is lost

# %% leace
import torch

from lib.projection import leace

z = torch.randint(2, (500, 1)).double()
X = torch.randn(500, 4).double() + 3 * z  # linearly, z is plain to see
P, mean = leace(X, z)
erased = X - (X - mean) @ P.T
assert ((erased - mean).T @ (z - z.mean())).abs().max() < 1e-8
