"""Frozen layers, read once: what stands above them trains on what they said.

    h_l = layer_l(h_{l-1}),  l = 1 ... L;  the lowest L - top layers neither train nor drop anything,

so h_{L-top} of a sentence is the same at every step: `Reader` computes and remembers it, `above` is the rest of the
model, which sees states in place of token ids. A step then costs what its `top` layers cost.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lib import _check
from lib.data import Dataset
from lib.host import Local
from lib.models import Classifier, Encoder, layers, load_encoder


@dataclass(frozen=True)
class States(Dataset):
    """A `Dataset` that holds what the lower layers said of each row: its batches have states in place of token ids.

    Args:
        states: one tensor (tokens, D) a row, float32, on the CPU; D is the width of the encoder.

    Raises:
        ValueError: another number of states than of rows, or of tokens in one; what `Dataset` refuses.
    """

    states: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if [len(state) for state in self.states] != [len(row) for row in self.ids]:
            raise ValueError(f"states must hold one row a token of ids, got {len(self.states)} for {len(self)} rows")

    def collate(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """One batch of `rows`: `inputs_embeds` (batch, width, D), float32, zero beyond a row's end, in place of ids."""
        batch = super().collate(rows)
        del batch["input_ids"]
        batch["inputs_embeds"] = nn.utils.rnn.pad_sequence([self.states[i] for i in rows], batch_first=True)
        return batch

    def subset(self, rows: Sequence[int]) -> States:
        """The `rows` asked for, by number from 0, in that order."""
        rows = list(rows)
        kept = super().subset(rows)
        return States(kept.ids, kept.labels, kept.pad, kept.cut, tuple(self.states[i] for i in rows))

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, of everything that training sees."""
        whole = hashlib.sha256(super().fingerprint().encode())
        for state in self.states:
            whole.update(state.contiguous().numpy().data)
        return whole.hexdigest()


class Reader:
    """The lower layers of an encoder, frozen and without dropout: from a `Dataset` to its `States`.

    A sentence is read by itself, so that its state does not depend on its company, and remembered: some tens of
    kilobytes for a sentence and a width of a few hundred.

    Args:
        encoder: from `load_encoder`; it is copied, so that training it changes nothing here.
        top: layers above those that are read, at least 0, at most all: then the embeddings alone are read.

    Raises:
        ValueError: no such number of layers, or an encoder that is not built as BERT is.
    """

    def __init__(self, encoder: Encoder, *, top: int) -> None:
        stack = _stack(encoder.model, top)
        lower = _with(encoder.model, encoder=_with(encoder.model.encoder, layer=stack[: len(stack) - top]))
        self._host = Local()
        self._lower = copy.deepcopy(lower).requires_grad_(False).eval().to(self._host.device)
        self._known: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, data: Dataset) -> States:
        """The rows of `data`, as `encode` made it, with the state of each."""
        for row in map(tuple, data.ids):
            if row not in self._known:
                with torch.no_grad(), self._host.autocast():
                    hidden = self._lower(input_ids=torch.tensor([row], device=self._host.device)).last_hidden_state
                self._known[row] = hidden[0].float().cpu()
        return States(data.ids, data.labels, data.pad, data.cut, tuple(self._known[tuple(row)] for row in data.ids))


@functools.cache
def reader(name: str = "minilm", *, top: int) -> Reader:
    """The `Reader` of an encoder by its name, one for all who ask in this process.

    Args:
        name: as in `load_encoder`.
        top: layers above those that are read, as in `Reader`.

    Raises:
        ValueError: what `load_encoder` and `Reader` refuse.
    """
    return Reader(load_encoder(name), top=top)


def above(model: Classifier, *, top: int) -> Classifier:
    """The `top` layers and the head of `model`, as a classifier of `States`.

    The weights are those of `model`: what trains here is trained there. Maps are attached to its `encoder`, so that
    the layers below get none. On a GPU, move `model` there first.

    Args:
        model: its layers below the `top` are those of the `Reader`'s encoder.
        top: layers, at least 0, then the head alone is left, at most all.

    Raises:
        ValueError: no `Classifier`, no such number of layers, or an encoder that is not built as BERT is.
    """
    if not isinstance(model, Classifier):
        raise ValueError(f"model must be a Classifier, got {type(model).__name__}")
    stack = _stack(model.encoder, top)
    upper = _with(model.encoder.encoder, layer=stack[len(stack) - top :])
    return _with(model, encoder=_with(model.encoder, embeddings=_AsGiven(), encoder=upper))


class _AsGiven(nn.Module):
    """In place of the embeddings: what comes in, goes on."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        return inputs_embeds


def _with(module: Any, **parts: nn.Module) -> Any:
    """A copy of `module` in which these `parts` are others, and all else is the same object."""
    copied = copy.copy(module)
    copied._modules = module._modules | parts
    return copied


def _stack(module: Any, top: int) -> nn.ModuleList:
    """The layers of an encoder that is built as BERT is, if it has `top` of them."""
    stack = layers(module)
    if getattr(getattr(module, "encoder", None), "layer", None) is not stack or not hasattr(module, "embeddings"):
        raise ValueError(f"encoder must have embeddings and encoder.layer, as BERT has, got {type(module).__name__}")
    _check.whole(0, len(stack), top=top)
    return stack
