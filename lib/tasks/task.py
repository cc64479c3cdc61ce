"""A task is its examples, how an answer is scored, and the dull answers that a model must beat.

Every task is put to the language model in the same way: a prompt is the user's turn, the answer is the assistant's.
Where an example has options, the model's answer is the option that it finds likeliest; elsewhere it writes freely.

    m  examples of a part
"""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from lib.adapters import LoRA, attach
from lib.data import shuffled
from lib.files.folders import kept
from lib.models import LanguageModel
from lib.names import ends_in
from lib.tasks.options import option_scores
from lib.text.conversations import encode_pairs
from lib.text.generation import chat_prompt, generate
from lib.text.language import _ids, next_token
from lib.training import Plan, fit

PARTS = {"train": 0.6, "dev": 0.1, "test": 0.3}
LONGEST = 512  # tokens of a row
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Example:
    """What goes in and what should come out.

    Args:
        prompt: what the user says, not empty.
        answer: what the assistant should say, not empty.
        group: examples of one group (document, synset, prompt) never lie in two parts.
        options: the answers among which the model chooses, `answer` one of them; () where it writes freely.
        extra: what a score or a dull answer needs besides, as text.
    """

    prompt: str
    answer: str
    group: str
    options: tuple[str, ...] = ()
    extra: str = ""


@dataclass(frozen=True)
class Task:
    """One job for a model.

    Args:
        name: one word.
        parts: "train", "dev" and "test" -> examples.
        score: (answer, example) -> points from 0 to 100.
        dull: name -> the answer that needs no model, given the example; the first one is the usual one.
        metric: what `score` measures, in the field's words.
        tokens: the longest answer that the model may write, at least 1.
        chat: the prompt is a user's turn; False has the model go on writing where the prompt ends.
        prime: the beginning of an answer, which may stand after the prompt so that the model goes on in the right form;
            "" has none.
    """

    name: str
    parts: Mapping[str, Sequence[Example]]
    score: Callable[[str, Example], float]
    dull: Mapping[str, Callable[[Example], str]]
    metric: str
    tokens: int = 64
    chat: bool = True
    prime: str = ""


def parted(examples: Sequence[Example], *, salt: str = "v1") -> dict[str, list[Example]]:
    """Train, dev and test examples; a hash of the group decides, so that no group and no prompt lies in two parts.

    Args:
        examples: any order; a prompt that stands twice must have one group.
        salt: another text gives another split.

    Raises:
        ValueError: one prompt in two groups.
    """
    groups: dict[str, str] = {}
    parts: dict[str, list[Example]] = {name: [] for name in PARTS}
    for example in examples:
        if groups.setdefault(example.prompt, example.group) != example.group:
            raise ValueError(f"a prompt must have one group, got {example.prompt!r} in {groups[example.prompt]!r} and "
                             f"{example.group!r}")
        place = int(hashlib.sha256(f"{salt}/{example.group}".encode()).hexdigest()[:12], 16) / 16**12
        for name, share in PARTS.items():
            place -= share
            if place < 0 or name == "test":
                parts[name].append(example)
                break
    return parts


def apart(parts: Mapping[str, Sequence[Example]], key: Callable[[Example], str], *,
          twins: bool = False) -> dict[str, list[Example]]:
    """The parts, each without the examples whose key a later part has too: the test part stays whole.

    Args:
        parts: in the order train, dev, test.
        key: what two parts must not share besides the group, such as the text behind an example.
        twins: near twins are shared too: keys that have at least half of all their different words in common, numbers
            and case aside. Two sentences of one template do: one word of three may differ, or two of six.
    """
    kept: dict[str, list[Example]] = {}
    later: list[set[str]] = []
    for name in list(parts)[::-1]:
        own = [set(re.findall(r"[^\W\d_]+", key(e).casefold())) if twins else {key(e)} for e in parts[name]]
        kept[name] = [example for example, words in zip(parts[name], own, strict=True)
                      if not any(3 * len(words & other) >= len(words) + len(other) for other in later)]
        later += own
    return {name: kept[name] for name in parts}


def exact(answer: str, example: Example) -> float:
    """100 for the right answer, else 0.

    Args:
        answer: what was said.
        example: the question.
    """
    return 100.0 * (answer == example.answer)


def with_shots(task: Task, shots: int, seed: int) -> Task:
    """The task with `shots` solved examples of its training part before every question: a prompt that shows the format.

    Args:
        task: its training part has at least so many.
        shots: at least 0; 0 changes nothing.
        seed: which examples, from 0.

    Raises:
        ValueError: a negative seed.
    """
    shown = shuffled(task.parts["train"], seed)[:shots]
    before = "".join(f"{example.prompt}\n{example.answer}\n\n" for example in shown)
    parts = {name: [replace(example, prompt=before + example.prompt) for example in part]
             for name, part in task.parts.items()}
    return replace(task, parts=parts)


def answers(model: LanguageModel, task: Task, examples: Sequence[Example]) -> list[str]:
    """What the model says to each example: its likeliest option, or what it writes, greedily.

    Where an answer is one of several options, the score is the sum of its tokens' log-probabilities after the prompt;
    one wants it where an answer off the list would be useless.

    Args:
        task: how it is asked.
        examples: m of it, at least 1, all with options or all without.

    Raises:
        ValueError: an empty prompt or option, or a prompt too long for the model.
    """
    prompts = [chat_prompt(model.tokenizer, e.prompt) if task.chat else e.prompt for e in examples]
    if not any(example.options for example in examples):
        return [text.rstrip() for text in generate(model, prompts, max_new_tokens=task.tokens, batch_size=32)]
    ranked = option_scores(model, prompts, [example.options for example in examples])
    return [example.options[int(s.argmax())] for s, example in zip(ranked, examples, strict=True)]


