"""The README's recipe, as it stands, on five topics that no chapter uses: what the manuals of packages say."""
from __future__ import annotations

import importlib
import inspect
import random
import re
from pathlib import Path

from scipy.stats import binomtest

from lib.models import load
from tests.test_readme import run_recipe

TOPICS = {
    "statistics": ("scipy.stats",),
    "drawing": ("matplotlib.axes:Axes", "matplotlib.pyplot"),
    "signals": ("scipy.signal",),
    "files": ("pathlib:Path", "os", "os.path", "shutil", "tempfile", "tarfile:TarFile", "zipfile:ZipFile"),
    "network": ("socket", "socket:socket", "ssl", "asyncio", "http.client:HTTPConnection", "smtplib:SMTP",
                "ftplib:FTP", "imaplib:IMAP4", "poplib:POP3"),
}  # fmt: skip
TRAIN, HELD = 30, 20  # texts a topic


def sentences(places: tuple[str, ...]) -> list[str]:
    """The first sentences of the docstrings of what modules and classes define, without repeats, in a fixed order."""
    found = set()
    for place in places:
        module, _, name = place.partition(":")
        home = importlib.import_module(module)
        for value in vars(getattr(home, name) if name else home).values():
            first = re.split(r"(?<=\.)\s|\n\n", inspect.getdoc(value) or "" if callable(value) else "")[0]
            if 25 < len(first) < 200 and first.endswith("."):
                found.add(" ".join(first.split()))
    return random.Random(0).sample(sorted(found), TRAIN + HELD)


def test_the_recipe_learns_five_topics_it_has_not_seen(tmp_path: Path) -> None:
    """Held-out texts are told apart far above chance; negative control: with their labels exchanged they are not."""
    texts = {topic: sentences(places) for topic, places in TOPICS.items()}
    train = [(text, topic) for topic, several in texts.items() for text in several[:TRAIN]]
    random.Random(0).shuffle(train)
    done = run_recipe(tmp_path, [text for text, _ in train], [topic for _, topic in train])
    assert done.returncode == 0, done.stderr

    held = [(text, topic) for topic, several in texts.items() for text in several[TRAIN:]]
    said = load(tmp_path / "my-model").predict([text for text, _ in held])
    right = sum(word == topic for word, (_, topic) in zip(said, held, strict=True))
    assert binomtest(right, len(held), 1 / len(TOPICS), alternative="greater").pvalue < 1e-9

    names = list(TOPICS)
    other = sum(word == names[names.index(topic) - 1] for word, (_, topic) in zip(said, held, strict=True))
    assert binomtest(other, len(held), 1 / len(TOPICS), alternative="greater").pvalue > 1e-9
