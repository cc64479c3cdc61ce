"""Conversations and (prompt, answer) pairs as token ids, with a mark on each token that a language model shall learn.

Shapes: B rows a batch, T tokens of its longest row.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lib import _check
from lib.corpora._hub import open_parts
from lib.data import bucketed, by_length, padded
from lib.loss import UNLEARNED
from lib.text.templates import Message, answers, special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLES = ("system", "user", "assistant")
"""Who may speak in a conversation; what the assistant says is learned."""


@dataclass(frozen=True)
class Tokens:
    """Token ids and which of them are learned, cut into batches of similar length.

    The mask decides what a fine-tuned model imitates: with the prompt masked it learns to answer and not to ask. `fit`
    takes this for a language model as it takes a `Dataset` for a classifier.

    Args:
        ids: one list of token ids a row, none empty.
        learned: whether each token of each row is learned, by the tokens before it.
        pad: token id, from 0, that fills a row up to the width of its batch.
        cut: rows that were longer than allowed and lost their end.

    Raises:
        ValueError: an empty row, or a row with another number of marks than of ids; batches of no rows.
    """

    ids: list[list[int]]
    learned: list[list[bool]]
    pad: int = 0
    cut: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sizes, marks = [len(row) for row in self.ids], [len(row) for row in self.learned]
        if sizes != marks or 0 in sizes:
            raise ValueError(f"ids and learned must hold rows of one length, none empty, got {sizes} and {marks}")

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, size: int, key: int | tuple[int, ...], pool: int = 50) -> list[list[int]]:
        """A partition of the rows into batches of similar length, see `bucketed`.

        Args:
            size, key, pool: as in `bucketed`.
        """
        return bucketed([len(row) for row in self.ids], size, key, pool)

    def in_length_order(self, size: int) -> list[list[int]]:
        """All rows, shortest first, in batches of `size`, at least 1: the least padding, for use without training."""
        return by_length([len(row) for row in self.ids], size)

    def collate(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """One batch: `input_ids`, `attention_mask` and `labels`, each (B, T), int64.

        Its `rows` keep their order and are padded on the right. A label is the id at its own place, not the next one,
        where that token is learned, and -100 elsewhere: the objective shifts.
        """
        _check.rows(rows, len(self))
        ids, mask = padded([self.ids[i] for i in rows], self.pad)
        learned, _ = padded([self.learned[i] for i in rows], False)
        labels = ids.where(learned.bool(), UNLEARNED)
        return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}

    def subset(self, rows: Sequence[int]) -> Tokens:
        """The `rows` asked for, by number from 0, in that order."""
        rows = list(rows)
        _check.rows(rows, len(self), empty=True)
        cut = tuple(new for new, old in enumerate(rows) if old in self.cut)
        return Tokens([self.ids[i] for i in rows], [self.learned[i] for i in rows], self.pad, cut)

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, of everything that training sees."""
        return hashlib.sha256(json.dumps([self.ids, self.learned, self.pad]).encode()).hexdigest()


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[tuple[str, str]],
    *,
    max_length: int = 512,
    chat: bool = True,
    learn_prompt: bool = False,
) -> Tokens:
    """(prompt, answer) pairs as `Tokens`: the answer and the token that ends it are learned, the prompt is read.

    Args:
        tokenizer: of the decoder that will read the ids, `load_decoder(...).tokenizer`.
        pairs: prompt and answer of each row, none blank.
        max_length: tokens a row, at least 8 and at most what the tokenizer allows; a longer answer loses its end, which
            is reported.
        chat: the prompt is a user's turn in the tokenizer's chat template. False takes both as they stand, one after
            the other, for models that never saw a template: there an answer begins with its own space, " positive".
        learn_prompt: learn every token, template and prompt included.

    Raises:
        ValueError: what `encode_conversations` refuses; pairs that are none; without `chat`, a tokenizer that has no
            token for the end.
    """
    rows = _check.listed("(prompt, answer) pairs", pairs=pairs)
    for i, pair in enumerate(rows):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(f"pairs must hold a prompt and an answer each, got {pair!r} in row {i}")
    turns = [[{"role": "user", "content": p}, {"role": "assistant", "content": a}] for p, a in rows]
    if chat:
        return encode_conversations(tokenizer, turns, max_length=max_length, learn_prompt=learn_prompt)
    _check_arguments(tokenizer, max_length)
    end = tokenizer.eos_token
    if end is None:
        raise ValueError("tokenizer must have an eos_token, which ends an answer, got None")
    bos = tokenizer.bos_token or ""
    if tokenizer("")["input_ids"][:1] != [tokenizer.bos_token_id]:
        bos = ""  # it has one, and puts it before no text
    for i, messages in enumerate(turns):
        _check_messages(messages, i)
        _check_visible(messages, i)
    texts = [(f"{bos}{p}{a.removesuffix(end)}{end}", [(len(bos + p), len(bos + p + a.removesuffix(end) + end))])
             for p, a in rows]
    return _tokens(tokenizer, texts, max_length, learn_prompt)


