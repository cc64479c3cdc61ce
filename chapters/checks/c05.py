"""What checks the exercises of chapter 5."""
from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from lib.book.exercises import checker
from lib.projection import tail_prox, truncate

_draws = torch.Generator().manual_seed(0)


def _random(*shape):
    return torch.randn(*shape, generator=_draws, dtype=torch.float64)


_W = (
    torch.linalg.qr(_random(7, 4))[0]
    * torch.tensor([5.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    @ torch.linalg.qr(_random(4, 4))[0]
)
_W0 = _random(7, 4)
_z = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
_y = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
_by_autograd = torch.autograd.grad(F.binary_cross_entropy_with_logits(_z, _y), _z)[0]


def _stepped(W, rank, eta, lam):
    """By the decomposition itself, not by `truncate`."""
    U, s, Vh = torch.linalg.svd(W, full_matrices=False)
    factor = torch.where(torch.arange(len(s)) < rank, 1.0, 1 - eta * lam)
    return U * (s * factor) @ Vh


check_head_size = checker(
    [
        ((384, 2, None), 2 * 384 + 384 * 2 + 2),
        ((768, 3, 64), 768 * 64 + 2 * 64 + 64 * 3 + 3),
        ((768, 3, None), 2 * 768 + 768 * 3 + 3),
    ],
    {
        "the LayerNorm has a scale and a shift, two numbers for each of its inputs": lambda d, c, k: (
            (d * k if k else 0) + (k or d) * c + c
        ),
        "a scale is not all: the LayerNorm has a shift as well": lambda d, c, k: (
            (d * k if k else 0) + (k or d) + (k or d) * c + c
        ),
        "the projection has no bias": lambda d, c, k: (d * k + k if k else 0) + 2 * (k or d) + (k or d) * c + c,
        "the last layer has one bias a class": lambda d, c, k: (d * k if k else 0) + 2 * (k or d) + (k or d) * c,
        "the LayerNorm comes after the projection: it is k wide": lambda d, c, k: (
            (d * k if k else 0) + 2 * d + (k or d) * c + c
        ),
        "the projection trains as well: width times k numbers": lambda d, c, k: 2 * (k or d) + (k or d) * c + c,
        "the projection is width times k, not k numbers": lambda d, c, k: (k or 0) + 2 * (k or d) + (k or d) * c + c,
        "one LayerNorm, and its scale and shift have one number an input, not one a class": lambda d, c, k: (
            (d * k if k else 0) + 2 * c + (k or d) * c + c
        ),
        "after a projection to k, LayerNorm and Linear are both k wide": lambda d, c, k: (
            (d * k if k else 0) + 2 * d + d * c + c
        ),
    },
    praise="A vanishing part of the model.",
)

check_bce_gradient = checker(
    [((_z.detach(), _y), _by_autograd), ((_z.detach()[:2], _y[:2]), 1.5 * _by_autograd[:2])],
    {
        "the mean over N sentences divides each entry by N": lambda z, y: z.sigmoid() - y,
        "the sign is turned: descent would move away from the labels": lambda z, y: (y - z.sigmoid()) / len(z),
        "the prediction is sigmoid(z), not z": lambda z, y: (z - y) / len(z),
        "that would be the gradient of a squared error": lambda z, y: (
            (z.sigmoid() - y) * z.sigmoid() * (1 - z.sigmoid()) / len(z)
        ),
        "twice too much: each sentence is asked once": lambda z, y: 2 * (z.sigmoid() - y) / len(z),
        "one entry for each sentence, not their mean": lambda z, y: (z.sigmoid() - y).mean(),
        "this is the gradient with respect to the probability; go on to the logit with the chain rule": lambda z, y: (
            (z.sigmoid() - y) / (z.sigmoid() * (1 - z.sigmoid())) / len(z)
        ),
    },
    praise="Prediction minus truth, over N: autograd agrees.",
)

check_tail_step = checker(
    [(case, _stepped(*case)) for case in ((_W, 1, 0.5, 0.4), (_W, 2, 0.1, 1.0))],
    {
        "the half in front and the two of the square cancel: the gradient has no one half": lambda W, r, eta, lam: (
            W - eta * lam / 2 * (W - truncate(W, r))
        ),
        "the half in front cancels the two of the square: the gradient has no factor two": lambda W, r, eta, lam: (
            W - 2 * eta * lam * (W - truncate(W, r))
        ),
        "this shrinks the first r singular values as well: that is plain L2": lambda W, r, eta, lam: (
            (1 - eta * lam) * W
        ),
        "this cuts the tail off at once: a step of size eta only shrinks it": lambda W, r, eta, lam: truncate(W, r),
        "lambda is missing: it says how hard the tail is pressed": lambda W, r, eta, lam: (
            W - eta * (W - truncate(W, r))
        ),
        "the step has a size: multiply by eta": lambda W, r, eta, lam: W - lam * (W - truncate(W, r)),
        "this shrinks the first r and leaves the tail: it is the other way round": lambda W, r, eta, lam: (
            W - eta * lam * truncate(W, r)
        ),
        "the sign is turned: this step lets the tail grow": lambda W, r, eta, lam: W + eta * lam * (W - truncate(W, r)),
        "the first r singular values stay, not the first r columns": lambda W, r, eta, lam: torch.cat(
            [W[:, :r], (1 - eta * lam) * W[:, r:]], 1
        ),
        "one direction too many is free: r of them stay": lambda W, r, eta, lam: (
            W - eta * lam * (W - truncate(W, r + 1))
        ),
        "the gradient alone is no step: take it from W": lambda W, r, eta, lam: eta * lam * (W - truncate(W, r)),
        "this is the proximal step, which divides by 1 + eta lambda": lambda W, r, eta, lam: tail_prox(W, r, eta, lam),
    },
    praise="The first r stay, the tail shrinks by one minus eta lambda.",
)

check_rank_for = checker(
    [
        ((np.array([4.0, 2.0, 1.0, 1.0]), 0.9), 2),
        ((np.array([4.0, 2.0, 1.0, 1.0]), 0.95), 3),
        ((np.array([3.0, 3.0]), 0.5), 1),
        ((np.array([5.0, 3.0, 2.0, 2.0, 1.0]), 0.6), 2),
    ],
    {
        "energy is the square of a singular value": lambda s, share: int(
            np.searchsorted(np.cumsum(s) / s.sum(), share - 1e-12) + 1
        ),
        "a share of the squared norm, not of the norm": lambda s, share: int(
            np.searchsorted(np.sqrt(np.cumsum(s**2) / (s**2).sum()), share - 1e-12) + 1
        ),
        "one too few: an index starts at zero, a rank at one": lambda s, share: int(
            np.searchsorted(np.cumsum(s**2) / (s**2).sum(), share - 1e-12)
        ),
        "a share of the squared norm, not of the number of values": lambda s, share: int(np.ceil(share * len(s))),
        "at least that share: equality is enough": lambda s, share: int(
            np.searchsorted(np.cumsum(s**2) / (s**2).sum(), share + 1e-12) + 1
        ),
        "the smallest rank, not the share that it keeps": lambda s, share: (
            (kept := np.cumsum(s**2) / (s**2).sum())[np.argmax(kept >= share - 1e-12)]
        ),
        "one too many": lambda s, share: int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), share - 1e-12) + 2),
    },
    praise="This is the number to look at before you choose a rank.",
)

