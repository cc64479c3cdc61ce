"""Typical wrong answers to the exercises of chapter 8, and the words that must name the mistake."""

import numpy as np
from scipy.special import log_expit


def margin(w, x, bw, bx):
    return np.subtract(w, x) - np.subtract(bw, bx)


def last_crossing(loss, kl, target):
    found = -1.0
    for i in range(1, len(loss)):
        if loss[i] <= target < loss[i - 1]:
            found = kl[i - 1] + (loss[i - 1] - target) / (loss[i - 1] - loss[i]) * (kl[i] - kl[i - 1])
    return found


def at_the_end(loss, kl, target):
    for i in range(1, len(loss)):
        if loss[i] <= target < loss[i - 1]:
            return kl[i - 1] + (loss[i - 1] - target) / (loss[i - 1] - loss[i]) * (kl[i] - kl[i - 1])
    return kl[-1]


def first_below(loss, kl, target):
    below = [i for i, value in enumerate(loss) if value <= target]
    return kl[below[0]] if below else -1.0


def untrimmed(changes, keep):
    agree = np.sign(changes) == np.sign(changes.sum(0))
    agree &= changes != 0
    return (changes * agree).sum(0) / np.maximum(agree.sum(0), 1)


def by_all(changes, keep):
    kept = np.where(abs(changes) >= np.sort(abs(changes), 1)[:, -keep, None], changes, 0)
    return (kept * (np.sign(kept) == np.sign(kept.sum(0)))).sum(0) / len(changes)


def trimmed(changes, keep, size=abs):
    return np.where(size(changes) >= np.sort(size(changes), 1)[:, -keep, None], changes, 0)


def agreeing(kept, sign):
    agree = (np.sign(kept) == sign) & (kept != 0)
    return (kept * agree).sum(0) / np.maximum(agree.sum(0), 1)


def all_vote(changes, keep):
    return agreeing(trimmed(changes, keep), np.sign(changes.sum(0)))


def largest_values(changes, keep):
    kept = trimmed(changes, keep, size=np.positive)
    return agreeing(kept, np.sign(kept.sum(0)))


def by_kept(changes, keep):
    kept = trimmed(changes, keep)
    return (kept * (np.sign(kept) == np.sign(kept.sum(0)))).sum(0) / np.maximum((kept != 0).sum(0), 1)


def neftune(noise, mask, alpha):
    """Right: each text by its own tokens, and none on padding."""
    own = [alpha / (row.sum() * noise.shape[2]) ** 0.5 for row in mask]
    return np.stack([size * row[:, None] * one for size, row, one in zip(own, mask, noise, strict=True)])


def padded(noise, mask, alpha):
    return alpha / (noise.shape[1] * noise.shape[2]) ** 0.5 * noise


def rounding(W, rho, gaps=15, width=32, nearest=True):
    """Right by default: every weight to the nearest of the levels, one by one."""
    errors = []
    for row in W:
        for block in np.split(row, range(width, len(row), width)):
            levels = block.min() + (block.max() - block.min()) * np.arange(gaps + 1) / gaps
            for w in block:
                below = levels[levels <= w + 1e-12] if not nearest else levels
                errors.append(abs(below - w).min())
    return np.sqrt(np.square(errors).sum()) / rho


