"""What checks the exercises of chapter 8."""
from __future__ import annotations

import numpy as np

from lib.book.exercises import checker


def _logs(*rows):
    return np.log(np.array(rows))


_P = _logs([0.5, 0.25, 0.25], [0.2, 0.7, 0.1])
_Q = _logs([0.25, 0.5, 0.25], [0.6, 0.3, 0.1])
check_forgotten = checker(
    [
        ((_P, _Q), float((np.exp(_P) * (_P - _Q)).sum(1).mean())),
        ((_Q[:1], _P[:1]), float((np.exp(_Q[:1]) * (_Q[:1] - _P[:1])).sum())),
    ],
    {
        "weigh with the base's probabilities: the base wrote the texts": lambda base, tuned: (
            (np.exp(tuned) * (base - tuned)).sum(1).mean()
        ),
        "that is the other divergence": lambda base, tuned: (np.exp(tuned) * (tuned - base)).sum(1).mean(),
        "the sign: forgetting is a rise of the loss": lambda base, tuned: (
            (np.exp(base) * (tuned - base)).sum(1).mean()
        ),
        "a sum over the words of a place, a mean over the places": lambda base, tuned: (
            (np.exp(base) * (base - tuned)).mean()
        ),
        "the mean over the places, not their sum": lambda base, tuned: (np.exp(base) * (base - tuned)).sum(),
        "the words must be weighted by how often they come": lambda base, tuned: (base - tuned).sum(1).mean(),
    },
    praise="Forgetting in nats a token: all words of each place, weighted as the base writes them.",
)

_MODEL, _BASE = np.array([-0.7, -2.3, -0.1, -4.0]), np.array([-1.2, -0.9, -0.3, -4.0])
check_loss = checker(
    [((m, b), float(((m - b) ** 2).mean() / 2)) for m, b in ((_MODEL, _BASE), (_MODEL[:3], _BASE[:3]),
                                                          (_MODEL[:2], _MODEL[:2]))],
    {
        "that has no slope in the mean: it belongs into the reward": lambda model, base: (model - base).mean(),
        "that is k3: its slope is that of the other divergence": lambda model, base: (
            (np.exp(base - model) - 1 - (base - model)).mean()
        ),
        "half of the square, or the slope is twice as long": lambda model, base: ((model - base) ** 2).mean(),
        "the mean over the drawn words, not the sum": lambda model, base: ((model - base) ** 2).sum() / 2,
        "square each word's ratio, then take the mean": lambda model, base: (model - base).mean() ** 2 / 2,
        "the size alone has the wrong slope: square it": lambda model, base: abs(model - base).mean(),
    },
    praise="A biased value, and the right slope.",
)

_WAY = [
    ([0.60, 0.50, 0.40, 0.30], [0.00, 0.02, 0.05, 0.20], 0.35, 0.125),
    ([0.60, 0.40, 0.45, 0.30], [0.00, 0.04, 0.06, 0.30], 0.42, 0.036),
    ([0.60, 0.50, 0.48], [0.00, 0.02, 0.03], 0.40, np.nan),
    ([0.60, 0.50, 0.40], [0.00, 0.02, 0.05], 0.50, 0.02),
]


def _crossing(loss, kl, target, last=False):
    places = [i for i in range(1, len(loss)) if loss[i] <= target < loss[i - 1]]
    i = places[-1 if last else 0]
    return kl[i - 1] + (loss[i - 1] - target) / (loss[i - 1] - loss[i]) * (kl[i] - kl[i - 1])


def _no_nan(loss, kl, target):
    try:
        return _crossing(loss, kl, target)
    except IndexError:
        return kl[-1]


