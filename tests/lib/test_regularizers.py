"""Oracles: torch, scipy, closed forms, theorems, finite differences. float64 where mathematics is tested.

Tolerances: 1e-12 for float64 algebra of a few terms; torch's own defaults for gradcheck.
"""
from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft.utils.merge_utils import task_arithmetic
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lib.adapters import LoRA, attach, only_rows
from lib.averages import interpolate, soup
from lib.names import ends_in
from lib.objectives import any_of, cross_entropy, log_probabilities, penalized, r_drop, smart, symmetric_kl, targets
from lib.optimizers import SAM
from lib.projection import factorize
from lib.regularizers import Mixout, l2, l2_sp, nuclear_factors, set_dropout, snapshot
from lib.stopping import generalization_loss
from tests.lib.tiny import Bound, Tiny, TinyBert, bert_batch, tiny_batch

torch.set_num_threads(1)
few = settings(max_examples=30, deadline=None, derandomize=True)


def close(a, b, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(torch.as_tensor(a).detach(), torch.as_tensor(b).detach(), rtol=tolerance, atol=tolerance)


def fixed(logits):
    """A model that answers `logits`."""
    class Fixed(nn.Module):
        def forward(self, **inputs):
            return logits
    return Fixed()


def ce(logits, labels, smoothing: float = 0.0):
    return cross_entropy(smoothing)(fixed(logits), {"labels": torch.as_tensor(labels)}).total


def random_logits(classes: int, seed: int = 0, batch: int = 5):
    return 2 * torch.randn(batch, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# Cross-entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_cross_entropy_is_torchs(smoothing):
    z, y = random_logits(3), torch.tensor([0, 2, 1, 1, 0])
    close(ce(z, y, smoothing), F.cross_entropy(z, y, label_smoothing=smoothing))
    q = torch.from_numpy(scipy.special.softmax(random_logits(3, 1).numpy(), axis=1))
    close(ce(z, q, smoothing), F.cross_entropy(z, q, label_smoothing=smoothing))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_of_classes_are_torchs(smoothing):
    z, y, w = random_logits(3), torch.tensor([0, 2, 1, 1, 0]), [0.5, 3.0, 1.25]
    q = torch.from_numpy(scipy.special.softmax(random_logits(3, 1).numpy(), axis=1))
    for labels in (y, q):
        found = cross_entropy(smoothing, weights=w)(fixed(z), {"labels": labels}).total
        own = F.cross_entropy(z, labels, torch.tensor(w, dtype=z.dtype), label_smoothing=smoothing, reduction="none")
        close(found, own.mean())


def test_a_weight_of_two_is_the_row_twice():
    z, y = random_logits(2, batch=3), torch.tensor([0, 1, 0])
    twice = cross_entropy(weights=[1.0, 2.0])(fixed(z), {"labels": y}).total * 3 / 4
    close(twice, ce(z[[0, 1, 1, 2]], y[[0, 1, 1, 2]]))


def test_smoothing_mixes_e_over_all_classes():
    z, y, e = random_logits(4), torch.tensor([0, 2, 1, 3, 0]), 0.2
    log_p = scipy.special.log_softmax(z.numpy(), axis=1)
    q = np.full((5, 4), e / 4)
    q[np.arange(5), y] += 1 - e
    close(ce(z, y, e), -(q * log_p).sum(1).mean())


def test_one_logit_is_bernoulli():
    z, y = random_logits(1), torch.tensor([0, 1, 1, 0, 1])
    soft = torch.tensor([0.0, 0.3, 1.0, 0.5, 0.9], dtype=torch.float64)
    close(ce(z, y), F.binary_cross_entropy_with_logits(z[:, 0], y.double()))
    close(ce(z, soft), F.binary_cross_entropy_with_logits(z[:, 0], soft))
    close(ce(z, torch.stack((1 - soft, soft), 1)), ce(z, soft))
    close(log_probabilities(z).exp()[:, 1], scipy.special.expit(z[:, 0].numpy()))
    close(ce(torch.cat((torch.zeros_like(z), z), 1), y, 0.1), ce(z, y, 0.1))  # two logits (0, z) are the same model
    close(ce(random_logits(2), soft), ce(random_logits(2), torch.stack((1 - soft, soft), 1)))


def test_log_probabilities_do_not_underflow_and_are_at_least_float32():
    z = torch.tensor([[-200.0], [200.0]])
    close(log_probabilities(z), torch.tensor([[0.0, -200.0], [-200.0, 0.0]]))
    assert log_probabilities(z.bfloat16()).dtype == torch.float32
    assert log_probabilities(z.double()).dtype == torch.float64


@given(st.integers(2, 6), st.integers(0, 2**31))
@few
def test_log_probabilities_are_normalised_and_ignore_a_common_shift(classes, seed):
    z = random_logits(classes, seed)
    close(log_probabilities(z).exp().sum(1), torch.ones(5, dtype=torch.float64))
    close(log_probabilities(z), log_probabilities(z + 7))


@pytest.mark.parametrize("classes, labels, message", [
    (3, [0, 3, 1, 0, 0], r"whole numbers between 0 and 2, got \[3\]"),
    (3, [0, -100, 1, 0, 0], r"between 0 and 2, got \[-100\]"),
    (1, [0, 2, 1, 0, 0], r"between 0 and 1, got \[2\]"),
    (3, [[0, 1, 0]] * 5, r"got shape \(5, 3\)"),
    (3, [0.5] * 5, r"soft labels must be \(batch, 3\), got shape \(5,\)"),
    (1, [0.5, 1.2, 0.0, 0.0, -0.1], r"at least 0 and sum to 1, got \[1\.2"),
    (2, [0.5, float("nan"), 0.0, 0.0, 0.1], r"at least 0 and sum to 1, got \[nan\]"),
    (3, [[0.5, 0.5, 0.5]] * 5, "sum to 1"),
    (3, [[1.5, -0.5, 0.0]] * 5, "at least 0"),
    (2, [[0.5, 0.3, 0.2]] * 5, r"\(batch, 2\) or \(batch,\), got shape \(5, 3\)"),
])
def test_labels_outside_their_range_are_named(classes, labels, message):
    with pytest.raises(ValueError, match=message):
        ce(random_logits(classes), labels)


# Gradients of every objective and penalty


def numeric(objective, model, batch) -> bool:
    names = [name for name, _ in model.named_parameters()]

    def value(*tensors):
        torch.manual_seed(5)
        return objective(Bound(model, dict(zip(names, tensors, strict=True))), batch).total

    return torch.autograd.gradcheck(value, [p.detach().clone().requires_grad_() for p in model.parameters()])


base = cross_entropy(0.1)
OBJECTIVES = {
    "hard": (base, 3, 0.0, None), "one logit": (base, 1, 0.0, [0, 1, 1, 0, 1]),
    "soft": (cross_entropy(), 2, 0.0, [0.1, 0.9, 0.4, 1.0, 0.0]),
    "r_drop": (r_drop(base, 0.7), 3, 0.3, None), "smart": (smart(base, 0.8, 0.1, 0.01), 3, 0.0, None),
    "smart with dropout": (smart(base, 0.8, 0.1, 0.01), 3, 0.3, None),
    "smart in r_drop": (r_drop(smart(base, 0.8, 0.1, 0.01), 0.5), 1, 0.3, [0, 1, 1, 0, 1]),
    "r_drop in smart": (smart(r_drop(base, 0.7), 0.8, 0.1, 0.01), 3, 0.3, None),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_gradcheck(name):
    objective, outputs, p, labels = OBJECTIVES[name]
    assert numeric(objective, Tiny(outputs, p), tiny_batch(labels))


@pytest.mark.parametrize("name, penalty", [
    ("l2", l2(0.3)), ("l2 of some", l2(0.3, ends_in("hidden.weight"))),
    ("l2_sp", l2_sp({name: p + 1 for name, p in snapshot(Tiny(), lambda n: "head" not in n).items()}, 0.3, 0.2)),
    ("nuclear", nuclear_factors(0.4))])
def test_penalty_gradcheck(name, penalty):
    model = Tiny()
    if name == "nuclear":
        factorize(model, ends_in("hidden", "head"), 2)
    names, values = zip(*((n, p.detach().clone().requires_grad_()) for n, p in model.named_parameters()), strict=True)

    def value(*tensors):
        other = copy.deepcopy(model)
        for n, tensor in zip(names, tensors, strict=True):
            module = other.get_submodule(n.rpartition(".")[0])
            leaf = n.rpartition(".")[2]
            del module._parameters[leaf]
            module._parameters[leaf] = tensor
        return penalty(other)

    assert torch.autograd.gradcheck(value, values)


def test_parts_of_a_loss_hold_no_graph():
    objective = penalized(smart(r_drop(base, 0.7), 0.8), l2(0.1), "l2")
    loss = objective(Tiny(3, 0.3), tiny_batch())
    assert loss.parts.keys() == {"ce", "r_drop", "smart", "l2"} and loss.total.requires_grad
    assert not any(part.requires_grad for part in loss.parts.values())


# R-Drop


@given(st.integers(2, 5), st.integers(0, 2**31))
@few
def test_symmetric_kl_is_scipys_and_torchs(classes, seed):
    a, b = log_probabilities(random_logits(classes, seed)), log_probabilities(random_logits(classes, seed + 1))
    p, q = a.exp().numpy(), b.exp().numpy()
    close(symmetric_kl(a, b), (scipy.stats.entropy(p, q, axis=1) + scipy.stats.entropy(q, p, axis=1)).mean())
    close(symmetric_kl(a, b), F.kl_div(a, b, log_target=True, reduction="batchmean")
          + F.kl_div(b, a, log_target=True, reduction="batchmean"))
    close(symmetric_kl(a, b), symmetric_kl(b, a))
    assert symmetric_kl(a, b) >= 0 and symmetric_kl(a, a) == 0


@given(st.integers(0, 2**31))
@few
def test_any_of_pulls_towards_the_model_told_that_the_answer_lies_in_the_group(seed):
    """The gradient in the logits is p minus p given the group, by counting; a group of one is cross-entropy."""
    z = random_logits(6, seed).requires_grad_()
    model, y, groups = fixed(z), torch.arange(len(z)) % 2, [[0, 2, 5], [3, 1]]
    loss = any_of(groups)(model, {"labels": y})
    p = scipy.special.softmax(z.detach().numpy(), 1)
    close(loss.total, -np.mean([np.log(sum(row[a] for a in groups[g])) for row, g in zip(p, y.tolist(), strict=True)]))
    loss.total.backward()
    told = np.zeros_like(p)
    for i, g in enumerate(y.tolist()):
        told[i, groups[g]] = p[i, groups[g]] / p[i, groups[g]].sum()
    close(z.grad, (p - told) / len(p))
    ones = [[c] for c in range(6)]
    close(any_of(ones)(model, {"labels": y}).total, cross_entropy()(model, {"labels": y}).total)


def test_r_drop_is_the_mean_loss_plus_half_the_jeffreys_divergence():
    answers = iter((random_logits(3, 0), random_logits(3, 1)))

    class Two(nn.Module):
        def forward(self):
            return next(answers)

    y = torch.tensor([0, 1, 2, 1, 0])
    loss = r_drop(cross_entropy(), 0.6)(Two(), {"labels": y})
    a, b = random_logits(3, 0), random_logits(3, 1)
    kl = symmetric_kl(log_probabilities(a), log_probabilities(b)) / 2
    close(loss.total, (F.cross_entropy(a, y) + F.cross_entropy(b, y)) / 2 + 0.6 * kl)
    close(loss.parts["r_drop"], kl)
    close(loss.logits, a)


def test_r_drop_costs_nothing_without_noise_and_refuses_to_train_so():
    model, batch = TinyBert(p=0.0), bert_batch()
    assert r_drop(base, 1.0)(model.eval(), batch).parts["r_drop"] == 0
    with pytest.raises(ValueError, match="r_drop needs a model with noise"):
        r_drop(base, 1.0)(model.train(), batch)
    set_dropout(model, 0.2)
    assert r_drop(base, 1.0)(model.train(), batch).parts["r_drop"] > 0
    set_dropout(model, 0.0)
    attach(model, ends_in("query"), lambda W: Mixout(W, 0.5))
    with torch.no_grad():
        model.encoder.encoder.layer[0].attention.self.query.parametrizations.weight.original.add_(1.0)
    assert r_drop(base, 1.0)(model, batch).parts["r_drop"] > 0


# SMART


def test_smart_falls_as_the_square_of_the_radius_even_under_dropout():
    batch = bert_batch()
    for mode in ("eval", "train"):
        model = getattr(TinyBert(p=0.3).double(), mode)()
        cost = []
        for radius in (1e-2, 1e-3, 1e-4):
            torch.manual_seed(0)
            cost.append(smart(base, 1.0, radius, radius / 10)(model, batch).parts["smart"].item())
        assert cost[0] / cost[1] == pytest.approx(100, rel=0.5)  # the quadratic term and some of the next
        assert cost[1] / cost[2] == pytest.approx(100, rel=0.05)


def test_smart_moves_each_number_by_the_radius_where_there_is_text():
    model, batch, seen = TinyBert().double(), bert_batch(), []
    model.register_forward_pre_hook(lambda m, args, kwargs: seen.append(kwargs.get("inputs_embeds")), with_kwargs=True)
    smart(base, 1.0, 0.01, 1e-5)(model, batch)
    x = model.get_input_embeddings()(batch["input_ids"])
    assert seen[0] is None and len(seen) == 3  # one clean pass, one to climb, one at the top
    assert (seen[1] - x).abs().max() < 1e-4 and (seen[1] - x).std().item() == pytest.approx(1e-5, rel=0.1)
    moved = (seen[2] - x).abs()
    close(moved[batch["attention_mask"] == 1], torch.full_like(moved[batch["attention_mask"] == 1], 0.01))
    assert moved[batch["attention_mask"] == 0].max() == 0


def test_smart_finds_the_worst_point_of_a_linear_model():
    model, batch = Tiny(1), tiny_batch([0, 1, 1, 0, 1])
    model.hidden.weight.data, model.hidden.bias.data = torch.eye(3).double() * 1e-4, torch.zeros(3).double()
    model.head.weight.data *= 1e4  # tanh is the identity here, so z = w x + b
    z, w = model(batch["input_ids"], batch["attention_mask"]), model.head.weight[0] * 1e-4
    shift = 0.05 * w.abs().sum()  # Hoelder: |w d| <= |w|_1 |d|_inf, reached by d = 0.05 sign(w)
    worst = torch.stack([symmetric_kl(log_probabilities(z[i:i + 1]), log_probabilities(z[i:i + 1] + sign * shift))
                         for sign in (1, -1) for i in range(5)]).view(2, 5)
    found = smart(base, 1.0, 0.05, 1e-5)(model, batch).parts["smart"]
    assert worst.min(0).values.mean() - 1e-6 <= found <= worst.max(0).values.mean() + 1e-6


def test_smart_is_worse_than_random_noise_of_its_size():
    model, batch = TinyBert().double().eval(), bert_batch()
    worst = smart(base, 1.0, 0.05)(model, batch).parts["smart"]
    x, clean = model.get_input_embeddings()(batch["input_ids"]), model(batch["input_ids"], batch["attention_mask"])
    signs = [0.05 * torch.randn_like(x).sign() for _ in range(20)]
    random = [symmetric_kl(log_probabilities(clean), log_probabilities(model(None, batch["attention_mask"], x + d)))
              for d in signs]
    assert worst > max(random) * 2


def test_smart_refuses_what_has_no_embeddings():
    with pytest.raises(TypeError, match="smart needs a model with get_input_embeddings and .* input_ids, got Fixed"):
        smart(base, 1.0)(fixed(random_logits(3)), tiny_batch())
    with pytest.raises(TypeError, match=r"got Tiny and \['attention_mask', 'labels'\]"):
        smart(base, 1.0)(Tiny(), {k: v for k, v in tiny_batch().items() if k != "input_ids"})


# Penalties


def test_l2_is_the_weight_decay_of_sgd_and_of_adam_but_not_of_adamw():
    for make, same in ((torch.optim.SGD, True), (torch.optim.Adam, True), (torch.optim.AdamW, False)):
        a, b = Tiny(), Tiny()
        inside, outside = make(a.parameters(), lr=0.1, weight_decay=0.5), make(b.parameters(), lr=0.1, weight_decay=0.0)
        for _ in range(3):
            for model, optimizer, objective in ((a, inside, base), (b, outside, penalized(base, l2(0.5), "l2"))):
                optimizer.zero_grad()
                objective(model, tiny_batch()).total.backward()
                optimizer.step()
        assert torch.allclose(a.head.weight, b.head.weight, rtol=1e-10, atol=0) is same


def test_l2_counts_what_trains_and_matches():
    model = Tiny()
    close(l2(0.5)(model), 0.25 * sum(p.square().sum() for p in model.parameters()))
    close(l2(0.5, ends_in("head.weight"))(model), 0.25 * model.head.weight.square().sum())
    model.embedding.requires_grad_(False)
    close(l2(0.5)(model), 0.25 * sum(p.square().sum() for p in model.parameters() if p.requires_grad))


def test_l2_sp_gradient_is_the_leash():
    model = Tiny()
    start = {name: p + 1.5 for name, p in snapshot(model, lambda name: "head" not in name).items()}
    l2_sp(start, 0.3, 0.2)(model).backward()
    for name, p in model.named_parameters():
        close(p.grad, 0.3 * (p - start[name]) if name in start else 0.2 * p)
    zero = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    close(l2_sp(zero, 0.4, 9.0)(model), l2(0.4)(model))
    assert l2_sp(snapshot(model), 0.3, 0.2)(model) == 0


def test_l2_sp_knows_a_weight_under_mixout_by_its_name():
    model = TinyBert()
    start = snapshot(model)
    attach(model, ends_in("query"), lambda W: Mixout(W, 0.3))
    assert snapshot(model).keys() == start.keys()
    assert l2_sp(start, 1.0, 1.0)(model) == 0


def test_nuclear_factors_bounds_the_nuclear_norm_and_attains_it_when_balanced():
    model = TinyBert().double()
    attach(model, ends_in("query"), lambda W: LoRA(W, 3, 6.0))
    maps = [m for m in model.modules() if isinstance(m, LoRA)]
    products = []
    with torch.no_grad():
        for m in maps:
            m.B.normal_()
            products.append(m.scale * m.B @ m.A)
    norm = sum(torch.linalg.matrix_norm(product, "nuc") for product in products)
    assert nuclear_factors(0.3)(model) > 0.3 * norm * 1.01
    with torch.no_grad():
        for m, product in zip(maps, products, strict=True):
            U, S, Vh = torch.linalg.svd(product / m.scale, full_matrices=False)
            m.B.copy_(U[:, :3] * S[:3].sqrt())
            m.A.copy_(S[:3, None].sqrt() * Vh[:3])
            close(m.scale * m.B @ m.A, product, 1e-10)
    close(nuclear_factors(0.3)(model), 0.3 * norm, 1e-10)


# Noise


def test_set_dropout_reaches_every_layer_and_the_attention():
    model, batch = TinyBert(p=0.0), bert_batch()
    del batch["labels"]
    layers = [name for name, m in model.named_modules() if isinstance(m, nn.Dropout)]
    numbers = [name for name, m in model.named_modules() if hasattr(m, "dropout_prob")]  # transformers 4
    assert sorted(set_dropout(model, 0.4)) == sorted(layers + numbers) and len(layers) == 1 + 3 * 2
    assert all(model.get_submodule(name).p == 0.4 for name in layers)
    set_dropout(model, 0.0)
    attention = model.encoder.encoder.layer[0].attention.self
    if numbers:
        attention.dropout_prob = 0.4
    else:
        attention.dropout.p = 0.4
    assert not torch.equal(model(**batch), model(**batch))
    set_dropout(model, 0.0)
    assert torch.equal(model(**batch), model(**batch))


def test_set_dropout_reaches_whole_channels_and_rates_of_activations():
    layer = nn.Sequential(nn.Dropout1d(0.5), nn.AlphaDropout(0.5), nn.Linear(2, 2))
    layer[2].activation_dropout = 0.3
    assert set_dropout(layer, 0.0) == ["0", "1", "2"]
    assert layer[0].p == layer[1].p == layer[2].activation_dropout == 0.0


def test_set_dropout_reaches_attention_that_holds_its_rate_as_a_number():
    layer, x = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True), torch.randn(3, 4, 8)
    assert "self_attn" in set_dropout(layer, 0.0)
    assert torch.equal(layer(x), layer(x))

    class Attention(nn.Module):
        def __init__(self, name):
            super().__init__()
            setattr(self, name, 0.5)

    for name in ("dropout_prob", "attention_dropout"):  # of transformers 4 and of ModernBERT
        layer = nn.Sequential(Attention(name))
        assert set_dropout(layer, 0) == ["0"] and getattr(layer[0], name) == 0


def test_mixout_from_zero_is_dropout_bit_for_bit():
    W, mix = torch.randn(20, 30), Mixout(torch.zeros(20, 30), 0.3)
    torch.manual_seed(0)
    a = mix(W)
    torch.manual_seed(0)
    assert torch.equal(a, F.dropout(W, 0.3))
    assert torch.equal(mix.eval()(W), W)


def test_mixout_swaps_at_its_rate_and_keeps_the_mean():
    W, W0 = torch.randn(30, 20, dtype=torch.float64), torch.randn(30, 20, dtype=torch.float64)
    mix, p = Mixout(W0, 0.3), 0.3
    torch.manual_seed(1)
    draws = torch.stack([mix(W) for _ in range(4000)])
    kept = (W - p * W0) / (1 - p)  # the paper's formula with M = 1; with M = 0 it is W0
    swapped = torch.isclose(draws, W0.expand_as(draws))
    assert (swapped | torch.isclose(draws, kept.expand_as(draws))).all()
    assert swapped.double().mean().item() == pytest.approx(p, abs=0.002)  # 2.4 million draws, 6 sd
    deviation = draws.std(0) / 4000**0.5
    assert ((draws.mean(0) - W).abs() <= 6 * deviation + 1e-12).all()


def test_mixout_gradcheck():
    W = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    mix = Mixout(torch.randn(3, 2, dtype=torch.float64), 0.4)

    def value(W):
        torch.manual_seed(0)
        return mix(W)

    assert torch.autograd.gradcheck(value, W)


# SAM


class Spy(torch.optim.SGD):
    """SGD that remembers the weights and gradients it was given."""

    def step(self, closure=None):
        self.seen = [(p.detach().clone(), p.grad.clone()) for group in self.param_groups for p in group["params"]]
        return super().step(closure)


def quadratic():
    generator = torch.Generator().manual_seed(0)
    H = torch.randn(5, 5, dtype=torch.float64, generator=generator)
    return H @ H.T, torch.randn(5, dtype=torch.float64, generator=generator)


def run(optimizer, loss, steps: int = 1, calls: list | None = None):
    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        if calls is not None:
            calls.append(value.item())
        return value.detach()
    return [optimizer.step(closure).item() for _ in range(steps)]


def test_sam_on_a_quadratic_is_the_closed_form():
    H, w0 = quadratic()
    w, calls = nn.Parameter(w0.clone()), []
    inner = Spy([w], lr=0.1)
    losses = run(SAM(inner, 0.5), lambda: 0.5 * w @ H @ w, calls=calls)
    g = H @ w0
    e = 0.5 * g / g.norm()
    close(w, w0 - 0.1 * H @ (w0 + e))
    assert e.norm().item() == pytest.approx(0.5)
    assert torch.equal(inner.seen[0][0], w0)  # restored bit for bit before the inner step
    close(torch.tensor(calls, dtype=torch.float64), torch.stack([0.5 * w0 @ H @ w0, 0.5 * (w0 + e) @ H @ (w0 + e)]))
    assert losses == calls[:1]  # the step returns the loss at the weights themselves


def test_sam_is_torch_func_over_all_parameters_together():
    model, batch = Tiny(), tiny_batch()
    theta = {name: p.detach().clone() for name, p in model.named_parameters()}
    x = {name: value for name, value in batch.items() if name != "labels"}

    def loss(theta):
        return F.cross_entropy(torch.func.functional_call(model, theta, (), x), batch["labels"])

    for _ in range(4):
        g = torch.func.grad(loss)(theta)
        norm = sum(v.square().sum() for v in g.values()).sqrt()
        up = torch.func.grad(loss)({name: theta[name] + 0.2 * g[name] / norm for name in theta})
        theta = {name: theta[name] - 0.3 * up[name] for name in theta}
    run(SAM(torch.optim.SGD(model.parameters(), lr=0.3), 0.2), lambda: cross_entropy()(model, batch).total, steps=4)
    for name, p in model.named_parameters():
        close(p, theta[name])


def test_sam_of_radius_zero_is_the_inner_optimizer_bit_for_bit():
    a, b = Tiny(), Tiny()
    run(SAM(torch.optim.AdamW(a.parameters(), lr=0.1), 0.0), lambda: base(a, tiny_batch()).total, steps=3)
    run(torch.optim.AdamW(b.parameters(), lr=0.1), lambda: base(b, tiny_batch()).total, steps=3)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_sam_at_a_minimum_stays_there():
    theta = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    run(SAM(torch.optim.SGD([theta], lr=0.1), 0.5), lambda: theta.square().sum(), steps=2)
    assert torch.equal(theta.detach(), torch.zeros(3, dtype=torch.float64))


def test_sam_without_a_gradient_is_an_error():
    sam = SAM(torch.optim.SGD(Tiny().parameters(), 0.1))
    with pytest.raises(ValueError, match="closure must leave a gradient in a parameter"):
        sam.step(lambda: torch.ones(()))


def test_sam_restores_the_weights_when_the_second_pass_raises():
    model = Tiny()
    before, calls = snapshot(model), []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise FloatingPointError("the loss is nan")
        base(model, tiny_batch()).total.backward()

    with pytest.raises(FloatingPointError):
        SAM(torch.optim.SGD(model.parameters(), lr=1.0), 0.5).step(closure)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_sam_state_is_the_inner_optimizers_and_resumes():
    def make():
        model = Tiny()
        return model, SAM(torch.optim.AdamW(model.parameters(), lr=0.1), 0.1)

    model, optimizer = make()
    run(optimizer, lambda: base(model, tiny_batch()).total, steps=3)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    assert optimizer.state_dict()["state"].keys() == optimizer.inner.state_dict()["state"].keys() and saved[1]["state"]
    run(optimizer, lambda: base(model, tiny_batch()).total, steps=2)
    other, again = make()
    other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    for group in again.param_groups:  # the loop sets the rate here
        group["lr"] = 0.1
    assert again.param_groups is again.inner.param_groups
    run(again, lambda: base(other, tiny_batch()).total, steps=2)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


def test_sam_follows_the_rate_that_the_loop_sets():
    model = Tiny()
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), 0.1)
    before = snapshot(model)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    run(optimizer, lambda: base(model, tiny_batch()).total)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


