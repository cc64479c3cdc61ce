"""A stand-in for a GPU on a machine without one: real numbers, kept on the CPU, under the name cuda.

Within `card()` what is made on "cuda" or moved there is a `Card`, `torch.cuda.is_available()` is true, and whatever
mixes a `Card` with a tensor of the CPU, or draws on one with a generator of the CPU, raises as it does on a GPU.
"""
from __future__ import annotations

from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_NAME = torch.device("cuda", 0)
_ACROSS = {"_to_copy", "copy_", "set_"}  # may read one device and write another
_PLACES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}  # places may lie on the CPU


class Card(torch.Tensor):
    """A tensor `on_cpu` that says it lies on the GPU; torch itself takes it for one without data ("meta")."""

    on_cpu: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Card:
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=torch.device("meta"))
        made.on_cpu = inner
        return made

    device = property(lambda self: _NAME)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]

    @property
    def data(self) -> torch.Tensor:  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, new: torch.Tensor) -> None:
        if not isinstance(new, Card):
            raise RuntimeError("a weight on the GPU was given data of the CPU")
        self.on_cpu = new.on_cpu

    def tolist(self) -> Any:
        return self.on_cpu.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __format__(self, spec: str) -> str:
        return self.on_cpu.__format__(spec)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Card({self.on_cpu})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied = self.detach().clone().requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                copied._is_param = True  # type: ignore[attr-defined]
            memo[id(self)] = copied
        return memo[id(self)]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return _attention(*args, **(kwargs or {}))
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):  # a list becomes one without data
            args = (args[0], tree_map(lambda x: torch.tensor(x) if isinstance(x, list) else x, args[1],
                                      is_leaf=lambda x: isinstance(x, list)), *args[2:])
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (),  # type: ignore[override]
                           kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _attention(q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
               scale: float | None = None, enable_gqa: bool = False) -> Any:
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    z = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(z.shape[-2:], dtype=torch.bool, device=z.device).tril()
    if attn_mask is not None:
        z = z.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else z + attn_mask
    return F.dropout(z.softmax(-1), dropout_p) @ v


def _on_cpu(x: Any) -> Any:
    return x.on_cpu if isinstance(x, Card) else torch.device("cpu") if isinstance(x, torch.device) else x


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    cards = [t for t in tensors if isinstance(t, Card)]
    asked = next((x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.device)), None)
    there = bool(cards) if asked is None else asked.type in ("cuda", "meta")
    if cards and name not in _ACROSS:
        looked_at = tensors[:1] if name in _PLACES else tensors
        for t in looked_at:
            if not isinstance(t, Card) and (t.dim() or name in _PLACES):
                raise RuntimeError(f"Expected all tensors to be on the same device, but {func} got cuda:0 and cpu")
    generator = kwargs.get("generator")
    if there and generator is not None and generator.device.type == "cpu":
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu', in {func}")
    inner = tree_map(_on_cpu, (args, kwargs))
    found = func(*inner[0], **inner[1])
    if name.endswith("_") and not name.endswith("__"):
        return args[0] if found is not None else None
    if asked is not None and not there:
        return found
    return tree_map(lambda t: Card(t) if there and type(t) is torch.Tensor else t, found)


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Made(TorchFunctionMode):
    """`torch.tensor(..., device="cuda")` does not pass the other mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == "cuda":
            return func(*args, **kwargs | {"device": "cpu"}).to(_NAME)
        return func(*args, **kwargs)


@contextmanager
def card() -> Any:
    """A machine whose one GPU is pretended."""
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # ties between weights stay
    try:
        with (mock.patch("torch.cuda.is_available", lambda: True), mock.patch("torch.cuda._lazy_init", lambda: None),
              mock.patch("torch.inference_mode", torch.no_grad),
              mock.patch("lib.run.host.bf16_pays", lambda device: False), _Mode(), _Made()):
            yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swaps)
