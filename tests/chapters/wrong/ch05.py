"""Typical wrong answers to the exercises of chapter 5, and the words that must name the mistake."""

import numpy as np
import torch

from lib.projection import truncate

WRONG = [
    ("check_head_size", lambda d, c, k: (k or d) * c + c + 2 * d + (d * k if k else 0), "it is k wide"),
    ("check_head_size", lambda d, c, k: (d * k if k else 0) + (k or d) * c + c, "a scale and a shift"),
    ("check_head_size", lambda d, c, k: d + c, "expected"),
    ("check_bce_gradient", lambda z, y: torch.sigmoid(z) - y, "divides each entry by N"),
    ("check_bce_gradient", lambda z, y: (y - torch.sigmoid(z)) / 3, "sign is turned"),
    ("check_tail_step", lambda W, r, eta, lam: W - eta * lam * W, "plain L2"),
    ("check_tail_step", lambda W, r, eta, lam: truncate(W, r), "cuts the tail off at once"),
    ("check_tail_step", lambda W, r, eta, lam: W[0], "array of shape"),
    ("check_rank_for", lambda s, share: int(np.argmax(np.cumsum(s) / s.sum() >= share)) + 1, "square"),
    ("check_rank_for", lambda s, share: int(np.argmax(np.cumsum(s**2) / (s**2).sum() >= share)), "rank at one"),
    ("check_anchored", lambda W, W0, r, lam: lam * (W - truncate(W, r)), "subtract W0"),
    ("check_anchored", lambda W, W0, r, lam: 1 / 0, "raised ZeroDivisionError"),
    ("check_anchored", lambda W, W0, r, lam: "a string", "expected"),
]
