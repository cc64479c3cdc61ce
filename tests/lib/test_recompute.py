"""Gradients where layers are computed again in the backward pass: they are those of one pass, dropout included."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.adapters import LoRA, attach
from lib.loss import Loss
from lib.names import ends_in
from lib.run.host import Local
from lib.training import Plan, fit
from tests.lib.tiny import TinyBert, bert_batch
from tests.lib.tiny_decoder import tiny_llama


class Decoder(nn.Module):
    """The tiny Llama with dropout in its attention, scored by its mean logit at each row's end."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = tiny_llama(attention_dropout=0.3, attn_implementation="eager")

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.decoder(input_ids=input_ids % 27, attention_mask=attention_mask, use_cache=False).logits[:, -1, :2]


def with_lora(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    attach(model, ends_in("query"), lambda W: LoRA(W, 4, 8))
    for name, parameter in model.named_parameters():
        if name.endswith(".B"):
            nn.init.normal_(parameter)
    return model


MADE: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "encoder": (lambda: TinyBert(p=0.3), lambda model: model.encoder),
    "lora": (lambda: with_lora(TinyBert(p=0.3)), lambda model: model.encoder),
    "decoder": (Decoder, lambda model: model.decoder),
}


def gradients(name: str, recompute: bool | None) -> dict[str, Tensor]:
    """Of one step of `fit` with a rate that moves nothing, under recomputation, reentrant or not, or without (None)."""
    make, part = MADE[name]
    model = make()
    if recompute is not None:
        part(model).enable_input_require_grads()
        part(model).gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": recompute})
    kept: dict[str, Tensor] = {}

    class Keep(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            loss = closure()
            kept.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
            return loss

    fit(model, Keep(model.parameters(), 1e-9), objective, Rows(), Plan(epochs=1, batch_size=6, clip=float("inf")),
        host=Local("cpu", bf16=False), show=False)
    return kept


def objective(model: nn.Module, batch: dict[str, Tensor]) -> Loss:
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    return Loss(nn.functional.cross_entropy(logits, batch["labels"]), logits, {})


class Rows:
    """One batch."""

    def __len__(self) -> int:
        return 6

    def batches(self, size: int, key: Any) -> list[list[int]]:
        return [list(range(6))]

    def collate(self, rows: list[int]) -> dict[str, Tensor]:
        return bert_batch()

    def fingerprint(self) -> str:
        return ""


def off(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """How far apart, as a share of the gradient."""
    assert a.keys() == b.keys() and len(a) > 2
    gap = sum(float((a[n] - b[n]).square().sum()) for n in a)
    return (gap / sum(float(a[n].square().sum()) for n in a)) ** 0.5


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("name", MADE)
def test_gradients_under_recomputation_are_those_without(name: str, reentrant: bool) -> None:
    """pytorch#124788: a mode around the forward pass alone is not there in the recomputation."""
    assert off(gradients(name, None), gradients(name, reentrant)) < 1e-5  # float32, another order of sums


@contextmanager
def own_dropout() -> Iterator[None]:
    """The bug: dropout of one's own in the first pass, from another stream of numbers than the recomputation's."""
    real, stream = nn.functional.dropout, torch.Generator().manual_seed(1)

    def drop(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or torch.is_grad_enabled():  # the first, reentrant pass is without gradients
            return real(x, p, training)
        return x * (torch.rand(x.shape, generator=stream) >= p) / (1 - p)

    nn.functional.dropout = drop
    try:
        yield
    finally:
        nn.functional.dropout = real


@pytest.mark.parametrize("name", MADE)
def test_a_dropout_that_recomputation_does_not_repeat_is_seen(name: str) -> None:
    """The negative control."""
    with own_dropout():
        assert off(gradients(name, None), gradients(name, True)) > 0.01
