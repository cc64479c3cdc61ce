"""Compute frozen lower layers once; train the upper layers on their stored outputs.

A layer that neither trains nor drops anything gives the same states for a text at every step. `read` computes those of
the lower layers once, and `above` is the rest of the model, which takes states in place of token ids. A step then costs
what the layers above cost. Encoders must be built as BERT is, decoders as Llama is.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from lib import _check
from lib.evaluation import Data, _inputs, _rows_at_once, _to, judging
from lib.files.cache import cached
from lib.models import Classifier, LanguageModel, _tied, layers
from lib.run.host import Local, precision
from lib.text.language import Answers

Model = TypeVar("Model", Classifier, LanguageModel, Answers)
"""What has layers to read."""


@dataclass(frozen=True)
class States:
    """A data set with the hidden states of each row: its batches have states in place of token ids.

    Args:
        data: what was read, with its labels: of sentences or of tokens.
        states: one tensor (tokens, D) a row, float32, on the CPU; D is the width of the model.

    Raises:
        ValueError: another number of states than of rows.
    """

    data: Any
    states: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        if len(self.states) != len(self.data):
            raise ValueError(f"states must hold one tensor a row, got {len(self.states)} for {len(self.data)} rows")

    def __len__(self) -> int:
        return len(self.data)

    @property
    def labels(self) -> Any:
        """Those of the data set."""
        return self.data.labels

    def batches(self, size: int, key: tuple[int, ...]) -> list[list[int]]:
        """Those of the data set, whose `size` and `key` these are: rows a batch, at least 1, and what decides them."""
        return self.data.batches(size, key)  # type: ignore[no-any-return]

    def in_length_order(self, size: int) -> list[list[int]]:
        """Those of the data set, in batches of `size`, at least 1."""
        return self.data.in_length_order(size)  # type: ignore[no-any-return]

    def collate(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """One batch of `rows`: `inputs_embeds` (batch, width, D), float32, zero beyond a row's end, in place of ids."""
        batch = self.data.collate(rows)
        del batch["input_ids"]
        batch["inputs_embeds"] = nn.utils.rnn.pad_sequence([self.states[i] for i in rows], batch_first=True)
        return batch  # type: ignore[no-any-return]

    def subset(self, rows: Sequence[int]) -> States:
        """The `rows` asked for, by number from 0, in that order."""
        rows = list(rows)
        return States(self.data.subset(rows), tuple(self.states[i] for i in rows))

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, of everything that training sees."""
        whole = hashlib.sha256(self.data.fingerprint().encode())
        for state in self.states:
            whole.update(state.contiguous().numpy().data)
        return whole.hexdigest()


def read(model: Model, data: Data, *, top: int, batch_size: int | None = None, keep: Path | None = None,
         host: Any = None) -> States:
    """The hidden states below the `top` layers of `model`, for every row of `data`, without dropout.

    Frozen layers give the same states in every epoch, so they are computed once here; `above(model, top=top)` then
    trains on them, and a step costs the upper layers alone. One wants it where several passes or several runs train
    only the top; it needs memory for a vector a token.

    Args:
        model: a `Classifier`, `LanguageModel` or `Answers`; it is not changed. On a GPU, its states come back from
            there.
        data: rows of token ids, padded on the right.
        top: layers above those that are read, at least 0, at most all: then the embeddings alone are read.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.
        keep: folder for what was read, some tens of kilobytes a sentence: every process that reads the same rows with
            the same layers finds it there. None keeps nothing.
        host: its precision is that of the states; `Local()` if not given.

    Raises:
        ValueError: another model, no such number of layers, an encoder that is not built as BERT is or a decoder that
            is not built as Llama is, a batch of no rows, or states in place of token ids.
    """
    body, stack = _stack(model, top)
    if isinstance(data, States):
        raise ValueError("data must hold token ids, as encode makes them, got States")
    device = next(model.parameters()).device
    host, size = host or Local(device.type), _rows_at_once(device, batch_size)
    below = stack[: len(stack) - top]
    if isinstance(model, Classifier):
        lower = _with(body, encoder=_with(body.encoder, layer=below))
    else:
        lower = _with(body, layers=below, norm=nn.Identity())
    lengths = [int(data.collate([i])["attention_mask"].sum()) for i in range(len(data))]

    def compute() -> dict[str, np.ndarray]:
        states = [torch.empty(0)] * len(data)
        with judging(lower), host.autocast():
            for rows in data.in_length_order(size):
                hidden = lower(**_to(device, _inputs(data.collate(rows)))).last_hidden_state.float().cpu()
                for i, state in zip(rows, hidden, strict=True):
                    states[i] = state[: lengths[i]]
        return {"states": torch.cat(states).numpy()}

    if keep is None:
        found = compute()
    else:
        weights, ids = hashlib.sha256(), hashlib.sha256()
        for value in lower.state_dict().values():
            weights.update(value.cpu().contiguous().numpy().data)
        for i in range(len(data)):
            ids.update(data.collate([i])["input_ids"].numpy().data)
        key = {"weights": weights.hexdigest(), "layers": len(below), "ids": ids.hexdigest(), "lengths": lengths,
               "batch": size, "precision": precision(host)}
        found = cached(keep, key, compute)
    return States(data, torch.from_numpy(found["states"]).split(lengths))


def above(model: Model, *, top: int) -> Model:
    """The `top` layers and the head of `model`, as a model of `States`.

    The weights are those of `model`: what trains here is trained there. Maps are attached to its `encoder` or
    `decoder`, so that the layers below get none. On a GPU, move `model` there first.

    Args:
        model: whole, as it will be used: a `Classifier`, `LanguageModel` or `Answers`.
        top: layers, at least 0, then the head alone is left, at most all.

    Raises:
        ValueError: another model, no such number of layers, an encoder that is not built as BERT is or a decoder that
            is not built as Llama is; a head that trains and is the word embedding, on which the states rest; answers
            of several tokens, whose first ones the layers below would have to read.
    """
    body, stack = _stack(model, top)
    upper = stack[len(stack) - top :]
    if isinstance(model, Classifier):
        return _with(model, encoder=_with(body, embeddings=_AsGiven(), encoder=_with(body.encoder, layer=upper)))
    speaks = model.language if isinstance(model, Answers) else model
    if _tied(speaks) and speaks.decoder.lm_head.weight.requires_grad:
        raise ValueError("the head must not train where it is the word embedding, on which the states rest; call "
                         f"freeze(model, top={top}) first")
    part = _with(speaks, decoder=_with(speaks.decoder, model=_with(body, embed_tokens=_AsGiven(), layers=upper)))
    if not isinstance(model, Answers):
        return part
    if longest := [word for word, ids in zip(model.labels, model.tokens, strict=True) if len(ids) > 1]:
        raise ValueError(f"answers must be one token each, as states hold prompts alone, got {longest[0]!r}")
    return _with(model, language=part)


class _AsGiven(nn.Module):
    """In place of the embeddings: what comes in, goes on."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        return inputs_embeds


