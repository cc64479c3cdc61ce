"""Typical wrong answers to the exercises of chapter 7, and the words that must name the mistake."""

import numpy as np


def whole(G):
    U, _, Vh = np.linalg.svd(G, full_matrices=False)
    return U @ Vh


def below(w, update, d, m):
    return m + d * np.clip(np.floor((w + update - m) / d), 0, 15)


def cut(G, least):
    U, s, Vh = np.linalg.svd(G, full_matrices=False)
    return U[:, s > least(s)] @ Vh[s > least(s)]


def lost(losses, forgot, target):
    for i in range(1, len(losses)):
        if losses[i] <= target < losses[i - 1]:
            share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
            return forgot[i - 1] + share * (forgot[i] - forgot[i - 1])
    return np.nan


def terms(W, chosen):
    U, s, Vh = np.linalg.svd(W, full_matrices=False)
    return U[:, chosen] @ np.diag(s[chosen]) @ Vh[chosen]


def dropped(W, r):
    W[:, :r] = 0
    return W


def emptied(W, r):
    W[:r] = 0
    return W


def unscaled(W, r):
    U, _, Vh = np.linalg.svd(W, full_matrices=False)
    return W - U[:, :r] @ Vh[:r]


def left(M):
    return np.linalg.svd(M, full_matrices=False)[0]


def alike(W, D, k=None):
    return np.abs(left(W).T @ left(W + D)[:, :k])


def by_columns_of_v(W, D, k, t):
    old, new = (np.linalg.svd(M, full_matrices=False)[2] for M in (W, W + D))
    return sum(max(abs(old @ v)) < t for v in new[:k])


