"""Typical wrong answers to the exercises of chapter 5, and the words that must name the mistake."""

import numpy as np
import torch

from lib.projection import truncate


def norm_share(s, share):
    kept = [np.linalg.norm(s[: r + 1]) / np.linalg.norm(s) for r in range(len(s))]
    return next(r for r, k in enumerate(kept, start=1) if k >= share)


def columns(W, rank, eta, lam):
    return torch.cat([W[:, :rank], (1 - eta * lam) * W[:, rank:]], 1)


def descend(pull, *, mean=True, begin=None):
    """A loop whose penalty has the gradient `pull(w, w0, a)`."""

    def answer(X, y, w0, a, lr, steps):
        w = (w0 if begin is None else begin(w0)).clone()
        for _ in range(steps):
            w = w - lr * (X.T @ ((X @ w).sigmoid() - y) / (len(y) if mean else 1) + pull(w, w0, a))
        return w

    return answer


def kept_share(s, share):
    kept = np.cumsum(s**2) / np.sum(s**2)
    return min(k for k in kept if k >= share)


def uphill(X, y, w0, a, lr, steps):
    w = w0.clone()
    for _ in range(steps):
        w = w - lr * (X.T @ (y - (X @ w).sigmoid()) / len(y) + a * (w - w0))
    return w


def pulled_after(X, y, w0, a, lr, steps):
    w = w0.clone()
    for _ in range(steps):
        w = w - lr * X.T @ ((X @ w).sigmoid() - y) / len(y)
        w = (1 - lr * a) * w + lr * a * w0
    return w


WRONG = [
    ("check_head_size", lambda d, c, k: (k or d) * c + c + 2 * d + (d * k if k else 0), "it is k wide"),
    ("check_head_size", lambda d, c, k: (d * k if k else 0) + (k or d) * c + c, "a scale and a shift"),
    ("check_head_size", lambda d, c, k: (k or d) * (c + 1) + c + (d * k if k else 0), "a shift as well"),
    ("check_head_size", lambda d, c, k: (k or d) * (c + 2) + c + ((d + 1) * k if k else 0), "has no bias"),
    ("check_head_size", lambda d, c, k: d + c, "expected"),
    ("check_bce_gradient", lambda z, y: torch.sigmoid(z) - y, "divides each entry by N"),
    ("check_bce_gradient", lambda z, y: (y - torch.sigmoid(z)) / len(z), "sign is turned"),
    ("check_bce_gradient", lambda z, y: (z.sigmoid() - y).mean(), "one entry for each sentence"),
    ("check_bce_gradient", lambda z, y: (torch.sigmoid(z) - y) / 3, "expected"),
    ("check_head_size", lambda d, c, k: k and d * k + 2 * k + (k + 1) * c, "returns nothing yet"),
    ("check_tail_step", lambda W, r, eta, lam: W - eta * (W - truncate(W, r)), "lambda is missing"),
    ("check_tail_step", columns, "not the first r columns"),
    ("check_tail_step", lambda W, r, eta, lam: (1 - lam) * W + lam * truncate(W, r), "multiply by eta"),
    ("check_tail_step", lambda W, r, eta, lam: W - eta * lam * truncate(W, r), "the other way round"),
    ("check_tail_step", lambda W, r, eta, lam: W - eta * lam * W, "plain L2"),
    ("check_tail_step", lambda W, r, eta, lam: truncate(W, r), "cuts the tail off at once"),
    ("check_tail_step", lambda W, r, eta, lam: W[0], "array of shape"),
    ("check_tail_step", lambda W, r, eta, lam: W - 0.5 * eta * lam * (W - truncate(W, r)), "no one half"),
    ("check_tail_step", lambda W, r, eta, lam: W - 2 * eta * lam * (W - truncate(W, r)), "no factor two"),
    ("check_rank_for", lambda s, share: int(np.argmax(np.cumsum(s) / s.sum() >= share)) + 1, "square"),
    ("check_rank_for", lambda s, share: int(np.argmax(np.cumsum(s**2) / (s**2).sum() >= share)), "rank at one"),
    ("check_rank_for", norm_share, "not of the norm"),
    ("check_rank_for", lambda s, share: int(np.ceil(share * len(s))), "not of the number"),
    ("check_anchored", lambda W, W0, r, lam: lam * (truncate(W - W0, r) - (W - W0)), "sign is turned"),
    ("check_anchored", lambda W, W0, r, lam: lam * (W - W0 - truncate(W - W0, 2)), "rank is an argument"),
    ("check_anchored", lambda W, W0, r, lam: W - W0 - truncate(W - W0, r), "times lambda"),
    ("check_anchored", lambda W, W0, r, lam: 2 * lam * (W - W0 - truncate(W - W0, r)), "cancels the two"),
    ("check_anchored", lambda W, W0, r, lam: lam * (W - W0 - truncate(W - W0, r)) / 2, "no one half is left"),
    ("check_anchored", lambda W, W0, r, lam: lam * (W - truncate(W, r)), "subtract W0"),
    ("check_anchored", lambda W, W0, r, lam: 1 / 0, "raised ZeroDivisionError"),
    ("check_anchored", lambda W, W0, r, lam: "a string", "expected"),
    ("check_train_anchored", descend(lambda w, w0, a: 0 * w), "penalty is missing"),
    ("check_train_anchored", descend(lambda w, w0, a: a * w), "pulls towards zero"),
    ("check_train_anchored", descend(lambda w, w0, a: 2 * a * (w - w0)), "its gradient is a (w - w0)"),
    ("check_train_anchored", descend(lambda w, w0, a: a / 2 * (w - w0)), "one half too many"),
    ("check_train_anchored", descend(lambda w, w0, a: -a * (w - w0)), "pushes away"),
    ("check_train_anchored", descend(lambda w, w0, a: a * (w - w0), mean=False), "the mean over the sentences"),
    ("check_train_anchored", descend(lambda w, w0, a: a * (w - w0), begin=torch.zeros_like), "not at zero"),
    ("check_train_anchored", lambda X, y, w0, a, lr, steps: w0, "no step was taken"),
    ("check_head_size", lambda d, c, k: (k or d) * (c + 2) + c, "trains as well"),
    ("check_head_size", lambda d, c, k: (k or d) * (c + 2) + c + (k or 0), "not k numbers"),
    ("check_head_size", lambda d, c, k: (k or d) * c + 3 * c + (d * k if k else 0), "not one a class"),
    ("check_bce_gradient", lambda z, y: (z - y) / z.numel(), "not z"),
    ("check_bce_gradient", lambda z, y: (p := z.sigmoid()) * (1 - p) * (p - y) / len(z), "squared error"),
    ("check_bce_gradient", lambda z, y: (z.sigmoid() - y) / (len(z) / 2), "twice too much"),
    ("check_tail_step", lambda W, r, eta, lam: W - eta * lam * (W - truncate(W, r + 1)), "one direction too many"),
    ("check_tail_step", lambda W, r, eta, lam: eta * lam * (W - truncate(W, r)), "take it from W"),
    ("check_rank_for", lambda s, share: 1 + int(np.argmax(np.cumsum(s**2) > share * sum(s**2))), "equality is enough"),
    ("check_rank_for", kept_share, "not the share that it keeps"),
    ("check_anchored", lambda W, W0, r, lam: lam * (W - truncate(W - W0, r)), "subtract W0 there too"),
    ("check_anchored", lambda W, W0, r, lam: lam * W - lam * W0, "the first r directions are free"),
    ("check_train_anchored", uphill, "go down, not up"),
    ("check_train_anchored", pulled_after, "not after the step"),
]
