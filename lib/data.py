"""Labels, splits that do not leak, and batches of similar length, for the sentences of `lib.corpora.sentiment`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from lib import _check
from lib.corpora.sentiment import Sentence

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Item = TypeVar("Item")


@dataclass(frozen=True)
class Split:
    """Three lists of sentences that share no unit: `train`, `dev` and `test`; see `split`."""

    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]


def label(sentence: Sentence) -> int:
    """Class of a sentence: 1 if the mean rating is above 0, else 0; in a hub set the class it came with."""
    return int(sentence.rating > 0) if sentence.category is None else sentence.category


def soft_label(sentence: Sentence) -> float:
    """Share of raters above 0, raters at 0 counted half: an estimate of $P(class 1)$ in $[0, 1]$.

    Raises:
        ValueError: the sentence has no ratings.
    """
    if not sentence.ratings:
        raise ValueError(f"sentence must have ratings for a soft label, got none for {sentence.text!r}")
    return sum((r > 0) + (r == 0) / 2 for r in sentence.ratings) / len(sentence.ratings)


def without_neutral(sentences: Iterable[Sentence], band: float = 0.5) -> list[Sentence]:
    """The sentences with $|rating| >= band$; classes of a hub set are never neutral.

    Args:
        band: between 0 and 4, in points of rating.

    Raises:
        ValueError: a band out of range.
    """
    if not (isinstance(band, Real) and 0 <= band <= 4):
        raise ValueError(f"band must be between 0 and 4, got {band!r}")
    return [s for s in sentences if s.category is not None or abs(s.rating) >= band]


def split(sentences: Iterable[Sentence], *, dev: float = 0.1, test: float = 0.3, salt: str = "v1") -> Split:
    """Train, dev and test parts that share no unit; the part is a hash of the unit, the same on every machine.

    Train on the first, choose rates, strengths and checkpoints on the second, and look at the third once: a number from
    data that took part in a choice is too good. Copies of a text on both sides are the usual leak.

    A unit is a group (a review, an article), or a text where there is no group; units that share a text, whatever its
    case and punctuation, are one. The order of the sentences does not matter. Split first and filter afterwards: a
    filter can remove the text that joins two groups.

    Args:
        dev, test: expected shares of the units, each at least 0, together below 1. The rest is for training.
        salt: another text gives another split.

    Raises:
        ValueError: shares out of range, or no sentences.
    """
    if not (isinstance(dev, Real) and isinstance(test, Real) and dev >= 0 and test >= 0 and dev + test < 1):
        raise ValueError(f"dev and test must be at least 0 and together below 1, got {dev!r} and {test!r}")
    sentences = list(sentences)
    if not sentences:
        raise ValueError("sentences must not be empty")
    parts = Split([], [], [])
    for sentence, unit in zip(sentences, _units(sentences), strict=True):
        u = int.from_bytes(hashlib.sha256(f"{salt}\n{unit}".encode()).digest()[:8]) / 2**64  # uniform on [0, 1)
        (parts.test if u < test else parts.dev if u < test + dev else parts.train).append(sentence)
    return parts


def shuffled(items: Sequence[Item], seed: int | tuple[int, ...]) -> list[Item]:
    """The items in a random order, a pure function of their number and the seed.

    `shuffled(sentences, seed)[:200]` is a sample without replacement, and each smaller sample is the beginning of the
    larger one; `shuffled(range(n), seed)` gives row numbers. A source that lists its classes one after the other has to
    be shuffled before anything is cut off it.

    Args:
        items: sentences, row numbers, or any other sequence.
        seed: whole numbers from 0, such as (seed, draw).

    Raises:
        ValueError: a negative number in the seed.
    """
    for number in seed if isinstance(seed, tuple) else (seed,):
        _check.whole(0, seed=number)
    return [items[i] for i in np.random.default_rng(seed).permutation(len(items)).tolist()]


def hold_out(texts: Sequence[str], share: float = 0.2, *, salt: str = "v1") -> tuple[list[int], list[int]]:
    """Rows to train on and rows to judge by, numbers from 0: the same text lies on one side, however it is written.

    Case and punctuation do not count, as in `split`, which is for texts of which groups belong together. Which rows are
    held out is a hash of their texts, so neither their order nor a draw changes it.

    Args:
        texts: one a row; of (prompt, answer) pairs the prompts.
        share: of the different texts, above 0 and below 1; at least one is held out.
        salt: another text holds out others.

    Raises:
        ValueError: a share out of range, or fewer than two different texts.
    """
    if not (isinstance(share, Real) and 0 < share < 1):
        raise ValueError(f"share must be above 0 and below 1, got {share!r}")
    units = _units([Sentence(text, 0.0, (), "") for text in texts])
    order = sorted(set(units), key=lambda unit: hashlib.sha256(f"{salt}\n{unit}".encode()).digest())
    if len(order) < 2:
        raise ValueError(f"texts must hold at least two different ones, got {len(order)}")
    held = set(order[:min(max(1, round(share * len(order))), len(order) - 1)])
    return ([i for i, unit in enumerate(units) if unit not in held],
            [i for i, unit in enumerate(units) if unit in held])


def _units(sentences: Sequence[Sentence]) -> list[str]:
    """Name of each sentence's unit, by union-find over groups and texts; the smallest name stands for all."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]  # halves the path, so that chains stay short
            name = parent[name]
        return name

    names = []
    for s in sentences:
        text = "text " + (re.sub(r"[\W_]+", " ", s.text.casefold()).strip() or s.text)
        names.append(f"group {s.domain} {s.group}" if s.group else text)
        ends = root(text), root(names[-1])
        parent[max(ends)] = min(ends)
    return [root(name) for name in names]


