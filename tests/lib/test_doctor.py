"""The doctor for batches: good batches of eight published templates pass, each fault is named however it came about."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq, DataCollatorWithFlattening

from lib.text.conversations import Tokens, encode_conversations, encode_pairs
from lib.text.doctor import FAULTS, BadBatch, Diagnosis, diagnose
from tests.lib.chats import FAMILIES, chat_tokenizer
from tests.lib.test_conversations import TALK
from tests.lib.tiny_decoder import tiny_tokenizer

TOKENIZERS = {name: chat_tokenizer(name) for name in FAMILIES}
TWICE = [{"role": "user", "content": "Say it twice, please"}, {"role": "assistant", "content": "ha ha"}]
TALKS = [TALK, TALK[:2], TWICE]
Row = tuple[list[int], list[int]]  # ids and labels
Rows = list[Row]


def rows_of(tokenizer: Any, **options: Any) -> Rows:
    data = encode_conversations(tokenizer, TALKS, **options)
    return [(ids, [token if mark else -100 for token, mark in zip(ids, marks, strict=True)])
            for ids, marks in zip(data.ids, data.learned, strict=True)]


def pad(rows: Rows, tokenizer: Any, *, left: bool = False, mask: bool = True, fill: int = -100) -> dict[str, Any]:
    """One batch of rows, as a collator might make it; `fill` labels the padding."""
    width = max(len(ids) for ids, _ in rows)
    batch: dict[str, list] = {"input_ids": [], "labels": [], "attention_mask": []}
    for ids, labels in rows:
        more = width - len(ids)
        for key, row, value in (("input_ids", ids, tokenizer.pad_token_id), ("labels", labels, fill),
                                ("attention_mask", [1] * len(ids), 0)):
            batch[key].append([value] * more + row if left else row + [value] * more)
    return {key: torch.tensor(value) for key, value in batch.items() if mask or key != "attention_mask"}


def packed(rows: Rows, tokenizer: Any) -> dict[str, Any]:
    """All rows in one, without padding."""
    return pad([(sum((ids for ids, _ in rows), []), sum((labels for _, labels in rows), []))], tokenizer, mask=False)


LAYOUTS: dict[str, Callable[..., dict]] = {
    "right": pad,
    "left": lambda rows, t: pad(rows, t, left=True),
    "right, no mask": lambda rows, t: pad(rows, t, mask=False),
    "left, no mask": lambda rows, t: pad(rows, t, left=True, mask=False),
    "alone": lambda rows, t: pad(rows[:1], t, mask=False),
}


# Good batches


@pytest.mark.parametrize("layout", [*LAYOUTS, "packed"])
@pytest.mark.parametrize("name", FAMILIES)
def test_good_batches_pass(name: str, layout: str) -> None:
    tokenizer = TOKENIZERS[name]
    collate = LAYOUTS.get(layout, packed)
    line = tokenizer.encode("\n", add_special_tokens=False)
    for rows in (
        rows_of(tokenizer),
        rows_of(tokenizer, learn_prompt=True),
        [(ids + line, labels + [-100]) for ids, labels in rows_of(tokenizer)],  # the line end that a template adds
        [(ids + line, labels + line) for ids, labels in rows_of(tokenizer, learn_prompt=True)],
    ):
        found = diagnose(collate(rows, tokenizer), tokenizer)
        assert found.cut == 0 and 0 < found.learned <= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_counted_is_what_stands_there(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    rows = rows_of(tokenizer)
    tokens = sum(len(ids) for ids, _ in rows)
    learned = sum(label != -100 for _, labels in rows for label in labels)
    expected = Diagnosis(rows=3, tokens=tokens, learned=learned / tokens, cut=0.0)
    assert diagnose(pad(rows, tokenizer), tokenizer) == expected
    assert diagnose(encode_conversations(tokenizer, TALKS), tokenizer) == expected
    assert diagnose({k: v.numpy() for k, v in pad(rows, tokenizer, left=True).items()}, tokenizer) == expected


@pytest.mark.parametrize("name", FAMILIES)
def test_a_template_rendered_and_tokenized_by_transformers_passes(name: str) -> None:
    """The whole as `apply_chat_template` gives it, learned where it marks generated text."""
    tokenizer = TOKENIZERS[name]
    made = [tokenizer.apply_chat_template(talk, return_dict=True, return_assistant_tokens_mask=True) for talk in TALKS]
    rows = [(ids, [token if mark else -100 for token, mark in zip(ids, m["assistant_masks"], strict=True)])
            for m in made for ids in [m["input_ids"]]]
    assert diagnose(pad(rows, tokenizer), tokenizer).cut == 0
    features = [{"input_ids": ids, "labels": labels} for ids, labels in rows]
    assert diagnose(DataCollatorForSeq2Seq(tokenizer)(features), tokenizer).rows == 3
    assert diagnose(DataCollatorWithFlattening()(features), tokenizer).rows == 1


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].system])
def test_a_system_turn_passes(name: str) -> None:
    talk = [[{"role": "system", "content": "Be kind to the user, assistant."}, *TALK]]
    assert diagnose(encode_conversations(TOKENIZERS[name], talk), TOKENIZERS[name]).cut == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_text_that_speaks_of_users_and_assistants_passes(name: str) -> None:
    talk = [[{"role": "user", "content": "user\nassistant: say user and <b>model</b>"},
             {"role": "assistant", "content": "assistant\nuser user, system"}]]
    assert diagnose(encode_conversations(TOKENIZERS[name], talk), TOKENIZERS[name]).cut == 0


@pytest.mark.parametrize("name", ["smollm2", "zephyr", "gemma"])
def test_plain_pairs_pass_where_no_template_is_asked_for(name: str) -> None:
    tokenizer = chat_tokenizer(name)
    data = encode_pairs(tokenizer, [("The text is", " fine"), ("It is", " not so fine")], chat=False)
    assert diagnose(data, tokenizer, chat=False).cut == 0
    tokenizer.chat_template = None
    assert diagnose(data, tokenizer, chat=False).rows == 2
    with pytest.raises(ValueError, match="tokenizer must have a chat template, got none"):
        diagnose(data, tokenizer)


def test_answers_that_were_cut_off_are_counted() -> None:
    tokenizer = tiny_tokenizer()
    pairs = [("good", "yes"), ("good", "very " * 30), ("bad", "no"), ("poor", "yes")]
    data = encode_pairs(tokenizer, pairs, max_length=20)
    assert diagnose(data, tokenizer).cut == 0.25
    assert diagnose(data.collate([0, 1]), tokenizer).cut == 0.5
    whole = encode_pairs(tokenizer, pairs[:2], max_length=20, learn_prompt=True)
    assert diagnose(whole, tokenizer).cut == 0.5
    with pytest.raises(BadBatch, match="end not learned: in no row does the last answer have an end"):
        diagnose(data.collate([1]), tokenizer)


# Faults: a row's ids and labels, changed


def splice(row: Row, at: int, ids: list[int], label: bool = False) -> Row:
    return row[0][:at] + ids + row[0][at:], row[1][:at] + (ids if label else [-100] * len(ids)) + row[1][at:]


def first_learned(row: Row) -> int:
    return int(np.argmax(np.array(row[1]) != -100))


def ending(tokenizer: Any) -> int:
    """The end of a turn: what every row ends with."""
    return rows_of(tokenizer)[0][0][-1]


def dialogue(tokenizer: Any, talk: list[dict[str, str]]) -> Row:
    """A conversation that goes through the template without `lib`, its last answer learned."""
    text = tokenizer.apply_chat_template(talk, tokenize=False)
    ids = tokenizer.encode(text.rstrip(), add_special_tokens=False)
    before = tokenizer.encode(tokenizer.apply_chat_template(talk[:-1], tokenize=False, add_generation_prompt=True),
                              add_special_tokens=False)
    return ids, [-100] * len(before) + ids[len(before):]


def nested(where: str) -> Callable[[Any, Rows], Rows]:
    def change(tokenizer: Any, rows: Rows) -> Rows:
        inner = {
            "prompt": tokenizer.apply_chat_template(TALK[:1], tokenize=False),
            "asked": tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True),
            "whole": tokenizer.apply_chat_template(TALK[:2], tokenize=False),
        }
        asked = tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(TALK[:2], tokenize=False)
        if where == "answer":
            turns = [TALK[0], {"role": "assistant", "content": whole}]
        elif where == "answer with header":
            after = asked.partition(TALK[0]["content"])[2]
            header = after.partition(tokenizer.decode([ending(tokenizer)]))[2] or after
            turns = [TALK[0], {"role": "assistant", "content": header + TALK[1]["content"]}]
        else:
            turns = [{"role": "user", "content": inner[where]}, TALK[1]]
        return [dialogue(tokenizer, turns), *rows[1:]]
    return change


def edit(change: Callable[[Any, Row], Row], only: int | None = None) -> Callable[[Any, Rows], Rows]:
    """A change of each row, or of one."""
    return lambda t, rows: [change(t, row) if only in (None, i) else row for i, row in enumerate(rows)]


def shift(step: int) -> Callable[[Any, Row], Row]:
    def change(tokenizer: Any, row: Row) -> Row:
        ids, labels = row
        return ids, (labels[step:] + [-100] * step if step > 0 else [-100] * -step + labels[:step])
    return change


def no_end(tokenizer: Any, row: Row) -> Row:
    """The text was never ended, in any turn."""
    keep = [i for i, token in enumerate(row[0]) if token != ending(tokenizer) or row[1][i] == -100]
    return [row[0][i] for i in keep], [row[1][i] for i in keep]


def plain(tokenizer: Any, times: int) -> Row:
    ids = times * tokenizer.encode("Is it? yes", add_special_tokens=False) + [ending(tokenizer)]
    return ids, [-100] * 6 + ids[6:]


def no_header(tokenizer: Any, row: Row) -> Row:
    """Prompt and answer without what the template writes between them."""
    ids = tokenizer.encode(tokenizer.apply_chat_template(TALK[:1], tokenize=False).partition(TALK[0]["content"])[0],
                           add_special_tokens=False)
    return [*ids, *row[0][first_learned(row):]], [-100] * len(ids) + row[1][first_learned(row):]


FAULTY: list[tuple[str, str, Callable[[Any, Rows], Rows]]] = [
    ("nothing learned", "one row is masked", edit(lambda t, r: (r[0], [-100] * len(r[0])), 1)),
    ("nothing learned", "the answer was cut away", edit(lambda t, r: tuple(x[:first_learned(r)] for x in r), 2)),
    ("nothing learned", "only what follows nothing",
     edit(lambda t, r: (r[0], [r[0][0]] + [-100] * (len(r[0]) - 1)), 0)),
    ("end not learned", "it is masked",
     edit(lambda t, r: (r[0], [-100 if i == ending(t) else i for i in r[1]]))),
    ("end not learned", "it is masked in one row",
     edit(lambda t, r: (r[0], [-100 if i == ending(t) else i for i in r[1]]), 1)),
    ("end not learned", "the mask stops one token early", edit(lambda t, r: (r[0], r[1][:-1] + [-100]))),
    ("end not learned", "the mask stops two tokens early", edit(lambda t, r: (r[0], r[1][:-2] + [-100] * 2))),
    ("end not learned", "it is nowhere", edit(no_end)),
    ("template missing", "plain text", edit(lambda t, r: plain(t, len(r[0])))),
    ("template missing", "one plain row", edit(lambda t, r: plain(t, 3), 2)),
    ("template missing", "no header before the answer", edit(no_header, 1)),
    ("template twice", "the prompt was rendered already", nested("prompt")),
    ("template twice", "the prompt with what asks for an answer", nested("asked")),
    ("template twice", "the whole conversation was the prompt", nested("whole")),
    ("template twice", "the whole conversation was the answer", nested("answer")),
    ("template twice", "the answer holds its header", nested("answer with header")),
    ("labels shifted", "by one", edit(shift(1))),
    ("labels shifted", "by two", edit(shift(2))),
    ("labels shifted", "backwards", edit(shift(-1))),
    ("labels shifted", "in one row", edit(shift(1), 1)),
    ("labels differ", "one label is another word", edit(lambda t, r: (r[0], r[1][:-2] + [5, r[1][-1]]), 1)),
]


ALSO = {  # what two faults at once may be called
    ("vicuna", "the prompt was rendered already"): {"two beginnings"},  # its first header follows words of its own
    ("vicuna", "the whole conversation was the prompt"): {"two beginnings"},
    ("llama3", "the whole conversation was the answer"): {"padding learned"},  # without a mask, an end after an end
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("fault", "how", "change"), FAULTY, ids=[f"{f}: {h}" for f, h, _ in FAULTY])
def test_a_fault_is_named_in_every_template_and_layout(fault: str, how: str, change: Any, name: str) -> None:
    tokenizer = TOKENIZERS[name]
    good = rows_of(tokenizer)
    rows = change(tokenizer, good)
    for layout, collate in LAYOUTS.items():
        if layout == "alone":  # the first row that was changed
            rows = [row for row, before in zip(rows, good, strict=True) if row != before]
        with pytest.raises(BadBatch) as caught:
            diagnose(collate(rows, tokenizer), tokenizer)
        assert caught.value.fault in {fault} | ALSO.get((name, how), set()), (layout, str(caught.value))
        assert caught.value.fault in FAULTS and caught.value.fault in str(caught.value)


@pytest.mark.parametrize("layout", ["right", "left", "right, no mask", "left, no mask"])
@pytest.mark.parametrize("name", FAMILIES)
def test_padding_that_is_learned_is_named_though_it_is_the_end(name: str, layout: str) -> None:
    """Labels copied from padded ids, with the prompt learned or masked; or padding labelled 0."""
    tokenizer = TOKENIZERS[name]
    for fill in (tokenizer.pad_token_id, 0):
        for learn_prompt in (True, False):
            batch = pad(rows_of(tokenizer, learn_prompt=learn_prompt), tokenizer, left="left" in layout, fill=fill,
                        mask="no" not in layout)
            with pytest.raises(BadBatch, match="padding learned in row 1") as caught:
                diagnose(batch, tokenizer)
            assert (caught.value.fault, caught.value.row) == ("padding learned", 1)
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])  # and by a mask that says that nothing is padding
    with pytest.raises(BadBatch, match="padding learned"):
        diagnose(batch, tokenizer)


@pytest.mark.parametrize("name", ["smollm2", "zephyr", "llama3"])
def test_a_collator_that_masks_by_ids_is_caught(name: str) -> None:
    """transformers' collator for language modelling ignores each id that is the padding, real ends included."""
    tokenizer = TOKENIZERS[name]
    assert tokenizer.pad_token == tokenizer.eos_token
    features = [{"input_ids": ids} for ids, _ in rows_of(tokenizer)]
    batch = DataCollatorForLanguageModeling(tokenizer, mlm=False)(features)
    for given in (dict(batch), {k: v for k, v in batch.items() if k != "attention_mask"}):
        with pytest.raises(BadBatch, match="end not learned"):
            diagnose(given, tokenizer)
    tokenizer = TOKENIZERS["qwen"]  # control: there padding is another token
    features = [{"input_ids": ids} for ids, _ in rows_of(tokenizer)]
    assert diagnose(DataCollatorForLanguageModeling(tokenizer, mlm=False)(features), tokenizer).cut == 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].bos])
