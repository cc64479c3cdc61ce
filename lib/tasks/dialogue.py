"""Dialogue: which of five replies did a person write to this turn?

Datasheet:
    Origin. PyPI `chatterbot-corpus` 1.3.3, the English conversations of `chatterbot_corpus/data/english`.
    Licence. BSD 3-clause. Nothing of it is stored in this repository.
    Content. 487 prompts and the first reply to each, in small talk; some replies joke, some are wrong on facts.
    Repairs made here. `trivia.yml` is left out (questions with facts, not talk); of a prompt that stands several times,
        whatever its case and punctuation, the first reply is taken, since `tech_support.yml` repeats its own 121 times.
        Of the 348 prompts to train on or to choose by the 209 of which a later part has a near twin are left out: can
        you write a class in TypeScript, or a queue in Python; 117 remain to train on.
    Known faults. The speaker of the replies says that it is a robot, in one part of them.
"""
from __future__ import annotations

import io
import re
import zipfile

import yaml

from lib.data import shuffled
from lib.files.fetch import fetch
from lib.tasks.task import Example, Task, apart, cached, exact, parted

ARCHIVE = "chatterbot_corpus-1.3.3-py2.py3-none-any.whl"
SHA256 = "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154"
CHOICES = 5


def dialogue() -> Task:
    """The reply that follows a turn, among five; scored by accuracy (hit at 1).

    The dull answer shares most words with the turn, the shortest of those that share as many.

    The first call fetches the data with pip, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    parts = apart(parted(cached("task-dialogue-2", _examples)), lambda example: example.prompt, twins=True)
    return Task("dialogue", parts, exact, {"most shared words": _shared}, metric="hit at 1 of 5")


def _shared(example: Example) -> str:
    asked = set(_plain(example.prompt).split())
    return max(example.options, key=lambda reply: (len(asked & set(_plain(reply).split())), -len(reply)))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _examples() -> list[Example]:
    archive = fetch(ARCHIVE, SHA256, remedy="python -c 'from lib.tasks.dialogue import dialogue; dialogue()'")
    turns: dict[str, tuple[str, str]] = {}
    with zipfile.ZipFile(io.BytesIO(archive)) as wheel:
        for name in sorted(wheel.namelist()):
            if "/data/english/" in name and name.endswith(".yml") and not name.endswith("trivia.yml"):
                for turn in yaml.safe_load(wheel.read(name))["conversations"]:
                    said = [" ".join(str(line).split()) for line in turn]
                    if len(said) > 1 and said[0] and said[1]:
                        turns.setdefault(_plain(said[0]), (said[0], said[1]))
    replies = sorted({reply for _, reply in turns.values()})
    found = []
    for row, (key, (prompt, reply)) in enumerate(sorted(turns.items())):
        others = [other for other in shuffled(replies, row) if other != reply][: CHOICES - 1]
        found.append(Example(prompt, reply, key, tuple(shuffled([reply, *others], (row, 1)))))
    return found
