"""Typical wrong answers to the exercises of chapter 9, and the words that must name the mistake."""

import numpy as np

from lib.tasks.task import Example


def repeated(parts):
    every = [group for part in parts.values() for group in part]
    return len(every) - len(set(every))


def train_and_test(parts):
    return len(set(parts["train"]) & set(parts["test"]))


def each_time(parts):
    return sum(len(set(part)) for part in parts.values()) - len(set().union(*parts.values()))


def recall(said, true):
    return 100 * len(set(said) & set(true)) / len(set(true))


def precision(said, true):
    return 100 * len(set(said) & set(true)) / len(set(said))


def share(said, true):
    return 2 * len(set(said) & set(true)) / (len(set(said)) + len(set(true)))


def repeats(said, true):
    return 200 * len(set(said) & set(true)) / (len(said) + len(true))


def names_alone(said, true):
    both = {name for _, name in said} & {name for _, name in true}
    return 200 * len(both) / (len(set(said)) + len(set(true)))


def twice(pairs):
    options = tuple(sorted(answer for _, answer in pairs))
    return [Example(asked, answer, asked.lower(), options) for asked, answer in pairs]


def as_they_come(pairs):
    options = tuple(dict.fromkeys(answer for _, answer in pairs))
    return [Example(asked, answer, asked.lower(), options) for asked, answer in pairs]


def case_kept(pairs):
    options = tuple(sorted({answer for _, answer in pairs}))
    return [Example(asked, answer, asked, options) for asked, answer in pairs]


def over_both(tuned, prompted, dull):
    return tuned.mean() - (prompted.mean() + dull.mean()) / 2


def over_the_worse(tuned, prompted, dull):
    return tuned.mean() - min(prompted.mean(), dull.mean())


def hindsight(tuned, prompted, dull):
    return (tuned - np.maximum(prompted, dull)).mean()


def by_place(said, true):
    return 200 * sum(a == b for a, b in zip(said, true, strict=False)) / (len(set(said)) + len(set(true)))


def plain_mean(said, true):
    return (precision(said, true) + recall(said, true)) / 2


def pairs_of_parts(parts):
    a, b, *c = map(set, parts.values())
    return len(a & b) + sum(len(x & y) for x in (a, b) for y in c)


def as_a_list(pairs):
    options = sorted({answer for _, answer in pairs})
    return [Example(asked, answer, asked.lower(), options) for asked, answer in pairs]


def its_own_alone(pairs):
    return [Example(asked, answer, asked.lower(), (answer,)) for asked, answer in pairs]


def by_seed(tuned, prompted, dull):
    return np.mean([t.mean() - max(p.mean(), dull.mean()) for t, p in zip(tuned, prompted, strict=True)])


def unscaled(W, adapters):
    return W + sum(B @ A for A, B, _ in adapters)


def no_rank(W, adapters):
    return W + sum(alpha * B @ A for A, B, alpha in adapters)


def averaged(W, adapters):
    return W + np.mean([alpha / len(A) * B @ A for A, B, alpha in adapters], axis=0)


def no_base(W, adapters):
    return sum(alpha / len(A) * B @ A for A, B, alpha in adapters)


def last_alone(W, adapters):
    A, B, alpha = adapters[-1]
    return W + alpha / len(A) * B @ A


WRONG = [
    ("check_grouped", pairs_of_parts, "not three pairs of parts"),
    ("check_pairs", by_place, "their order does not matter"),
    ("check_pairs", plain_mean, "the harmonic mean"),
    ("check_examples", as_a_list, "the options are a tuple"),
    ("check_examples", its_own_alone, "not the right one alone"),
    ("check_gain", by_seed, "one baseline for all seeds"),
    ("check_grouped", repeated, "twice in one part"),
    ("check_grouped", train_and_test, "three parts, not two"),
    ("check_grouped", each_time, "a group in three parts is one group"),
    ("check_pairs", recall, "that is the recall"),
    ("check_pairs", precision, "that is the precision"),
    ("check_pairs", share, "from 0 to 100"),
    ("check_pairs", repeats, "a pair that is said twice counts once"),
    ("check_pairs", names_alone, "the kind has to be right too"),
    ("check_examples", twice, "each option once"),
    ("check_examples", as_they_come, "in sorted order"),
    ("check_examples", case_kept, "the group is the question in lower case"),
    ("check_gain", lambda tuned, prompted, dull: tuned.mean() - prompted.mean(), "over the prompted model"),
    ("check_gain", lambda tuned, prompted, dull: tuned.mean() - dull.mean(), "over the dull answer"),
    ("check_gain", over_both, "not the mean of both"),
    ("check_gain", over_the_worse, "not the worse"),
    ("check_gain", hindsight, "one baseline for all items"),
    ("check_merged", unscaled, "scaled by alpha / rank"),
    ("check_merged", no_rank, "divided by the rank"),
    ("check_merged", averaged, "not their mean"),
    ("check_merged", no_base, "the base is part of it"),
    ("check_merged", last_alone, "all adapters"),
]