check_frontier = checker(
    [((loss, kl, target), found if found == found else -1.0) for loss, kl, target, found in _WAY],
    {
        "it never got there: give -1, and do not make a number up": _no_nan,
        "between two points, not at the first that is below": lambda loss, kl, target: next(
            (b for a, b in zip(loss, kl, strict=True) if a <= target), -1.0
        ),
        "the first time that the loss falls to the target, not the last": lambda loss, kl, target: (
            _crossing(loss, kl, target, last=True) if min(loss) <= target else -1.0
        ),
        "np.interp wants its points in rising order, and a loss falls": lambda loss, kl, target: (
            float(np.interp(target, loss, kl)) if min(loss) <= target else -1.0
        ),
        "follow the run in time: do not sort its points by their loss": lambda loss, kl, target: (
            float(np.interp(target, *map(np.array, zip(*sorted(zip(loss, kl, strict=True)), strict=True))))
            if min(loss) <= target
            else -1.0
        ),
    },
    praise="Equal task loss, by interpolation alone.",
    tolerance=1e-9,
)

_G = np.array([[1.0, -2.0, 0.0], [-1.0, -2.0, 0.5], [2.0, 1.0, 0.0], [-2.0, 1.0, 0.1]])
check_fisher = checker(
    [((_G,), (_G**2).mean(0)), ((_G[:1],), _G[0] ** 2)],
    {
        "square each example's gradient before you take the mean": lambda g: g.mean(0) ** 2,
        "the mean over the examples, not the sum": lambda g: (g**2).sum(0),
        "the squares, not the sizes": lambda g: abs(g).mean(0),
        "not the variance: the mean gradient is no part of the definition": lambda g: g.var(0),
        "one number for each weight": lambda g: (g**2).mean(),
    },
    praise="The mean of squares; the square of the mean is next to nothing where training has ended.",
)

check_dose = checker(
    [(([0.1, 0.2, 0.05], 1.0), 1 - 0.9 * 0.8 * 0.95), (([0.5] * 4, 0.5), 1 - 0.75**4), (([0.3], 0.0), 0.0)],
    {
        "the decay acts through the rate: each step multiplies by 1 - rate * decay": lambda rates, decay: (
            1 - (1 - decay) ** len(rates)
        ),
        "that is what is left, not what is lost": lambda rates, decay: np.prod(1 - decay * np.array(rates)),
        "that is the approximation for small doses: multiply the steps": lambda rates, decay: decay * sum(rates),
        "the steps multiply: an exponential is their limit for small rates": lambda rates, decay: (
            1 - np.exp(-decay * sum(rates))
        ),
        "the mean rate would do if they were all alike": lambda rates, decay: (
            1 - (1 - decay * np.mean(rates)) ** len(rates)
        ),
    },
    praise="The dose: below a tenth, decay is off.",
)

_D = np.array([[0.8, -0.1, 0.5, 0.0], [0.6, 0.7, -0.2, 0.1], [-0.1, 0.5, 0.6, -0.9]])
_E = np.array([[4.0, -1.0, 2.0, 3.0], [-3.0, 2.0, 1.0, 4.0]])
_F = np.array([[1.0, 2.0, 0.5], [-0.7, 3.0, 1.0], [-0.6, 1.0, 2.0]])  # what is trimmed would turn the first vote


def _ties(changes, keep, trimmed=abs, elect=True, divide="agreeing", vote="total"):
    kept = changes.copy()
    if trimmed:
        kept[trimmed(kept) < np.sort(trimmed(kept), axis=1)[:, -keep][:, None]] = 0
    votes = changes if vote == "untrimmed" else np.sign(kept) if vote == "heads" else kept
    sign = np.sign(votes.sum(0))
    agree = ((np.sign(kept) == sign) | (not elect)) & (kept != 0)
    counted = {"agreeing": agree, "kept": kept != 0, "all": np.ones_like(agree)}
    count = counted[divide].sum(0)
    return np.divide((kept * agree).sum(0), count, out=np.zeros(kept.shape[1]), where=count > 0)


