"""Typical wrong answers to the exercises of chapter 6, and the words that must name the mistake."""

import re
import warnings

import numpy as np
from scipy.stats import sem


def accuracy(table):
    return np.trace(table) / np.sum(table)


def f1_of_means(table):
    hits = np.diag(table)
    precision, recall = (hits / table.sum(0)).mean(), (hits / table.sum(1)).mean()
    return 2 * precision * recall / (precision + recall)


def bins_alike(sure, right, bins):
    edges = np.append(np.arange(bins) / bins, np.inf)
    inside = [(sure >= a) & (sure < b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return np.mean([abs(np.mean(sure[p]) - np.mean(right[p])) for p in inside if p.any()])


def summed_gaps(sure, right, bins):
    place = np.digitize(sure, np.linspace(0, 1, bins + 1)[1:-1])
    return np.abs(np.bincount(place, weights=sure - right)).sum()


def sure_alone(sure, right, bins):
    place = (sure * bins).astype(int)
    return sum(abs((sure - right)[place == p].sum()) for p in np.unique(place)) / len(sure)


def nan_of_an_empty_bin(sure, right, bins):
    place = np.minimum((sure * bins).astype(int), bins - 1)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gaps = [abs(sure[place == b].mean() - right[place == b].mean()) * np.mean(place == b) for b in range(bins)]
    return np.sum(gaps)


def normed(values):
    return values / np.sum(values)


def letters(text):
    return " ".join(re.sub(r"[^a-z]", " ", text.lower()).split())


def same_start(train, test):
    starts = {letters(text)[:8] for text in train}
    return sum(letters(text)[:8] in starts for text in test)


def bag(text):
    return sorted(set(letters(text).split()))


def joined(text):
    return re.sub(r"[^a-z]", "", text.lower())


def widest(sure, right, bins):
    place = np.digitize(sure, np.linspace(0, 1, bins + 1)[1:-1])
    return max(abs(np.mean(sure[place == b]) - np.mean(right[place == b])) for b in np.unique(place))


def changed_alone(old, new):
    change = (new.astype(float) - old)[new != old]
    return np.mean(change) - 1.96 * sem(change)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def cold_softmax(z, y, T):
    return np.mean(z[np.arange(len(y)), y] - (softmax(z) * z).sum(1)) / T**2


def no_inner(z, y, T):
    return np.mean(z[np.arange(len(y)), y] - (softmax(z / T) * z).sum(1))


def unpaired(old, new):
    spread = np.sqrt(np.var(old, ddof=1) / len(old) + np.var(new, ddof=1) / len(new))
    return np.mean(new) - np.mean(old) - 1.96 * spread


def no_root(old, new):
    change = new.astype(float) - old.astype(float)
    return np.mean(change) - 1.96 * np.std(change, ddof=1)


WRONG = [
    ("check_weights", lambda y: np.bincount(y) / len(y), "must weigh more"),
    ("check_weights", lambda y: len(y) / np.bincount(y), "number of classes, too"),
    ("check_weights", lambda y: 1 / np.bincount(y), "right proportions"),
    ("check_weights", lambda y: normed(1 / np.bincount(y)), "need not sum to one"),
    ("check_weights", lambda y: (len(y) / (y.max() + 1) / np.bincount(y))[y], "not for each row"),
    ("check_weights", lambda y: np.bincount(y).max() / np.bincount(y), "not the weight of the largest class"),
    ("check_weights", lambda y: 1 - np.bincount(y) / len(y), "grows with rarity"),
    ("check_weights", lambda y: -np.log(np.bincount(y) / len(y)), "no logarithm"),
    ("check_leaks", lambda train, test: sum(text in train for text in test), "exact copies alone"),
    ("check_leaks", same_start, "same beginning"),
    ("check_leaks", lambda train, test: any(letters(t) in map(letters, train) for t in test), "whether any"),
    ("check_leaks", lambda train, test: sum(letters(t) in "|".join(map(letters, train)) for t in test), "no copy"),
    ("check_leaks", lambda train, test: sum(bag(t) in map(bag, train) for t in test), "another order"),
    ("check_leaks", lambda train, test: sum(joined(t) in map(joined, train) for t in test), "spaces part words"),
    ("check_leaks", lambda train, test: sum(t.lower() in [s.lower() for s in train] for t in test), "punctuation and"),
    ("check_leaks", lambda train, test: len({*map(letters, train)} & {*map(letters, test)}), "copies there are two"),
    ("check_leaks", lambda train, test: np.mean([letters(t) in map(letters, train) for t in test]), "not a count"),
    ("check_macro_f1", accuracy, "that is accuracy"),
    ("check_macro_f1", lambda table: np.mean(np.diag(table) / np.sum(table, axis=1)), "recall alone"),
    ("check_macro_f1", lambda table: np.mean(np.diag(table) / np.sum(table, axis=0)), "precision alone"),
    ("check_macro_f1", lambda table: 2 * table[-1, -1] / (table[-1].sum() + table[:, -1].sum()), "of one class"),
    ("check_macro_f1", lambda table: np.mean(np.diag(table) / (table.sum(0) + table.sum(1))), "the factor is two"),
    ("check_macro_f1", lambda table: np.sum(2 * np.diag(table) / (table.sum(0) + table.sum(1))), "take the mean"),
    ("check_macro_f1", f1_of_means, "of each class first"),
    ("check_macro_f1", lambda table: 2 * np.diag(table) / (table.sum(0) + table.sum(1)), "now take their mean"),
    ("check_macro_f1", lambda table: 200 * np.mean(np.diag(table) / (table.sum(0) + table.sum(1))), "not per cent"),
    ("check_macro_f1", lambda table: np.mean(np.diag(table) / np.sqrt(table.sum(0) * table.sum(1))), "geometric"),
    ("check_ece", lambda sure, right, bins: abs(sure.mean() - right.mean()), "in one bin"),
    ("check_ece", summed_gaps, "not their number"),
    ("check_ece", bins_alike, "its share of the answers"),
    ("check_ece", nan_of_an_empty_bin, "an empty bin has no mean"),
    ("check_ece", sure_alone, "expected"),
    ("check_ece", lambda sure, right, bins: 100 * summed_gaps(sure, right, bins) / len(sure), "not per cent"),
    ("check_ece", lambda sure, right, bins: np.abs(sure - right).mean(), "each single answer"),
    ("check_ece", widest, "widest gap"),
    ("check_slope", cold_softmax, "at z / T, too"),
    ("check_slope", lambda z, y, T: no_inner(z, y, T) / T, "the square of T"),
    ("check_slope", no_inner, "inner derivative"),
    ("check_slope", lambda z, y, T: -no_inner(z, y, T), "with respect to 1 / T"),
    ("check_slope", lambda z, y, T: -np.log(softmax(z / T)[np.arange(len(y)), y]).mean(), "the loss itself"),
    ("check_slope", lambda z, y, T: np.mean(z[np.arange(len(y)), y] - z.max(axis=1)) / T**2, "not the largest"),
    ("check_slope", lambda z, y, T: -no_inner(z, y, T) / T**2, "sign is turned"),
    ("check_lower", lambda old, new: 0.0, "(an array of shape (300,), an array of shape (300,))"),
    ("check_lower", lambda old, new: np.mean(new) - np.mean(old) - 1.96 * sem(1.0 * new - old, ddof=0), "ddof=1"),
    ("check_lower", lambda old, new: np.mean(new) - np.mean(old) - 1.96 * sem(new), "not about the new model alone"),
    ("check_lower", lambda old, new: abs(np.mean(1.0 * new - old)) - 1.96 * sem(1.0 * new - old), "keeps its sign"),
    ("check_lower", unpaired, "spread of the differences"),
    ("check_lower", no_root, "root of the number"),
    ("check_lower", lambda old, new: np.mean(new) - np.mean(old), "the difference itself"),
    ("check_lower", lambda old, new: np.mean(new) - 1.96 * np.sqrt(np.var(new) / len(new)), "new model's accuracy"),
    ("check_lower", changed_alone, "leave them in"),
    ("check_lower", lambda old, new: np.mean(new ^ old) - 1.96 * sem(new ^ old), "a difference has a sign"),
]
