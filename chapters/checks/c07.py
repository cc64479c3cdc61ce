"""What checks the exercises of chapter 7."""
from __future__ import annotations

import numpy as np

from lib.book.exercises import checker


def _polar(G):
    U, s, Vh = np.linalg.svd(G, full_matrices=False)
    there = s > 1e-9 * s[0]
    return U[:, there] @ Vh[there]


_gradients = [np.array([[2.0, 1, 0], [1, 3, 0]]), np.array([[2.0, 1], [4, 2]]),
              np.array([[1.0, 0, 1], [0, 2, 2], [1, 2, 3]]),  # these two lack a direction
              np.array([[2e-6, 1e-6], [4e-6, 2e-6]]), np.array([[1.0, 0], [0, 0.01]])]


def _cut(G, least):
    U, s, Vh = np.linalg.svd(G, full_matrices=False)
    return U[:, s > least(s)] @ Vh[s > least(s)]


check_muon = checker(
    [((G,), _polar(G)) for G in _gradients],
    {
        "U and V of the full decomposition hold directions that G does not have: leave those out": lambda G: (
            np.linalg.svd(G, full_matrices=False)[0] @ np.linalg.svd(G, full_matrices=False)[2]),
        "small beside the largest singular value, not small at all: gradients are small": lambda G: _cut(
            G, lambda s: 1e-4),
        "a small direction is one too: leave out what is zero but for rounding": lambda G: _cut(
            G, lambda s: 0.1 * s[0]),
        "that divides by the largest singular value, and all of them shall become 1": lambda G: (
            G / np.linalg.norm(G, 2)),
        "that is the Frobenius ball, the step of SGD": lambda G: G / np.linalg.norm(G),
        "that is the largest entry's ball, the step of signSGD": np.sign,
        "that is the best step of rank one": lambda G: np.outer(np.linalg.svd(G)[0][:, 0], np.linalg.svd(G)[2][0]),
    },
    praise="Every direction of the gradient, with equal weight, and no other.",
    tolerance=1e-4,
)

_A = np.array([[0.5, 0, -0.5], [0.2, 0.4, 0]])
_G = np.array([[1.0, 2, 0], [-3, 1, 1], [0.5, -1, 2]])
check_first_step = checker(
    [((G, A, s, eta), -eta * s * np.sign(G @ A.T) @ A)
     for G, A, s, eta in ((_G, _A, 2.0, 0.1), (_G.T, _A[:1], 0.5, 0.2), (_G * [[1], [0], [1]], _A, 1.0, 0.1))],
    {
        "where the gradient is zero nothing moves: its sign is zero": lambda G, A, s, eta: (
            -eta * s * np.where(G @ A.T > 0, 1.0, -1.0) @ A),
        "s counts once: Adam divides the gradient's own s out": lambda G, A, s, eta: -eta * s**2 * np.sign(G @ A.T) @ A,
        "that is plain gradient descent: Adam's first step is the sign": lambda G, A, s, eta: -eta * s**2 * G @ A.T @ A,
        "the sign, but downhill": lambda G, A, s, eta: eta * s * np.sign(G @ A.T) @ A,
        "the sign of B's gradient, not of G": lambda G, A, s, eta: -eta * s * np.sign(G) @ A.T @ A,
        "s is missing: the layer adds s B A": lambda G, A, s, eta: -eta * np.sign(G @ A.T) @ A,
        "take the step in B first, then multiply by A": lambda G, A, s, eta: -eta * s * np.sign(G @ A.T @ A),
    },
    praise="Along G it grows with s r, in length with s times the root of r.",
)

_U = np.linalg.qr(np.array([[1.0, 0], [1, 1], [0, 2]]))[0]
_D = np.array([[1.0, 2, 3], [0, 1, -1], [2, 0, 1]])
check_wall = checker(
    [((D, U), D - D @ U @ U.T) for D, U in ((_D, _U), (_D[:2], _U[:, :1]), (_D[:, :2], np.array([[0.6], [0.8]])))],
    {
        "inputs come in on the right: project there": lambda D, U: D - U @ U.T @ D,
        "that is what old inputs do see: take it away": lambda D, U: D @ U @ U.T,
        "project the change, not its product with U": lambda D, U: D @ (np.eye(len(U)) - U @ U.T) @ U,
        "both sides is more than is needed": lambda D, U: (np.eye(len(U)) - U @ U.T) @ D @ (np.eye(len(U)) - U @ U.T),
    },
    praise="Whatever the change was, old inputs do not meet it.",
)

