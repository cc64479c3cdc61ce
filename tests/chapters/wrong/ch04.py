"""Typical wrong answers to the exercises of chapter 4, and the words that must name the mistake."""

import numpy as np


def overflowing(z):
    with np.errstate(over="ignore"):
        return np.log(1 + np.exp(-z))


def by_probability(z):
    with np.errstate(over="ignore", divide="ignore"):
        return -np.log(1 / (1 + np.exp(-z)))


def symmetric_or_slanted(P):
    return (2 if np.allclose(P @ P, P) else 0) if np.allclose(P, P.T) else 1


def by_eigenvalues(P):
    values = np.linalg.eigvals(P)
    if np.allclose(values * values, values):
        return 2 if np.allclose(P, P.T) else 1
    return 0


def orthogonal_matrix(P):
    if np.allclose(P.T @ P, np.eye(len(P))):
        return 2
    return 1 if np.allclose(P @ P, P) else 0


WRONG = [
    ("check_stable_loss", overflowing, "exp overflows"),
    ("check_stable_loss", lambda z: np.logaddexp(0, z), "turn the sign of z"),
    ("check_stable_loss", lambda z: np.log1p(np.exp(-np.abs(z))), "part max(-z, 0) is missing"),
    ("check_stable_loss", by_probability, "exp overflows"),
    ("check_decay_step", lambda t, g, eta, lam: t - eta * g, "its gradient is missing"),
    ("check_decay_step", lambda t, g, eta, lam: t - eta * g - eta * lam / 2 * t, "cancels the two"),
    ("check_decay_step", lambda t, g, eta, lam: t - eta * g - lam * t, "multiplied by the learning rate"),
    ("check_decay_step", lambda t, g, eta, lam: t - eta * (g - lam * t), "sign of the decay is turned"),
    ("check_decay_step", lambda t, g, eta, lam: (t - eta * g) * (1 - eta * lam), "the gradient as well"),
    ("check_softmax_hessian", lambda p: np.diag(p) - p @ p.T, "largest difference"),
    ("check_softmax_hessian", lambda p: np.ndarray, "expected"),
    ("check_softmax_hessian", lambda p: np.diag(p - p**2), "only the diagonal"),
    ("check_softmax_hessian", lambda p: p[:, None] * p - np.diag(p), "the loss is convex"),
    ("check_softmax_hessian", lambda p: np.eye(len(p)) - p, "the first p, is missing"),
    ("check_softmax_hessian", lambda p: np.eye(len(p)) * p - p * p, "broadcasting"),
    ("check_projection_kind", lambda P: 1 + int(np.array_equal(P, P.T)), "symmetric is not enough"),
    ("check_projection_kind", lambda P: 2 if np.allclose(P @ P, P) else 0, "idempotent alone"),
    ("check_projection_kind", symmetric_or_slanted, "expected"),
    ("check_projection_kind", by_eigenvalues, "expected"),
    ("check_projection_kind", orthogonal_matrix, "not an orthogonal one"),
    ("check_projection_kind", lambda P: np.allclose(P @ P, P), "whether it is symmetric"),
    ("check_projection_kind", lambda P: "orthogonal", "expected"),
    ("check_effective_dimensions", lambda s, lam: (s / (s + lam)).sum(), "square the singular values"),
    ("check_effective_dimensions", lambda s, lam: (1 / (1 + (lam / s) ** 2)).sum(), "not the strength"),
    ("check_effective_dimensions", lambda s, lam: (1 / (1 + lam / s**2)).mean(), "not their mean"),
    ("check_effective_dimensions", lambda s, lam: (lam / (s**2 + lam)).sum(), "what is left"),
]
