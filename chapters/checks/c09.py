"""What checks the exercises of chapter 9."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

import numpy as np

from lib.book.exercises import checker
from lib.book.quiz import Feedback
from lib.tasks.task import Example

check_grouped = checker(
    [
        (({"train": ["a", "b", "b"], "test": ["c"]},), 0),
        (({"train": ["a", "b"], "dev": ["b"], "test": ["b", "a", "c"]},), 2),
        (({"train": ["a"], "dev": ["a"], "test": ["b"]},), 1),
        (({"train": ["x"], "dev": ["x"], "test": ["x"]},), 1),
    ],
    {
        "a group that stands twice in one part does not leak": lambda parts: (
            len(every := [g for part in parts.values() for g in part]) - len(set(every))
        ),
        "three parts, not two: development examples leak as well": lambda parts: len(
            set(parts["train"]) & set(parts["test"])
        ),
        "a group in three parts is one group, not three pairs of parts": lambda parts: (
            sum(len(set(a) & set(b)) for a, b in combinations(parts.values(), 2))
        ),
        "a group in three parts is one group": lambda parts: (
            sum(len(set(part)) for part in parts.values()) - len(set().union(*parts.values()))
        ),
    },
    praise="No group in two parts: what the test asks was never told.",
)
_said = [("place", "Rome"), ("person", "Noah"), ("place", "Rome")]
check_pairs = checker(
    [
        ((_said, [("place", "Rome"), ("place", "Oslo")]), 50.0),
        (([("place", "Rome")], [("place", "Rome"), ("place", "Oslo"), ("person", "Noah")]), 50.0),
        (([("place", "Oslo")], [("group", "Oslo")]), 0.0),
        (([("place", "Oslo"), ("place", "Rome")], [("place", "Rome"), ("place", "Oslo")]), 100.0),
    ],
    {
        "as sets: their order does not matter": lambda said, true: (
            200 * sum(a == b for a, b in zip(said, true, strict=False)) / (len(set(said)) + len(set(true)))
        ),
        "the harmonic mean, not the plain one": lambda said, true: (
            50 * sum(len(set(said) & set(true)) / len(set(each)) for each in (said, true))
        ),
        "that is the recall: what was said wrongly has to cost as well": lambda said, true: (
            100 * len(set(said) & set(true)) / len(set(true))
        ),
        "that is the precision: what was missed has to cost as well": lambda said, true: (
            100 * len(set(said) & set(true)) / len(set(said))
        ),
        "from 0 to 100": lambda said, true: 2 * len(set(said) & set(true)) / (len(set(said)) + len(set(true))),
        "a pair that is said twice counts once": lambda said, true: (
            200 * len(set(said) & set(true)) / (len(said) + len(true))
        ),
        "the kind has to be right too": lambda said, true: (
            200 * len({n for _, n in said} & {n for _, n in true}) / (len(set(said)) + len(set(true)))
        ),
    },
    praise="What is missed and what is made up cost the same.",
)
_pairs = [("Rome", "Italy"), ("Paris", "France"), ("Lyon", "France")]
Pairs = list[tuple[str, str]]


def _facts(examples: Any, pairs: Pairs) -> list[list[int]]:
    """What the exercise asks for, as numbers: one row an example."""
    return [[e.prompt == question, e.answer == answer, e.group == question.lower(), len(e.options),
             list(e.options) == sorted(e.options), e.answer in e.options, isinstance(e.options, tuple)]
            for e, (question, answer) in zip(examples, pairs, strict=True)]


def _made(pairs: Pairs, *, lower: bool = True, options: Callable[[list[str]], Iterable[str]] = lambda a: sorted(set(a)),
          kind: Callable[[Iterable[str]], Any] = tuple, own: bool = False) -> list[list[int]]:
    found = kind(options([answer for _, answer in pairs]))
    return _facts([Example(q, a, q.lower() if lower else q, (a,) if own else found) for q, a in pairs], pairs)


_judge = checker(
    [((_pairs,), _made(_pairs)), ((_pairs[:1],), _made(_pairs[:1]))],
    {
        "each option once: two questions may have one answer": lambda pairs: _made(pairs, options=sorted),
        "the options in sorted order, or their order tells": lambda pairs: _made(pairs, options=dict.fromkeys),
        "the group is the question in lower case": lambda pairs: _made(pairs, lower=False),
        "the options are a tuple": lambda pairs: _made(pairs, kind=list),
        "the options are all answers of the list, not the right one alone": lambda pairs: _made(pairs, own=True),
    },
    praise="Data, options, groups: the rest of the chapter now works on your task.",
)


def check_examples(answer: Callable[[Pairs], Any]) -> Feedback:
    """What is wrong with a function from pairs to examples, if anything is."""

    def as_numbers(pairs: Pairs) -> Any:
        asked = list(pairs)  # an answer may work in place
        examples = answer(pairs)
        return None if examples is None else _facts(examples, asked)

    return _judge(as_numbers)


_tuned = np.array([[80.0, 20.0, 100.0, 60.0], [90.0, 10.0, 100.0, 40.0]])  # seeds x items
_prompted = np.array([[50.0, 0.0, 100.0, 10.0], [70.0, 0.0, 100.0, 20.0]])
_low, _high = np.array([10.0, 10.0, 0.0, 20.0]), np.array([60.0, 40.0, 20.0, 100.0])
_near = np.array([50.0, 30.0, 40.0, 60.0])  # better than one seed of the prompted model, and worse than the other
check_gain = checker(
    [((_tuned, _prompted, _low), 18.75), ((_tuned, _prompted, _high), 7.5), ((_tuned, _prompted, _near), 17.5)],
    {
        "that is the gain over the prompted model: the dull answer may be better": lambda tuned, prompted, dull: (
            tuned.mean() - prompted.mean()
        ),
        "that is the gain over the dull answer: the prompted model may be better": lambda tuned, prompted, dull: (
            tuned.mean() - dull.mean()
        ),
        "the better baseline, not the mean of both": lambda tuned, prompted, dull: (
            tuned.mean() - (prompted.mean() + dull.mean()) / 2
        ),
        "the better baseline, not the worse": lambda tuned, prompted, dull: (
            tuned.mean() - min(prompted.mean(), dull.mean())
        ),
        "one baseline for all seeds: the better one of each seed is known only afterwards": (
            lambda tuned, prompted, dull: (tuned.mean(1) - np.maximum(prompted.mean(1), dull.mean())).mean()
        ),
        "one baseline for all items: the better one of each item is known only afterwards": (
            lambda tuned, prompted, dull: (tuned - np.maximum(prompted, dull)).mean()
        ),
    },
    praise="What costs nothing is what tuning has to beat.",
)
_W = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
_one = (np.array([[1.0, 2.0, 0.0]]), np.array([[1.0], [0.5]]), 2)
_two = (np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 1.0]]), 8)


def _merged(W: Any, adapters: Any, *, alpha: bool = True, rank: bool = True, share: bool = False) -> Any:
    updates = [(a if alpha else 1) / (len(A) if rank else 1) * B @ A for A, B, a in adapters]
    return W + sum(updates) / (len(updates) if share else 1)


check_merged = checker(
    [((_W, [_one]), _merged(_W, [_one])), ((_W, [_one, _two]), _merged(_W, [_one, _two]))],
    {
        "each update is scaled by alpha / rank": lambda W, adapters: _merged(W, adapters, alpha=False, rank=False),
        "alpha is divided by the rank, the number of rows of A": lambda W, adapters: _merged(W, adapters, rank=False),
        "the sum of the updates, not their mean": lambda W, adapters: _merged(W, adapters, share=True),
        "the base is part of it": lambda W, adapters: _merged(W, adapters) - W,
        "all adapters, not the last alone": lambda W, adapters: _merged(W, adapters[-1:]),
    },
    praise="One matrix, as fast as the base; what each adapter did alone is no longer in it.",
)
