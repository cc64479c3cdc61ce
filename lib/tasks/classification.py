"""Text classification: is a sentence of a film review negative or positive?

The data are this book's own, see `lib.corpora.sentiment`; neutral sentences are left out. Of the 2,964 test sentences
on films 25 share half of their words with one of the others ("A mess."), and stay.
"""
from __future__ import annotations

from lib.corpora.sentiment import load_domain
from lib.data import label, split, without_neutral
from lib.tasks.task import Example, Task, exact

WORDS = ("negative", "positive")


def classification(domain: str = "movies") -> Task:
    """The sign of a sentence; scored by accuracy, against the more frequent class.

    Args:
        domain: of `lib.corpora.sentiment.DOMAINS`.

    Raises:
        ValueError: the domain is unknown.
        RuntimeError: there is no cache and pip cannot fetch the source.
        OSError: the disk is full.
    """
    whole = split(load_domain(domain))
    parts = {name: [Example(f"{sentence.text}\nIs this review negative or positive?", WORDS[label(sentence)],
                            sentence.text, WORDS) for sentence in without_neutral(getattr(whole, name))]
             for name in ("train", "dev", "test")}
    every = [example.answer for example in parts["train"]]
    usual = max(WORDS, key=every.count)
    return Task("classification", parts, exact, {"most frequent": lambda _: usual}, metric="accuracy")
