"""Oracles: scipy, scikit-learn, peft, finite differences, theorems. float64 where mathematics is tested.

Tolerances: 1e-10 for float64 algebra (condition numbers up to 1e3 times 1e-16, with room); 1e-12 of the largest value
for forward and gradient against peft in float64, which adds in another order; 1e-6 for PiSSA, where peft wants float32.
"""
from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lib.adapters import DoRA, LoRA, PiSSA, Rows, attach, detach, merge, only_rows
from lib.names import ends_in
from lib.objectives import cross_entropy
from lib.projection import Thin, factorize, tail_energy, tail_penalty, tail_prox, truncate
from lib.regularizers import Mixout, nuclear_factors
from lib.run.host import Local
from tests.lib.tiny import TinyBert, bert_batch

torch.set_num_threads(1)
QV = ends_in("query", "value")
few = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def matrices(draw) -> tuple[torch.Tensor, int]:
    """A float64 matrix, often rank-deficient, sometimes zero, and a rank it allows."""
    m, n = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    inner = draw(st.integers(0, min(m, n)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    W = torch.randn(m, inner, generator=generator).double() @ torch.randn(inner, n, generator=generator).double()
    return W, draw(st.integers(0, min(m, n)))


def close(a, b, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def linear(m: int = 6, n: int = 4, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(n, m), nn.Tanh(), nn.Linear(m, 2)).double()


def inputs() -> dict[str, torch.Tensor]:
    return {name: value for name, value in bert_batch().items() if name != "labels"}


# Names


@pytest.mark.parametrize("name, hit", [
    ("self.query", True), ("query", True), ("subquery", False), ("query.bias", False), ("output.dense", True),
    ("dense", False), ("attention.output.dense", True)])
def test_ends_in_matches_whole_components(name, hit):
    assert ends_in("query", "output.dense")(name) is hit


# Truncation


@given(matrices())
@few
def test_truncation_is_the_projection_of_the_theorem(case):
    W, rank = case
    W_r = truncate(W, rank)
    singular = torch.from_numpy(scipy.linalg.svdvals(W.numpy()))
    close((W - W_r).square().sum(), singular[rank:].square().sum())
    close(tail_energy(W, rank), singular[rank:].square().sum())
    close(truncate(W_r, rank), W_r)  # idempotent
    assert torch.linalg.matrix_rank(W_r, atol=1e-9) <= rank
    assert W_r.norm() <= W.norm() + 1e-10
    P = W_r @ torch.linalg.pinv(W_r, atol=1e-9)  # projector onto the kept directions
    close(P @ P, P, 1e-8)
    close(P, P.T, 1e-8)
    close(P.trace(), torch.linalg.matrix_rank(W_r, atol=1e-9).double(), 1e-8)
    close(P @ W, W_r, 1e-8)
    assert (P @ W).norm(dim=0).le(W.norm(dim=0) + 1e-10).all()  # non-expansive


@given(matrices(), st.integers(0, 2**31))
@few
def test_no_random_matrix_of_that_rank_is_nearer(case, seed):
    W, rank = case
    generator = torch.Generator().manual_seed(seed)
    U = torch.randn(W.shape[0], rank, generator=generator).double()
    if rank:  # the best partner of a random U, which is harder to beat than a random one
        U = torch.linalg.qr(U).Q
    assert (W - truncate(W, rank)).norm() <= (W - U @ (U.T @ W)).norm() + 1e-10


def test_truncation_is_sklearns():
    W = torch.randn(30, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    svd = TruncatedSVD(4, algorithm="arpack", random_state=0).fit(W.numpy())
    close(truncate(W, 4), torch.from_numpy(svd.inverse_transform(svd.transform(W.numpy()))))


def test_truncation_keeps_the_type_and_needs_no_svd_in_half_precision():
    W = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert truncate(W.bfloat16(), 2).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        close(truncate(W, 4), W, 1e-5)  # in bfloat16 the product would be wrong by 1e-2


# The tail penalty


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_tail_penalty_is_the_theorems_value_and_gradient(shape, rank):
    layer = nn.Linear(shape[1], shape[0]).double()
    penalty = tail_penalty(lambda name: True, rank, 0.7)
    singular = scipy.linalg.svdvals(layer.weight.detach().numpy())
    value = penalty(layer)
    close(value.detach(), 0.35 * (singular[rank:] ** 2).sum())
    (gradient,) = torch.autograd.grad(value, layer.weight)
    close(gradient, 0.7 * (layer.weight - truncate(layer.weight, rank)).detach())

    def numeric(W: np.ndarray) -> float:
        return 0.35 * (scipy.linalg.svdvals(W)[rank:] ** 2).sum()

    W, h = layer.weight.detach().numpy(), 1e-5
    for i, j in [(0, 0), (1, 2), (3, 3)]:
        E = np.zeros_like(W)
        E[i, j] = h
        slope = (numeric(W + E) - numeric(W - E)) / (2 * h)
        assert gradient[i, j].item() == pytest.approx(slope, abs=1e-8)  # rounding 1e-16 / h, and h^2


@pytest.mark.parametrize("start", [False, True])
def test_tail_penalty_gradcheck(start):
    W0 = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))

    class Weight(nn.Module):
        def __init__(self, W):
            super().__init__()
            self.layer = nn.Linear(4, 5).double()
            del self.layer.weight
            self.layer.weight = W

    penalty = tail_penalty(ends_in("layer"), 2, 0.3, {"layer.weight": W0} if start else None)
    W = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(6), requires_grad=True)
    assert torch.autograd.gradcheck(lambda W: penalty(Weight(W)), W)


def test_tail_penalty_on_the_change_charges_a_correction_only_beyond_its_rank():
    model = linear()
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    attach(model, ends_in("0"), lambda W: LoRA(W, 2, 4))
    with torch.no_grad():
        model[0].parametrizations.weight[0].B.normal_()
    change = (model[0].weight - start["0.weight"]).detach()
    assert tail_penalty(ends_in("0"), 2, 1.0, start)(model).item() < 1e-20
    close(tail_penalty(ends_in("0"), 1, 1.0, start)(model).detach(), 0.5 * tail_energy(change, 1))
    assert tail_penalty(ends_in("0"), 2, 1.0)(model) > 0.01  # on W itself the tail is long


def test_tail_penalty_survives_repeated_singular_values():
    layer = nn.Linear(4, 4, bias=False)
    for W in (torch.eye(4), torch.zeros(4, 4)):
        layer.weight.data = W.clone()
        (gradient,) = torch.autograd.grad(tail_penalty(lambda name: True, 2, 1.0)(layer), layer.weight)
        assert gradient.isfinite().all()
    W = torch.eye(4, requires_grad=True)  # the control: through the SVD the gradient is not finite
    U, S, Vh = torch.linalg.svd(W)
    (bad,) = torch.autograd.grad((W - (U[:, :2] * S[:2]) @ Vh[:2]).square().sum(), W)
    assert not bad.isfinite().all()


def test_tail_penalty_is_accurate_in_float32_at_a_pretrained_weights_size():
    W = torch.randn(384, 200, generator=torch.Generator().manual_seed(0)).double() @ torch.diag(
        torch.logspace(1, -1.5, 200, dtype=torch.float64))
    layer = nn.Linear(200, 384, bias=False)
    layer.weight.data = W.float()
    (gradient,) = torch.autograd.grad(tail_penalty(lambda name: True, 16, 1.0)(layer), layer.weight)
    exact = W - truncate(W, 16)
    assert ((gradient - exact).norm() / exact.norm()).item() < 1e-4  # float32 epsilon over the relative gap


def test_tail_penalty_under_autocast_is_that_of_float32():
    layer = nn.Linear(30, 40, bias=False)
    exact = layer.weight.detach().double() - truncate(layer.weight.detach().double(), 4)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = torch.autograd.grad(tail_penalty(lambda name: True, 4, 1.0)(layer), layer.weight)
    close(found.double(), exact, 1e-5)  # products in bfloat16 would differ by 1e-2


@given(matrices(), st.floats(0.01, 3), st.floats(0, 3))
@few
def test_tail_prox_solves_its_problem(case, step, strength):
    W, rank = case
    X = tail_prox(W, rank, step, strength)
    close((X - W) / step + strength * (X - truncate(X, rank)), torch.zeros_like(W), 1e-8)  # stationary
    singular = scipy.linalg.svdvals(W.numpy())
    singular[rank:] /= 1 + step * strength  # argmin_x (x - s)^2 / (2 step) + strength x^2 / 2
    close(torch.linalg.svdvals(X), torch.from_numpy(singular), 1e-9)

    def cost(X):
        return (X - W).square().sum() / (2 * step) + strength / 2 * tail_energy(X, rank)

    generator = torch.Generator().manual_seed(0)
    for scale in (1e-3, 0.1, 1.0):
        assert cost(X) <= cost(X + scale * torch.randn(W.shape, generator=generator).double()) + 1e-9


@pytest.mark.parametrize("make", [
    lambda W: LoRA(W, 2, 4), lambda W: DoRA(W, 2, 4), lambda W: PiSSA(W, 2, 4)])
def test_merging_changes_no_bit_in_bfloat16_either(make):
    model = TinyBert().eval()
    attach(model, ends_in("query", "value"), make)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith((".A", ".B")):
                p.add_(torch.randn_like(p) / 10)
    host = Local("cpu", bf16=True)
    with host.autocast(), torch.no_grad():
        before = model(**inputs())
    merge(model)
    with host.autocast(), torch.no_grad():
        assert before.dtype == torch.bfloat16 and torch.equal(model(**inputs()), before)


# Rows of the word embedding


def tuned(thin: bool, decay: float = 0.0) -> nn.Module:
    """Three steps of AdamW on a batch that holds some of the 50 words, the padding's among them; clipped."""
    model, batch = TinyBert(), bert_batch()
    batch["input_ids"] %= 20
    batch["input_ids"][0, 0] = 0
    if thin:
        only_rows(model, batch["input_ids"].flatten().tolist())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=decay)
    for step in range(3):
        torch.manual_seed(step)
        optimizer.zero_grad()
        cross_entropy()(model, batch).total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    if thin:
        held = sum(value.numel() for state in optimizer.state.values() for value in state.values() if value.ndim == 2)
        assert merge(model) == ["encoder.embeddings.word_embeddings"]
        assert held < 2 * sum(p.numel() for p in model.parameters() if p.ndim == 2)  # Adam's two moments, fewer rows
    return model