check_thin_rank = checker(
    [((576, 1536), 418), ((100, 100), 49), ((10, 15), 5), ((6, 3), 1), ((10, 12), 5)],
    {
        "at that rank there are as many numbers as before: one less": lambda m, n: m * n // (m + n),
        "up to m n / (m + n), not to its nearest whole number less one": lambda m, n: round(m * n / (m + n)) - 1,
        "half of the smaller side is no rule: count the numbers of both thin matrices": lambda m, n: min(m, n) // 2,
        "two thin matrices have r (m + n) numbers": lambda m, n: m * n // (2 * max(m, n)),
        "full rank saves nothing": min,
    },
    praise="Above it the two thin matrices are larger than the thick one.",
)


def _lost(losses, forgot, target, never=np.inf, order=1):
    for i in range(1, len(losses))[::order]:
        if losses[i] <= target < losses[i - 1]:
            share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
            return forgot[i - 1] + share * (forgot[i] - forgot[i - 1])
    return never


def _least(read):
    return lambda runs, target: int(np.argmin([read(*run, target) for run in runs]))


def _after(losses, forgot, target):
    return next((b for a, b in zip(losses, forgot, strict=True) if a <= target), np.inf)


_far = ([0.5, 0.41, 0.2], [0.0, 0.002, 0.02])  # at 0.4 hardly beyond its second gauge; the third is far
_near = ([0.5, 0.45, 0.39], [0.0, 0.003, 0.006])
_never = ([0.5, 0.49, 0.48], [0.0, 0.0001, 0.0002])
_back = ([0.5, 0.3, 0.6, 0.39], [0.0, 0.002, 0.05, 0.06])  # it is there early, leaves and comes back
check_least_forgetful = checker(
    [(([_never, _near, _far], 0.4), 2), (([_far, _back, _near], 0.4), 1), (([_near, _never, _far], 0.3), 2),
     (([_back, _near], 0.45), 0)],
    {
        "that compares the ends of the runs, where each has gained something else": _least(lambda a, b, t: b[-1]),
        "whoever never gets there has no number: leave it out": _least(lambda a, b, t: _lost(a, b, t, never=np.nan)),
        "read between the two gauges, not at the one after": _least(_after),
        "the loss may rise again: the first time that it falls to the target counts": _least(
            lambda a, b, t: _lost(a, b, t, order=-1)),
        "that asks who has gained most in the end": _least(lambda a, b, t: a[-1]),
        "that is the one that had forgotten most": lambda runs, target: int(
            np.argmax([_lost(*run, target, never=0.0) for run in runs])),
    },
    praise="Who has lost least is asked at equal gain, and of those that got there.",
)

_w, _u = np.array([0.0, 0.7, 1.5, 0.3]), np.array([0.03, 0.06, 0.2, -0.04])
check_merged = checker(
    [((_w, _u, 0.1, 0.0), np.array([0.0, 0.8, 1.5, 0.3])), ((_w - 0.2, 2 * _u, 0.1, -0.2),
                                                          np.array([-0.1, 0.6, 1.3, 0.0])),
     ((_w, -2 * _u, 0.1, 0.0), np.array([0.0, 0.6, 1.1, 0.4]))],
    {
        "there is a first level as well: nothing lies below m": lambda w, u, d, m: (
            m + d * np.minimum(np.round((w + u - m) / d), 15)),
        "there are sixteen levels: the last one is m + 15 d": lambda w, u, d, m: m + d * np.round((w + u - m) / d),
        "the nearest level, not the one below": lambda w, u, d, m: m + d * np.clip(np.floor((w + u - m) / d), 0, 15),
        "the sum is rounded, not the update alone": lambda w, u, d, m: w + d * np.clip(np.round((u - m) / d), 0, 15),
        "return weights, not the numbers of their levels": lambda w, u, d, m: np.clip(np.round((w + u - m) / d), 0, 15),
        "that is the merged weight before it is stored": lambda w, u, d, m: w + u,
        "levels begin at m": lambda w, u, d, m: d * np.clip(np.round((w + u) / d), 0, 15),
    },
    praise="Below half a level nothing is left, above it too much.",
)


