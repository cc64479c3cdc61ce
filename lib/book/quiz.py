"""Questions and feedback on a page: they need no script and no kernel."""
from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from IPython.display import HTML, display

from lib.book.figures import COLOURS


@dataclass(frozen=True)
class Question:
    """One quiz question.

    Args:
        text: the question.
        answer: the right one.
        why: why it is right.
        wrong: each wrong answer -> why it is wrong.
    """

    text: str
    answer: str
    why: str
    wrong: Mapping[str, str]


def quiz(questions: Sequence[Question]) -> None:
    """Show questions whose options open to say right or wrong, and why; they need no script.

    Args:
        questions: their texts may hold code between backticks and mathematics between `\\(` and `\\)`. The order of
            the options follows from the texts.

    Raises:
        ValueError: a question without a wrong answer, or whose right answer is also a wrong one.
    """
    items = ""
    for question in questions:
        if not question.wrong or question.answer in question.wrong:
            raise ValueError(f"wrong must hold answers that differ from the right one, in {question.text!r}")
        group = hashlib.sha256(question.text.encode()).hexdigest()[:8]
        options = {text: ("wrong", "Not quite", why) for text, why in question.wrong.items()}
        options[question.answer] = ("right", "Right", question.why)
        items += f"<li><p>{_rich(question.text)}</p>"
        for text in sorted(options, key=lambda text: hashlib.sha256((text + text[::-1]).encode()).digest()):
            kind, word, why = options[text]
            items += (
                f'<details name="quiz-{group}" class="par-{kind}"><summary>{_rich(text)}</summary>'
                f"<p><strong>{word}.</strong> {_rich(why)}</p></details>"
            )
        items += "</li>"
    display(HTML(f'<ol class="par-quiz" style="max-width:46em">{items}</ol>'))


@dataclass(frozen=True)
class Feedback:
    """What a checker says: whether an answer is `ok`, and a `message` why; it is true or false as `ok` is."""

    ok: bool
    message: str

    def __bool__(self) -> bool:
        return self.ok

    def _ipython_display_(self) -> None:
        """Stay silent: `feedback` has shown it."""


def feedback(ok: bool, message: str) -> Feedback:
    """Show what a checker says of an exercise and return it; it never raises.

    Args:
        ok: whether the answer is right.
        message: why, in a sentence; what stands between backticks is set as code.
    """
    result = Feedback(bool(ok), message)
    word, name, colour = ("Correct", "correct", COLOURS[2]) if result else ("Not yet", "not-yet", COLOURS[1])
    display({
        "text/plain": f"{word}: {message}",
        "text/html": f'<div class="par-verdict par-{name}" style="border-left:4px solid {colour};padding:.4em 1em;'
        f'max-width:46em"><strong>{word}.</strong> {_rich(message)}</div>',
    }, raw=True)
    return result


def _rich(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