def test_training_only_the_rows_that_are_read_ends_at_the_same_weights():
    """1e-6: float32, and the norm that clips is summed over fewer zeros."""
    whole, rows = tuned(False), tuned(True)
    assert type(rows.get_input_embeddings()) is nn.Embedding
    assert rows.get_input_embeddings().padding_idx == whole.get_input_embeddings().padding_idx == 0
    for (name, a), (other, b) in zip(whole.state_dict().items(), rows.state_dict().items(), strict=True):
        assert name == other
        close(a, b, 1e-6)
    start, table = TinyBert().get_input_embeddings().weight, rows.get_input_embeddings().weight
    assert table.requires_grad and not torch.equal(table[1:20], start[1:20])
    assert torch.equal(table[20:], start[20:]) and torch.equal(table[0], start[0])
    decayed = tuned(False, decay=0.1).get_input_embeddings().weight  # control: with decay it is another run
    assert not torch.allclose(decayed[20:], table[20:], atol=1e-6)


def test_rows_answer_for_every_word_and_refuse_what_is_not_one():
    model = TinyBert().eval()
    before = model(**inputs())
    assert only_rows(model, [3, 3, 1, 0]) == 2  # the padding's row has no gradient
    assert torch.equal(model(**inputs()), before)
    with pytest.raises(ValueError, match="nn.Embedding, got Rows; merge"):
        only_rows(model, [1])
    for wrong in ([], [0], [50], [-1]):
        with pytest.raises(ValueError, match="tokens must be one or more ids from 0 to 49"):
            Rows(nn.Embedding(50, 2, padding_idx=0), wrong)
    for other in (nn.Embedding(5, 2, max_norm=1.0), nn.Embedding(5, 2, scale_grad_by_freq=True)):
        with pytest.raises(ValueError, match="must have neither max_norm nor scale_grad_by_freq, got Embedding"):
            Rows(other, [1])
    tensor = torch.tensor([[3, 1], [1, 0]]).flatten()  # a tensor's numbers are not equal to one another as keys
    assert torch.equal(Rows(nn.Embedding(50, 2, padding_idx=0), tensor).rows, torch.tensor([1, 3]))
    frozen = Rows(nn.Embedding(5, 2).requires_grad_(False), [1])
    assert not any(p.requires_grad for p in frozen.parameters())


