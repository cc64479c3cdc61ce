"""Typical wrong answers to the exercises of chapter 2, and the words that must name the mistake."""

import numpy as np


def uncentred(A, k):
    V = np.linalg.svd(A, full_matrices=False)[2][:k]
    return A @ V.T @ V


def uncentred_directions(A, k):
    mean = A.mean(axis=0)
    V = np.linalg.svd(A)[2][:k]
    return mean + (A - mean) @ V.T @ V


def uncentred_rows(A, k):
    V = np.linalg.svd(A - A.mean(0))[2][:k]
    return (V.T @ (V @ A.T)).T


def mean_by_rows(A, k):
    mean = A.mean(1)[:, None]
    V = np.linalg.svd(A - mean)[2][:k]
    return mean + (A - mean) @ V.T @ V


def one_mean(A, k):
    V = np.linalg.svd(A - np.mean(A))[2][:k]
    return np.mean(A) + (A - np.mean(A)) @ V.T @ V


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


def scaled(A, k):
    Z = (A - A.mean(0)) / A.std(0)
    V = np.linalg.svd(Z)[2][:k]
    return Z @ V.T @ V * A.std(0) + A.mean(0)


def last_directions(A, k):
    centred = A - A.mean(0)
    V = np.linalg.eigh(centred.T @ centred)[1][:, :k]
    return centred @ V @ V.T + A.mean(0)


def plain_ridge(Z, y, lam, new):
    return new @ np.linalg.inv(Z.T @ Z + lam * np.eye(len(Z.T))) @ Z.T @ y


def with_ones(Z, y, lam, new):
    Z, new = (np.insert(rows, Z.shape[1], 1.0, axis=1) for rows in (Z, new))
    return plain_ridge(Z, y, lam, new)


def labels_centred(Z, y, lam, new):
    return plain_ridge(Z, y - y.mean(), lam, new) + y.mean()


def centred_ridge(Z, y, lam, new):
    return plain_ridge(Z - Z.mean(0), y - y.mean(), lam, new - Z.mean(0))


def own_mean(Z, y, lam, new):
    return plain_ridge(Z - Z.mean(0), y - y.mean(), lam, new - new.mean(0)) + y.mean()


def ridge(Z, y, lam, new):
    return centred_ridge(Z, y, lam, new) + y.mean()


def new_as_it_is(Z, y, lam, new):
    return plain_ridge(Z - Z.mean(0), y - y.mean(), lam, new) + y.mean()


def on_training(Z, y, lam, new):
    return ridge(Z, y, lam, Z)


def scaled_ridge(Z, y, lam, new):
    return ridge(Z / Z.std(0), y, lam, new / Z.std(0))