def _with(module: Any, **parts: nn.Module) -> Any:
    """A copy of `module` in which these `parts` are others, and all else is the same object."""
    copied = copy.copy(module)
    copied._modules = module._modules | parts
    return copied


def _stack(model: Any, top: int) -> tuple[Any, nn.ModuleList]:
    """The body of a classifier or language model and its layers, if it has `top` of them."""
    if isinstance(model, Classifier):
        body, stack = model.encoder, layers(model.encoder)
        if getattr(getattr(body, "encoder", None), "layer", None) is not stack or not hasattr(body, "embeddings"):
            raise ValueError(f"encoder must have embeddings and encoder.layer, as BERT has, got {type(body).__name__}")
    elif isinstance(model, LanguageModel | Answers):
        decoder = model.language.decoder if isinstance(model, Answers) else model.decoder
        body, stack = decoder.model, layers(decoder)
        parts = all(hasattr(body, part) for part in ("embed_tokens", "norm", "rotary_emb"))
        if getattr(body, "layers", None) is not stack or not parts:
            raise ValueError("decoder.model must have embed_tokens, layers, norm and rotary_emb, as Llama has, "
                             f"got {type(body).__name__}")
    else:
        raise ValueError(f"model must be a Classifier or a LanguageModel, got {type(model).__name__}")
    _check.whole(0, len(stack), top=top)
    return body, stack
