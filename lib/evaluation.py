"""Predictions of a model, and how good they are; nothing here disturbs training."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lib import _check
from lib.loss import Batch
from lib.run.host import Local
from lib.stopping import Record


class Data(Protocol):
    """What `fit` needs of a data set; `lib.data.Dataset` is one."""

    def __len__(self) -> int: ...
    def batches(self, size: int, key: tuple[int, ...]) -> list[list[int]]: ...
    def in_length_order(self, size: int) -> list[list[int]]: ...
    def collate(self, rows: list[int]) -> Batch: ...
    def fingerprint(self) -> str: ...


def predict_logits(model: nn.Module, data: Data, *, batch_size: int | None = None, host: Any = None) -> Tensor:
    """The model's logits for every row of `data`, in order, in evaluation mode: (rows, classes), float32 on the CPU.

    Args:
        data: batches and their content.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.
        host: `Local()` of the model's device, if not given, or an `accelerate.Accelerator`.

    Raises:
        ValueError: no row, a batch of none, or a model that does not give one row of numbers a text.
    """
    device = next(model.parameters()).device
    batch_size = _rows_at_once(device, batch_size)
    if not len(data):
        raise ValueError("data must hold at least one row, got none")
    host = host or Local(device.type)
    order, parts = data.in_length_order(batch_size), list[Tensor]()
    with judging(model), host.autocast():
        for rows in order:
            part = model(**_to(device, _inputs(data.collate(rows))))
            if part.shape != (len(rows), *(parts[0] if parts else part).shape[1:2]):
                raise ValueError(f"model must give (rows, classes), as wide for each text, got {tuple(part.shape)} for "
                                 f"{len(rows)} texts; of a language model, Answers makes a classifier")
            parts.append(part.float().cpu())
    logits = torch.cat(parts)
    return torch.empty_like(logits).index_copy_(0, torch.tensor([i for rows in order for i in rows]), logits)


def correct(model: nn.Module, data: Data, *, batch_size: int | None = None, host: Any = None) -> NDArray[np.bool_]:
    """Whether the class that the model holds most likely is the label, for every row of hard-labelled `data`, in order.

    Its mean is the accuracy. Keep the rows themselves: two models judged on the same ones can be compared one by one.

    Args:
        data, batch_size, host: as in `predict_logits`, rows.

    Raises:
        ValueError: what `predict_logits` refuses, labels that are no classes, a class that the model does not have.
    """
    labels = _classes(data)
    logits = _by_class(predict_logits(model, data, batch_size=batch_size, host=host), labels)
    return (logits.argmax(1) == labels).numpy()


@contextmanager
def judging(model: nn.Module) -> Iterator[None]:
    """A block in which `model` is judged: without dropout or gradients; each module then goes on in the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:  # a frozen encoder in a model that trains may be in evaluation mode
            module.training = training


def evaluator(data: Data, *, batch_size: int | None = None, host: Any = None) -> Callable[[nn.Module], Record]:
    """Function from a model to its "accuracy", "macro_f1" and mean negative log-likelihood "nll", nats, on `data`.

        F1_c = 2 hits_c / (called_c + rows_c);   macro-F1 is its mean over the classes c that are there or are called

    Accuracy forgives a model that never finds a rare class; in macro-F1 each class weighs the same.

    Args:
        data: with hard labels.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.
        host: `Local()` of the model's device, if not given, or an `accelerate.Accelerator`.

    Raises:
        ValueError: a batch of no rows, labels that are no classes; when called: a class that the model does not have.
    """
    _rows_at_once(torch.device("cpu"), batch_size)
    labels = _classes(data)

    def evaluate(model: nn.Module) -> Record:
        logits = _by_class(predict_logits(model, data, batch_size=batch_size, host=host), labels)
        nll, called = nn.functional.cross_entropy(logits, labels), logits.argmax(1)
        return {"accuracy": (called == labels).double().mean().item(), "macro_f1": _macro_f1(called, labels),
                "nll": nll.item()}

    return evaluate


def _macro_f1(called: Tensor, labels: Tensor) -> float:
    """Mean of F1 over the classes that are there or are called."""
    classes = torch.cat([called, labels]).unique()[:, None]
    is_called, is_there = called == classes, labels == classes
    hits = (is_called & is_there).sum(1).double()
    return (2 * hits / (is_called.sum(1) + is_there.sum(1))).mean().item()


def _classes(data: Data) -> Tensor:
    """The labels, one class a row."""
    labels = data.collate(list(range(len(data))))["labels"]
    if labels.is_floating_point() or labels.ndim != 1:
        raise ValueError(f"data must hold one class a row, whole numbers, got labels such as {labels[0].tolist()}")
    return labels


def _by_class(logits: Tensor, labels: Tensor) -> Tensor:
    """One column a class, wide enough for the labels."""
    if logits.shape[1] == 1:  # one Bernoulli logit z is the pair (0, z)
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    if labels.max() >= logits.shape[1]:
        raise ValueError(f"labels must be between 0 and {logits.shape[1] - 1}, got {labels.max()}")
    return logits


def _rows_at_once(device: torch.device, batch_size: int | None = None) -> int:
    """Rows a batch where nothing trains: `batch_size`, or what keeps the device busy."""
    rows = (64 if device.type == "cpu" else 512) if batch_size is None else batch_size
    _check.whole(1, batch_size=rows)
    return rows


def _inputs(batch: Batch) -> Batch:
    """The batch without its labels: the model's keyword arguments."""
    return {name: value for name, value in batch.items() if name != "labels"}


def _to(device: torch.device, batch: Batch) -> Batch:
    """The batch on `device`."""
    return {name: value.to(device) for name, value in batch.items()}
