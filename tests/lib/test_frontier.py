"""Newer projections and adapters. Oracles: gguf, concept-erasure, scipy, Cholesky, alternating least squares, theorems.

float64 where mathematics is tested; 1e-9 for its algebra, with covariances of condition up to 1e4.
"""
from __future__ import annotations

import gguf
import numpy as np
import pytest
import scipy.linalg
import torch
from concept_erasure import LeaceFitter
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from lib.activations import input_covariance
from lib.adapters import GroupLoRA, LoRAGA, NullLoRA, attach, merge
from lib.names import ends_in
from lib.projection import intruders, leace, output_truncate, round_q4_1, truncate
from lib.run.adapter_files import save_adapter
from tests.lib.tiny_decoder import tiny_llama, tiny_tokens

Q4_1 = gguf.GGMLQuantizationType.Q4_1


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def skewed(n: int, N: int, seed: int = 0) -> Tensor:
    """Inputs (n, N) whose directions differ a hundredfold in length, and not along the axes."""
    turn = torch.linalg.qr(torch.randn(n, n, generator=draws(seed)).double()).Q
    return turn @ torch.diag(torch.logspace(0, -2, n).double()) @ torch.randn(n, N, generator=draws(seed + 1)).double()


# Cutting by what the data uses


@pytest.mark.parametrize("m, n", [(10, 8), (8, 10)])
@pytest.mark.parametrize("rank", [0, 1, 3, 8])
def test_a_cut_by_outputs_leaves_the_tail_of_the_outputs_and_no_other_matrix_less(m: int, n: int, rank: int) -> None:
    W, X = torch.randn(m, n, generator=draws()).double(), skewed(n, 60)
    left = ((W - output_truncate(W, X @ X.T, rank)) @ X).square().sum()
    tail = np.square(scipy.linalg.svdvals((W @ X).numpy())[rank:]).sum()
    assert abs(left - tail) < 1e-9
    L = torch.linalg.cholesky(X @ X.T)
    assert torch.allclose(output_truncate(W, X @ X.T, rank), truncate(W @ L, rank) @ torch.linalg.inv(L), atol=1e-7)
    if 0 < rank < 8:
        assert left < ((W - truncate(W, rank)) @ X).square().sum()
        U = torch.randn(m, rank, generator=draws(1)).double()
        for _ in range(300):  # alternating least squares: given U the best V, given V the best U
            V = torch.linalg.lstsq(U, W).solution
            U = torch.linalg.lstsq((V @ X).T, (W @ X).T).solution.T
        assert abs(left - ((W - U @ V) @ X).square().sum()) < 1e-6


def test_a_cut_by_outputs_needs_no_inverse() -> None:
    W, X = torch.randn(6, 5, generator=draws()).double(), torch.randn(5, 2, generator=draws(1)).double()
    assert ((W - output_truncate(W, X @ X.T, 2)) @ X).norm() < 1e-9  # two inputs, two directions


# Sixteen levels a block


def test_rounding_is_what_the_package_stores_bit_for_bit() -> None:
    W = torch.randn(6, 96, generator=draws()) * torch.logspace(-3, 1, 6)[:, None]
    W[2, :32] = 0.25  # a block without a range
    stored = gguf.dequantize(gguf.quantize(W.numpy(), Q4_1), Q4_1)
    assert torch.equal(round_q4_1(W), torch.from_numpy(stored))
    assert torch.equal(round_q4_1(round_q4_1(W)), round_q4_1(W))


def test_on_the_levels_of_a_base_an_update_survives_from_half_a_level_on() -> None:
    W = round_q4_1(torch.randn(4, 64, generator=draws()))
    blocks = W.unflatten(1, (2, 32))
    level = ((blocks.amax(-1) - blocks.amin(-1)) / 15)[..., None].expand_as(blocks).flatten(1)
    inside = (W > blocks.amin(-1, keepdim=True).expand_as(blocks).flatten(1)) & \
             (W < blocks.amax(-1, keepdim=True).expand_as(blocks).flatten(1))
    for share, kept in ((0.45, 0.0), (0.55, 1.0), (-0.55, -1.0)):
        moved = (round_q4_1(W + share * level, like=W) - W) / level
        assert torch.allclose(moved[inside], torch.tensor(kept), atol=1e-2)  # levels are kept in float16


# Erasing