# Averages and stopping


def states():
    draw = [torch.Generator().manual_seed(seed) for seed in range(3)]
    return [{"w": torch.randn(3, 2, generator=generator), "n": torch.tensor(7)} for generator in draw]


def test_interpolation_is_exact_at_both_ends_and_linear_between():
    a, b, _ = states()
    assert torch.equal(interpolate(a, b, 0.0)["w"], a["w"]) and torch.equal(interpolate(a, b, 1.0)["w"], b["w"])
    close(interpolate(a, b, 0.3)["w"], 0.7 * a["w"] + 0.3 * b["w"], 1e-6)
    assert interpolate(a, b, 0.3)["n"] == 7


def test_soup_is_the_mean():
    close(soup(states())["w"], sum(state["w"] for state in states()) / 3, 1e-6)
    assert soup(states())["n"] == 7
    a, b, _ = states()
    close(soup([a, b])["w"], interpolate(a, b, 0.5)["w"], 1e-6)


def test_averages_are_those_of_torch_and_peft():
    """`AveragedModel` takes its first model as it is, the next ones by 1/k or, as an EMA, by 1 - decay."""
    models = [nn.Linear(3, 2) for _ in range(3)]
    mean, ema = AveragedModel(models[0]), AveragedModel(models[0], multi_avg_fn=get_ema_multi_avg_fn(0.7))
    for model in models:
        mean.update_parameters(model)
    for model in models[:2]:
        ema.update_parameters(model)
    weights = [snapshot(model) for model in models]
    for ours, theirs in ((soup(weights), mean), (interpolate(*weights[:2], 0.3), ema)):
        for name, value in snapshot(theirs.module).items():
            close(ours[name], value, 1e-6)
    theirs = task_arithmetic([state["weight"] for state in weights], torch.full((3,), 1 / 3))
    close(soup(weights)["weight"], theirs, 1e-6)


