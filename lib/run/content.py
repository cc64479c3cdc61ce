"""What a model is, by the content of its weights: a name that no folder, hub or file format changes."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


def content_hash(model: nn.Module) -> str:
    """The sha256 of a transformers model's own weights, in hexadecimal: the same with maps on them as without.

    Names, types, shapes and bytes count, each shared weight once. It reads all weights: half a second for 500 MB.

    Args:
        model: a transformers model, or one that holds it (a `Classifier`), of which the rest does not count.

    Raises:
        ValueError: there is no transformers model.
    """
    found, seen = {}, set()
    for name, value in transformers_module(model).state_dict(keep_vars=True).items():
        layer, _, mapped = name.partition(".parametrizations.")
        weight, _, part = mapped.partition(".")
        if mapped and part != "original" or id(value) in seen:
            continue
        seen.add(id(value))
        found[f"{layer}.{weight}" if mapped else name] = value
    return tensors_hash(found)


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of names, types, shapes and bytes of `tensors`, in hexadecimal, whatever their order."""
    def line(name: str) -> str:
        value = tensors[name].detach().cpu().contiguous()
        content = hashlib.sha256(value.reshape(-1).view(torch.uint8).numpy().data)
        return f"{name} {value.dtype} {tuple(value.shape)} {content.hexdigest()}\n"

    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter's lock
        return hashlib.sha256("".join(pool.map(line, sorted(tensors))).encode()).hexdigest()


def transformers_module(model: nn.Module) -> Any:
    """The transformers model itself, without the wrapper that this library puts around it.

    Raises:
        ValueError: the model is none and holds none.
    """
    found = [module for module in (model, *model.children()) if isinstance(module, PreTrainedModel)]
    if not found:
        raise ValueError(f"model must be a transformers model or hold one, got {type(model).__name__}")
    return found[0]
