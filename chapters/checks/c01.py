"""What checks the exercises of chapter 1."""
from __future__ import annotations

import numpy as np

from lib.book.exercises import checker


def _softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


check_gap = checker(
    [
        ((np.array([1, 1, 1, 0]), np.array([1, 0, 1, 0, 0])), 35.0),
        ((np.array([1, 0]), np.array([1, 1, 0, 1])), -25.0),
        ((np.array([1, 0]), np.array([1, 0, 0, 1, 0, 1, 0, 0])), 12.5),
    ],
    {
        "keep the sign: a model can do worse on what it was trained on": lambda train, test: (
            100 * abs(train.mean() - test.mean())
        ),
        "in points: times a hundred": lambda train, test: train.mean() - test.mean(),
        "training minus unseen, so that overfitting is positive": lambda train, test: (
            100 * (test.mean() - train.mean())
        ),
        "the two parts have different lengths: take each mean by itself": lambda train, test: (
            100 * (train.sum() - test.sum()) / (len(train) + len(test))
        ),
        "accuracies, not counts: the two parts have different lengths": lambda train, test: train.sum() - test.sum(),
        "points are a plain difference: do not divide by the training accuracy": lambda train, test: (
            100 * (train.mean() - test.mean()) / train.mean()
        ),
        "that is the training accuracy alone: take the unseen one off it": lambda train, test: 100 * train.mean(),
        "keep the sign: a gap below zero is a finding, not an error": lambda train, test: (
            max(0.0, 100 * (train.mean() - test.mean()))
        ),
        "the sentences do not pair: take each mean by itself": lambda train, test: (
            100 * (train[: len(test)] - test[: len(train)]).mean()
        ),
    },
    praise="A gap is in points of accuracy, and positive when the model fits what it has seen better.",
)

check_nats = checker(
    [
        ((np.array([2.0, 1.0, 0.0]), 0), 0.4076059644443803),
        ((np.array([2.0, 1.0, 0.0]), 2), 2.4076059644443803),
        ((np.array([0.0, 0.0, 0.0, 0.0]), 1), np.log(4.0)),
        ((np.array([1000.0, 998.0]), 1), 2.1269280110429727),
    ],
    {
        "logits are no probabilities yet: a softmax makes them so": lambda z, token: -np.log(z[token]),
        "the sign: a probability below one has a negative logarithm": lambda z, token: (
            z[token] - z.max() - np.log(np.exp(z - z.max()).sum())
        ),
        "that is the probability: minus its logarithm is the loss": lambda z, token: _softmax(z)[token],
        "nats go with the natural logarithm, not with base two": lambda z, token: -np.log2(_softmax(z)[token]),
        "nats go with the natural logarithm, not with base ten": lambda z, token: -np.log10(_softmax(z)[token]),
        "the loss of the token that came, not of the likeliest": lambda z, token: -np.log(_softmax(z).max()),
        "the logit alone says nothing: the others count as well": lambda z, token: -z[token],
        "large logits overflow in the exponential: take the largest off all of them first": lambda z, token: (
            np.inf if z.max() > 700 else -np.log(_softmax(z)[token])
        ),
        "large logits overflow in the exponential: take the largest off all of them before": lambda z, token: (
            np.nan if z.max() > 700 else -np.log(_softmax(z)[token])
        ),
        "clipped logits are other logits: take the largest off all of them instead": lambda z, token: (
            np.log(np.exp(np.minimum(z, 700)).sum()) - np.minimum(z, 700)[token]
        ),
        "clipped logits are other logits: take the largest off all of them first": lambda z, token: (
            np.log(np.exp(np.minimum(z, 709)).sum()) - z[token]
        ),
        "a sigmoid compares with nothing: the probability of one among many is a softmax": lambda z, token: (
            np.log1p(np.exp(-z[token]))
        ),
        "that is how far the token is from the likeliest: the others count as well": lambda z, token: (
            z.max() - z[token]
        ),
        "of the token that came alone, not the mean over all": lambda z, token: -np.log(_softmax(z)).mean(),
        "the largest was taken off the others alone: take it off the logit of the token that came as well": (
            lambda z, token: np.log(np.exp(z - z.max()).sum()) - z[token]
        ),
        "that is the probability of all others: the loss is minus the logarithm of this one's": lambda z, token: (
            1 - _softmax(z)[token]
        ),
    },
    praise="Shifting all logits changes nothing, so shift them to where the exponential is safe.",
)