# Thin layers


def test_factorize_computes_the_truncated_layer_and_merges_back():
    model, x = linear(), torch.randn(3, 4, dtype=torch.float64)
    before, bias = model[0].weight.detach().clone(), model[0].bias
    assert factorize(model, ends_in("0"), 2) == ["0"]
    assert isinstance(model[0], Thin) and model[0].bias is bias
    close(model[0](x), F.linear(x, truncate(before, 2), bias))
    close(model[0].A.norm(), model[0].B.norm())  # balanced
    assert merge(model) == ["0"] and type(model[0]) is nn.Linear and model[0].bias is bias
    close(model[0].weight.detach(), truncate(before, 2))


def test_factorize_at_full_rank_changes_nothing_and_keeps_freezing():
    model, x = linear(), torch.randn(3, 4, dtype=torch.float64)
    before = model(x)
    model[0].weight.requires_grad_(False)
    factorize(model, lambda name: True, 2)
    assert not torch.allclose(model(x), before)
    model = linear()
    model[0].weight.requires_grad_(False)
    factorize(model, ends_in("0"), 4)
    close(model(x), before)
    assert not model[0].A.requires_grad and not model[0].B.requires_grad
    assert [p.requires_grad for p in model[2].parameters()] == [True, True]
    merge(model)
    assert not model[0].weight.requires_grad and model[0].bias.requires_grad


