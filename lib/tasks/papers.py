"""Three tasks from summaries of research papers: summarise, summarise a wanted aspect, find the sentence that answers.

Datasheet:
    Origin. PyPI `aclsum` 0.1.2: 250 papers of computational linguistics, each with three summaries written by experts
        (challenge, approach, outcome) and the sentences on which each rests (Takeshita et al., 2024, "ACLSum").
    Licence. MIT for the set; the texts are the papers'. Papers of 2016 and later are CC BY 4.0, and only these are
        used, chosen by their identifiers; older ones are not.
    Content. About a hundred papers. Abstracts of 140 words, summaries of 23.
    Repairs made here. The space before a full stop or a comma is dropped.
    Known faults. Summaries follow the whole paper, of which the tasks show the abstract alone.
"""
from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lib.files.fetch import fetch, member
from lib.tasks.task import Example, Form, Task, cached, parted

ARCHIVE = "aclsum-0.1.2-py3-none-any.whl"
SHA256 = "c75ffc48d3eabc5f37c68ea087943780a85950087957759e89746f21111f2213"
QUESTIONS = {"challenge": "Which problem does the paper address?", "approach": "What do the authors do about it?",
             "outcome": "What do they find?"}
FIRST_YEAR = 2016  # from then on the texts are CC BY 4.0


def _asked_last(example: Example) -> str:
    """The abstract before the question, which stands first in the prompt."""
    asked, _, abstract = example.prompt.partition("\n\n")
    return f"Here is the abstract of a paper.\n\n{abstract}\n\n{asked} Do not repeat the question."


WRITING = (Form(), Form(shots=2), Form(ask=_asked_last), Form(ask=_asked_last, begin="The"))


def _numbered(example: Example) -> str:
    """The sentences with numbers; where the question says nothing, none."""
    asked = example.prompt.partition("\n\n")[2].removesuffix("Quote the sentence.")
    lines = "\n".join(f"{i}. {sentence}" for i, sentence in enumerate(example.options, 1)) if asked else "N/A"
    return f"{lines}\n\n{asked} Answer with the number of the sentence."


def _asked_first(example: Example) -> str:
    """The question before the abstract, as one goes on writing."""
    abstract, _, asked = example.prompt.partition("\n\n")
    return f"Question: {asked}\nAbstract: {abstract}\nAnswer:"


def _pointed(example: Example) -> str:
    """The abstract, then the beginning of a sentence that its answer ends."""
    abstract, _, asked = example.prompt.partition("\n\n")
    return f"{abstract}\n\n{asked.removesuffix('Quote the sentence.')}The authors write:"


NUMBERED = Form(ask=_numbered, say=lambda e, answer: str(e.options.index(answer) + 1))
FINDING = (
    Form(),
    NUMBERED,
    Form(ask=_asked_first, say=lambda _, answer: f" {answer}", chat=False),
    Form(shots=2),
    replace(NUMBERED, shots=2),
    Form(ask=_pointed, say=lambda _, answer: f" {answer}", chat=False),
)


def summaries() -> Task:
    """What a paper found, in one sentence, from its abstract; scored by ROUGE-1, against its last sentence.

    The first call fetches the data with pip, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    examples = [e for e in cached("task-papers-1", _aspects) if e.prompt.startswith(QUESTIONS["outcome"])]
    dull = {"last sentence": _last, "first sentence": _first}
    return Task("summaries", parted(examples), _rouge1_of, dull, "ROUGE-1", forms=WRITING)


def control() -> Task:
    """A summary of the aspect asked for; scored by whether it is nearest, by ROUGE-1, to that aspect's summary.

    The first call fetches the data with pip, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    return Task("control", parted(cached("task-papers-1", _aspects)), _nearest,
                {"usual place": lambda e: _at_usual_place(e, json.loads(e.extra)["abstract"]), "last sentence": _last,
                 "first sentence": _first}, "share with the wanted aspect", forms=WRITING)


def questions() -> Task:
    """Which sentence of an abstract answers a question; scored by accuracy, against the last and the first sentence.

    The first call fetches the data with pip, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    return Task("questions", parted(cached("task-questions-2", _evidence)), _among,
                {"usual place": lambda e: _at_usual_place(e, e.options), "last sentence": lambda e: e.options[-1],
                 "first sentence": lambda e: e.options[0]}, "hit at 1", forms=FINDING)


def _rouge1_of(answer: str, example: Example) -> float:
    """F-score of shared words, 0 to 100 (Lin, 2004); `rouge-score` computes it."""
    return _rouge1(answer, example.answer)


def _nearest(answer: str, example: Example) -> float:
    """100 if the answer shares more words with the wanted summary than with those of the other aspects, else 0."""
    others = json.loads(example.extra)["others"]
    return 100.0 * (_rouge1(answer, example.answer) > max(_rouge1(answer, other) for other in others))


def _rouge1(answer: str, reference: str) -> float:
    from rouge_score.rouge_scorer import RougeScorer

    return 100 * RougeScorer(["rouge1"], use_stemmer=True).score(reference, answer)["rouge1"].fmeasure


def _first(example: Example) -> str:
    return str(json.loads(example.extra)["abstract"][0])


def _last(example: Example) -> str:
    return str(json.loads(example.extra)["abstract"][-1])


def _papers() -> list[dict[str, Any]]:
    archive = fetch(ARCHIVE, SHA256, remedy="python -c 'from lib.tasks.papers import questions; questions()'")
    lines = [line for part in ("train", "val", "test")
             for line in member(archive, f"aclsum/dataset/{part}.jsonl").decode().splitlines()]
    return [paper for line in lines if _year((paper := json.loads(line))["id"]) >= FIRST_YEAR]


def _year(identifier: str) -> int:
    """Of "2021.eacl-main.84" or "P18-1112"; the set has none before 1979."""
    if identifier[0].isdigit():
        return int(identifier[:4])
    short = int(identifier[1:3])
    return short + (1900 if short > 70 else 2000)


def _clean(sentence: str) -> str:
    return re.sub(r" ([.,;:?!)])", r"\1", sentence).replace("( ", "(").strip()


def _aspects() -> list[Example]:
    found = []
    for paper in _papers():
        abstract = [_clean(sentence) for sentence in paper["sentences"]["abstract"]]
        for aspect, question in QUESTIONS.items():
            others = [text for name, text in paper["summary"].items() if name != aspect]
            found.append(Example(f"{question} Answer in one sentence.\n\n{' '.join(abstract)}",
                                 paper["summary"][aspect], paper["id"],
                                 extra=json.dumps({"abstract": abstract, "others": others})))
    return found


def _evidence() -> list[Example]:
    found = []
    for paper in _papers():
        abstract = [_clean(sentence) for sentence in paper["sentences"]["abstract"]]
        for aspect, question in QUESTIONS.items():
            marked = [abstract[i] for i, mark in enumerate(paper["highlights"][aspect]["abstract"]) if mark]
            if marked and len(marked) < len(abstract) == len(set(abstract)):
                found.append(Example(f"{' '.join(abstract)}\n\n{question} Quote the sentence.", marked[0],
                                     paper["id"], tuple(abstract), json.dumps(marked)))
    return found


def _at_usual_place(example: Example, sentences: Sequence[str]) -> str:
    """Problems stand first in an abstract, findings last, what was done between."""
    if QUESTIONS["challenge"] in example.prompt:
        return sentences[0]
    return sentences[-1 if QUESTIONS["outcome"] in example.prompt else len(sentences) // 2]


def _among(answer: str, example: Example) -> float:
    """100 for a sentence that the annotators marked, else 0."""
    return 100.0 * (answer in json.loads(example.extra))
