"""A task is its examples, how an answer is scored, and the dull answers that a model must beat.

Every task is put to the language model in the same way: a prompt is the user's turn, the answer is the assistant's.
Where an example has options, the model's answer is the option that it finds likeliest; elsewhere it writes freely.
A task may list other forms of its question, among which development examples choose for a model that is not tuned.

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
from lib.text.generation import generate
from lib.text.language import _ids, next_token
from lib.text.templates import render
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


def _prompt_of(example: Example) -> str:
    return example.prompt


def _as_it_is(example: Example, answer: str) -> str:
    return answer


@dataclass(frozen=True)
class Form:
    """One way to put an example to a model, and to read its answer.

    Args:
        ask: the example as the model sees it.
        say: (example, answer) -> how that answer is worded in this form; for tasks with options.
        chat: what `ask` gives is a user's turn; False has the model go on writing where it ends.
        shots: solved examples before the question, at least 0: as turns of user and assistant, or as text before it.
        begin: what an answer that is written freely begins with, so that the model goes on in the right form.
        stop: what ends such an answer; "" is the end of the turn alone.
        per_token: an option's log-probability is divided by its number of tokens, so that short ones have no advantage.
        over_prior: from an option's log-probability is taken what it has where the question is "N/A", so that options
            that are likely anyway have no advantage.
    """

    ask: Callable[[Example], str] = _prompt_of
    say: Callable[[Example, str], str] = _as_it_is
    chat: bool = True
    shots: int = 0
    begin: str = ""
    stop: str = ""
    per_token: bool = False
    over_prior: bool = False


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
        forms: the first is how it is tuned and asked; `prompted` chooses among all.
        shown: solved examples for the forms that show some.
    """

    name: str
    parts: Mapping[str, Sequence[Example]]
    score: Callable[[str, Example], float]
    dull: Mapping[str, Callable[[Example], str]]
    metric: str
    tokens: int = 64
    forms: tuple[Form, ...] = (Form(),)
    shown: Sequence[Example] = ()


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


def answers(model: LanguageModel, task: Task, examples: Sequence[Example]) -> list[str]:
    """What the model says to each example: its likeliest option, or what it writes, greedily.

    Where an answer is one of several options, the score is the sum of its tokens' log-probabilities after the prompt,
    unless the form says otherwise; one wants it where an answer off the list would be useless.

    Args:
        task: how it is asked: in the first of its forms.
        examples: m of it, at least 1, all with options or all without.

    Raises:
        ValueError: an empty prompt or option, or a prompt too long for the model.
    """
    form = task.forms[0]
    if examples[0].options:
        return _likeliest(examples, _read(model, task, form, examples)[form])
    prompts = [_put(model, task, form, example, form.ask(example)) + form.begin for example in examples]
    said = generate(model, prompts, max_new_tokens=task.tokens, batch_size=32)
    return [form.begin + (text.partition(form.stop)[0] if form.stop else text).rstrip() for text in said]


def _likeliest(examples: Sequence[Example], values: Sequence[torch.Tensor]) -> list[str]:
    return [example.options[int(value.argmax())] for example, value in zip(examples, values, strict=True)]


def _read(model: LanguageModel, task: Task, form: Form, examples: Sequence[Example], *,
          all_ways: bool = False) -> dict[Form, list[torch.Tensor]]:
    """The values of each example's options in a form, or in all that differ from it in nothing but their reading."""
    prompts = [_put(model, task, form, example, form.ask(example)) for example in examples]
    options = [tuple(form.say(e, option) for option in e.options) for e in examples]
    logs = option_scores(model, prompts, options)
    found = {}
    if all_ways or not (form.per_token or form.over_prior):
        found[form] = logs
    if all_ways or form.per_token:
        tokens = [torch.tensor([len(_ids(model.tokenizer, option)) for option in some]) for some in options]
        found[replace(form, per_token=True)] = [log_p / n for log_p, n in zip(logs, tokens, strict=True)]
    if all_ways or form.over_prior:
        before = _priors(model, task, form, examples, options)
        found[replace(form, over_prior=True)] = [log_p - prior for log_p, prior in zip(logs, before, strict=True)]
    return found


def _priors(model: LanguageModel, task: Task, form: Form, examples: Sequence[Example],
            options: Sequence[tuple[str, ...]]) -> list[torch.Tensor]:
    """Log-probabilities of the options where the question says nothing (Zhao et al. 2021, "Calibrate before use")."""
    empty = [_put(model, task, form, e, form.ask(replace(e, prompt="N/A", group="N/A"))) for e in examples]
    asked = list(dict.fromkeys(zip(empty, options, strict=True)))  # options that are always the same are read once
    found = option_scores(model, [prompt for prompt, _ in asked], [some for _, some in asked])
    known = dict(zip(asked, found, strict=True))
    return [known[pair] for pair in zip(empty, options, strict=True)]


def _put(model: LanguageModel, task: Task, form: Form, example: Example, question: str) -> str:
    """The text after which the answer comes, solved examples before the question."""
    shown = [(form.ask(e), form.say(e, e.answer)) for e in task.shown[: form.shots]]
    if not form.chat:
        return "".join(f"{asked}{said}\n\n" for asked, said in shown) + question
    turns = [{"role": role, "content": text} for pair in shown
             for role, text in zip(("user", "assistant"), pair, strict=True)]
    return render(model.tokenizer, [*turns, {"role": "user", "content": question}], prompt=True)


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
    data = encode_pairs(model.tokenizer, [(example.prompt, example.answer) for example in examples],
                        chat=task.forms[0].chat, max_length=_longest(model))
    attach(model, ends_in(*LINEAR), lambda W: LoRA(W, rank=rank, alpha=2 * rank))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.0)
    fit(model, optimizer, next_token(), data, Plan(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed), metric=None,
        show=False)


def _longest(model: LanguageModel) -> int:
    """Tokens of a row, at most."""
    return min(LONGEST, model.tokenizer.model_max_length)


def prompted(model: LanguageModel, task: Task, *, seed: int, items: int) -> Task:
    """The task in the one of its forms that scores best on development examples: the untouched model at its best.

    Where examples have options, each form is read in three ways: by the sum of an option's log-probabilities, by their
    mean, and by what the sum has over its prior.

    Args:
        model: the base, as it is; a tuned one where only the reading is to be chosen.
        task: what is asked.
        seed: which examples are shown and which development examples judge, from 0.
        items: development examples, at least 1.

    Returns:
        The task with one form, the first of the best.

    Raises:
        ValueError: as `answers`.
    """
    task = replace(task, shown=shuffled(task.parts["train"], seed)[: max(form.shots for form in task.forms)])
    judge = shuffled(task.parts["dev"], seed)[:items]
    found: dict[Form, float] = {}
    for form in task.forms:
        said = each_way(model, replace(task, forms=(form,)), judge)
        found |= {way: sum(scores(task, each, judge)) for way, each in said.items()}
    return replace(task, forms=(max(found, key=lambda way: found[way]),))


def each_way(model: LanguageModel, task: Task, examples: Sequence[Example]) -> dict[Form, list[str]]:
    """What the model says to each example, under each reading of the task's first form; written answers have one.

    Args:
        task: its first form reads options by their sum.
        examples: m of it, at least 1, all with options or all without.

    Raises:
        ValueError: as `answers`.
    """
    form = task.forms[0]
    if not examples[0].options:
        return {form: answers(model, task, examples)}
    return {way: _likeliest(examples, values)
            for way, values in _read(model, task, form, examples, all_ways=True).items()}


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