WRONG = [
    ("check_muon", lambda G: cut(G, lambda s: 1e-3), "gradients are small"),
    ("check_muon", lambda G: cut(G, lambda s: s[0] / 10), "a small direction is one too"),
    ("check_first_step", lambda G, A, s, eta: -eta * s * np.where(G @ A.T > 0, 1, -1) @ A, "its sign is zero"),
    ("check_wall", lambda D, U: D @ (np.eye(3) - U @ U.T), "raised ValueError"),
    ("check_thin_rank", lambda m, n: round(m * n / (m + n)) - 1, "nearest whole number"),
    ("check_merged", lambda w, update, d, m: m + d * np.minimum(np.round((w + update - m) / d), 15), "first level"),
    ("check_muon", whole, "that G does not have"),
    ("check_muon", lambda G: G / np.linalg.norm(G, 2), "all of them shall become 1"),
    ("check_muon", lambda G: G / np.linalg.norm(G), "the step of SGD"),
    ("check_muon", np.sign, "signSGD"),
    ("check_muon", lambda G: G.T, "expected"),
    ("check_first_step", lambda G, A, s, eta: -eta * s * s * np.sign(G @ A.T) @ A, "s counts once"),
    ("check_first_step", lambda G, A, s, eta: -eta * s**2 * G @ A.T @ A, "plain gradient descent"),
    ("check_first_step", lambda G, A, s, eta: eta * s * np.sign(G @ A.T) @ A, "downhill"),
    ("check_first_step", lambda G, A, s, eta: -eta * s * np.sign(G) @ A.T @ A, "not of G"),
    ("check_first_step", lambda G, A, s, eta: -eta * np.sign(G @ A.T) @ A, "s is missing"),
    ("check_first_step", lambda G, A, s, eta: 0 * G, "expected"),
    ("check_wall", lambda D, U: D - D @ U @ U.T @ np.ones((len(U), len(U))), "expected"),
    ("check_wall", lambda D, U: D @ U @ U.T, "do see"),
    ("check_wall", lambda D, U: D - D @ U, "raised ValueError"),
    ("check_thin_rank", lambda m, n: m * n // (m + n), "one less"),
    ("check_thin_rank", lambda m, n: min(m, n) // 2, "is no rule"),
    ("check_thin_rank", lambda m, n: m, "expected"),
    ("check_merged", lambda w, update, d, m: m + d * np.round((w + update - m) / d), "sixteen levels"),
    ("check_merged", below, "not the one below"),
    ("check_merged", lambda w, update, d, m: w + update, "before it is stored"),
    ("check_merged", lambda w, update, d, m: np.clip(np.round((w + update - m) / d), 0, 15), "return weights"),
    ("check_merged", lambda w, update, d, m: w, "expected"),
    ("check_least_forgetful", lambda runs, t: int(np.argmin([b[-1] for _, b in runs])), "the ends of the runs"),
    ("check_least_forgetful", lambda runs, t: int(np.argmin([lost(*run, t) for run in runs])), "leave it out"),
    ("check_least_forgetful", lambda runs, t: int(np.argmin([
        next((b for a, b in zip(*run, strict=True) if a <= t), 9) for run in runs])), "not at the one after"),
    ("check_least_forgetful", lambda runs, t: int(np.nanargmax([lost(*run, t) for run in runs])), "forgotten most"),
    ("check_least_forgetful", lambda runs, t: 0, "expected"),
    ("check_left_frozen", lambda W, r: W, "frozen weight of LoRA"),
    ("check_left_frozen", lambda W, r: terms(W, slice(r)), "holds and trains"),
    ("check_left_frozen", lambda W, r: terms(W, slice(-r)), "the smallest directions"),
    ("check_left_frozen", lambda W, r: terms(W, slice(r, None)) - terms(W, slice(r)), "once is enough"),
    ("check_left_frozen", unscaled, "with its singular value"),
    ("check_left_frozen", dropped, "not columns of W"),
    ("check_left_frozen", emptied, "not rows of W"),
    ("check_left_frozen", lambda W, r: 0 * W, "expected"),
    ("check_erase", lambda x, c, S: x - np.outer(c, c) @ x / (c @ c), "the noise that lies in it"),
    ("check_erase", lambda x, c, S: x - c * (c @ S @ x) / (c @ S @ c), "the inverse of S"),
    ("check_erase", lambda x, c, S: x - np.linalg.inv(S) @ c * (c @ x) / (c @ np.linalg.inv(S) @ c), "way round"),
    ("check_erase", lambda x, c, S: c * (c @ np.linalg.inv(S) @ x) / (c @ np.linalg.inv(S) @ c), "is taken away"),
    ("check_erase", lambda x, c, S: x - c * (c @ np.linalg.inv(S) @ x), "all of it"),
    ("check_erase", lambda x, c, S: x - 2 * c * (c @ np.linalg.inv(S) @ x) / (c @ np.linalg.inv(S) @ c), "not twice"),
    ("check_erase", lambda x, c, S: x - c, "expected"),
    ("check_reach", lambda r, every, steps, m, n: min(r * ((steps - 1) // every), min(m, n)), "the first choice"),
    ("check_reach", lambda r, every, steps, m, n: min(r * (1 + steps // every), min(m, n)), "after the last step"),
    ("check_reach", lambda r, every, steps, m, n: min(r * (steps // every), min(m, n)), "a few steps only"),
    ("check_reach", lambda r, every, steps, m, n: r * int(np.ceil(steps / every)), "shorter side"),
    ("check_reach", lambda r, every, steps, m, n: r, "what one choice allows"),
    ("check_reach", lambda r, every, steps, m, n: min(r * steps, min(m, n)), "count the choices"),
    ("check_reach", lambda r, every, steps, m, n: min(r * int(np.ceil(steps / every)), max(m, n)), "not the longer"),
    ("check_reach", lambda r, every, steps, m, n: 0, "expected"),
    ("check_intruders", lambda W, D, k, t: sum(max(left(W).T @ u) < t for u in left(W + D).T[:k]), "without its sign"),
    ("check_intruders", lambda W, D, k, t: sum(min(c) < t for c in alike(W, D, k).T), "the largest of its cosines"),
    ("check_intruders", lambda W, D, k, t: sum(alike(W, D)[i, i] < t for i in range(k)), "changed its place"),
    ("check_intruders", lambda W, D, k, t: sum(max(c[:k]) < t for c in alike(W, D, k).T), "its k loudest"),
    ("check_intruders", lambda W, D, k, t: sum(max(abs(left(W).T @ u)) < t for u in left(D).T[:k]), "update alone"),
    ("check_intruders", lambda W, D, k, t: sum(
        max(abs(np.linalg.svd(W)[0].T @ u)) < t for u in left(W + D).T[:k]), "the full decomposition"),
    ("check_intruders", lambda W, D, k, t: sum(max(c) < t for c in alike(W, D).T), "among the k loudest"),
    ("check_intruders", lambda W, D, k, t: sum(max(c) > t for c in alike(W, D, k).T), "like an old one"),
    ("check_intruders", lambda W, D, k, t: sum(max(c) < t for c in alike(W, D)[:k]), "directions that are gone"),
    ("check_intruders", by_columns_of_v, "columns of U"),
    ("check_intruders", lambda W, D, k, t: (alike(W, D, k) < t).sum(), "counts pairs"),
    ("check_intruders", lambda W, D, k, t: 0, "expected"),
]