def test_two_beginnings_are_named(name: str, layout: str) -> None:
    tokenizer = TOKENIZERS[name]
    bos, rows = tokenizer.bos_token_id, rows_of(tokenizer)
    first = [row if row[0][0] == bos else splice(row, 0, [bos]) for row in rows]  # as good as it was
    assert diagnose(LAYOUTS[layout](first, tokenizer), tokenizer).cut == 0
    broken = {
        "the tokenizer adds one to the template's": [splice(row, 0, [bos]) for row in first],
        "prompt and answer were tokenized apart": [splice(row, first_learned(row), [bos]) for row in first],
        "and it is learned": [splice(row, first_learned(row), [bos], True) for row in first],
    }
    for how, changed in broken.items():
        with pytest.raises(BadBatch) as caught:
            diagnose(LAYOUTS[layout](changed, tokenizer), tokenizer)
        assert caught.value.fault == "two beginnings", (how, str(caught.value))


def test_two_beginnings_without_a_template() -> None:
    tokenizer = TOKENIZERS["zephyr"]
    row = encode_pairs(tokenizer, [("The text is", " fine")], chat=False).collate([0])
    bos, ids, labels = tokenizer.bos_token_id, row["input_ids"][0].tolist(), row["labels"][0].tolist()
    good = ([bos, *ids], [-100, *labels])
    assert diagnose(pad([good], tokenizer), tokenizer, chat=False).rows == 1
    assert diagnose(packed([good, good], tokenizer), tokenizer, chat=False).rows == 1  # each text has its own
    for bad in (splice(good, 0, [bos]), splice(good, first_learned(good), [bos])):
        with pytest.raises(BadBatch, match="two beginnings"):
            diagnose(pad([bad], tokenizer), tokenizer, chat=False)