def test_the_start_comes_back_whole():
    a, b = ({"w": torch.ones(2) * i, "n": torch.tensor(i)} for i in (3, 5))
    assert interpolate(a, b, 0.0)["n"] == 3 and interpolate(a, b, 1.0)["n"] == 5


@pytest.mark.parametrize("change", [
    lambda model: factorize(model, ends_in("query"), 2), lambda model: only_rows(model, [1, 2])])
def test_thin_layers_and_rows_are_merged_before_they_are_averaged(change):
    model = TinyBert()
    change(model)
    with pytest.raises(ValueError, match="must be merged before they are averaged"):
        soup([model.state_dict()])


def test_averages_share_no_memory_with_what_they_average():
    given = states()
    for average in (soup(given), interpolate(given[0], given[1], 0.0), interpolate(given[0], given[1], 1.0)):
        for value in average.values():
            value.zero_()
    assert all(state["n"] == 7 and state["w"].ne(0).all() for state in given)


def test_the_mean_of_factors_is_not_the_mean_of_products():
    models = [TinyBert(), TinyBert()]
    for model in models:
        attach(model, ends_in("query"), lambda W: LoRA(W, 2, 4))
    with pytest.raises(ValueError, match=r"must be merged before they are averaged, got encoder"):
        soup([model.state_dict() for model in models])
    with pytest.raises(ValueError, match="must be merged"):
        interpolate(models[0].state_dict(), models[1].state_dict(), 0.5)