def index_labels(labels: Iterable[str | int]) -> tuple[list[str | int], list[int]]:
    """The distinct classes, sorted, and each label as an index into them.

    Args:
        labels: one a text, of Python's, numpy's or torch's making.

    Raises:
        TypeError: a label is neither text nor a whole number.
        ValueError: there are fewer than two classes.
    """
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list, one a text, got {labels!r}")
    labels = [v.item() if isinstance(v, np.generic | torch.Tensor) else v for v in labels]
    for i, value in enumerate(labels):
        if not isinstance(value, str | int):
            raise TypeError(f"labels must be text or whole numbers, got {value!r} at {i}")
    classes = sorted(set(labels), key=lambda c: (isinstance(c, str), c))
    if len(classes) < 2:
        raise ValueError(f"labels must hold at least two classes, got {classes}")
    index = {c: i for i, c in enumerate(classes)}
    return classes, [index[value] for value in labels]


def class_weights(labels: Sequence[int]) -> list[float]:
    """What each class must weigh for all to count the same in a loss, for `cross_entropy(weights=...)`.

        w_c = n / (C n_c)        n rows, n_c of them of class c, C classes; over the rows their mean is 1

    As scikit-learn's "balanced" does. With ten complaints among 190 praises each complaint weighs 19 times as much.

    Args:
        labels: one class a row, from 0, such as `train.labels`; no class below the highest may be missing.

    Raises:
        ValueError: no labels, labels that are no classes, fewer than two classes, or one without a row.
    """
    labels = _check.listed("one class a row", labels=labels)
    for value in labels:
        _check.whole(0, labels=value)
    counts = np.bincount(np.array(labels, dtype=np.int64))
    if len(counts) < 2 or not counts.all():
        raise ValueError(f"labels must hold each of at least two classes, got {counts.tolist()} rows of them")
    return (len(labels) / (len(counts) * counts)).tolist()  # type: ignore[no-any-return]