def _heads(seed, tokens, d, width):
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(-2, 3, size=(tokens, n)).astype(float) for n in (d, d, width))


def _attention(Q, K, V, scale=None):
    return _softmax(Q @ K.T / (K.shape[1] ** 0.5 if scale is None else scale)) @ V


_by_hand = (np.array([[0.0], [0.0], [np.log(2)]]), np.array([[1.0], [0], [0]]), np.array([[4.0, 0], [0, 0], [0, 4]]))
check_attention = checker(
    [(case, _attention(*case)) for case in (_by_hand, _heads(1, 3, 4, 2), _heads(2, 4, 2, 3))],
    {
        "divide the scores by the root of d, the numbers of a key": lambda Q, K, V: _attention(Q, K, V, 1.0),
        "by the root of d, not by d": lambda Q, K, V: _attention(Q, K, V, K.shape[1]),
        "d is how many numbers a key has, not how many tokens there are": lambda Q, K, V: (
            _attention(Q, K, V, len(K) ** 0.5)
        ),
        "each query's weights sum to one: the softmax goes along a row": lambda Q, K, V: (
            _softmax((Q @ K.T / K.shape[1] ** 0.5).T).T @ V
        ),
        "a row of the scores is a query, a column a key: Q on the left": lambda Q, K, V: (
            _softmax(K @ Q.T / K.shape[1] ** 0.5) @ V
        ),
        "without the softmax the weights neither are positive nor sum to one": lambda Q, K, V: (
            Q @ K.T / K.shape[1] ** 0.5 @ V
        ),
        "those are the weights: now take the mean of the values under them": lambda Q, K, V: (
            _softmax(Q @ K.T / K.shape[1] ** 0.5)
        ),
        "the root of d comes into the softmax, not after it": lambda Q, K, V: (
            _softmax(Q @ K.T) / K.shape[1] ** 0.5 @ V
        ),
        "divide the scores by the root of d, do not multiply": lambda Q, K, V: _attention(Q, K, V, K.shape[1] ** -0.5),
        "d is how many numbers a key has, not a value": lambda Q, K, V: _attention(Q, K, V, V.shape[1] ** 0.5),
        "a mean under weights, not the value of the best key alone": lambda Q, K, V: V[(Q @ K.T).argmax(1)],
        "that weighs all tokens alike: the weights come from queries and keys": lambda Q, K, V: V.mean(0) + 0 * V,
        "each query's weights sum to one, not all weights together": lambda Q, K, V: (
            np.exp(Q @ K.T / K.shape[1] ** 0.5) / np.exp(Q @ K.T / K.shape[1] ** 0.5).sum() @ V
        ),
        "here each token sees all others: no mask": lambda Q, K, V: (
            _softmax(np.where(np.tri(len(Q)) > 0, Q @ K.T / K.shape[1] ** 0.5, -np.inf)) @ V
        ),
    },
    praise="That is the formula of every layer of both models; they only do it in several heads at once.",
)

