"""Text classification: is a sentence of a film review negative or positive?

The data are this book's own, see `lib.corpora.sentiment`; neutral sentences are left out. Of the 2,964 test sentences
on films 25 share half of their words with one of the others ("A mess."), and stay.
"""
from __future__ import annotations

from lib.corpora.sentiment import load_domain
from lib.data import label, split, without_neutral
from lib.tasks.task import Example, Form, Task, exact

WORDS = ("negative", "positive")
WORDINGS = [  # what the model reads, and its words for the two: those of chapter 1, written down there before any run
    ("{}\nSentiment:", " negative", " positive"),
    ("Review: {}\nSentiment:", " negative", " positive"),
    ("Text: {}\nThe text is", " negative", " positive"),
    ("{} It was", " terrible", " great"),
    ("{} The film is", " bad", " good"),
    ("{} In short, the movie was", " awful", " excellent"),
    ("{}\nThis film is a", " failure", " success"),
    ("{}\nDid the critic like the film? Answer:", " No", " Yes"),
    ("Review: {}\nRecommended:", " no", " yes"),
    ("{} All in all, I", " hated", " loved"),
    ("chat: Is this film review positive or negative?\n{}", "Negative", "Positive"),
    ("chat: {}\nDid the critic like the film? Answer yes or no.", "No", "Yes"),
]


def _form(template: str, *words: str) -> Form:
    return Form(ask=lambda e: template.removeprefix("chat: ").format(e.group),
                say=lambda _, answer: words[WORDS.index(answer)], chat=template.startswith("chat: "))


FORMS = (Form(), Form(shots=2), *(_form(*wording) for wording in WORDINGS))


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
    return Task("classification", parts, exact, {"most frequent": lambda _: usual}, metric="accuracy", forms=FORMS)