def bucketed(lengths: Sequence[int], size: int, key: int | tuple[int, ...], pool: int = 50) -> list[list[int]]:
    """A partition of the rows into batches, a pure function of the rows' lengths and the arguments.

    Shuffle, sort by length inside pools of `pool` batches, cut, and shuffle the batches: rows in a batch have similar
    lengths, and the batches come in random order.

    Args:
        lengths: tokens of each row.
        size: rows in a batch, at least 1; the last batch of a pool may be smaller.
        key: whole numbers from 0, such as (seed, epoch), that decide the shuffle.
        pool: batches in a pool, at least 1; a larger pool pads less and mixes less.

    Raises:
        ValueError: a number out of range.
    """
    _check.whole(1, size=size, pool=pool)
    for number in key if isinstance(key, tuple) else (key,):
        _check.whole(0, key=number)
    rng = np.random.default_rng(key)
    order = rng.permutation(len(lengths))
    pools = (order[start : start + pool * size] for start in range(0, len(order), pool * size))
    batches = [batch for rows in pools for batch in _cut(rows, lengths, size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """All rows, shortest first, in batches of `size`: the least padding, for use without training.

    Args:
        lengths: tokens of each row.
        size: rows in a batch, at least 1; the last batch may be smaller.

    Raises:
        ValueError: a size out of range.
    """
    _check.whole(1, size=size)
    return _cut(np.arange(len(lengths)), lengths, size)


def _cut(rows: np.ndarray, lengths: Sequence[int], size: int) -> list[list[int]]:
    rows = rows[np.argsort([lengths[i] for i in rows], kind="stable")]
    return [rows[i : i + size].tolist() for i in range(0, len(rows), size)]


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of numbers side by side, (rows, width), int64, filled on the right, and where they stand, bool.

    Args:
        rows: one or more, none empty; the width is that of the longest.
        pad: the token id, from 0, or other number, such as -100, that fills the rest.
    """
    lengths = np.array([[len(row)] for row in rows])
    mask = np.arange(lengths.max()) < lengths  # not `ids != pad`: a text may hold the pad token
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = [token for row in rows for token in row]
    return torch.from_numpy(ids), torch.from_numpy(mask)


@dataclass(frozen=True)
class Dataset:
    """Token ids and labels, cut into batches of similar length.

    Args:
        ids: one list of token ids a text, none empty.
        labels: (n,) classes from 0; or (n,) $P(class 1)$; or (n, classes) one distribution a text.
        pad: token id, from 0, that fills a row up to the width of its batch.
        cut: rows whose text was longer than allowed and lost its end.

    Raises:
        ValueError: an empty row, a label out of range, labels that differ in number or kind; batches of no rows.
    """

    ids: list[list[int]]
    labels: Sequence[int] | Sequence[float] | Sequence[Sequence[float]]
    pad: int = 0
    cut: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.labels, np.ndarray | torch.Tensor):
            object.__setattr__(self, "labels", _check.listed("one label a row", labels=self.labels))
        if not all(self.ids):
            raise ValueError(
                f"every row of ids must hold a token, got none in row {[*map(bool, self.ids)].index(False)}"
            )
        if len(self.ids) != len(self.labels):
            raise ValueError(f"ids and labels must have one length, got {len(self.ids)} and {len(self.labels)}")
        try:
            values = np.asarray(self.labels)
        except ValueError:
            raise ValueError("labels must be numbers, or rows of numbers of one length") from None
        if values.dtype.kind not in "iuf" or values.ndim > 2 or any(isinstance(x, bool) for x in self.labels):
            raise ValueError(f"labels must be whole numbers or probabilities, got {self.labels[0]!r}"
                             "; index_labels numbers classes")
        if values.ndim == 2:
            values = values.astype(float)
            good = (values >= 0).all(1) & (np.abs(values.sum(1) - 1) < 1e-4)
        else:
            good = (values >= 0) & ((values <= 1) | (values.dtype.kind != "f"))
        if not good.all():
            i = int(np.argmin(good))
            raise ValueError(f"labels must be classes from 0, or probabilities, got {self.labels[i]} at {i}")
        object.__setattr__(self, "labels", values.tolist())  # one type throughout, so one dtype in every batch

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
        """One batch: `input_ids` and `attention_mask` (batch, width), int64, and labels (batch,) or (batch, classes).

        Its `rows` keep their order; the width is that of the longest. Labels are int64 if they are classes and float32
        if they are probabilities.
        """
        _check.rows(rows, len(self))
        ids, mask = padded([self.ids[i] for i in rows], self.pad)
        labels = torch.tensor([self.labels[i] for i in rows], dtype=torch.float64)
        labels = labels.to(torch.int64 if isinstance(self.labels[0], int) else torch.float32)
        return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}

    def subset(self, rows: Sequence[int]) -> Dataset:
        """The `rows` asked for, by number from 0, in that order."""
        rows = list(rows)
        _check.rows(rows, len(self), empty=True)
        lost = set(self.cut)
        return Dataset(
            [self.ids[i] for i in rows],
            np.asarray(self.labels)[list(rows)].tolist(),
            pad=self.pad,
            cut=tuple(new for new, old in enumerate(rows) if old in lost),
        )

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, of everything that training sees."""
        return hashlib.sha256(json.dumps([self.ids, self.labels, self.pad]).encode()).hexdigest()


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    labels: Sequence[int] | Sequence[float] | Sequence[Sequence[float]],
    *,
    max_length: int = 128,
    show: bool = True,
) -> Dataset:
    """Texts and labels as a `Dataset`; texts that are cut, or hold what the tokenizer does not know, are reported.

    Of a text longer than `max_length` an encoder loses the end, a decoder from `load_decoder` the beginning: what it is
    asked stands last. What has no piece in the vocabulary, often an emoji, is one and the same unknown token: texts
    that differ only there look alike to the model.

    The tokenizer cuts each text into the pieces that the model was pretrained on and numbers them; another model's
    tokenizer would give numbers that mean other words. A shorter `max_length` saves time and memory, as attention grows
    with the square of the length.

    Args:
        tokenizer: of the encoder that will read the ids, `load_encoder(...).tokenizer`.
        texts: each with something to read: not blank, decoded, and known to the tokenizer.
        labels: one a text: classes from 0, $P(class 1)$, or a distribution over classes.
        max_length: tokens, the special ones included; at least 8, at most 512 and what the tokenizer allows.
        show: whether to print how many texts were cut, and how many hold an unknown token; `cut` of the result numbers
            the first either way.

    Raises:
        ValueError: no tokenizer, `max_length` out of range, no texts, one with nothing to read, or labels that
            `Dataset` refuses.
    """
    if not hasattr(tokenizer, "model_max_length"):
        raise ValueError(f"tokenizer must be that of an encoder, encoder.tokenizer, got {type(tokenizer).__name__}")
    _check.whole(8, min(512, tokenizer.model_max_length), max_length=max_length)
    texts = _check.listed("at least one text", texts=texts)
    if not texts:
        raise ValueError("texts must be a list of at least one text, got []")
    for i, text in enumerate(texts):
        _check.readable("texts", text, f"at {i}")
    ids = tokenizer(texts, padding=False, truncation=False, verbose=False)["input_ids"]
    least = tokenizer.num_special_tokens_to_add()
    for i, row in enumerate(ids):
        if len(row) <= least:
            raise ValueError(f"texts must hold a word for the tokenizer, got {_check.shown(texts[i])} at {i}")
    cut = tuple(i for i, row in enumerate(ids) if len(row) > max_length)
    if cut:
        short = tokenizer([texts[i] for i in cut], truncation=True, max_length=max_length)["input_ids"]
        for i, row in zip(cut, short, strict=True):
            ids[i] = row
    if cut and show:
        print(f"{len(cut)} of {len(ids)} texts were cut to {max_length} tokens")
    if show and (strange := sum(map(has_unknown(tokenizer), ids))):
        print(f"{strange} of {len(ids)} texts hold signs that the tokenizer does not know, such as emoji")
    return Dataset(ids, labels, pad=tokenizer.pad_token_id or 0, cut=cut)


def has_unknown(tokenizer: PreTrainedTokenizerBase) -> Callable[[Sequence[int]], bool]:
    """Function from token ids to whether one of them stands for what the tokenizer does not know.

    A tokenizer that falls back on bytes, as that of the bundled decoder does, knows everything.

    Args:
        tokenizer: that made the ids.
    """
    unknown = tokenizer.unk_token_id
    return lambda ids: unknown is not None and unknown in ids


def labelled(
    tokenizer: PreTrainedTokenizerBase,
    sentences: Iterable[Sentence],
    labels: Callable[[Sentence], int | float] = label,
    *,
    max_length: int = 128,
) -> Dataset:
    """Sentences of a corpus as a `Dataset`: their texts, and the label that `labels` gives each.

    Args:
        tokenizer: as in `encode`.
        sentences: one or more.
        labels: `label`, the class of the mean rating, if not given; or `soft_label`, the share of raters above 0.
        max_length: as in `encode`, tokens.

    Raises:
        ValueError: what `encode` or `labels` refuses.
    """
    sentences = list(sentences)
    return encode(tokenizer, [s.text for s in sentences], [labels(s) for s in sentences], max_length=max_length)