def test_a_rank_too_large_for_one_layer_leaves_every_layer_alone():
    model = linear()
    with pytest.raises(ValueError, match="rank must be a whole number between 1 and 2, got 4"):
        factorize(model, lambda name: True, 4)
    assert type(model[0]) is nn.Linear
    with pytest.raises(ValueError, match="rank must be a whole number between 1 and 2, got 4"):
        attach(model, lambda name: True, lambda W: LoRA(W, 4, 1))
    assert all(p.requires_grad for p in model.parameters()) and type(model[0]) is nn.Linear


# Maps against peft


SQUARE, WIDE = ("query", "value"), ("intermediate.dense", "output.dense")  # 32 to 32; 32 to 48, 48 to 32 and 32 to 32


def peft_pair(make, dtype=torch.float64, on=SQUARE, training=False, **config):
    """Our TinyBert with our map, the same one with peft's, and peft's layers by our names; dropout is off.

    In training a layer goes through the factors, in evaluation through the weight.
    """
    from peft import LoraConfig, get_peft_model

    ours, theirs = TinyBert().to(dtype).eval(), TinyBert().to(dtype).eval()
    names = attach(ours, ends_in(*on), make)
    for name in names:
        ours.get_submodule(name).train(training)
    config = LoraConfig(target_modules=list(on), lora_dropout=0.0, **config)
    wrapped = get_peft_model(theirs, config, autocast_adapter_dtype=False).eval()
    return ours, wrapped, {name: wrapped.base_model.model.get_submodule(name) for name in names}


def randomize(ours, layers):
    """The same random A and B on both sides; peft keeps A and B as (r, n) and (m, r), as the paper does."""
    torch.manual_seed(9)
    for name, theirs in layers.items():
        new = ours.get_submodule(name).parametrizations.weight[0]
        with torch.no_grad():
            theirs.lora_A["default"].weight.copy_(new.A.normal_())
            theirs.lora_B["default"].weight.copy_(new.B.normal_())


def agree(ours, wrapped, layers, tolerance: float = 1e-12) -> None:
    """Same logits, and same gradients of A and B (and of DoRA's magnitude), relative to the largest value."""
    pairs = [(ours(**inputs()), wrapped(**inputs()))]
    for logits in pairs[0]:
        logits.square().sum().backward()
    for name, theirs in layers.items():
        new = ours.get_submodule(name).parametrizations.weight[0]
        pairs += [(getattr(new, x).grad, getattr(theirs, f"lora_{x}")["default"].weight.grad) for x in "AB"]
        if theirs.lora_magnitude_vector:
            pairs.append((new.M.grad, theirs.lora_magnitude_vector["default"].weight.grad))
    worst = max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
    print(f"largest relative difference from peft: {worst:.1e}")
    assert worst < tolerance


