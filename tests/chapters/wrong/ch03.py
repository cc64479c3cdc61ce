"""Typical wrong answers to the exercises of chapter 3, and the words that must name the mistake."""

import numpy as np


def kept_at_the_end(scores, wait):
    return len(scores) - 1


def never_reset(scores, wait):
    best, worse = 0, 0
    for i, score in enumerate(scores):
        best, worse = (i, worse) if score > scores[best] else (best, worse + (i > 0))
        if worse == wait:
            break
    return best


def ties_win(scores, wait):
    best = 0
    for i, score in enumerate(scores):
        if score >= scores[best]:
            best = i
        elif i - best == wait:
            break
    return best


def tie_resets(scores, wait):
    best, since = 0, 0
    for i, score in enumerate(scores):
        if score > scores[best]:
            best = i
        if score >= scores[best]:
            since = i
        elif i - since >= wait:
            break
    return best


def emptied(scores, wait):
    best = scores.pop(0)
    while scores:
        best = max(best, scores.pop(0))
    return best


def first_fall(scores, wait):
    falls = np.flatnonzero(np.diff(scores) <= 0)
    return falls[0] if len(falls) else len(scores) - 1


def tie_free(scores, wait):
    best = 0
    for i, score in enumerate(scores):
        if score > scores[best]:
            best = i
        elif i - best == wait:
            break
    return best


def with_relu(x, W, A, B, alpha):
    return x @ W.T + alpha / A.shape[0] * np.clip(x @ A.T, 0, None) @ B.T


def rows_as_columns(x, W, A, B, alpha):
    base = x @ W if W.shape[0] == W.shape[1] else x @ W.T
    return base + x @ A.T @ B.T * (alpha / A.shape[0])


