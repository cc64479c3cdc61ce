"""What ruins the fine-tuning of a language model in silence, found in a batch before the run.

Shapes: B rows a batch, T tokens of its longest row. An end is the token that closes an answer, the tokenizer's
`eos_token` or the one that its chat template writes; often it is the padding as well, so padding is told by place.
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from lib.loss import UNLEARNED
from lib.text.templates import Marks, marks, special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FAULTS = (
    "labels shifted", "labels differ", "padding learned", "nothing learned", "template missing", "template twice",
    "two beginnings", "end not learned",
)  # fmt: skip
"""What `BadBatch.fault` may say, in the order in which `diagnose` looks."""


class BadBatch(ValueError):
    """A batch that would train in silence and teach the wrong thing.

    Args:
        fault: its name, one of `FAULTS`.
        row: where it was seen first, from 0; None where it is true of all rows together.
        said: what was found and what to do.
    """

    def __init__(self, fault: str, row: int | None, said: str) -> None:
        super().__init__(f"{fault}{'' if row is None else f' in row {row}'}: {said}")
        self.fault, self.row = fault, row


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` counted in a batch without a fault.

    Args:
        rows: number of rows.
        tokens: number of tokens, padding left out.
        learned: share of them that is learned, above 0 and at most 1.
        cut: share of the rows whose last answer stops without an end, at least 0 and below 1: a model learns from those
            to say much, and not to stop.
    """

    rows: int
    tokens: int
    learned: float
    cut: float


class _Row(NamedTuple):
    """One row of T tokens."""

    number: int
    ids: np.ndarray
    labels: np.ndarray
    real: np.ndarray  # False at padding

    @property
    def learned(self) -> np.ndarray:
        return self.labels != UNLEARNED


def diagnose(data: Any, tokenizer: PreTrainedTokenizerBase, *, chat: bool = True) -> Diagnosis:
    """Refuse a batch, or a whole data set, that would ruin a run in silence; count what is learned in a good one.

    Nothing here raises in training: a model that never sees the end of an answer learned trains well and then writes on
    for ever. Call it once before a run, on your own batches or on those of another library's collator.

    It reads ids and labels alone. The faults are those in `FAULTS`: labels that are shifted already, though the
    objective shifts; labels that are not the ids; padding that is learned; a row in which nothing is learned; a chat
    template that is missing or was applied twice; a second beginning; an end that stands after an answer and is not
    learned, or is learned nowhere. An answer without an end at the row's end was cut off, which is counted.

    Args:
        data: a `Tokens`, or a batch with `input_ids`, `labels` and perhaps `attention_mask`, each (B, T). Without a
            mask, padding is what repeats the padding token at a row's edge, and where that is the end too, the first of
            them is one. Several conversations may share a row.
        tokenizer: that made the ids.
        chat: whether the rows should have passed its chat template.

    Raises:
        BadBatch: the batch has one of `FAULTS`.
        ValueError: no such batch, or a tokenizer without a template where one is asked for.
    """
    template = marks(tokenizer) if chat else None
    names = [end for end in (tokenizer.eos_token, template and template.end) if end]
    ends = set(tokenizer.encode("".join(names), add_special_tokens=False))
    rows = list(_rows(data, tokenizer))
    if not rows:
        raise ValueError("data must hold at least one row, got none")
    for row in rows:
        _refuse_labels(row)
        if template:
            _refuse_template(row, tokenizer, template)
        _refuse_beginnings(row, tokenizer, ends, template)
    cut = [_cut_off(row, ends, tokenizer) for row in rows]
    if all(cut):
        raise BadBatch("end not learned", None, "in no row does the last answer have an end, so a model would never "
                       f"learn to stop; end each with {' or '.join(names)}")
    tokens = sum(int(row.real.sum()) for row in rows)
    learned = sum(int(row.learned[1:].sum()) for row in rows)
    return Diagnosis(len(rows), tokens, learned / tokens, sum(cut) / len(rows))


def _rows(data: Any, tokenizer: PreTrainedTokenizerBase) -> Iterator[_Row]:
    batches: list[tuple[list[int], Any]] = [([], data)]
    if hasattr(data, "collate"):
        batches = [(rows, data.collate(rows)) for rows in data.in_length_order(64)]
    for numbers, batch in batches:
        if not (isinstance(batch, Mapping) and {"input_ids", "labels"} <= batch.keys()):
            raise ValueError(f"data must be Tokens or a batch with input_ids and labels, got {type(batch).__name__}")
        given = {key: batch[key] for key in ("input_ids", "labels", "attention_mask") if batch.get(key) is not None}
        arrays = {key: torch.as_tensor(value).cpu().numpy() for key, value in given.items()}
        ids = arrays["input_ids"]
        for key, array in arrays.items():
            if ids.ndim != 2 or array.shape != ids.shape:
                raise ValueError(f"{key} must have one shape (B, T) with input_ids, got {array.shape}, {ids.shape}")
        mask = arrays.get("attention_mask", np.ones_like(ids)) != 0  # one of ones alone says no more than none
        for i, (row, labels, real) in enumerate(zip(ids, arrays["labels"], mask, strict=True)):
            yield _Row(numbers[i] if numbers else i, row, labels, _unpadded(row, tokenizer) if mask.all() else real)


