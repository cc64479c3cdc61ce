"""Where a run takes place: device, precision, the rule that makes it repeatable, and dropout that costs less there."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lib import _check


def has_bf16(device: torch.device) -> bool:
    """Whether the processor of `device` multiplies bfloat16 in hardware; emulation is far slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)


class Local:
    """This process alone, on one device, under the names that `fit` uses of `accelerate.Accelerator`.

    Args:
        device: "cpu", "cuda", ...; the first GPU where there is one, if not given.
        bf16: run matrix products in bfloat16 over float32 weights; where the processor has it, if not given.

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
        self.bf16 = has_bf16(self.device) if bf16 is None else bf16

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


def seed_step(*key: int) -> None:
    """Point torch's generators, on CPU and GPU, at the stream that `key` names, e.g. (seed, step, rank), each from 0.

    Raises:
        ValueError: a number below 0.
    """
    _check.whole(0, **{f"key[{i}]": number for i, number in enumerate(key)})
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


class FastDropout(TorchFunctionMode):
    """Within it, dropout on a processor takes 16 random bits a number, a third of the time of torch's own.

        x -> M * x / P(M = 1),   M ~ Bernoulli,   P(M = 1) is 1 - p rounded to a multiple of 2^-16

    Torch draws 53 bits, one number after the other. Both scale by the probability that they draw with, so both leave
    the mean alone. Attention with dropout, for which torch has no fused kernel there, is written out. On a GPU, whose
    kernels draw side by side, nothing changes.

    Source: Srivastava et al. 2014, section 10, for dropout that scales what it keeps.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """`func` of its arguments, or what stands in its place."""
        swapped = {F.dropout: _dropout, F.scaled_dot_product_attention: _attention}.get(func, func)
        return swapped(*args, **(kwargs or {}))


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    kept = round((1 - p) * 2**16)
    if not training or inplace or x.device.type != "cpu" or not 0 < kept < 2**16:
        return F.dropout(x, p, training, inplace)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    M = bits[: x.numel()].view(x.shape) < kept - 2**15
    return x * M * (2**16 / kept)  # backward keeps M, a byte a number


def _attention(Q: Tensor, K: Tensor, V: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
               is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    if not dropout_p or Q.device.type != "cpu" or is_causal or enable_gqa:
        return F.scaled_dot_product_attention(Q, K, V, attn_mask, dropout_p, is_causal, scale=scale,
                                              enable_gqa=enable_gqa)
    scores = (Q * (Q.shape[-1] ** -0.5 if scale is None else scale)) @ K.mT
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return _dropout(scores.softmax(-1), dropout_p) @ V
