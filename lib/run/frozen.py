"""Frozen layers, read once: what stands above them trains on what they said.

A layer that neither trains nor drops anything says the same of a sentence at every step. `read` lets the lower layers
of a model say it once, and `above` is the rest of the model, which sees states in place of token ids. A step then
costs what the layers above cost.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib import _check
from lib.data import Dataset
from lib.evaluation import _inputs, _rows_at_once, _to
from lib.files.cache import cached
from lib.models import Classifier, layers
from lib.run.host import Local


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


def read(
    model: Classifier, data: Dataset, *, top: int, batch_size: int | None = None, keep: Path | None = None
) -> States:
    """What the layers of `model` below its `top` say of every row of `data`, without dropout.

    Args:
        model: it is not changed; on a GPU, its states come back from there.
        data: as `encode` makes it.
        top: layers above those that are read, at least 0, at most all: then the embeddings alone are read.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.
        keep: folder for what was read, some tens of kilobytes a sentence: every process that reads the same rows with
            the same layers finds it there. None keeps nothing.

    Raises:
        ValueError: no `Classifier`, no such number of layers, an encoder that is not built as BERT is, a batch of no
            rows, or states in place of token ids.
        OSError: the disk is full, or the folder cannot be written to.
    """
    stack = _stack(model, top)
    if isinstance(data, States):
        raise ValueError("data must hold token ids, as encode makes them, got States")
    device = next(model.parameters()).device
    host, size = Local(device.type), _rows_at_once(device, batch_size)
    lower = copy.deepcopy(_with(model.encoder, encoder=_with(model.encoder.encoder, layer=stack[: len(stack) - top])))
    lower.eval()

    def compute() -> dict[str, np.ndarray]:
        states = [torch.empty(0)] * len(data)
        with torch.no_grad(), host.autocast():
            for rows in data.in_length_order(size):
                hidden = lower(**_to(device, _inputs(data.collate(rows)))).last_hidden_state.float().cpu()
                for i, state in zip(rows, hidden, strict=True):
                    states[i] = state[: len(data.ids[i])]
        return {"states": torch.cat(states).numpy()}

    if keep is None:
        found = compute()
    else:
        weights = hashlib.sha256()
        for value in lower.state_dict().values():
            weights.update(value.cpu().contiguous().numpy().data)
        ids = hashlib.sha256(json.dumps(data.ids).encode()).hexdigest()
        key = {"weights": weights.hexdigest(), "layers": len(stack) - top, "ids": ids, "batch": size, "bf16": host.bf16}
        found = cached(keep, key, compute)
    states = torch.from_numpy(found["states"]).split([len(row) for row in data.ids])
    return States(data.ids, data.labels, data.pad, data.cut, states)


def above(model: Classifier, *, top: int) -> Classifier:
    """The `top` layers and the head of `model`, as a classifier of `States`.

    The weights are those of `model`: what trains here is trained there. Maps are attached to its `encoder`, so that
    the layers below get none. On a GPU, move `model` there first.

    Args:
        model: whole, as it will be used.
        top: layers, at least 0, then the head alone is left, at most all.

    Raises:
        ValueError: no `Classifier`, no such number of layers, or an encoder that is not built as BERT is.
    """
    stack = _stack(model, top)
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


def _stack(model: Classifier, top: int) -> nn.ModuleList:
    """The layers of a classifier whose encoder is built as BERT is, if it has `top` of them."""
    if not isinstance(model, Classifier):
        raise ValueError(f"model must be a Classifier, got {type(model).__name__}")
    module, stack = model.encoder, layers(model.encoder)
    if getattr(getattr(module, "encoder", None), "layer", None) is not stack or not hasattr(module, "embeddings"):
        raise ValueError(f"encoder must have embeddings and encoder.layer, as BERT has, got {type(module).__name__}")
    _check.whole(0, len(stack), top=top)
    return stack
