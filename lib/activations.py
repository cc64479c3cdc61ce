"""What layers are fed with: the second moment of their inputs on data, which says what a change of them disturbs."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from lib.evaluation import Data, _inputs, _rows_at_once, _to, judging
from lib.names import Where, _matching


def input_covariance(model: nn.Module, where: Where, data: Data, *, batch_size: int | None = None) -> dict[str, Tensor]:
    """Second moments of the inputs of linear layers, over the real tokens of `data`: name -> C, (n, n), float32.

        C = 1/N sum_t x_t x_t^T        as in Frantar and Alistarh 2022, section 3, up to a factor

    Its top eigenvectors span what the layer is used to; $trace(D C D^T)$ is the mean squared change of its outputs
    under a change D of its weight. `output_truncate` and `NullLoRA` start from it.

    Args:
        model: takes the batch without its labels: the body of a decoder, `model.decoder.base_model`, or a `Classifier`.
        where: names of `nn.Linear` modules that see one vector a token.
        data: rows with a mask; padding is left out.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.

    Raises:
        ValueError: nothing matches, no row, a batch of none, or a layer that sees something else than tokens.
    """
    hits, device = _matching(model, where), next(model.parameters()).device
    if not len(data):
        raise ValueError("data must hold at least one row, got none")
    sums = {name: torch.zeros(linear.in_features, linear.in_features, device=device) for name, linear in hits}
    real = torch.empty(0)

    def add(name: str, x: Tensor) -> None:
        if x.shape[:-1] != real.shape:
            raise ValueError(f"{name} must see one vector for each of {tuple(real.shape)} tokens, got {tuple(x.shape)}")
        x = x[real].float()
        sums[name] += x.T @ x

    hooks = [linear.register_forward_pre_hook(lambda _, given, name=name: add(name, given[0])) for name, linear in hits]
    tokens = 0
    try:
        with judging(model):
            for rows in data.in_length_order(_rows_at_once(device, batch_size)):
                batch = _to(device, _inputs(data.collate(rows)))
                real = batch["attention_mask"].bool()
                tokens += int(real.sum())
                model(**batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / tokens for name, total in sums.items()}