def test_a_template_of_another_model_is_missing() -> None:
    batch = pad(rows_of(TOKENIZERS["zephyr"]), TOKENIZERS["zephyr"])
    tokenizer = chat_tokenizer("zephyr")
    tokenizer.chat_template = FAMILIES["vicuna"].template
    with pytest.raises(BadBatch, match="template missing in row 0: 'ASSISTANT:'"):
        diagnose(batch, tokenizer)


def test_an_answer_that_brings_its_own_end_has_two() -> None:
    for tokenizer in TOKENIZERS.values():
        rows = rows_of(tokenizer)
        twice = [*rows[:2], (rows[2][0] + [ending(tokenizer)], rows[2][1] + [ending(tokenizer)])]
        with pytest.raises(BadBatch, match="template twice in row 2: .* ends an answer twice"):
            diagnose(pad(twice, tokenizer), tokenizer)


def test_a_turn_whose_end_is_masked_is_named_though_others_are_not() -> None:
    tokenizer = TOKENIZERS["qwen"]
    ids, labels = rows_of(tokenizer)[0]
    at = labels.index(ending(tokenizer))
    assert labels.count(ending(tokenizer)) == 2
    with pytest.raises(BadBatch, match=f"end not learned in row 0: the end at {at} has no label"):
        diagnose(pad([(ids, [-100 if i == at else label for i, label in enumerate(labels)])], tokenizer), tokenizer)
    only_last = [label if i > at else -100 for i, label in enumerate(labels)]  # control: a turn that is not learned
    assert diagnose(pad([(ids, only_last)], tokenizer), tokenizer).cut == 0


