"""Names by an encoder: each word gets a class from a linear head on its first token's state.

    n  words of a text;  K  kinds of names;  class 0 is no name
"""
from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib.data import shuffled
from lib.evaluation import judging
from lib.loss import UNLEARNED
from lib.models import Encoder
from lib.tasks.task import Example

BATCH = 16


class Tagger(nn.Module):
    """Encoder and linear head that give every word of a text a class.

        z_w = W h_first(w) + b        Devlin et al. 2019, section 5.3

    Args:
        encoder: from `load_encoder`; trained in place.
        kinds: of names, at least one.
        seed: chooses the random start of the head, from 0.
    """

    def __init__(self, encoder: Encoder, kinds: Sequence[str], *, seed: int = 0) -> None:
        super().__init__()
        body: Any = encoder.model
        self.encoder = body
        self.tokenizer, self.kinds = encoder.tokenizer, ("", *kinds)
        self.head = nn.Linear(body.config.hidden_size, len(self.kinds))
        nn.init.normal_(self.head.weight, std=0.02, generator=torch.Generator().manual_seed(seed))
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Any) -> Tensor:
        """Scores of every token, shape `(B, T, 1 + K)`."""
        return self.head(self.encoder(**batch).last_hidden_state)  # type: ignore[no-any-return]

    def tokens(self, texts: Sequence[Sequence[str]]) -> tuple[Any, list[list[int]]]:
        """A batch of texts, each a list of words, and the place of each word's first token."""
        batch = self.tokenizer([list(words) for words in texts], is_split_into_words=True, padding=True,
                               truncation=True, return_tensors="pt")
        first = []
        for row, words in enumerate(texts):
            ids = batch.word_ids(row)
            first.append([ids.index(word) for word in range(len(words)) if word in ids])
        return batch, first


def words_of(text: str) -> list[str]:
    """The words of a text, its punctuation apart from them."""
    return text.replace(",", " ,").replace("(", "( ").replace(")", " )").replace(";", " ;").split()


def tune_tagger(tagger: Tagger, examples: Sequence[Example], *, epochs: int, lr: float, seed: int) -> None:
    """Train all of a tagger on examples whose answer lists "kind: name" and whose `extra` is the text.

    Args:
        tagger: trained in place.
        examples: at least one.
        epochs: passes, at least 1.
        lr: learning rate, above 0.
        seed: order, from 0.

    Raises:
        ValueError: a name of a kind that the tagger does not know.
    """
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=lr)
    tagger.train()
    for epoch in range(epochs):
        order = shuffled(examples, (seed, epoch))
        for begin in range(0, len(order), BATCH):
            some = order[begin : begin + BATCH]
            texts = [words_of(example.extra) for example in some]
            batch, first = tagger.tokens(texts)
            labels = torch.full(batch["input_ids"].shape, UNLEARNED)
            for row, (example, words) in enumerate(zip(some, texts, strict=True)):
                labels[row, first[row]] = torch.tensor(_classes(words, example.answer, tagger.kinds))[: len(first[row])]
            loss = F.cross_entropy(tagger(batch).flatten(0, 1), labels.flatten(), ignore_index=UNLEARNED)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def tagged(tagger: Tagger, examples: Sequence[Example]) -> list[str]:
    """The names that a tagger finds, written as the answers of `lib.tasks.entities` are.

    Args:
        tagger: trained.
        examples: at least one.
    """
    said = []
    with judging(tagger):
        for begin in range(0, len(examples), BATCH):
            texts = [words_of(example.extra) for example in examples[begin : begin + BATCH]]
            batch, first = tagger.tokens(texts)
            best = tagger(batch).argmax(2)
            for row, words in enumerate(texts):
                classes = best[row, first[row]].tolist()
                runs = groupby(zip(classes, words, strict=False), key=lambda pair: pair[0])
                said.append("; ".join(f"{tagger.kinds[kind]}: {' '.join(word for _, word in run)}"
                                      for kind, run in runs if kind))
    return said


def _classes(words: Sequence[str], answer: str, kinds: Sequence[str]) -> list[int]:
    """The class of each word, given the names of the whole text."""
    classes = [0] * len(words)
    for part in answer.split("; "):
        kind, _, name = part.partition(": ")
        parts = name.split()
        for i in range(len(words) - len(parts) + 1):
            if list(words[i : i + len(parts)]) == parts:
                classes[i : i + len(parts)] = [kinds.index(kind)] * len(parts)
    return classes