check_pool = checker(
    [
        ((np.array([[2.0, 0], [4, 6], [9, 9]]), np.array([1, 1, 0])), np.array([3.0, 3.0])),
        ((np.array([[1.0, 2], [3, 4]]), np.array([1, 1])), np.array([2.0, 3.0])),
        ((np.array([[5.0, -1], [7, 7], [8, 8], [9, 9]]), np.array([1, 0, 0, 0])), np.array([5.0, -1.0])),
        ((np.array([[0.0, 5], [1, -1], [8, 2], [6, 6]]), np.array([1, 1, 1, 0])), np.array([3.0, 2.0])),
    ],
    {
        "padding is no token of the text: leave it out of the mean": lambda H, mask: H.mean(0),
        "divide by the number of real tokens, not by the length of the row": lambda H, mask: (
            (H * mask[:, None]).sum(0) / len(mask)
        ),
        "the mean, not the sum": lambda H, mask: (H * mask[:, None]).sum(0),
        "one number for each of the vector's places: the mean goes over the tokens": lambda H, mask: (
            H[mask == 1].mean(1)
        ),
        "that is the first token's vector: take the mean of all real ones": lambda H, mask: H[0],
        "that is the last real token's vector: take the mean of all of them": lambda H, mask: H[int(mask.sum()) - 1],
        "the mean, not the largest": lambda H, mask: H[mask == 1].max(0),
        "the mean, not the median": lambda H, mask: np.median(H[mask == 1], axis=0),
        "one number for each of the vector's places, not one for all": lambda H, mask: H[mask == 1].mean(),
        "that is the mean of the padding: where the mask is 1, a token is real": lambda H, mask: (
            (H * (1 - mask)[:, None]).sum(0) / max(1, (1 - mask).sum())
        ),
    },
    praise="However long the padding, the vector of the sentence stays the same.",
)


def _sigma(z):
    return 1 / (1 + np.exp(-z))


def _step(w, X, y, rate, p=None, share=None, sign=-1.0):
    p = _sigma(X @ w) if p is None else p
    return w + sign * rate * X.T @ (p - y) / (len(y) if share is None else share)


_X = np.array([[1.0, 0, 2], [0, 1, -1], [1, 1, 0], [2, -1, 0]])
_cases = [
    ((np.zeros(3), _X, np.array([1.0, 0, 1, 0]), 0.5)),
    ((np.array([0.5, -1.0, 2.0]), _X, np.array([0.0, 1, 1, 0]), 0.1)),
    ((np.array([1.0, 1.0]), np.array([[1.0, 2], [3, -1]]), np.array([1.0, 1]), 1.0)),
]
check_step = checker(
    [(case, _step(*case)) for case in _cases],
    {
        "downhill: subtract the gradient": lambda w, X, y, rate: _step(w, X, y, rate, sign=1.0),
        "the mean over the sentences, not the sum": lambda w, X, y, rate: _step(w, X, y, rate, share=1),
        "the mean over the sentences: divide by their number, not by that of the weights": lambda w, X, y, rate: (
            _step(w, X, y, rate, share=len(w))
        ),
        "the probability is the sigmoid of X w, not X w itself": lambda w, X, y, rate: _step(w, X, y, rate, p=X @ w),
        "times the rate": lambda w, X, y, rate: _step(w, X, y, 1.0),
        "that is the gradient: take a step with it": lambda w, X, y, rate: _step(w * 0, X, y, -1.0, p=_sigma(X @ w)),
        "that is the change alone: add it to w": lambda w, X, y, rate: _step(w * 0, X, y, rate, p=_sigma(X @ w)),
        "with the cross-entropy the slope of the sigmoid cancels: no factor p (1 - p)": lambda w, X, y, rate: (
            w - rate * X.T @ ((_sigma(X @ w) - y) * _sigma(X @ w) * (1 - _sigma(X @ w))) / len(y)
        ),
        "one gradient for each weight: the mean goes over the sentences, not over the weights": lambda w, X, y, rate: (
            w - rate * (X.T @ (_sigma(X @ w) - y)).mean()
        ),
        "the mean over the sentences: no factor of one half": lambda w, X, y, rate: (
            _step(w, X, y, rate, share=2 * len(y))
        ),
        "no factor of two: the loss is the cross-entropy, not a square": lambda w, X, y, rate: (
            _step(w, X, y, rate, share=len(y) / 2)
        ),
        "p is the probability of label 1, not of label 0": lambda w, X, y, rate: _step(w, X, y, rate, p=_sigma(-X @ w)),
        "the error is p minus y over all sentences, not the wrong ones alone": lambda w, X, y, rate: (
            _step(w, X, y, rate, p=(X @ w > 0).astype(float))
        ),
    },
    praise="Some hundred of these steps are a linear probe; with more layers below, they are fine-tuning.",
)