check_anchored = checker(
    [
        ((W, W0, r, lam), lam * ((W - W0) - truncate(W - W0, r)))
        for W, W0, r, lam in ((_W, _W0, 2, 0.3), (_W0, 3 * _W, 1, 2.0))
    ],
    {
        "this is the gradient with anchor zero: subtract W0 first": lambda W, W0, r, lam: lam * (W - truncate(W, r)),
        "the sign is turned: the gradient points away from the low-rank part": lambda W, W0, r, lam: (
            lam * (truncate(W - W0, r) - (W - W0))
        ),
        "lambda is missing: the gradient is the tail of the change times lambda": lambda W, W0, r, lam: (
            (W - W0) - truncate(W - W0, r)
        ),
        "the half in front cancels the two of the square": lambda W, W0, r, lam: (
            2 * lam * ((W - W0) - truncate(W - W0, r))
        ),
        "the two of the square cancels the half in front: no one half is left": lambda W, W0, r, lam: (
            lam / 2 * ((W - W0) - truncate(W - W0, r))
        ),
        "truncate the change, not the two matrices one by one": lambda W, W0, r, lam: (
            lam * ((W - W0) - (truncate(W, r) - truncate(W0, r)))
        ),
        "the truncated part is of the change, and so is what it is taken from: subtract W0 there too": (
            lambda W, W0, r, lam: lam * (W - truncate(W - W0, r))
        ),
        "the rank is an argument": lambda W, W0, r, lam: lam * ((W - W0) - truncate(W - W0, 2)),
        "all of the change is penalised here; the first r directions are free": lambda W, W0, r, lam: lam * (W - W0),
        "this keeps the first r and drops the tail: the gradient is the other part": lambda W, W0, r, lam: (
            lam * truncate(W - W0, r)
        ),
    },
    praise="Only directions of the change beyond the first r are penalised; what was pretrained is free.",
)