def _terms(W, chosen):
    U, s, Vh = np.linalg.svd(W, full_matrices=False)
    return U[:, chosen] * s[chosen] @ Vh[chosen]


_V = np.array([[3.0, 1, 0], [1, 2, -1], [0, 1, 1], [2, 0, 1]])
check_left_frozen = checker(
    [((W, r), _terms(W, slice(r, None))) for W, r in ((_V, 1), (_V.T, 2), (_V[:3], 1), (_V[:2], 1))],
    {
        "that is the frozen weight of LoRA: from this one what the adapter begins with is taken out": lambda W, r: W,
        "that is what the adapter holds and trains": lambda W, r: _terms(W, slice(0, r)),
        "that takes out the smallest directions, and PiSSA trains the largest": lambda W, r: (
            W - _terms(W, slice(-r, None))),
        "taken out once is enough: frozen weight and adapter together are W": lambda W, r: (
            W - 2 * _terms(W, slice(0, r))),
        "each direction counts with its singular value": lambda W, r: W - (
            np.linalg.svd(W, full_matrices=False)[0][:, :r] @ np.linalg.svd(W, full_matrices=False)[2][:r]),
        "directions are singular vectors, not columns of W": lambda W, r: np.where(np.arange(W.shape[1]) < r, 0.0, W),
        "directions are singular vectors, not rows of W": lambda W, r: np.where(
            np.arange(len(W))[:, None] < r, 0.0, W),
    },
    praise="The adapter holds the loudest part of what the model knew, and is free to lose it.",
)

_S = np.array([[5.0, 4], [4, 4]])  # the worked example: the class is x_1 - x_2
_three = np.array([[2.0, 0.5, 0], [0.5, 1, -0.3], [0, -0.3, 3]])
check_erase = checker(
    [((x, c, S), x - c * (np.linalg.solve(S, c) @ x) / (np.linalg.solve(S, c) @ c))
     for x, c, S in ((np.array([3.0, 2]), np.array([1.0, 0]), _S), (np.array([-1.0, 2]), np.array([0.5, 1]), _S),
                     (np.array([1.0, -2, 0.5]), np.array([1.0, 1, -2]), _three))],
    {
        "that drops the whole direction of c, with the noise that lies in it": lambda x, c, S: (
            x - c * (c @ x) / (c @ c)),
        "what carries the property is read with the inverse of S": lambda x, c, S: x - c * (c @ S @ x) / (c @ S @ c),
        "read along the inverse of S times c, and take away along c, not the other way round": lambda x, c, S: (
            x - np.linalg.solve(S, c) * (c @ x) / (np.linalg.solve(S, c) @ c)),
        "that is what is taken away: x less that is left": lambda x, c, S: (
            c * (np.linalg.solve(S, c) @ x) / (np.linalg.solve(S, c) @ c)),
        "take all of it away: divide by what is read of c itself": lambda x, c, S: x - c * (np.linalg.solve(S, c) @ x),
        "taken away, not turned round: once, not twice": lambda x, c, S: (
            x - 2 * c * (np.linalg.solve(S, c) @ x) / (np.linalg.solve(S, c) @ c)),
    },
    praise="No linear reader finds the property any more, and the vectors moved as little as can be.",
)