def test_lora_with_a_rank_for_each_layer_is_pefts():
    ranks = {"query": 2, "value": 5, "intermediate.dense": 1}
    _, wrapped, layers = peft_pair(lambda W: LoRA(W, 2, 4), on=[*ranks], r=2, lora_alpha=4, rank_pattern=ranks)
    ours = TinyBert().double().eval()
    for name, rank in ranks.items():
        attach(ours, ends_in(name), lambda W, rank=rank: LoRA(W, rank, 4))
    randomize(ours, layers)
    agree(ours, wrapped, layers)


@pytest.mark.parametrize("which, bias", [(ends_in("bias"), "all"), (ends_in("query.bias", "value.bias"), "lora_only")])
def test_biases_train_beside_the_map_as_pefts_do(which, bias):
    _, wrapped, layers = peft_pair(lambda W: LoRA(W, 2, 4), r=2, lora_alpha=4, bias=bias)
    ours = TinyBert().double()
    attach(ours, QV, lambda W: LoRA(W, 2, 4), train=which)
    randomize(ours, layers)
    agree(ours.eval(), wrapped, layers)
    theirs = {name.replace("base_model.model.", "").replace("base_layer.", ""): p.grad
              for name, p in wrapped.named_parameters() if p.requires_grad and "lora" not in name}
    mine = {name: p.grad for name, p in ours.named_parameters() if p.requires_grad and "parametrizations" not in name}
    assert mine.keys() == theirs.keys()
    for name, gradient in mine.items():
        close(gradient, theirs[name])


several = pytest.mark.parametrize("training, rank, alpha, stabilized, on", [
    (training, *row) for training in (False, True) for row in [
        (1, 0.5, False, SQUARE), (4, 16.0, True, SQUARE), (7, 3.0, False, WIDE), (2, 8.0, True, WIDE),
        (32, 16.0, False, WIDE)]])  # up to the full rank of every layer


@several
def test_lora_is_pefts(training, rank, alpha, stabilized, on):
    ours, wrapped, layers = peft_pair(lambda W: LoRA(W, rank, alpha, stabilized=stabilized), on=on, r=rank,
                                      training=training, lora_alpha=alpha, use_rslora=stabilized)
    close(ours(**inputs()), wrapped(**inputs()))  # B = 0
    randomize(ours, layers)
    agree(ours, wrapped, layers)
    merge(ours)
    close(ours(**inputs()), wrapped.merge_and_unload()(**inputs()))


@several
def test_dora_is_pefts_forward_and_gradient(training, rank, alpha, stabilized, on):
    ours, wrapped, layers = peft_pair(lambda W: DoRA(W, rank, alpha, stabilized=stabilized), on=on, r=rank,
                                      training=training, lora_alpha=alpha, use_dora=True, use_rslora=stabilized)
    close(ours(**inputs()), wrapped(**inputs()))
    randomize(ours, layers)
    agree(ours, wrapped, layers)
    merge(ours)
    close(ours(**inputs()), wrapped.merge_and_unload()(**inputs()))


@several
def test_pissa_is_pefts(training, rank, alpha, stabilized, on):
    ours, wrapped, layers = peft_pair(lambda W: PiSSA(W, rank, alpha, stabilized=stabilized), torch.float32, on,
                                      training, r=rank, lora_alpha=alpha, use_rslora=stabilized,
                                      init_lora_weights="pissa")
    plain = TinyBert().eval()
    assert training or torch.equal(ours(**inputs()), plain(**inputs()))  # ours leaves every bit alone
    close(ours(**inputs()), wrapped(**inputs()), 1e-6)
    for name, theirs in layers.items():
        new = ours.get_submodule(name).parametrizations.weight[0]
        W = plain.get_submodule(name).weight.detach()
        scale = alpha / rank**0.5 if stabilized else alpha / rank
        product = scale * theirs.lora_B["default"].weight @ theirs.lora_A["default"].weight
        close(new.scale * new.B @ new.A, product, 1e-6)
        close(new.scale * new.B @ new.A, truncate(W, rank), 1e-6)
        close(W - new.scale * new.B0 @ new.A0, theirs.get_base_layer().weight, 1e-6)
    shake(ours)  # and away from the start
    with torch.no_grad():
        for name, theirs in layers.items():
            new = ours.get_submodule(name).parametrizations.weight[0]
            theirs.lora_A["default"].weight.copy_(new.A)
            theirs.lora_B["default"].weight.copy_(new.B)
    close(ours(**inputs()), wrapped(**inputs()), 1e-6)


