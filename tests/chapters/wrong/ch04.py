"""Typical wrong answers to the exercises of chapter 4, and the words that must name the mistake."""

import numpy as np


def quietly(function):
    def answer(*arguments):
        with np.errstate(all="ignore"):
            return function(*arguments)

    return answer


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


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


def no_gate(W, x, g):
    return g[:, None] * x, g @ W


def gate_on_one_side(W, x, g):
    return np.outer((W @ x > 0) * g, x), W.T @ g


def gate_by_input(W, x, g):
    delta = g * (W @ x > 0)
    return np.outer(delta, x), (W.T @ delta) * (x > 0)


def gate_by_gradient(W, x, g):
    delta = np.where(g > 0, g, 0)
    return np.outer(delta, x), W.T @ delta


def not_through_W(W, x, g):
    return np.outer((W @ x > 0) * g, x), (W @ x > 0) * g


def transposed(W, x, g):
    delta = np.where(W @ x > 0, g, 0)
    return x[:, None] * delta, delta @ W


def swapped(W, x, g):
    delta = np.where(W @ x > 0, g, 0)
    return delta @ W, np.outer(delta, x)


def by_output(W, x, g):
    delta = g * np.maximum(W @ x, 0)
    return np.outer(delta, x), W.T @ delta


def adam(theta, g, m, v, t, eta, *, root=np.sqrt, fix=True, square=True, mean=True, sign=1):
    m = m * 0.9 + (1 - 0.9) * g
    v = v * 0.999 + (1 - 0.999) * (g * g if square else g)
    a, b = (m / (1 - 0.9**t), v / (1 - 0.999**t)) if fix else (m, v)
    return theta - sign * eta * (a if mean else g) / (root(np.abs(b)) + 1e-8), m, v


def epsilon_inside(theta, g, m, v, t, eta):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return theta - eta * (m / (1 - 0.9**t)) / (v / (1 - 0.999**t) + 1e-8) ** 0.5, m, v


def one_correction(theta, g, m, v, t, eta, *, first=True, later=0):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    a, b = 1 - 0.9 ** (t + later), 1 - 0.999 ** (t + later)
    if not later:
        a, b = (a, 1) if first else (1, b)
    return theta - eta * (m / a) / (np.sqrt(v / b) + 1e-8), m, v


def other_betas(theta, g, m, v, t, eta, one, two):
    m, v = one * m + (1 - one) * g, two * v + (1 - two) * g * g
    c = (1 - 0.9**t, 1 - 0.999**t) if one < 0.5 else (1 - one**t, 1 - two**t)
    return theta - eta * (m / c[0]) / (np.sqrt(v / c[1]) + 1e-8), m, v


def search(falling, wanted):
    low, high = 0.0, 1e6
    while high - low > 1e-7:
        middle = (low + high) / 2
        if falling(middle) > wanted:
            low = middle
        else:
            high = middle
    return high


def correction_kept(theta, g, m, v, t, eta):
    theta, m, v = adam(theta, g, m, v, t, eta)
    return theta, m / (1 - 0.9**t), v / (1 - 0.999**t)