def labelled(N: int = 4000, n: int = 8, k: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.randint(0, k, (N,), generator=draws())
    Z = F.one_hot(y, k).double()
    X = torch.randn(N, n, generator=draws(1)).double() @ torch.randn(n, n, generator=draws(2)).double()
    return X + 2 * Z @ torch.randn(k, n, generator=draws(3)).double() + 1, Z, y


def test_leace_is_the_packages_and_a_linear_classifier_finds_nothing() -> None:
    X, Z, y = labelled()
    P, mean = leace(X, Z)
    erased = X - (X - mean) @ P.T
    fitter = LeaceFitter(X.shape[1], Z.shape[1], dtype=torch.float64, shrinkage=False)  # its default shrinks S
    fitter.update(X, Z)
    assert torch.allclose(erased, fitter.eraser(X), atol=1e-7)
    assert ((erased - mean).T @ (Z - Z.mean(0)) / len(X)).abs().max() < 1e-10
    assert torch.allclose(P @ P, P, atol=1e-9)
    guess = float(y.bincount().max() / len(y))
    found, kept = (LogisticRegression(C=1e4, max_iter=1000).fit(A, y).score(A, y) for A in (X.numpy(), erased.numpy()))
    assert found > guess + 0.2 and abs(kept - guess) < 0.005


def test_leace_moves_less_than_an_orthogonal_projection_that_erases_as_much() -> None:
    X, Z, _ = labelled()
    P, mean = leace(X, Z)
    U, s, _ = torch.linalg.svd((X - mean).T @ (Z - Z.mean(0)), full_matrices=False)
    U = U[:, s > 1e-9 * s[0]]
    assert ((X - mean) @ P.T).square().sum() < 0.95 * ((X - mean) @ U @ U.T).square().sum()


def test_leace_takes_features_of_less_than_full_rank_and_leaves_alone_what_says_nothing() -> None:
    X, Z, _ = labelled()
    wide = torch.cat([X, X @ torch.ones(8, 2).double()], 1)  # two columns more, nothing new
    P, mean = leace(wide, Z)
    assert ((wide - (wide - mean) @ P.T - mean).T @ (Z - Z.mean(0)) / len(X)).abs().max() < 1e-8
    assert torch.equal(leace(X, torch.ones(len(X), 1))[0], torch.zeros(8, 8).double())


# Starts and walls


def first_gradient(m: int = 12, n: int = 9) -> nn.Parameter:
    W = nn.Parameter(torch.randn(m, n, generator=draws()).double())
    W.grad = torch.randn(m, n, generator=draws(1)).double()
    return W


@pytest.mark.parametrize("m, n", [(12, 9), (9, 12)])
def test_a_gradient_start_leaves_the_weight_and_its_first_step_is_the_best_of_rank_2r(m: int, n: int) -> None:
    W, rank, eta = first_gradient(m, n), 2, 1e-7
    assert W.grad is not None
    map_, G = LoRAGA(W, rank, alpha=2 * rank), W.grad.clone()
    assert torch.equal(map_(W), W)
    optimizer = torch.optim.SGD(map_.parameters(), lr=eta)
    (map_(W) * G).sum().backward()
    optimizer.step()
    step = (W - map_(W)).detach() / (eta * map_.scale**2)
    assert torch.allclose(step, truncate(G, 2 * rank), atol=1e-5)  # of second order in eta
    tail = np.square(scipy.linalg.svdvals(G.numpy())[2 * rank:]).sum()
    assert abs((G - step).square().sum() - tail) < 1e-4
    with pytest.raises(ValueError, match=r"rank must be a whole number between 1 and 4, got 5"):
        LoRAGA(W, 5, 1)


@pytest.mark.parametrize("train", ["SGD", "Adam"])
def test_a_layer_with_a_wall_answers_old_inputs_as_before_whatever_it_learns(train: str) -> None:
    X_old, X = torch.randn(12, 5, generator=draws()).double(), torch.randn(80, 12, generator=draws(1)).double()
    layer = nn.Linear(12, 7).double()
    before = layer(X_old.T).detach()
    U = scipy.linalg.orth(X_old.numpy())
    attach(nn.Sequential(layer), ends_in("0"), lambda W: NullLoRA(W, torch.from_numpy(U), 3, 6, generator=draws(2)))
    optimizer = getattr(torch.optim, train)(layer.parametrizations.weight[0].parameters(), lr=0.05)
    for _ in range(50):
        loss = (layer(X) - X[:, :7] ** 2).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (layer(X_old.T) - before).abs().max() < 1e-12
    in_training = layer(X)
    layer.eval()
    assert torch.allclose(layer(X), in_training) and (layer(X) - F.linear(X, layer.parametrizations.weight.original,
                                                                          layer.bias)).norm() > 0.1


def test_a_block_constant_map_reads_sums_and_merges_into_the_offsets_of_a_base_of_few_bits() -> None:
    W = round_q4_1(torch.randn(6, 96, generator=draws()))
    model = nn.Sequential(nn.Linear(96, 6, bias=False))
    model[0].weight.data = W.clone()
    attach(model, ends_in("0"), lambda W: GroupLoRA(W, 2, 4, generator=draws(1)))
    map_ = model[0].parametrizations.weight[0]
    nn.init.normal_(map_.B, generator=draws(2))
    x = torch.randn(5, 96, generator=draws(3))
    sums = x.unflatten(1, (3, 32)).sum(2)
    expected = x @ W.T + 2 * sums @ map_.A.T @ map_.B.T
    assert torch.allclose(model(x), expected, atol=1e-4)
    model.eval()
    assert torch.allclose(model(x), expected, atol=1e-4)
    merge(model)
    change = (model[0].weight - W).unflatten(1, (3, 32))
    assert (change - change.mean(2, keepdim=True)).abs().max() < 1e-5 < change.abs().max()
    blocks = model[0].weight.detach().unflatten(1, (3, 32))
    m, d = blocks.amin(2, keepdim=True), (blocks.amax(2, keepdim=True) - blocks.amin(2, keepdim=True)) / 15
    q = (blocks - m) / d
    assert (q - q.round()).abs().max() < 1e-3  # still sixteen levels


def test_the_newer_maps_start_at_the_weight_and_their_files_are_refused_by_name(tmp_path) -> None:
    U = torch.linalg.qr(torch.randn(32, 4, generator=draws())).Q
    for make in (lambda W: NullLoRA(W, U, 2, 4), lambda W: GroupLoRA(W, 1, 4), LoRAGA.__name__):
        model = tiny_llama(layers=1)
        ids = torch.tensor([[3, 5, 7]])
        before = model(ids).logits
        if isinstance(make, str):
            before.sum().backward()
            make = lambda W: LoRAGA(W, 2, 4)  # noqa: E731
        attach(model.model, ends_in("q_proj"), make)
        assert torch.equal(model(ids).logits, before)
        with pytest.raises(ValueError, match=r"cannot hold the map on .*q_proj, got (NullLoRA|GroupLoRA|LoRAGA)"):
            save_adapter(model, tmp_path / "adapter")


def test_a_gradient_start_is_pefts_but_for_the_length_of_B() -> None:
    from peft import LoraConfig, LoraGAConfig, get_peft_model

    model, rank = nn.Sequential(nn.Linear(9, 12, bias=False)), 2
    W = model[0].weight
    W.grad = torch.randn(12, 9, generator=draws(1))
    ours, W0 = LoRAGA(W, rank, alpha=2 * rank), W.detach().clone()
    model[0]._peft_loraga_grad = W.grad.clone()
    how = {"init_lora_weights": "lora_ga", "lora_ga_config": LoraGAConfig(direction="ArB2r", scale="unit")}
    theirs = get_peft_model(model, LoraConfig(target_modules=["0"], r=rank, lora_alpha=2 * rank, **how))
    layer = theirs.base_model.model[0]
    A, B = (getattr(layer, f"lora_{x}")["default"].weight.detach() for x in "AB")
    s = torch.linalg.svdvals(W.grad)
    for mine, other in ((ours.A.T, A.T), (ours.B, B / s[rank:2 * rank])):  # signs are free; theirs sets B to S as well
        assert torch.allclose((mine.T @ other).abs(), torch.eye(rank), atol=1e-4)  # float32, a randomised SVD
    assert torch.allclose(layer.weight + layer.get_delta_weight("default"), W0, atol=1e-5)


@pytest.mark.parametrize("m, n", [(24, 20), (20, 24), (20, 20)])
def test_intruders_are_those_that_peft_takes_down(m: int, n: int) -> None:
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora.intruders import reduce_intruder_dimension

    model, rank = nn.Sequential(nn.Linear(n, m, bias=False)), min(m, n)
    nn.init.normal_(model[0].weight, std=0.1, generator=draws(3))
    W = model[0].weight.detach().clone()
    wrapped = get_peft_model(model, LoraConfig(target_modules=["0"], r=rank, lora_alpha=rank))
    layer = wrapped.base_model.model[0]
    with torch.no_grad():  # two directions louder than all that W has, and a little of everything
        layer.lora_B["default"].weight.copy_(0.01 * torch.randn(m, rank, generator=draws()))
        for i in range(2):
            layer.lora_A["default"].weight[i] = torch.randn(n, generator=draws(i))
            layer.lora_B["default"].weight[:, i] = torch.randn(m, generator=draws(7 + i))
        D = layer.get_delta_weight("default").clone()
    for count, below in ((5, 0.5), (1, 0.6), (10, 0.7)):
        U = intruders(W + D, torch.linalg.svd(W, full_matrices=False).U, count=count, below=below)
        wrapped.set_adapter("default")
        said: list[str] = []
        new = f"count {count}".replace(" ", "_")
        reduce_intruder_dimension(wrapped, "default", new, count, below, 0.75, said.append)
        assert torch.allclose(layer.get_delta_weight(new), D - 0.25 * U @ U.T @ (W + D), atol=1e-4)
        assert U.shape[1] == (int(said[0].split()[-1]) if said[0][-1].isdigit() else 0)
        assert torch.allclose(U.T @ U, torch.eye(U.shape[1]), atol=1e-4)
        assert count < 5 or U.shape[1] >= 1
    assert intruders(W, torch.linalg.svd(W).U).shape == (m, 0)  # an untuned weight has none
    turned = torch.linalg.svd(W).U.flip(1)  # another order of the same vectors makes no stranger
    assert intruders(W, turned).shape == (m, 0)


@pytest.mark.parametrize("make, said", [
    (lambda W: NullLoRA(W, torch.eye(9)[:, :3], 2, 4), r"U must have shape \(64, k\) with k below 64, got \(9, 3\)"),
    (lambda W: NullLoRA(W, torch.eye(64), 2, 4), r"U must have shape .*, got \(64, 64\)"),
    (lambda W: NullLoRA(W, 2 * torch.eye(64)[:, :3], 2, 4), "U must have orthonormal columns, got some that are 3 off"),
    (lambda W: GroupLoRA(W, 2, 4, block=10), "block must divide the 64 inputs, got 10"),
    (lambda W: GroupLoRA(W, 3, 4), "rank must be a whole number between 1 and 2, got 3"),
    (lambda W: LoRAGA(W, 2, 4), r"weight must hold its gradient in \.grad, got none"),
    (lambda W: output_truncate(W, torch.eye(6), 1), r"C must have shape \(64, 64\), got \(6, 6\)"),
    (lambda W: output_truncate(W, torch.eye(64), 7), "rank must be a whole number between 0 and 6, got 7"),
    (lambda W: round_q4_1(W[:, :40]), "W must have a multiple of 32 columns, got 40"),
    (lambda W: round_q4_1(W, like=W[:3]), r"like must have shape \(6, 64\), got \(3, 64\)"),
    (lambda W: intruders(W, torch.eye(6), count=7), "count must be a whole number between 1 and 6, got 7"),
    (lambda W: intruders(W, torch.eye(64), count=2), r"known must have 6 rows, got shape \(64, 64\)"),
    (lambda W: intruders(W, torch.eye(6), count=2, below=0), "below must be above 0 and at most 1, got 0"),
    (lambda W: leace(W, W[:3]), r"X and Z must be matrices of as many rows, got \(6, 64\) and \(3, 64\)"),
])
def test_a_bad_argument_is_named(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(torch.randn(6, 64, generator=draws()))


# What layers are fed with


def test_input_covariance_counts_real_tokens_and_leaves_no_hook() -> None:
    model = tiny_llama()
    rows = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]
    found = input_covariance(model.model, ends_in("layers.0.self_attn.q_proj", "layers.2.mlp.down_proj"),
                             tiny_tokens(rows, [1, 1, 1]), batch_size=3)
    with torch.no_grad():
        norm = model.model.layers[0].input_layernorm
        X = torch.cat([norm(model.model.embed_tokens(torch.tensor(row))) for row in rows])  # all ten tokens, by hand
    assert torch.allclose(found["layers.0.self_attn.q_proj"], X.T @ X / len(X), atol=1e-5)
    assert found["layers.2.mlp.down_proj"].shape == (48, 48)
    alone = input_covariance(model.model, ends_in("layers.2.mlp.down_proj"), tiny_tokens(rows, [1, 1, 1]), batch_size=1)
    assert torch.allclose(alone["layers.2.mlp.down_proj"], found["layers.2.mlp.down_proj"], atol=1e-4)
    assert not any(module._forward_pre_hooks for module in model.modules())
    with pytest.raises(ValueError, match="data must hold at least one row"):
        input_covariance(model.model, ends_in("q_proj"), tiny_tokens([], []))


def test_input_covariance_refuses_a_layer_that_sees_no_tokens() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            return self.head(self.words(input_ids).mean(1))

    with pytest.raises(ValueError, match="head must see one vector for each of"):
        input_covariance(Pooled(), ends_in("head"), tiny_tokens([[1, 2], [3]], [1, 0]))