@pytest.mark.parametrize("make, products", [
    (lambda W: LoRA(W, 2, 4), 0), (lambda W: DoRA(W, 2, 4), 1), (lambda W: PiSSA(W, 2, 4), 1)])
def test_training_forms_no_gradient_of_the_weight(make, products):
    """Operations counted by torch; a product in float32 of (8, 2) and (2, 6) makes V of DoRA, W - W_r of PiSSA."""
    layer, x = nn.Sequential(nn.Linear(6, 8)), torch.randn(50, 6, requires_grad=True)
    attach(layer, ends_in("0"), make)
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    forward, thin = 2 * 50 * 6 * 8, 2 * 50 * 2 * (6 + 8)
    assert counter.get_total_flops() == 2 * forward + 3 * thin + products * 2 * 6 * 2 * 8


@pytest.mark.parametrize("act", [merge, detach])
def test_a_layer_without_its_map_is_plain_again_and_a_copy_has_a_map_of_its_own(act):
    model, x = nn.Sequential(nn.Linear(6, 8)), torch.randn(5, 6)
    attach(model, ends_in("0"), lambda W: LoRA(W, 2, 4))
    shake(model)
    before, twin = model(x), deepcopy(model)
    shake(twin)
    assert torch.equal(model(x), before) and not torch.equal(twin(x), before)
    act(twin)
    assert vars(twin[0]).keys() == vars(nn.Linear(6, 8)).keys()
    assert torch.equal(twin(x), F.linear(x, twin[0].weight, twin[0].bias))


# Maps on bare matrices


@pytest.mark.parametrize("make", [
    lambda W: LoRA(W, 2, 4), lambda W: LoRA(W, 2, 4, stabilized=True), lambda W: PiSSA(W, 2, 4),
    lambda W: DoRA(W, 2, 4), lambda W: Mixout(W, 0.5)])
def test_a_fresh_map_returns_the_weight_bit_for_bit(make):
    W = torch.randn(6, 4, dtype=torch.float64)
    assert torch.equal(make(W)(W), W)


def test_lora_scales_and_rank():
    W = torch.randn(9, 8, dtype=torch.float64)
    for stabilized, scale in ((False, 16 / 4), (True, 16 / 2)):
        new = LoRA(W, 4, 16, stabilized=stabilized)
        nn.init.normal_(new.B)
        assert new.scale == scale
        close(new(W).detach() - W, scale * (new.B @ new.A).detach())
        assert torch.linalg.matrix_rank(new(W) - W) == 4


def test_lora_start_is_drawn_by_the_generator_and_has_the_authors_spread():
    W = torch.zeros(50, 600)
    a, b = (LoRA(W, 50, 1, generator=torch.Generator().manual_seed(7)).A for _ in range(2))
    assert torch.equal(a, b) and not torch.equal(a, LoRA(W, 50, 1).A)
    assert a.abs().max() <= 600**-0.5 and a.var().item() == pytest.approx(1 / 1800, rel=0.05)  # uniform, 3e4 draws


def test_dora_gradient_holds_the_norm_constant():
    W = torch.randn(6, 4, dtype=torch.float64)
    new, G = DoRA(W, 2, 2.0).double(), torch.randn(6, 4, dtype=torch.float64)
    nn.init.normal_(new.B)
    close(new(W).norm(dim=1), new.M)  # each output's row has its learned length
    (new(W) * G).sum().backward()
    V = (W + new.scale * new.B @ new.A).detach()
    dV = new.M.detach()[:, None] / V.norm(dim=1, keepdim=True) * G
    close(new.A.grad, new.scale * new.B.detach().T @ dV)
    close(new.M.grad, (G * V).sum(1) / V.norm(dim=1))
    A = new.A.detach().requires_grad_()
    free = W + new.scale * new.B.detach() @ A
    unit = free / free.norm(dim=1, keepdim=True)
    (true,) = torch.autograd.grad((new.M.detach()[:, None] * unit * G).sum(), A)
    assert (true - new.A.grad).abs().max() > 0.1  # the control: the true derivative is another one


def test_dora_leaves_a_row_of_zeros_finite():
    W = torch.randn(3, 4)
    W[1] = 0
    new = DoRA(W, 1, 1.0)
    new(W).sum().backward()
    close(new(W).detach(), W, 1e-6)
    assert all(p.grad.isfinite().all() for p in new.parameters())