@pytest.mark.parametrize("errors, stops", [
    ([], False), ([1.0], False), ([1.0, 1.02], False), ([1.0, 1.06], True), ([1.0, 1.06, 0.9], False),
    ([2.0, 1.0, 1.05], False), ([2.0, 1.0, 1.0501], True), ([0.0, 0.0], False), ([0.0, 0.01], True)])
def test_generalization_loss_by_table(errors, stops):
    history = [{"step": 0.0}, *({"nll": error, "step": 1.0} for error in errors), {"step": 2.0}] if errors else []
    assert generalization_loss("nll", 5.0)(history) is stops


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=12), st.floats(0, 50))
@few
def test_generalization_loss_stops_at_the_first_prefix_that_rose_too_far(errors, threshold):
    stop, history = generalization_loss("nll", threshold), [{"nll": error} for error in errors]
    stopped = [t for t in range(1, len(errors) + 1) if stop(history[:t])]
    loss = [100 * (errors[t - 1] / min(errors[:t]) - 1) for t in range(1, len(errors) + 1)]
    assert stopped == [t for t in range(1, len(errors) + 1) if loss[t - 1] > threshold + 1e-9 * (1 + threshold)] or any(
        abs(value - threshold) < 1e-6 * (1 + threshold) for value in loss)  # ties within rounding may go either way
    assert stop(history) is stop(list(history))


