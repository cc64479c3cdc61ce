"""Typical wrong answers to the exercises of chapter 1, and the words that must name the mistake."""

import numpy as np


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def root(K):
    return np.sqrt(K.shape[-1])


def naive(z, token):
    with np.errstate(all="ignore"):
        return -np.log(np.exp(z[token]) / np.exp(z).sum())


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
    ("check_gap", lambda train, test: train.sum() - test.sum(), "accuracies, not counts"),
    ("check_gap", lambda train, test: 100 * (1 - np.mean(test) / np.mean(train)), "do not divide"),
    ("check_gap", lambda train, test: 100 * np.mean(train), "training accuracy alone"),
    ("check_gap", lambda train, test: max(0, 100 * (np.mean(train) - np.mean(test))), "a finding"),
    ("check_nats", lambda z, token: np.log(np.exp(np.minimum(z, 709)).sum()) - z[token], "clipped logits"),
    ("check_nats", naive, "take the largest off all"),
    ("check_nats", lambda z, token: -np.log(sigma(z[token])), "one among many is a softmax"),
    ("check_nats", lambda z, token: np.max(z) - z[token], "the others count"),
    ("check_nats", lambda z, token: -np.log(softmax(z)).mean(), "not the mean over all"),
    ("check_nats", lambda z, token: np.log(np.exp(z - max(z)).sum()) - z[token], "as well"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T) @ V, "by the root of d"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / K.shape[1]) @ V, "not by d"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / np.sqrt(len(K))) @ V, "how many tokens"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / root(K), axis=0) @ V, "along a row"),
    ("check_attention", lambda Q, K, V: softmax(K @ Q.T / root(K)) @ V, "Q on the left"),
    ("check_attention", lambda Q, K, V: (Q @ K.T / root(K)) @ V, "without the softmax"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / root(K)), "those are the weights"),
    ("check_attention", lambda Q, K, V: V.mean(0) + 0 * V, "weighs all tokens alike"),
    ("check_attention", lambda Q, K, V: (softmax(Q @ K.T) / root(K)) @ V, "not after it"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T * root(K)) @ V, "do not multiply"),
    ("check_attention", lambda Q, K, V: V[np.argmax(Q @ K.T, 1)], "the best key alone"),
    ("check_attention", lambda Q, K, V: softmax(Q @ K.T / root(V)) @ V, "not a value"),
    ("check_pool", lambda H, mask: H.mean(0), "padding is no token"),
    ("check_pool", lambda H, mask: (H * mask[:, None]).mean(0), "number of real tokens"),
    ("check_pool", lambda H, mask: H[mask == 1].sum(0), "not the sum"),
    ("check_pool", lambda H, mask: H[0], "first token's vector"),
    ("check_pool", lambda H, mask: H[mask == 1].max(0), "not the largest"),
    ("check_pool", lambda H, mask: np.median(H[mask == 1], 0), "not the median"),
    ("check_pool", lambda H, mask: H[np.flatnonzero(mask)[-1]], "last real token"),
    ("check_pool", lambda H, mask: np.mean(H[mask == 1]), "not one for all"),
    ("check_pool", lambda H, mask: 2 * H[0], "for ([[2, 0], [4, 6], [9, 9]], [1, 1, 0]) your function gives `[4, 0]`"),
    ("check_step", lambda w, X, y, rate: w + rate * X.T @ (sigma(X @ w) - y) / len(y), "downhill"),
    ("check_step", lambda w, X, y, rate: w - rate * X.T @ (sigma(X @ w) - y), "not the sum"),
    ("check_step", lambda w, X, y, rate: w - rate * X.T @ (X @ w - y) / len(y), "sigmoid of X w"),
    ("check_step", lambda w, X, y, rate: -rate * X.T @ (sigma(X @ w) - y) / len(y), "the change alone"),
    ("check_step", lambda w, X, y, rate: X.T @ (sigma(X @ w) - y) / len(y), "that is the gradient"),
    ("check_step", lambda w, X, y, rate: w - X.T @ (sigma(X @ w) - y) / len(y), "times the rate"),
    ("check_step", lambda w, X, y, rate: w - rate * (X.T @ (sigma(X @ w) - y)).mean(), "one gradient for each weight"),
    ("check_step", lambda w, X, y, rate: w - rate * X.T @ (sigma(X @ w) - y) / (2 * len(y)), "one half"),
    ("check_step", lambda w, X, y, rate: w - 2 * rate * X.T @ (sigma(X @ w) - y) / len(y), "no factor of two"),
    ("check_step", lambda w, X, y, rate: w - rate * X.T @ (1 - sigma(X @ w) - y) / len(y), "not of label 0"),
]