check_ties = checker(
    [((_D, 2), _ties(_D, 2)), ((_E, 2), _ties(_E, 2)), ((_E, 4), _ties(_E, 4)), ((_F, 2), _ties(_F, 2))],
    {
        "divide by how many agree, not by how many tasks there are": lambda changes, keep: (
            _ties(changes, keep, divide="all")
        ),
        "divide by how many agree, not by how many were kept": lambda changes, keep: (
            _ties(changes, keep, divide="kept")
        ),
        "first keep the largest of each row": lambda changes, keep: _ties(changes, keep, trimmed=None),
        "the largest in size: a large negative change is large": lambda changes, keep: (
            _ties(changes, keep, trimmed=np.positive)
        ),
        "only what was kept votes": lambda changes, keep: _ties(changes, keep, vote="untrimmed"),
        "then let only those count that agree with the elected sign": lambda changes, keep: (
            _ties(changes, keep, elect=False)
        ),
        "the larger total elects the sign, not the larger number of tasks": lambda changes, keep: (
            _ties(changes, keep, vote="heads")
        ),
        "that is the plain mean": lambda changes, keep: changes.mean(0),
    },
    praise="Trim, elect, and take the mean of those that agree.",
)

_G = _logs([0.5, 0.2, 0.2, 0.1], [0.1, 0.6, 0.1, 0.2], [0.3, 0.3, 0.1, 0.3])
_RIGHT = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]]).astype(bool)


def _each(log_p, right):
    return (np.exp(log_p) * right).sum(1)


check_any = checker(
    [((_G, _RIGHT), float(-np.log(_each(_G, _RIGHT)).mean())), ((_G[:1], _RIGHT[:1]), float(-np.log(0.7)))],
    {
        "that asks for all of them at once: add their probabilities before the logarithm": lambda log_p, right: (
            -((log_p * right).sum(1) / right.sum(1)).mean()
        ),
        "logarithms do not add: their sum is that of a product": lambda log_p, right: -(log_p * right).sum(1).mean(),
        "the likeliest of them is still one word": lambda log_p, right: (
            -np.where(right, log_p, -np.inf).max(1).mean()
        ),
        "the sign: a loss falls as the right words get likelier": lambda log_p, right: (
            np.log(_each(log_p, right)).mean()
        ),
        "the mean over the prompts, not their sum": lambda log_p, right: -np.log(_each(log_p, right)).sum(),
        "the logarithm of each prompt first, then the mean": lambda log_p, right: -np.log(_each(log_p, right).mean()),
    },
    praise="Any of the right words will do, and none is asked for by name.",
)

_NOISE = np.random.default_rng(0).uniform(-1, 1, (3, 6, 4))
_MASK = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0]])


def _neftune(noise, mask, alpha, lengths=None, width=True, root=True, padding=False):
    lengths = mask.sum(1) if lengths is None else lengths
    size = lengths * (noise.shape[2] if width else 1)
    size = alpha / (np.sqrt(size) if root else size) * np.ones(len(noise))
    return size[:, None, None] * noise * (1 if padding else mask[:, :, None])


check_neftune = checker(
    [((_NOISE, _MASK, 5.0), _neftune(_NOISE, _MASK, 5.0)), ((_NOISE[:2], _MASK[:2], 1.0),
                                                          _neftune(_NOISE[:2], _MASK[:2], 1.0))],
    {
        "that is the published scale: the length of the batch counts the padding": lambda noise, mask, alpha: (
            _neftune(noise, mask, alpha, lengths=noise.shape[1], padding=True)
        ),
        "divide by each text's own length, not by that of the batch": lambda noise, mask, alpha: (
            _neftune(noise, mask, alpha, lengths=noise.shape[1])
        ),
        "the scale is right; padding should get no noise": lambda noise, mask, alpha: (
            _neftune(noise, mask, alpha, padding=True)
        ),
        "each text by its own length, not all by the mean length": lambda noise, mask, alpha: (
            _neftune(noise, mask, alpha, lengths=mask.sum(1).mean())
        ),
        "each text by its own length, not by all tokens of the batch": lambda noise, mask, alpha: (
            _neftune(noise, mask, alpha, lengths=mask.sum())
        ),
        "a token has d numbers, and each gets its part: the width belongs under the root": lambda noise, mask, alpha: (
            _neftune(noise, mask, alpha, width=False)
        ),
        "the root: it is the mean square that should not depend on the length": lambda noise, mask, alpha: (
            _neftune(noise, mask, alpha, root=False)
        ),
    },
    praise="The same noise for a text, whatever stands beside it in the batch.",
)