def test_a_data_set_s_fault_is_told_by_its_own_row() -> None:
    tokenizer = TOKENIZERS["qwen"]
    data = encode_conversations(tokenizer, TALKS * 40)
    learned = [list(row) for row in data.learned]
    learned[70] = [False] * len(learned[70])
    with pytest.raises(BadBatch, match="nothing learned in row 70") as caught:
        diagnose(Tokens(data.ids, learned, data.pad), tokenizer)
    assert caught.value.row == 70 and isinstance(caught.value, ValueError)
    assert diagnose(data, tokenizer).rows == 120


@pytest.mark.parametrize("change, message", [
    (lambda b: {"input_ids": b["input_ids"]}, "data must be Tokens or a batch with input_ids and labels, got dict"),
    (lambda b: "batch", "got str"),
    (lambda b: b | {"labels": b["labels"][:, 1:]}, r"labels must have one shape \(B, T\) with input_ids"),
    (lambda b: b | {"labels": torch.tensor([0, 1, 1])}, r"labels must have one shape .* got \(3,\)"),
    (lambda b: b | {"input_ids": b["input_ids"][0]}, "must have one shape"),
    (lambda b: b | {"attention_mask": b["attention_mask"][:, None]}, "attention_mask must have one shape"),
    (lambda b: Tokens([], []), "data must hold at least one row, got none"),
])
def test_what_is_no_batch_is_named(change: Any, message: str) -> None:
    tokenizer = TOKENIZERS["smollm2"]
    with pytest.raises(ValueError, match=message):
        diagnose(change(pad(rows_of(tokenizer), tokenizer)), tokenizer)