check_reach = checker(
    [((4, 200, 1000, 64, 64), 20), ((4, 200, 1001, 64, 64), 24), ((4, 200, 50, 64, 64), 4), ((8, 10, 100, 40, 30), 30),
     ((8, 10, 95, 25, 90), 25), ((2, 10, 95, 25, 90), 20)],
    {
        "the first choice counts as well, not the refreshes alone": lambda r, every, steps, m, n: (
            min(r * ((steps - 1) // every), m, n)),
        "after the last step nothing is chosen any more": lambda r, every, steps, m, n: (
            min(r * (steps // every + 1), m, n)),
        "a choice that serves for a few steps only is one, too": lambda r, every, steps, m, n: (
            min(r * (steps // every), m, n)),
        "no matrix has a higher rank than its shorter side": lambda r, every, steps, m, n: r * -(-steps // every),
        "that is what one choice allows; others come after it": lambda r, every, steps, m, n: min(r, m, n),
        "steps between two refreshes stay in the same directions: count the choices": lambda r, every, steps, m, n: (
            min(r * steps, m, n)),
        "the shorter side of the two, not the longer": lambda r, every, steps, m, n: (
            min(r * -(-steps // every), max(m, n))),
    },
    praise="Thin between two refreshes, and not after many.",
)


def _left(M):
    return np.linalg.svd(M, full_matrices=False)[0]


def _alike(W, D, k=None):
    """Cosines without their sign, of W's left singular vectors with the k loudest of W + D."""
    return np.abs(_left(W).T @ _left(W + D)[:, :k])


def _right_of(M):
    return np.linalg.svd(M, full_matrices=False)[2].T


_steps = np.array([[3.0, 0, 0], [0, 2, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
_new = np.array([[0, 0.1, 0], [0, 0, 0.1], [0.1, 0, 0], [1, 2, -4], [0, 0.1, 0]])  # a direction that was not there
_grown = np.array([[0, 0.1, 0], [0.1, 0, 0], [0, 0, 4], [0.5, 0, 0], [0, 0.2, 0]])  # the third becomes the first
_turned = np.array([[-5.9, 0, 0], [0, -4, 0.2], [0.1, 0, -2], [0, 0.3, 0], [0.2, 0, 0]])  # the signs of all three
_fallen = np.array([[-3, 0.2, 0], [0, 0, 0.1], [0, 0.1, 0], [0.3, 0, 0.1], [0, 0, 0.05]])  # the first is gone
_full = np.array([[4.0, 1, 0, 0], [1, 3, 0, 1], [0, 1, 2, 0], [1, 0, 0, 1]])
_even = np.array([[3, -2.9, 3, 1.5], [3.2, -3, 3, 1.5], [3, -3, 3.1, 1.5], [3, -2.9, 3, 1.7]])
check_intruders = checker(
    [((W, D, k, threshold), int((_alike(W, D, k).max(0) < threshold).sum()))
     for W, D, k, threshold in ((_steps, _new, 1, 0.5), (_steps, _new, 2, 0.5), (_steps, _grown, 2, 0.5),
                                (_steps, _turned, 3, 0.5), (_steps, _fallen, 2, 0.5), (_steps.T, _new.T, 2, 0.5),
                                (_full, _even, 2, 0.8))],
    {
        "a singular vector and its negative are one direction: take the cosine without its sign": (
            lambda W, D, k, threshold: int(((_left(W).T @ _left(W + D)[:, :k]).max(0) < threshold).sum())),
        "like none of the old ones: it is the largest of its cosines that has to be below": (
            lambda W, D, k, threshold: int((_alike(W, D, k).min(0) < threshold).sum())),
        "an old direction may have changed its place: compare with all, not with the one of the same number": (
            lambda W, D, k, threshold: int((np.diag(_alike(W, D))[:k] < threshold).sum())),
        "a quiet old direction that grew loud is no intruder: compare with all of W's, not with its k loudest": (
            lambda W, D, k, threshold: int((_alike(W, D, k)[:k].max(0) < threshold).sum())),
        "those of the tuned weight W + D, not of the update alone": (
            lambda W, D, k, threshold: int((np.abs(_left(W).T @ _left(D)[:, :k]).max(0) < threshold).sum())),
        "the full decomposition adds vectors that W does not have: leave those out": (
            lambda W, D, k, threshold: int(
                (np.abs(np.linalg.svd(W)[0].T @ _left(W + D)[:, :k]).max(0) < threshold).sum())),
        "an intruder counts among the k loudest only": (
            lambda W, D, k, threshold: int((_alike(W, D).max(0) < threshold).sum())),
        "that counts those that are like an old one": (
            lambda W, D, k, threshold: int((_alike(W, D, k).max(0) >= threshold).sum())),
        "that counts old directions that are gone, not new ones that came": (
            lambda W, D, k, threshold: int((_alike(W, D)[:k].max(1) < threshold).sum())),
        "left singular vectors are the columns of U": (
            lambda W, D, k, threshold: int(
                (np.abs(_right_of(W).T @ _right_of(W + D)[:, :k]).max(0) < threshold).sum())),
        "that counts pairs: a new vector is one intruder, however many old ones it is unlike": (
            lambda W, D, k, threshold: int((_alike(W, D, k) < threshold).sum())),
    },
    praise="It says that something went far, not what it did: an update louder than what stands there is enough.",
)
