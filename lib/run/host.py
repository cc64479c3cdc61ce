"""Where a run takes place: device, precision, and the rule that makes it repeatable."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib import _check
from lib.run.precision import bf16_pays


class Local:
    """This process alone, on one device, under the names that `fit` uses of `accelerate.Accelerator`.

    Args:
        device: "cpu", "cuda", ...; the first GPU where there is one, if not given.
        bf16: run matrix products in bfloat16 over float32 weights; where that was measured to be faster, if not given.

    Raises:
        ValueError: a device that torch does not know or this machine does not have; a bf16 that is no truth value.
    """

    process_index, num_processes, is_main_process = 0, 1, True

    def __init__(self, device: str | None = None, *, bf16: bool | None = None) -> None:
        try:
            self.device = torch.empty(0, device=device or ("cuda" if torch.cuda.is_available() else "cpu")).device
        except (RuntimeError, AssertionError, TypeError) as error:
            has = "cpu, cuda" if torch.cuda.is_available() else "cpu"
            raise ValueError(f"device must be one that torch has here, such as {has}, got {device!r}") from error
        if bf16 not in (None, True, False):
            raise ValueError(f"bf16 must be True, False or None, got {bf16!r}")
        self.bf16 = bf16_pays(self.device) if bf16 is None else bf16

    def prepare(self, model: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        """The model on the device, and the `optimizer` as it is."""
        return model.to(self.device), optimizer

    def unwrap_model(self, model: nn.Module) -> nn.Module:
        """The model: nothing is wrapped around it."""
        return model

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass, in bfloat16 or as it is."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def reduce(self, values: Tensor, reduction: str) -> Tensor:
        """The `values`, of any shape, as they are: the `reduction`, "sum" or "mean", is over this process alone."""
        return values

    def backward(self, loss: Tensor) -> None:
        """Gradients of `loss`, a scalar."""
        loss.backward()


def precision(host: Any) -> str:
    """In what a run on `host`, `Local()` or an `accelerate.Accelerator`, multiplies matrices, such as "bfloat16"."""
    return "bfloat16" if getattr(host, "bf16", False) else str(getattr(host, "mixed_precision", "float32"))


def seed_step(*key: int) -> None:
    """Point torch's generators, on CPU and GPU, at the stream that `key` names, e.g. (seed, step, rank), each from 0.

    Raises:
        ValueError: a number below 0.
    """
    for number in key:
        _check.whole(0, key=number)
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1)


@contextmanager
def deterministic() -> Iterator[None]:
    """Only kernels whose result does not depend on the order in which threads finish; the caller's settings come back.

    Torch would also fill fresh memory to expose reads of it; that costs a pass over each tensor and is left off.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