WRONG = [
    ("check_stable_loss", quietly(lambda z: np.log(1 + np.exp(-z))), "exp overflows"),
    ("check_stable_loss", lambda z: np.logaddexp(0, z), "turn the sign of z"),
    ("check_stable_loss", lambda z: np.log1p(np.exp(-np.abs(z))), "part max(-z, 0) is missing"),
    ("check_stable_loss", quietly(lambda z: -np.log(sigmoid(z))), "exp overflows"),
    ("check_stable_loss", quietly(lambda z: -np.log(np.clip(sigmoid(z), 1e-7, 1 - 1e-7))), "hides the overflow"),
    ("check_stable_loss", quietly(lambda z: -np.log(np.maximum(sigmoid(z), 1e-12))), "loss stays at 27.6"),
    ("check_stable_loss", quietly(lambda z: np.where(z > 0, np.log1p(np.exp(-z)), -z)), "not zero"),
    ("check_stable_loss", lambda z: np.log1p(np.exp(-np.clip(z, -500, 500))), "expected"),
    ("check_layer_backward", gate_by_input, "not at its input"),
    ("check_layer_backward", gate_by_gradient, "sign of the gradient"),
    ("check_layer_backward", no_gate, "through ReLU first"),
    ("check_layer_backward", gate_on_one_side, "through ReLU as well"),
    ("check_layer_backward", not_through_W, "W is missing"),
    ("check_layer_backward", transposed, "a row for each output"),
    ("check_layer_backward", swapped, "in the other order"),
    ("check_layer_backward", by_output, "multiplies by its output"),
    ("check_layer_backward", lambda W, x, g: np.outer(g, x) / 2, "gives `[[3, 1.5, -0.75], [-2, -1, 0.5]]`"),
    ("check_layer_backward", lambda W, x, g: np.outer((W @ x > 0) * g, x), "return two arrays"),
    ("check_layer_backward", lambda W, x, g: ("W", "x"), "raised ValueError"),
    ("check_adam_step", lambda *a: adam(*a, root=lambda v: v), "the root is missing"),
    ("check_adam_step", lambda *a: adam(*a, fix=False), "too small at first"),
    ("check_adam_step", epsilon_inside, "not under it"),
    ("check_adam_step", one_correction, "v needs its correction"),
    ("check_adam_step", lambda *a: one_correction(*a, first=False), "m needs its correction"),
    ("check_adam_step", lambda *a: one_correction(*a, later=1), "counts from one"),
    ("check_adam_step", lambda *a: other_betas(*a, 0.1, 0.001), "share of the old mean"),
    ("check_adam_step", lambda *a: other_betas(*a, 0.9, 0.9), "a beta of its own"),
    ("check_adam_step", lambda *a: adam(*a, square=False), "square g"),
    ("check_adam_step", lambda *a: adam(*a, mean=False), "last gradient"),
    ("check_adam_step", lambda *a: adam(*a, sign=-1), "this climbs"),
    ("check_adam_step", correction_kept, "go on uncorrected"),
    ("check_adam_step", lambda *a: adam(*a)[0], "m and v as well"),
    ("check_anchored_step", lambda t, s, g, eta, lam: t - eta * g, "its gradient is missing"),
    ("check_anchored_step", lambda t, s, g, eta, lam: t - eta * lam * (t - s), "of the loss is missing"),
    ("check_anchored_step", lambda t, s, g, eta, lam: (1 - eta * lam) * t - eta * g, "pulls towards zero"),
    ("check_anchored_step", lambda t, s, g, eta, lam: t - eta * g + eta * lam * (t - s), "pushes away"),
    ("check_anchored_step", lambda t, s, g, eta, lam: t - eta * (g + lam * (t - s) / 2), "cancels the two"),
    ("check_anchored_step", lambda t, s, g, eta, lam: t - eta * (g + lam / 2 * (t - s) ** 2), "take its gradient"),
    ("check_anchored_step", lambda t, s, g, eta, lam: t - eta * (g + t - s), "must depend on the strength"),
    ("check_anchored_step", lambda t, s, g, eta, lam: (t - eta * g) - lam * (t - s), "learning rate too"),
    ("check_anchored_step", lambda t, s, g, eta, lam: s - eta * (g + lam * (t - s)), "not from where theta is"),
    (
        "check_anchored_step",
        lambda t, s, g, eta, lam: (1 - eta * lam) * (t - eta * g) + eta * lam * s,
        "belong to the same point",
    ),
    ("check_anchored_step", lambda t, s, g, eta, lam: t + eta * (g + lam * (t - s)), "expected"),
    ("check_projection_kind", lambda P: 1 + int(np.array_equal(P, P.T)), "symmetric is not enough"),
    ("check_projection_kind", lambda P: 2 if np.allclose(P @ P, P) else 0, "idempotent alone"),
    ("check_projection_kind", lambda P: np.allclose(P @ P, P) + int(np.allclose(P, P.T)), "changes its own shadow"),
    ("check_projection_kind", symmetric_or_slanted, "expected"),
    ("check_projection_kind", by_eigenvalues, "expected"),
    ("check_projection_kind", orthogonal_matrix, "not an orthogonal one"),
    ("check_projection_kind", lambda P: np.allclose(P @ P, P), "whether it is symmetric"),
    ("check_projection_kind", lambda P: "orthogonal", "expected"),
    ("check_strength_for", lambda s, f: search(lambda lam: (s / (s + lam)).sum(), f), "square the singular values"),
    ("check_strength_for", lambda s, f: search(lambda lam: (s**2 / (s**2 + lam**2)).sum(), f), "not the strength"),
    ("check_strength_for", lambda s, f: search(lambda lam: (s**2 / (s**2 + lam)).mean(), f), "not a mean"),
    ("check_strength_for", lambda s, f: search(lambda lam: (s**2 / (s**2 + lam)).sum(), 3 - f), "must be left"),
    ("check_strength_for", lambda s, f: search(lambda lam: -(s**2 / (s**2 + lam)).sum(), -f), "the wrong way"),
    ("check_strength_for", lambda s, f: sorted(s**2)[::-1][int(f)], "add up the shares"),
    ("check_strength_for", lambda s, f: (s**2).sum() / f, "expected"),
    ("check_strength_for", lambda s, f: np.sum(s**2 / (s**2 + f)), "expected"),
]