WRONG = [
    ("check_rate", lambda rates, dev: rates[dev.max(1).argmax()], "mean over seeds"),
    ("check_rate", lambda rates, dev: rates[np.argmax(dev.mean(axis=0))], "the mean goes along a row"),
    ("check_rate", lambda rates, dev: max(dev.mean(axis=1)), "not its accuracy"),
    ("check_rate", lambda rates, dev: rates[dev.min(axis=1).argmax()], "not the worst seed"),
    ("check_rate", lambda rates, dev: np.argmax(dev.mean(axis=1)), "not its place"),
    ("check_perplexity", lambda log_p: np.exp(-np.sum(log_p)), "not the sum"),
    ("check_perplexity", lambda log_p: -np.mean(log_p), "exponentiate"),
    ("check_perplexity", lambda log_p: np.exp2(-np.mean(log_p)), "base e"),
    ("check_perplexity", lambda log_p: np.mean(1 / np.exp(log_p)), "first the mean"),
    ("check_kept", first_fall, "one too early"),
    ("check_kept", lambda scores, wait: scores.index(max(scores)), "had stopped before"),
    ("check_kept", kept_at_the_end, "not the last"),
    ("check_kept", lambda scores, wait: int(np.argmax(scores[: wait + 1])), "without a new best"),
    ("check_kept", never_reset, "in a row, not altogether"),
    ("check_kept", ties_win, "keep the first of equals"),
    ("check_kept", tie_resets, "must not reset the counter"),
    ("check_kept", emptied, "expected"),
    ("check_rate", lambda rates, dev: rates[dev[:, -1].argmax()], "last seed alone"),
    ("check_rate", lambda rates, dev: rates[dev.mean(axis=1).argmin()], "not losses"),
    ("check_rate", lambda rates, dev: rates[np.median(dev, axis=1).argmax()], "not the median"),
    ("check_rate", lambda rates, dev: str(rates[dev.mean(axis=1).argmax()]), "numbers and not text"),
    ("check_perplexity", lambda log_p: np.exp(-np.mean(log_p)) + 3j, "expected"),
    ("check_doublings", lambda a, b, low, high, n, m: abs(a - b) / (high - low) * np.log2(m / n), "keep the sign"),
    ("check_doublings", lambda a, b, low, high, n, m: (a - b) / (low - high) * np.log2(m / n), "from b to a"),
    ("check_doublings", lambda a, b, low, high, few, many: (a - b) / (high - low), "one doubling buys"),
    ("check_doublings", lambda a, b, low, high, n, m: m / n * (a - b) / (high - low), "not their ratio"),
    ("check_doublings", lambda a, b, low, high, n, m: np.log10(m / n) * (a - b) / (high - low), "not ten"),
    ("check_doublings", lambda a, b, low, high, n, m: np.log(m / n) * (a - b) / (high - low), "base two"),
    ("check_forward", lambda x, W, A, B, alpha: x @ (W + B @ A).T, "the scale"),
    ("check_forward", lambda x, W, A, B, alpha: x @ (W + alpha * B @ A).T, "divide alpha by the rank"),
    ("check_forward", lambda x, W, A, B, alpha: x @ (W + alpha / len(B) * B @ A).T, "not of B"),
    ("check_forward", lambda x, W, A, B, alpha: x @ (W - alpha / len(A) * B @ A).T, "do not take it away"),
    ("check_forward", lambda x, W, A, B, alpha: alpha / len(A) * x @ (B @ A).T, "frozen layer is missing"),
    ("check_forward", lambda x, W, A, B, alpha: x @ W.T, "adapter is missing"),
    ("check_forward", with_relu, "nothing stands between"),
    ("check_forward", rows_as_columns, "it is transposed"),
    ("check_kept", lambda scores, wait: tie_free(scores, wait + 1), "one too late"),
    ("check_forward", lambda x, W, A, B, alpha: (W + alpha / len(A) * B @ A) @ x.T, "one input a row"),
    ("check_forward", lambda x, W, A, B, alpha: alpha / len(A) * x @ (W + B @ A).T, "not to W"),
    ("check_forward", lambda x, W, A, B, alpha: x @ W + x @ A @ B, "raised"),
    ("check_merge", lambda W, A, B, alpha: W + B @ A, "the scale"),
    ("check_merge", lambda W, A, B, alpha: W + (B * alpha) @ A, "divide alpha by the rank"),
    ("check_merge", lambda W, A, B, alpha: W + alpha / np.sqrt(A.shape[0]) * (B @ A), "not by its root"),
    ("check_merge", lambda W, A, B, alpha: W + alpha / A.shape[1] * B @ A, "columns of A"),
    ("check_merge", lambda W, A, B, alpha: W + alpha / B.shape[0] * B @ A, "not of B"),
    ("check_merge", lambda W, A, B, alpha: (alpha / A.shape[0]) * B @ A, "add it to W"),
    ("check_merge", lambda W, A, B, alpha: W - alpha / A.shape[0] * B @ A, "do not take it away"),
    ("check_merge", lambda W, A, B, alpha: W + alpha / len(A) * A @ B, "raised"),
    ("check_rate", lambda rates, dev: rates[dev[:, 0].argmax()], "first seed alone"),
    ("check_perplexity", lambda log_p: len(log_p) / np.exp(log_p).sum(), "not of the probabilities"),
    ("check_perplexity", lambda log_p: np.power(10, -log_p.sum() / len(log_p)), "not with base ten"),
    ("check_perplexity", lambda log_p: np.exp(-min(log_p)), "not the least likely alone"),
    ("check_kept", lambda scores, wait: scores[0] if wait == 1 else scores[tie_free(scores, wait)], "not its score"),
    ("check_kept", lambda scores, wait: 1 + tie_free(scores, wait), "has index 0"),
    ("check_doublings", lambda a, b, low, high, n, m: (a - b) / (high - low) * (m - n), "not by many - few"),
    ("check_doublings", lambda a, b, low, high, n, m: (high - low) / np.log2(m / n) / (a - b), "upside down"),
    ("check_doublings", lambda a, b, low, high, n, m: (a - b) * (high - low) / np.log2(m / n), "do not multiply"),
    ("check_forward", lambda x, W, A, B, alpha: x @ (W + alpha * len(A) * B @ A).T, "do not multiply"),
    ("check_forward", lambda x, W, A, B, alpha: x @ (W + (alpha / len(A)) ** 2 * B @ A).T, "comes once"),
    ("check_forward", lambda x, W, A, B, alpha: x @ (W + alpha / len(x) * B @ A).T, "not of x"),
    ("check_merge", lambda W, A, B, alpha: W + alpha * A.shape[0] * B @ A, "do not multiply"),
    ("check_merge", lambda W, A, B, alpha: W + A.shape[0] / alpha * B @ A, "upside down"),
    ("check_merge", lambda W, A, B, alpha: (W + alpha / A.shape[0] * B @ A).T, "not its transpose"),
]
