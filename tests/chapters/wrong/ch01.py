"""Typical wrong answers to the exercises of chapter 1, and the words that must name the mistake."""

import numpy as np


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def root(K):
    return np.sqrt(K.shape[-1])


WRONG = [
    ("check_gap", lambda train, test: np.mean(train) - np.mean(test), "times a hundred"),
    ("check_gap", lambda train, test: 100 * (np.mean(test) - np.mean(train)), "training minus unseen"),
    ("check_gap", lambda train, test: 100 * abs(np.mean(train) - np.mean(test)), "keep the sign"),
    ("check_gap", lambda train, test: f"{100 * (np.mean(train) - np.mean(test)):.1f}", "numbers and not text"),
    ("check_gap", lambda train, test: round(100 * (np.mean(train) - np.mean(test))), "expected"),
    ("check_nats", lambda z, token: np.log(softmax(z)[token]), "the sign"),
    ("check_nats", lambda z, token: softmax(z)[token], "that is the probability"),
    ("check_nats", lambda z, token: -np.log2(softmax(z)[token]), "base two"),
    ("check_nats", lambda z, token: -np.log10(softmax(z)[token]), "base ten"),
    ("check_nats", lambda z, token: -z[token], "the others count"),
    ("check_nats", lambda z, token: -np.log(softmax(z).max()), "not of the likeliest"),
    ("check_nats", lambda z, token: np.log(np.exp(np.minimum(z, 709)).sum()) - z[token], "expected"),
    ("check_nats", lambda z, token: -np.log(softmax(z)).mean(), "expected"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T) @ V, "by the root of d"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / K.shape[1]) @ V, "not by d"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / np.sqrt(len(K))) @ V, "how many tokens"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / root(K), axis=0) @ V, "along a row"),
    ("check_attention", lambda Q, K, V: softmax(K @ Q.T / root(K)) @ V, "Q on the left"),
    ("check_attention", lambda Q, K, V: (Q @ K.T / root(K)) @ V, "without the softmax"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / root(K)), "those are the weights"),
    ("check_attention", lambda Q, K, V: V.mean(0) + 0 * V, "expected"),
    ("check_pool", lambda H, mask: H.mean(0), "padding is no token"),
    ("check_pool", lambda H, mask: (H * mask[:, None]).mean(0), "number of real tokens"),
    ("check_pool", lambda H, mask: H[mask == 1].sum(0), "not the sum"),
    ("check_pool", lambda H, mask: H[0], "first token's vector"),
    ("check_pool", lambda H, mask: H[mask == 1].max(0), "expected"),
    ("check_step", lambda w, X, y, rate: w + rate * X.T @ (sigma(X @ w) - y) / len(y), "downhill"),
    ("check_step", lambda w, X, y, rate: w - rate * X.T @ (sigma(X @ w) - y), "not the sum"),
    ("check_step", lambda w, X, y, rate: w - rate * X.T @ (X @ w - y) / len(y), "sigmoid of X w"),
    ("check_step", lambda w, X, y, rate: -rate * X.T @ (sigma(X @ w) - y) / len(y), "the change alone"),
    ("check_step", lambda w, X, y, rate: X.T @ (sigma(X @ w) - y) / len(y), "that is the gradient"),
    ("check_step", lambda w, X, y, rate: w - X.T @ (sigma(X @ w) - y) / len(y), "times the rate"),
    ("check_step", lambda w, X, y, rate: w - rate * (X.T @ (sigma(X @ w) - y)).mean(), "expected"),
]
