"""Typical wrong answers to the exercises of chapter 3, and the words that must name the mistake."""

import numpy as np


def kept_at_the_end(scores, wait):
    return len(scores) - 1


WRONG = [
    ("check_rate", lambda rates, dev: rates[dev.max(1).argmax()], "mean over seeds"),
    ("check_rate", lambda rates, dev: np.argmax(dev.mean(axis=1)), "not its place"),
    ("check_perplexity", lambda log_p: np.exp(-np.sum(log_p)), "not the sum"),
    ("check_perplexity", lambda log_p: -np.mean(log_p), "exponentiate"),
    ("check_kept", lambda scores, wait: scores.index(max(scores)), "had stopped before"),
    ("check_kept", kept_at_the_end, "expected"),
    ("check_doublings", lambda a, b, low, high, few, many: (a - b) / (high - low), "one doubling buys"),
    ("check_doublings", lambda a, b, low, high, n, m: np.log(m / n) * (a - b) / (high - low), "base two"),
    ("check_trained", lambda layers, width, rank, matrices: layers * matrices * rank * width, "two thin"),
    ("check_trained", lambda layers, width, rank, matrices: layers * matrices * width**2, "rank r"),
]