def _unpadded(ids: np.ndarray, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """False where a row repeats its padding at an edge; one that may be a real end or beginning is left."""
    pad = tokenizer.pad_token_id
    other = np.flatnonzero(ids != pad)
    if len(other) == 0:
        return np.zeros(len(ids), bool)
    first = other[0] - (pad == tokenizer.bos_token_id and other[0] > 0)
    last = other[-1] + (pad == tokenizer.eos_token_id and other[-1] < len(ids) - 1)
    return (np.arange(len(ids)) >= first) & (np.arange(len(ids)) <= last)


def _refuse_labels(row: _Row) -> None:
    wrong = row.learned & (row.labels != row.ids)
    for step in (1, 2, -1):
        if wrong.any() and _agree(row, step):
            raise BadBatch("labels shifted", row.number, f"each label is the id {abs(step)} "
                           f"{'later' if step > 0 else 'earlier'}, and the objective shifts again; a label stands at "
                           "the place of its own token")
    if (row.learned & ~row.real).any():
        raise BadBatch("padding learned", row.number, f"{int((row.learned & ~row.real).sum())} places of padding have "
                       f"labels; give them {UNLEARNED}, by the lengths of rows and not by the ids")
    if wrong.any():
        at = int(wrong.argmax())
        raise BadBatch("labels differ", row.number, f"at {at} the label is {row.labels[at]} and the id {row.ids[at]}; "
                       f"a label must be its id, or {UNLEARNED} where it is not learned")
    if not row.learned[1:].any():
        raise BadBatch("nothing learned", row.number, "no token that follows another has a label; shorten the prompt, "
                       "or leave the row out")


def _agree(row: _Row, step: int) -> bool:
    """Whether labels are the ids `step` places later, where there is one."""
    at = np.flatnonzero(row.learned) + step
    inside = (at >= 0) & (at < len(row.ids))
    return bool(inside.any() and (row.labels[row.learned][inside] == row.ids[at[inside]]).all())


def _refuse_template(row: _Row, tokenizer: PreTrainedTokenizerBase, template: Marks) -> None:
    text = template.read(tokenizer, row.ids[row.real])
    if template.answer not in text:
        raise BadBatch("template missing", row.number, f"{template.answer!r}, which the chat template writes before an "
                       "answer, is not there; render the conversation with it, or pass chat=False")
    strict = template.closed and any(token in template.user for token in special_tokens(tokenizer))
    by_size = sorted({template.answer, template.user, template.system, template.end} - {""}, key=len, reverse=True)
    found = list(re.finditer("|".join(map(re.escape, by_size)), text))
    for one, two in zip(found, found[1:], strict=False):
        inside = strict and one[0] == template.user  # an answer that goes over into a turn may only lack its end
        if template.end not in (one[0], two[0]) and (inside or one.end() == two.start()):
            raise BadBatch("template twice", row.number, f"{two[0]!r} follows {one[0]!r} within one turn; give the "
                           "chat template plain text")
    ends = np.flatnonzero(row.real & (row.ids == tokenizer.convert_tokens_to_ids(template.end)))
    for a, b in zip(ends, ends[1:], strict=False):
        if row.learned[b] and not template.read(tokenizer, row.ids[a + 1:b].tolist()):
            raise BadBatch("template twice", row.number, f"{template.end!r} ends an answer twice; the chat template "
                           "writes it, so answers must not")
    if not template.bos and f"{template.answer}{tokenizer.bos_token}" in text:
        raise BadBatch("two beginnings", row.number, f"an answer begins with {tokenizer.bos_token!r}; tokenize prompt "
                       "and answer together, with add_special_tokens=False")


def _refuse_beginnings(row: _Row, tokenizer: PreTrainedTokenizerBase, ends: set[int], template: Marks | None) -> None:
    """A beginning may stand first and, where several texts share a row, after an end."""
    bos, ids = tokenizer.bos_token_id, row.ids[row.real]
    once = bos not in ends and not (template and not template.bos)  # else it opens every turn
    for t in np.flatnonzero(ids == bos):
        doubled = t > 0 and ids[t - 1] == bos and (t == 1 or bos not in ends)
        inside = t > 0 and once and not {*ids[max(0, t - 2):t].tolist()} & ends  # white space may follow an end
        if doubled or inside:
            raise BadBatch("two beginnings", row.number, f"{tokenizer.bos_token!r} stands at {t} again; tokenize what "
                           "a template wrote with add_special_tokens=False, and prompt and answer together")


def _cut_off(row: _Row, ends: set[int], tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the last answer has no end; BadBatch where it has one that is not learned."""
    end = np.isin(row.ids, [*ends]) & row.real
    edges = np.flatnonzero(np.diff(np.r_[False, row.learned, False]))
    spans = list(zip(edges[::2], edges[1::2], strict=True))
    for (start, stop), after in zip(spans, [*(start for start, _ in spans[1:]), len(row.ids)], strict=True):
        if not end[start:stop].any() and end[stop:after].any():
            at = stop + int(end[stop:after].argmax())
            raise BadBatch("end not learned", row.number, f"the end at {at} has no "
                           "label, so a model would never learn to stop; where padding is the end too, mask by lengths")
    last = max(np.flatnonzero(end[start:stop]), default=-1)  # white space may follow it
    return bool(str(tokenizer.decode(row.ids[start + last + 1:stop])).strip())