def _loop(X, y, w0, a, lr, steps, pull=lambda w, w0, a: a / 2 * (w - w0).square().sum(), start=None, loss=None):
    """Full-batch gradient descent by autograd, the penalty given."""
    w = (w0 if start is None else start(w0)).clone().requires_grad_()
    for _ in range(steps):
        data = (loss or F.binary_cross_entropy_with_logits)(X @ w, y)
        (g,) = torch.autograd.grad(data + pull(w, w0, a), w)
        w = (w - lr * g).detach().requires_grad_()
    return w.detach()


def _sum(z, y):
    return F.binary_cross_entropy_with_logits(z, y, reduction="sum")


def _after(X, y, w0, a, lr, steps):
    """The pull applied to the weights that the data have moved already."""
    w = w0.clone()
    for _ in range(steps):
        w = w - lr * X.T @ ((X @ w).sigmoid() - y) / len(y)
        w = w - lr * a * (w - w0)
    return w


_X, _t = _random(12, 3), (torch.arange(12) % 2).double()
_w0 = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
_cases = [(_X, _t, _w0, 0.5, 0.3, 5), (_X[:6], _t[:6], -_w0, 0.1, 0.5, 20)]

check_train_anchored = checker(
    [(case, _loop(*case)) for case in _cases],
    {
        "the penalty is missing: this minimises the data's loss alone": lambda *case: (
            _loop(*case, pull=lambda w, w0, a: 0 * w.sum())
        ),
        "this pulls towards zero: the anchor is w0": lambda *case: (
            _loop(*case, pull=lambda w, w0, a: a / 2 * w.square().sum())
        ),
        "training begins at the pretrained weights, not at zero": lambda *case: _loop(*case, start=torch.zeros_like),
        "the half in front belongs to the penalty: its gradient is a (w - w0)": lambda *case: (
            _loop(*case, pull=lambda w, w0, a: a * (w - w0).square().sum())
        ),
        "one half too many: the gradient of the penalty is a (w - w0)": lambda *case: (
            _loop(*case, pull=lambda w, w0, a: a / 4 * (w - w0).square().sum())
        ),
        "the distance is squared in the penalty": lambda *case: (
            _loop(*case, pull=lambda w, w0, a: a / 2 * (w - w0).norm() if (w - w0).any() else 0 * w.sum())
        ),
        "the loss is the mean over the sentences, not their sum": lambda *case: _loop(*case, loss=_sum),
        "the sign of the penalty is turned: it pushes away from w0": lambda *case: (
            _loop(*case, pull=lambda w, w0, a: -a / 2 * (w - w0).square().sum())
        ),
        "no step was taken: that is where it begins": lambda X, y, w0, a, lr, steps: w0,
        "the sign of the data's gradient is turned: go down, not up": lambda *case: _loop(
            *case, loss=lambda z, y: -F.binary_cross_entropy_with_logits(z, y)
        ),
        "the pull is taken at the same w as the gradient, not after the step": _after,
        "one step too few": lambda X, y, w0, a, lr, steps: _loop(X, y, w0, a, lr, steps - 1),
        "one step too many": lambda X, y, w0, a, lr, steps: _loop(X, y, w0, a, lr, steps + 1),
    },
    praise="That is fine-tuning with an anchor: five lines, and the pull back to where it began.",
)