WRONG = [
    ("check_loss", lambda model, base: np.sum((model - base) ** 2) / 8, "expected"),
    ("check_ties", all_vote, "only what was kept votes"),
    ("check_ties", largest_values, "a large negative change is large"),
    ("check_ties", by_kept, "how many were kept"),
    ("check_forgotten", lambda base, tuned: (np.exp(tuned) * (base - tuned)).sum(1).mean(), "the base wrote"),
    ("check_forgotten", lambda base, tuned: (np.exp(base) * (base - tuned)).mean(), "a sum over the words"),
    ("check_forgotten", lambda base, tuned: (np.exp(base) * (tuned - base)).sum(1).mean(), "the sign"),
    ("check_forgotten", lambda base, tuned: (np.exp(base) * (base - tuned)).sum(), "not their sum"),
    ("check_loss", lambda model, base: np.mean(model - base), "no slope"),
    ("check_loss", lambda model, base: np.mean(np.exp(base - model) - 1 - base + model), "k3"),
    ("check_loss", lambda model, base: np.mean(np.square(model - base)), "half of the square"),
    ("check_loss", lambda model, base: 0.5 * np.sum(np.square(base - model)), "not the sum"),
    ("check_frontier", last_crossing, "not the last"),
    ("check_frontier", at_the_end, "never got there"),
    ("check_frontier", first_below, "between two points"),
    ("check_frontier", lambda loss, kl, target: min(kl), "expected"),
    ("check_fisher", lambda g: np.square(g.mean(axis=0)), "before you take the mean"),
    ("check_fisher", lambda g: np.square(g).sum(axis=0), "not the sum"),
    ("check_fisher", lambda g: np.var(g, axis=0), "not the variance"),
    ("check_dose", lambda rates, decay: decay * np.sum(rates), "approximation"),
    ("check_dose", lambda rates, decay: 1 - (1 - decay) ** len(rates), "through the rate"),
    ("check_dose", lambda rates, decay: -np.expm1(-decay * np.sum(rates)), "an exponential"),
    ("check_ties", untrimmed, "first keep the largest"),
    ("check_ties", by_all, "how many agree"),
    ("check_ties", lambda changes, keep: np.mean(changes, axis=0), "plain mean"),
    ("check_ties", lambda changes, keep: changes.sum(0), "expected"),
    ("check_any", lambda log_p, right: -np.mean([row[some].mean() for row, some in zip(log_p, right, strict=True)]),
     "all of them at once"),
    ("check_any", lambda log_p, right: -np.mean([row[some].max() for row, some in zip(log_p, right, strict=True)]),
     "still one word"),
    ("check_any", lambda log_p, right: -np.mean([row[some].sum() for row, some in zip(log_p, right, strict=True)]),
     "do not add"),
    ("check_any", lambda log_p, right: 1 - np.mean(np.exp(log_p) @ right.T), "expected"),
    ("check_neftune", padded, "the published scale"),
    ("check_neftune", lambda noise, mask, alpha: padded(noise, mask, alpha) * mask[..., None],
     "not by that of the batch"),
    ("check_neftune", lambda noise, mask, alpha: (
        noise * (alpha / np.sqrt(mask.sum(1) * noise.shape[2]))[:, None, None]), "padding should get no noise"),
    ("check_neftune", lambda noise, mask, alpha: (
        neftune(noise, mask, alpha) * np.sqrt(mask.sum(1) / mask.sum(1).mean())[:, None, None]), "the mean length"),
    ("check_neftune", lambda noise, mask, alpha: (
        mask[..., None] * noise * alpha / np.sqrt(mask.sum() * noise.shape[2])), "all tokens of the batch"),
    ("check_neftune", lambda noise, mask, alpha: 2 * neftune(noise, mask, alpha), "the width belongs under the root"),
    ("check_neftune", lambda noise, mask, alpha: (
        neftune(noise, mask, alpha) / np.sqrt(4 * mask.sum(1))[:, None, None]), "the root: it is the mean square"),
    ("check_neftune", lambda noise, mask, alpha: neftune(noise, mask, alpha) / np.sqrt(3), "expected"),
    ("check_radii", lambda W, rho: rounding(W, rho, gaps=16), "fifteen gaps"),
    ("check_radii", lambda W, rho: rounding(W.reshape(1, -1), rho, width=W.size), "not the whole matrix"),
    ("check_radii", lambda W, rho: rounding(W, rho, width=64), "not each row"),
    ("check_radii", lambda W, rho: rounding(W.T.reshape(-1, 32), rho), "not down a column"),
    ("check_radii", lambda W, rho: rounding(W, rho, nearest=False), "not to the one below"),
    ("check_radii", lambda W, rho: rounding(W, rho) / np.sqrt(W.size), "the length of the whole step"),
    ("check_radii", lambda W, rho: rounding(W, rho) ** 2 * rho, "the root of the sum"),
    ("check_radii", lambda W, rho: rounding(W, 1.0), "divide by rho"),
    ("check_radii", lambda W, rho: 2 * rounding(W, rho), "expected"),
    ("check_dpo", lambda w, x, bw, bx, b: -log_expit(b * np.subtract(w, x)).mean(), "its own margin off"),
    ("check_dpo", lambda w, x, bw, bx, b: -b * log_expit(margin(w, x, bw, bx)).mean(), "in front of the loss"),
    ("check_dpo", lambda w, x, bw, bx, b: -log_expit(margin(w, x, bw, bx)).mean(), "without beta"),
    ("check_dpo", lambda w, x, bw, bx, b: -log_expit(-b * margin(w, x, bw, bx)).mean(), "the sign"),
    ("check_dpo", lambda w, x, bw, bx, b: -log_expit(margin(w, x, bw, bx) / b).mean(), "not divided by"),
    ("check_dpo", lambda w, x, bw, bx, b: 1 - np.exp(log_expit(b * margin(w, x, bw, bx))).mean(), "no loss"),
    ("check_dpo", lambda w, x, bw, bx, b: -np.log(np.exp(log_expit(b * margin(w, x, bw, bx))).mean()), "pair first"),
    ("check_dpo", lambda w, x, bw, bx, b: -log_expit(b * margin(w, x, bw, bx)).sum(), "not their sum"),
    ("check_dpo", lambda w, x, bw, bx, b: -log_expit(b * (w - bw)).mean(), "no pair"),
    ("check_dpo", lambda w, x, bw, bx, b: 0 * b, "expected"),
]