# attach, merge, detach


def test_attach_names_what_it_altered_and_freezes_the_rest():
    model = TinyBert()
    names = attach(model.encoder, QV, lambda W: LoRA(W, 2, 4))
    assert names == [f"encoder.layer.{i}.attention.self.{x}" for i in (0, 1) for x in ("query", "value")]
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trains == {f"encoder.{name}.parametrizations.weight.0.{x}" for name in names for x in "AB"} | {
        "head.weight", "head.bias"}


def test_attach_can_leave_more_training_and_keeps_earlier_maps_training():
    model = TinyBert()
    attach(model, ends_in("query"), lambda W: LoRA(W, 2, 4))
    attach(model, ends_in("value"), lambda W: DoRA(W, 2, 4), train=ends_in("head.weight", "head.bias"))
    trains = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trains) == 2 * 2 + 2 * 3 + 2 and {"head.weight", "head.bias"} <= set(trains)
    assert not any(name.endswith("original") for name in trains)


def test_mixout_freezes_nothing():
    model = TinyBert()
    attach(model, QV, lambda W: Mixout(W, 0.3))
    assert all(p.requires_grad for p in model.parameters())


def attach_twice(model):
    attach(model, QV, lambda W: LoRA(W, 2, 4))
    attach(model, ends_in("query"), lambda W: LoRA(W, 2, 4))


def mixout_on_frozen(model):
    model.requires_grad_(False)
    attach(model, QV, lambda W: Mixout(W, 0.3))


@pytest.mark.parametrize("action, message", [
    (lambda m: attach(m, ends_in("quer"), lambda W: LoRA(W, 2, 4)), r"where must match an nn\.Linear"),
    (attach_twice, r"encoder\.encoder\.layer\.0\.attention\.self\.query already carries a map"),
    (mixout_on_frozen, r"frozen weight, got encoder\.encoder\.layer\.0"),
    (lambda m: attach(m, QV, lambda W: LoRA(W, 2, 4), train=ends_in("nothing")), "train must match a parameter"),
    (lambda m: attach(m, QV, lambda W: Mixout(W, 0.3), train=ends_in("bias")), "must have parameters of its own"),
    (lambda m: (attach(m, QV, lambda W: LoRA(W, 2, 4)), factorize(m, QV, 2)), "already carries a map"),
    (lambda m: factorize(m, ends_in("nothing"), 2), r"where must match an nn\.Linear"),
    (lambda m: tail_penalty(ends_in("nothing"), 2, 1.0)(m), r"where must match an nn\.Linear"),
    (lambda m: tail_penalty(ends_in("head"), 2, 1.0)(m), "rank for head must be a whole number between 0 and 1, got 2"),
    (lambda m: tail_penalty(QV, 2, 1.0, {"x.weight": torch.zeros(1)})(m), r"start must hold encoder\..*query\.weight"),
    (lambda m: merge(m), "no map and no thin layer to merge"),
    (lambda m: detach(m), "no map to detach"),
])
def test_what_means_nothing_is_refused_by_name(action, message):
    with pytest.raises(ValueError, match=message):
        action(TinyBert())


W64 = torch.randn(6, 4)


@pytest.mark.parametrize("action, message", [
    (lambda: ends_in(), "suffixes must be one or more"),
    (lambda: ends_in("query", ""), "suffixes must be one or more"),
    (lambda: truncate(W64, 5), "rank must be a whole number between 0 and 4, got 5"),
    (lambda: truncate(W64, -1), "rank must be a whole number between 0 and 4, got -1"),
    (lambda: truncate(W64[0], 1), r"W must be a matrix of floats, got shape \(4,\)"),
    (lambda: tail_energy(W64, 5), "rank must be a whole number between 0 and 4, got 5"),
    (lambda: tail_penalty(QV, 2, -0.1), r"strength must be at least 0, got -0\.1"),
    (lambda: tail_prox(W64, 2, -1, 0.1), "step must be at least 0, got -1"),
    (lambda: tail_prox(W64, 2, 1, math.nan), "strength must be at least 0, got nan"),
    (lambda: tail_prox(W64, 5, 1, 1), "rank must be a whole number between 0 and 4, got 5"),
    (lambda: Thin(nn.Linear(4, 6), 0), "rank must be a whole number between 1 and 4, got 0"),
    (lambda: LoRA(W64, 0, 1), "rank must be a whole number between 1 and 4, got 0"),
    (lambda: LoRA(W64, 5, 1), "rank must be a whole number between 1 and 4, got 5"),
    (lambda: LoRA(W64, 2, 0), "alpha must be above 0, got 0"),
    (lambda: DoRA(W64, 5, 1), "rank must be a whole number between 1 and 4, got 5"),
    (lambda: PiSSA(W64, 5, 1), "rank must be a whole number between 1 and 4, got 5"),
])
def test_a_number_out_of_range_is_named_with_its_range(action, message):
    with pytest.raises(ValueError, match=message):
        action()