def encode_conversations(
    tokenizer: PreTrainedTokenizerBase,
    conversations: Iterable[Sequence[Message]],
    *,
    max_length: int = 512,
    learn_prompt: bool = False,
) -> Tokens:
    """Conversations as `Tokens`, through the tokenizer's chat template: every assistant's turn is learned.

    A turn is learned with the token that ends it, so that the model stops; what a template writes around it, and what
    system and user say, is read. A row ends where its last answer does.

    Args:
        tokenizer: of the decoder that will read the ids, with a chat template.
        conversations: turns of each row, dictionaries with "role" and "content", none blank, the assistant's last.
        max_length: tokens a row, at least 8 and at most what the tokenizer allows; a longer row loses its end, which is
            reported.
        learn_prompt: learn every token, template and prompts included.

    Raises:
        ValueError: no tokenizer or one without a template, `max_length` out of range, no rows; a turn that is blank, of
            an unknown role or holds a special token; a conversation that the assistant does not end or begins; a prompt
            that leaves no room for an answer; an answer whose first token starts in the prompt; a template that fails,
            changes turns when others follow, or does not end an answer with a special token.
    """
    _check_arguments(tokenizer, max_length)
    texts = []
    special = special_tokens(tokenizer)
    for i, messages in enumerate(_check.listed("lists of turns", conversations=conversations)):
        _check_turns(messages, i, special)
        if messages[-1]["role"] != "assistant" or messages[0]["role"] == "assistant":
            raise ValueError("a conversation must begin with another than the assistant and end with the assistant, "
                             f"got {messages[0]['role']!r} first and {messages[-1]['role']!r} last in row {i}")
        try:
            texts.append(answers(tokenizer, messages))
        except ValueError as error:
            raise ValueError(f"{error}, in row {i}") from None
    return _tokens(tokenizer, texts, max_length, learn_prompt)


def load_conversations(
    path: str, *, column: str = "messages", split: str = "train", config: str | None = None
) -> list[list[dict[str, str]]]:
    """The conversations of a set, through the `datasets` library, as `encode_conversations` takes them.

    Args:
        path: name on a hub, or a folder: saved with `save_to_disk`, or of json or parquet files.
        column: holds a list of dictionaries with "role" and "content" a row; other keys are left out.
        split: which part of the set.
        config: which of the set's configurations, where it has several.

    Raises:
        ImportError: `datasets` is not installed.
        ValueError: the split or the column does not exist, or a row is no conversation.
    """
    part = open_parts(path, config, split, (column,), "load_conversations")[split]
    conversations = []
    for i, messages in enumerate(part[column]):
        _check_messages(messages, i)
        conversations.append([{"role": turn["role"], "content": turn["content"]} for turn in messages])
    return conversations


def _check_arguments(tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    if not hasattr(tokenizer, "apply_chat_template"):
        raise ValueError(f"tokenizer must be that of a decoder, model.tokenizer, got {type(tokenizer).__name__}")
    _check.whole(8, tokenizer.model_max_length, max_length=max_length)


def _check_messages(messages: Sequence[Message], row: int) -> None:
    """Raise ValueError unless they are turns of known roles."""
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence) or not messages:
        raise ValueError(f"a conversation must be a list of turns, got {messages!r} in row {row}")
    for turn in messages:
        if not isinstance(turn, Mapping) or not {"role", "content"} <= turn.keys():
            raise ValueError(f"a turn must have a role and a content, got {turn!r} in row {row}")
        if turn["role"] not in ROLES:
            raise ValueError(f"role must be one of {', '.join(ROLES)}, got {turn['role']!r} in row {row}")
        if not isinstance(turn["content"], str):
            raise ValueError(f"content must be text, got {turn['content']!r} in row {row}")


def _check_turns(messages: Sequence[Message], row: int, special: Sequence[str]) -> None:
    """Raise ValueError unless a template can write them: turns of known roles, with text and no special token."""
    _check_messages(messages, row)
    _check_visible(messages, row)
    for turn in messages:
        found = [token for token in special if token in turn["content"]]
        if found:
            raise ValueError(f"content must not hold special tokens, which the template writes, got {found[0]!r} "
                             f"in row {row}")


def _check_visible(messages: Sequence[Message], row: int) -> None:
    """Raise ValueError for a turn with nothing to read."""
    for turn in messages:
        _check.readable("a turn", turn["content"], f"from the {turn['role']} in row {row}")


def _tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[tuple[str, list[tuple[int, int]]]], max_length: int,
            learn_prompt: bool) -> Tokens:
    """Ids of whole texts, since parts tokenized apart can differ; a span's marks are the lengths of what precedes."""
    if not texts:
        raise ValueError("pairs or conversations must hold at least one row, got none")
    pieces = [text[:stop] for text, spans in texts for span in spans for stop in span]
    found = iter(tokenizer(pieces, add_special_tokens=False, padding=False, truncation=False,
                           verbose=False)["input_ids"])
    ids, learned, cut = [], [], []
    for i, (text, spans) in enumerate(texts):
        heads = [next(found) for span in spans for _ in span]
        whole, marks = heads[-1], [False] * len(heads[-1])  # the last span ends where the text does
        for (start, _), before, through in zip(spans, heads[::2], heads[1::2], strict=True):
            if whole[:len(before)] != before or whole[:len(through)] != through:
                raise ValueError("an answer must begin with a token of its own, got one that starts in the prompt "
                                 f"where {text[start:start + 12]!r} follows {text[:start][-12:]!r} in row {i}; move "
                                 "white space from prompt to answer, or strip it")
            marks[len(before):len(through)] = [True] * (len(through) - len(before))
        if not any(marks[:max_length]):
            raise ValueError(f"a prompt must leave room for its answer in max_length={max_length} tokens, got "
                             f"{len(heads[0])} in row {i}; shorten it or raise max_length")
        if len(whole) > max_length:
            cut.append(i)
        if learn_prompt:
            marks = [False] + [True] * (len(whole) - 1)  # nothing comes before the first
        ids.append(whole[:max_length])
        learned.append(marks[:max_length])
    if cut:
        print(f"{len(cut)} of {len(ids)} rows were cut to {max_length} tokens")
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return Tokens(ids, learned, pad or 0, tuple(cut))