WRONG = [
    ("check_project", uncentred, "subtract the mean"),
    ("check_project", uncentred_directions, "from the centred rows"),
    ("check_project", uncentred_rows, "project the centred rows"),
    ("check_project", mean_by_rows, "off each column"),
    ("check_project", one_mean, "not one for all numbers"),
    ("check_project", without_mean, "put the mean back"),
    ("check_project", coordinates, "map them back"),
    ("check_project", by_columns, "the directions are its rows"),
    ("check_project", scaled, "divide by the spread"),
    ("check_project", last_directions, "from small to large"),
    ("check_project", lambda A, k: by_rows(A, 2), "largest difference"),
    ("check_freedom", lambda d, eta, t: sum(1 - (1 - eta * s) ** t for s in d), "square the singular values"),
    ("check_freedom", lambda d, eta, t: np.sum((1 - eta * d * d) ** t), "still missing"),
    ("check_freedom", lambda d, eta, t: eta * t * np.sum(d * d), "a power, not a product"),
    ("check_freedom", lambda d, eta, t: 1 - (1 - eta * d * d) ** t, "directions up"),
    ("check_freedom", lambda d, eta, t: np.sum((1 - (1 - eta * d * d) ** t) ** 2), "the share squared"),
    ("check_freedom", lambda d, eta, t: np.sum(1 - (1 - eta * d * d) ** (t + 1)), "too many"),
    ("check_freedom", lambda d, eta, t: np.sum(1 - (1 - eta * d * d) ** (t - 1)), "too few"),
    ("check_freedom", lambda d, eta, t: np.sum(d > 0), "that is the rank"),
    ("check_freedom", lambda d, eta, t: np.mean(1 - (1 - eta * d * d) ** t), "do not average"),
    ("check_freedom", lambda d, eta, t: np.sum(1 / (1 + 1 / (eta * t * d * d))), "that is ridge"),
    ("check_ridge", plain_ridge, "no intercept"),
    ("check_ridge", with_ones, "must cost nothing"),
    ("check_ridge", labels_centred, "centre the features too"),
    ("check_ridge", centred_ridge, "add the mean of the labels"),
    ("check_ridge", own_mean, "of the *training* features"),
    ("check_ridge", lambda Z, y, lam, new: ridge(Z, y, lam * len(y), new), "number of sentences"),
    ("check_ridge", lambda Z, y, lam, new: ridge(Z, y, 0, new), "the penalty is missing"),
    ("check_ridge", lambda Z, y, lam, new: ridge(Z, y, lam * lam, new), "not squared"),
    ("check_ridge", new_as_it_is, "the same shift"),
    ("check_ridge", on_training, "`new` is asked for"),
    ("check_ridge", scaled_ridge, "do not scale"),
    ("check_bag", lambda x, mask: np.mean([x[i] for i in mask], 0), "rows by number"),
    ("check_bag", lambda x, mask: mask @ x, "not a sum"),
    ("check_bag", lambda x, mask: x[mask == 1].sum(1), "expected"),
    ("check_bag", lambda x, mask: (x.T * mask).T.sum(1) / mask.sum(), "which are the rows"),
    ("check_bag", lambda x, mask: x.sum(0) / len(x), "padding does not count"),
    ("check_bag", lambda x, mask: x[mask == 1].sum(0) / len(mask), "number of tokens"),
    ("check_bag", lambda x, mask: x[: sum(mask)].mean(0), "need not be the first"),
    ("check_bag", lambda x, mask: (x * mask[:, None]).sum(0) / x.shape[1], "expected"),
    ("check_kept", lambda t: (t.sum() - np.trace(t)) / np.trace(t) / 2, "expected"),
    ("check_kept", lambda t: np.median(t[np.diag([True] * len(t)) == 0]) / np.median(np.diag(t)), "not medians"),
    ("check_kept", lambda t: np.mean([t[i, j] for i in range(len(t)) for j in range(i + 1, len(t))])
     / np.mean(np.diag(t)), "half of the table"),
    ("check_kept", lambda t: (t.sum() - np.trace(t)) / np.trace(t), "means, not sums"),
    ("check_kept", lambda t: 100 * (t.sum() - np.trace(t)) / np.trace(t) / (len(t) - 1), "not per cent"),
    ("check_kept", lambda t: t.mean() * len(t) / np.trace(t), "leave the diagonal out"),
    ("check_kept", lambda t: np.trace(t) / len(t) - (t.sum() - np.trace(t)) / len(t) / (len(t) - 1), "a share"),
    ("check_kept", lambda t: np.mean((t.sum(0) / np.diag(t) - 1) / (len(t) - 1)), "not one for each column"),
    ("check_kept", lambda t: np.mean((t.sum(1) / np.diag(t) - 1) / (len(t) - 1)), "not one for each row"),
    ("check_kept", lambda t: (len(t) - 1) * np.trace(t) / (t.sum() - np.trace(t)), "turned over"),
    ("check_kept", lambda t: 1 - (t.sum() - np.trace(t)) / np.trace(t) / (len(t) - 1), "what is lost"),
]