def scores(task: Task, said: Sequence[str], examples: Sequence[Example]) -> list[float]:
    """Points, (m,), of answers.

    Args:
        task: how it is scored.
        said: m answers.
        examples: the m questions.
    """
    return [task.score(answer, example) for answer, example in zip(said, examples, strict=True)]


def packed(tokenizer: PreTrainedTokenizerBase, said: Sequence[str], examples: Sequence[Example]) -> list[int]:
    """Answers as whole numbers, as a store of runs keeps them: the option's number, or tokens, each answer's end after.

    Args:
        tokenizer: with a token for the end.
        said: m answers.
        examples: the m questions, all with options or all without.

    Raises:
        ValueError: an answer that is none of its options.
    """
    if examples[0].options:
        return [example.options.index(answer) for answer, example in zip(said, examples, strict=True)]
    return [token for answer in said for token in (*_ids(tokenizer, answer or " "), tokenizer.eos_token_id)]


def unpacked(tokenizer: PreTrainedTokenizerBase, numbers: Sequence[int], examples: Sequence[Example]) -> list[str]:
    """The answers that `packed` wrote as numbers.

    Args:
        tokenizer: the same.
        numbers: what it gave.
        examples: the m questions.
    """
    if examples[0].options:
        return [example.options[number] for number, example in zip(numbers, examples, strict=True)]
    said: list[list[int]] = [[]]
    for number in numbers:
        if number == tokenizer.eos_token_id:
            said.append([])
        else:
            said[-1].append(number)
    return [str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)).rstrip() for ids in said[:-1]]


def tune(model: LanguageModel, task: Task, *, size: int, epochs: int, seed: int, batch_size: int = 8, rank: int = 8,
         lr: float = 4e-4) -> None:
    """LoRA on all linear layers, trained in place on `size` examples of the training part.

    Args:
        model: the base; its weights stay.
        task: what is learned.
        size: examples, at least 1, drawn by the seed; all where there are fewer.
        epochs: passes, at least 1.
        seed: which examples in which order, from 0.
        batch_size: examples a step, at least 1.
        rank: of each update, at least 1; alpha is twice as large.
        lr: learning rate, above 0.

    Raises:
        ValueError: a number out of range, or an adapter that is there already.
        FloatingPointError: the loss is no number any more.
        TypeError, OSError: as `fit`.
    """
    examples = shuffled(task.parts["train"], seed)[:size]
    data = encode_pairs(model.tokenizer, [(example.prompt, example.answer) for example in examples], chat=task.chat,
                        max_length=_longest(model))
    attach(model, ends_in(*LINEAR), lambda W: LoRA(W, rank=rank, alpha=2 * rank))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.0)
    fit(model, optimizer, next_token(), data, Plan(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed), metric=None,
        show=False)


def _longest(model: LanguageModel) -> int:
    """Tokens of a row, at most."""
    return min(LONGEST, model.tokenizer.model_max_length)


def with_prime(task: Task) -> Task:
    """The task whose prompts to choose by and to test on end in the beginning of an answer, `task.prime`.

    Args:
        task: one that writes where the prompt ends (`chat` is False).
    """
    parts = {name: [replace(example, prompt=example.prompt + task.prime) for example in part] if name != "train"
             else part for name, part in task.parts.items()}
    return replace(task, parts=parts)


def prompted(model: LanguageModel, task: Task, *, seed: int, items: int, shots: Sequence[int] = (0, 2)) -> Task:
    """The task in the form of prompt that scores best on development examples: the untouched model at its best.

    Forms are the prompt as it is, with solved examples before it, and, where the task has a `prime`, with that after
    it instead of solved examples.

    Args:
        model: the base, as it is.
        task: what is asked.
        seed: which examples are shown and which development examples judge, from 0.
        items: development examples, at least 1.
        shots: numbers of solved examples that are tried, each at least 0; the first of the best is taken.

    Raises:
        ValueError: as `answers`.
    """
    forms = [task, with_prime(task)] if task.prime else [with_shots(task, several, seed) for several in shots]

    def judged(form: Task) -> float:
        examples = shuffled(form.parts["dev"], seed)[:items]
        return sum(scores(form, answers(model, form, examples), examples))

    return max(forms, key=judged)


def cached(name: str, make: Callable[[], Sequence[Example]]) -> list[Example]:
    """The examples of a task, made the first time and kept in the cache.

    Args:
        name: with a version in it, counted up when `make` changes.
        make: fetches and parses.

    Raises:
        OSError: the disk is full.
    """
    def fill(folder: Path) -> None:
        rows = [[e.prompt, e.answer, e.group, e.options, e.extra] for e in make()]
        (folder / "examples.json").write_text(json.dumps(rows), "utf-8")

    def read(folder: Path) -> list[Example]:
        rows = json.loads((folder / "examples.json").read_text("utf-8"))
        return [Example(prompt, answer, group, tuple(options), extra) for prompt, answer, group, options, extra in rows]

    return kept(name, fill, read)