MAPS = {"lora": lambda W: LoRA(W, 2, 4), "dora": lambda W: DoRA(W, 2, 4), "pissa": lambda W: PiSSA(W, 2, 4),
        "mixout": lambda W: Mixout(W, 0.5)}


def shake(model) -> None:
    """Stand in for training: move everything that trains."""
    torch.manual_seed(11)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))


@pytest.mark.parametrize("kind", MAPS)
def test_merging_saving_and_loading_gives_the_same_predictions(kind, tmp_path):
    model = TinyBert()
    names = attach(model, QV, MAPS[kind])
    shake(model)
    before = model.eval()(**inputs())
    assert not torch.equal(before, TinyBert().eval()(**inputs()))
    model.train()  # a map is merged as it acts in evaluation all the same
    assert merge(model) == names
    torch.save(model.state_dict(), tmp_path / "model.pt")
    fresh = TinyBert()
    assert all(type(fresh.get_submodule(n)) is type(model.get_submodule(n)) is nn.Linear for n in names)
    fresh.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(fresh.eval()(**inputs()), before)
    assert torch.equal(model.eval()(**inputs()), before) and model.get_submodule(names[0]).training is False


@pytest.mark.parametrize("kind", [kind for kind in MAPS if kind != "mixout"])
def test_detaching_restores_the_original_bits(kind):
    model = TinyBert()
    names = attach(model.encoder, QV, MAPS[kind])
    shake(model.encoder)
    assert detach(model) == [f"encoder.{name}" for name in names]
    state, original = model.state_dict(), TinyBert().state_dict()
    assert state.keys() == original.keys() and all(torch.equal(state[name], original[name]) for name in state)


@pytest.mark.parametrize("alter", [
    lambda model: attach(model, ends_in("head"), lambda W: LoRA(W, 2, 4)), lambda model: only_rows(model, [1, 2])])
def test_a_weight_that_two_layers_share_is_refused_since_merging_would_change_both(alter):
    model = TinyBert(outputs=50)
    model.head.weight = model.get_input_embeddings().weight  # as masked-word models tie them
    with pytest.raises(ValueError, match="must have a weight of its own, and shares it with (head|encoder.*).weight"):
        alter(model)
    assert factorize(model, ends_in("head"), 2) == ["head"]  # which leaves the words' vectors alone


def test_a_layer_of_another_kind_is_refused_by_its_name():
    model = nn.ModuleDict({"conv": nn.Conv1d(4, 4, 1), "words": nn.Embedding(9, 4), "head": nn.Linear(4, 2)})
    for name, kind in (("conv", "Conv1d"), ("words", "Embedding")):
        for act in (lambda where: attach(model, where, lambda W: LoRA(W, 1, 1)),
                    lambda where: factorize(model, where, 1), lambda where: tail_penalty(where, 1, 1.0)(model)):
            with pytest.raises(ValueError, match=rf"where must match an nn\.Linear .*, but {name}, a {kind}$"):
                act(ends_in(name))


def test_unmerged_maps_resume_from_their_state_dict():
    for make in MAPS.values():
        model, other = TinyBert(), TinyBert()
        attach(model, QV, make)
        shake(model)
        shake(other)  # another start of W, which PiSSA and mixout keep, of A, and another P
        attach(other, QV, make)
        other.load_state_dict(model.state_dict())
        assert torch.equal(model.eval()(**inputs()), other.eval()(**inputs()))


def test_nuclear_penalty_meets_thin_layers_too():
    model = linear()
    factorize(model, ends_in("0"), 3)
    close(nuclear_factors(0.5)(model).detach(), 0.5 * torch.linalg.svdvals(model[0].weight.detach()).sum())