_W = np.random.default_rng(0).standard_normal((4, 64)) * np.array([[0.02], [0.05], [0.1], [0.05]])
_W[1, 3], _W[2, 40] = 0.6, -0.9  # weights that stand out widen the levels of their block alone


def _rounded(W, levels=15, block=32, to=np.round):
    blocks = W.reshape(-1, block)
    low = blocks.min(1, keepdims=True)
    d = (blocks.max(1, keepdims=True) - low) / levels
    return (low + d * to((blocks - low) / d)).reshape(W.shape)


def _way(W, rho, **how):
    return float(np.sqrt(((_rounded(W, **how) - W) ** 2).sum()) / rho)


check_radii = checker(
    [((_W, 0.05), _way(_W, 0.05)), ((_W[:2], 0.02), _way(_W[:2], 0.02))],
    {
        "sixteen levels have fifteen gaps between them": lambda W, rho: _way(W, rho, levels=16),
        "each 32 weights have levels of their own, not the whole matrix": lambda W, rho: _way(W, rho, block=W.size),
        "each 32 weights have levels of their own, not each row": lambda W, rho: _way(W, rho, block=W.shape[1]),
        "a block lies along a row, not down a column": lambda W, rho: _way(np.ascontiguousarray(W.T), rho),
        "to the nearest level, not to the one below": lambda W, rho: _way(W, rho, to=np.floor),
        "the length of the whole step, not the size of one weight's part in it": lambda W, rho: (
            _way(W, rho) / W.size**0.5
        ),
        "a length is the root of the sum of squares": lambda W, rho: _way(W, rho) ** 2 * rho,
        "the sum of the sizes is no length": lambda W, rho: float(abs(_rounded(W) - W).sum() / rho),
        "the largest change of one weight is not the length of the step": lambda W, rho: (
            float(abs(_rounded(W) - W).max() / rho)
        ),
        "in radii: divide by rho": lambda W, rho: _way(W, 1.0),
    },
    praise="Rounding takes one long step; SAM looked a short one ahead.",
)

_WON, _LOST, _BASE_WON, _BASE_LOST = np.log(
    np.array([[0.5, 0.2, 0.7], [0.3, 0.4, 0.1], [0.4, 0.3, 0.2], [0.2, 0.3, 0.3]])
)


def _dpo(gain):
    return float(np.log1p(np.exp(-gain)).mean())


check_dpo = checker(
    [
        ((_WON, _LOST, _BASE_WON, _BASE_LOST, beta), _dpo(beta * ((_WON - _BASE_WON) - (_LOST - _BASE_LOST))))
        for beta in (2.0, 0.5)
    ],
    {
        "what counts is the gain over the base: take its own margin off": lambda w, x, bw, bx, beta: (
            _dpo(beta * (w - x))
        ),
        "beta stands inside the sigmoid: in front of the loss it is a rate": lambda w, x, bw, bx, beta: (
            beta * _dpo((w - bw) - (x - bx))
        ),
        "without beta the price of a nat is one": lambda w, x, bw, bx, beta: _dpo((w - bw) - (x - bx)),
        "the sign: the loss falls as the preferred answer gets likelier": lambda w, x, bw, bx, beta: (
            _dpo(-beta * ((w - bw) - (x - bx)))
        ),
        "beta is multiplied, not divided by": lambda w, x, bw, bx, beta: _dpo(((w - bw) - (x - bx)) / beta),
        "a chance is no loss: take its logarithm": lambda w, x, bw, bx, beta: (
            float((1 / (1 + np.exp(beta * ((w - bw) - (x - bx))))).mean())
        ),
        "the logarithm of each pair first, then the mean": lambda w, x, bw, bx, beta: (
            float(-np.log((1 / (1 + np.exp(-beta * ((w - bw) - (x - bx))))).mean()))
        ),
        "the mean over the pairs, not their sum": lambda w, x, bw, bx, beta: (
            len(w) * _dpo(beta * ((w - bw) - (x - bx)))
        ),
        "the preferred answer alone is no pair: the other one counts as well": lambda w, x, bw, bx, beta: (
            _dpo(beta * (w - bw))
        ),
    },
    praise="The base, tilted towards the reward: beta says what a nat of it costs.",
)