# What is refused, and the docstrings


@pytest.mark.parametrize("action, message", [
    (lambda: cross_entropy(1.0), r"smoothing must be at least 0 and below 1, got 1\.0"),
    (lambda: cross_entropy(-0.1), r"smoothing must be at least 0 and below 1, got -0\.1"),
    (lambda: log_probabilities(torch.zeros(3)), r"logits must be .* got shape \(3,\)"),
    (lambda: log_probabilities(torch.zeros(3, 0)), r"got shape \(3, 0\)"),
    (lambda: r_drop(base, -1), "alpha must be at least 0, got -1"),
    (lambda: smart(base, -1), "weight must be at least 0, got -1"),
    (lambda: smart(base, 1, 0.0), r"radius must be above 0, got 0\.0"),
    (lambda: smart(base, 1, 0.1, 0.0), r"init must be above 0, got 0\.0"),
    (lambda: l2(-1), "strength must be at least 0, got -1"),
    (lambda: l2(1, ends_in("nothing"))(Tiny()), "where must match a parameter that trains"),
    (lambda: l2_sp({}, -1, 0), "alpha must be at least 0, got -1"),
    (lambda: l2_sp({}, 0, -1), "beta must be at least 0, got -1"),
    (lambda: l2_sp(snapshot(TinyBert().encoder), 1, 1)(TinyBert()), r"start must hold .* that train, e\.g\. encoder"),
    (lambda: l2_sp({"head.weight": torch.zeros(1, 3)}, 1, 1)(Tiny()), r"head\.weight in .*, got \(1, 3\)"),
    (lambda: nuclear_factors(-1), "strength must be at least 0, got -1"),
    (lambda: nuclear_factors(1)(Tiny()), "needs LoRA or thin layers"),
    (lambda: snapshot(Tiny(), ends_in("nothing")), "where must match a parameter"),
    (lambda: set_dropout(Tiny(), 1.0), r"p must be at least 0 and below 1, got 1\.0"),
    (lambda: set_dropout(nn.Linear(2, 2), 0.1), "dropout layer, got none"),
    (lambda: Mixout(torch.zeros(2, 2), -0.1), r"p must be at least 0 and below 1, got -0\.1"),
    (lambda: SAM(torch.optim.SGD(Tiny().parameters()), -1), "rho must be at least 0, got -1"),
    (lambda: interpolate(*states()[:2], 1.1), r"alpha must be between 0 and 1, got 1\.1"),
    (lambda: interpolate({"a": torch.zeros(1)}, {"b": torch.zeros(1)}, 0.5), r"they differ in \['a', 'b'\]"),
    (lambda: soup([]), "at least one state dict, got none"),
    (lambda: soup([{"a": torch.zeros(1)}, {"a": torch.zeros(2)}]), r"they differ in \['a'\]"),
    (lambda: generalization_loss("nll", -1), "threshold must be at least 0, got -1"),
    (lambda: generalization_loss("nll", 1)([{"nll": -0.5}]), r"nll must be an error of at least 0, got -0\.5"),
])
def test_what_means_nothing_is_refused_by_name(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_targets_are_distributions():
    for labels, classes in (([0, 2, 1], 3), ([0.2, 0.8], 2), ([[0.1, 0.2, 0.7]], 3), ([True, False], 2)):
        q = targets(torch.as_tensor(labels), classes)
        assert q.shape[1] == classes
        close(q.sum(1), torch.ones_like(q[:, 0]), 1e-6)
