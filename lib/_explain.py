"""Sentences for what torch says in its own words: ids without an embedding, too many tokens, wrappers, float16."""
from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def positions(model: nn.Module) -> float:
    """Most tokens that the model has learned places for; infinite where it computes them."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith(("position_embeddings", "wpe", "embed_positions")):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa begins after its padding
            return module.num_embeddings - unused - int(getattr(module, "offset", 0))  # OPT has two more
    return math.inf


@contextmanager
def explained(model: Any, ids: Tensor | None) -> Iterator[None]:
    """Turn torch's error in a forward pass into a sentence, where ids or weights are what is wrong."""
    try:
        yield
    except (IndexError, RuntimeError) as error:
        kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
        if torch.float16 in kinds and next(model.parameters()).device.type == "cpu":
            raise ValueError("weights must be float32 or bfloat16 on a CPU, got float16: call model.float()") from error
        if ids is not None and ids.device.type == "cpu":  # a GPU that met such an id answers nothing more
            words, places = len(model.get_input_embeddings().weight), positions(model)
            if ids.max() >= words:
                raise ValueError(f"token ids must be below {words}, the rows of the word embedding, got {ids.max()}: "
                                 "after adding tokens call resize_token_embeddings(len(tokenizer)) of the transformers "
                                 "model") from error
            if ids.shape[1] > places:
                raise ValueError(f"a text must have at most {places} tokens, the positions of the model, got "
                                 f"{ids.shape[1]}: encode with max_length={places}") from error
        raise


def unwrapping(model: Any) -> str:
    """How to get at the model inside the first wrapper around it or a part of it; "" where there is none."""
    for name, module in model.named_modules() if isinstance(model, nn.Module) else ():
        inside = f"model.{name}".rstrip(".")
        if hasattr(module, "_orig_mod"):
            return f"; unwrap what torch.compile made: {inside}._orig_mod"
        if hasattr(module, "merge_and_unload"):
            return f"; unwrap what peft made: {inside}.merge_and_unload()"
        if hasattr(module, "module") and type(module).__module__.startswith("torch."):  # of data-parallel training
            return f"; unwrap what {type(module).__name__} made: {inside}.module"
    return ""


def shared(state: dict[str, Tensor]) -> list[str]:
    """The first two names in `state` of one weight; none where each weight has one name."""
    first: dict[int, str] = {}
    for name, value in state.items():
        if (other := first.setdefault(value.data_ptr(), name)) != name:
            return [other, name]
    return []
