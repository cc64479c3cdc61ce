"""Typical wrong answers to the exercises of chapter 2, and the words that must name the mistake."""

import numpy as np


def uncentred(A, k):
    V = np.linalg.svd(A, full_matrices=False)[2][:k]
    return A @ V.T @ V


def without_mean(A, k):
    centred = A - A.mean(0)
    V = np.linalg.svd(centred, full_matrices=False)[2][:k]
    return centred @ V.T @ V


def coordinates(A, k):
    centred = A - A.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:k].T


def by_columns(A, k):
    centred = A - A.mean(0)
    V = np.linalg.svd(centred)[2][:, :k]
    return centred @ V @ V.T + A.mean(0)


def by_rows(A, k):
    centred = A - A.mean(0)
    V = np.linalg.svd(centred)[2][:k]
    return centred @ V.T @ V + A.mean(0)


def some_fit(Z, y):
    return np.concatenate([np.linalg.inv(Z[:, : len(y)]) @ y, np.zeros(Z.shape[1] - len(y))])


def ridge(Z, y):
    return np.linalg.inv(Z.T @ Z + np.eye(Z.shape[1])) @ Z.T @ y


WRONG = [
    ("check_project", uncentred, "subtract the mean"),
    ("check_project", without_mean, "put the mean back"),
    ("check_project", coordinates, "map them back"),
    ("check_project", by_columns, "the directions are its rows"),
    ("check_freedom", lambda d, lam: np.sum(1 / (1 + (lam / d) ** 2)), "not the strength"),
    ("check_freedom", lambda d, lam: np.sum(d > 0), "that is the rank"),
    ("check_freedom", lambda d, lam: np.sum(1 / (1 + lam / d)), "square the singular values"),
    ("check_freedom", lambda d, lam: np.mean(1 / (1 + lam / d**2)), "do not average"),
    ("check_freedom", lambda d, lam: len(d) - np.sum(1 / (1 + lam / d**2)), "what is lost"),
    ("check_shortest", some_fit, "not the shortest"),
    ("check_shortest", ridge, "a penalty"),
    ("check_shortest", lambda Z, y: y @ Z, "does not fit"),
    ("check_bag", lambda x, mask: mask @ x, "not a sum"),
    ("check_bag", lambda x, mask: x[mask == 1].sum(1), "expected"),
    ("check_bag", lambda x, mask: (x.T * mask).T.sum(1) / mask.sum(), "which are the rows"),
    ("check_bag", lambda x, mask: x.sum(0) / len(x), "padding does not count"),
    ("check_bag", lambda x, mask: x[mask == 1].sum(0) / len(mask), "number of tokens"),
    ("check_bag", lambda x, mask: x[: mask.sum()].mean(0), "expected"),
    ("check_bag", lambda x, mask: (x * mask[:, None]).sum(0) / x.shape[1], "expected"),
    ("check_project", lambda A, k: by_rows(A, 2), "largest difference"),
    ("check_kept", lambda t: (t.sum() - np.trace(t)) / np.trace(t) / 2, "expected"),
    ("check_kept", lambda t: t.mean() * len(t) / np.trace(t), "leave the diagonal out"),
    ("check_kept", lambda t: np.trace(t) / len(t) - (t.sum() - np.trace(t)) / len(t) / (len(t) - 1), "a share"),
    ("check_kept", lambda t: np.mean((t.sum(0) / np.diag(t) - 1) / (len(t) - 1)), "not one for each column"),
    ("check_kept", lambda t: np.mean((t.sum(1) / np.diag(t) - 1) / (len(t) - 1)), "not one for each row"),
    ("check_kept", lambda t: (len(t) - 1) * np.trace(t) / (t.sum() - np.trace(t)), "turned over"),
]
