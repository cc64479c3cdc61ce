"""What checks the exercises of chapter 9."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lib.book.exercises import checker
from lib.book.quiz import Feedback
from lib.tasks.task import Example

check_grouped = checker(
    [
        (({"train": ["a", "b", "b"], "test": ["c"]},), 0),
        (({"train": ["a", "b"], "dev": ["b"], "test": ["b", "a", "c"]},), 2),
        (({"train": ["x"], "dev": ["x"], "test": ["x"]},), 1),
    ],
    {
        "a group that stands twice in one part does not leak": lambda parts: (
            len(every := [g for part in parts.values() for g in part]) - len(set(every))
        ),
        "three parts, not two: development examples leak as well": lambda parts: len(
            set(parts["train"]) & set(parts["test"])
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
    ],
    {
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
_pairs = [("Paris", "France"), ("Rome", "Italy"), ("Lyon", "France")]
Pairs = list[tuple[str, str]]


def _facts(examples: Any, pairs: Pairs) -> list[list[int]]:
    """What the exercise asks for, as numbers: one row an example."""
    return [[e.prompt == question, e.answer == answer, e.group == question.lower(), len(e.options),
             list(e.options) == sorted(e.options), e.answer in e.options]
            for e, (question, answer) in zip(examples, pairs, strict=True)]


def _made(pairs: Pairs, *, lower: bool = True, options: Callable[[list[str]], Iterable[str]] = lambda a: sorted(set(a))
          ) -> list[list[int]]:
    found = tuple(options([answer for _, answer in pairs]))
    return _facts([Example(q, a, q.lower() if lower else q, found) for q, a in pairs], pairs)


_judge = checker(
    [((_pairs,), _made(_pairs)), ((_pairs[:1],), _made(_pairs[:1]))],
    {
        "each option once: two questions may have one answer": lambda pairs: _made(pairs, options=sorted),
        "the options in sorted order, or their order tells": lambda pairs: _made(pairs, options=dict.fromkeys),
        "the group is the question in lower case": lambda pairs: _made(pairs, lower=False),
    },
    praise="Data, options, groups: the rest of the chapter now works on your task.",
)


def check_examples(answer: Callable[[Pairs], Any]) -> Feedback:
    """What is wrong with a function from pairs to examples, if anything is."""

    def as_numbers(pairs: Pairs) -> Any:
        examples = answer(pairs)
        return None if examples is None else _facts(examples, pairs)

    return _judge(as_numbers)
