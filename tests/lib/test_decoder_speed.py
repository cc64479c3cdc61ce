"""What makes a decoder train faster changes nothing that it says or learns."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lib import adapters
from lib import models as module
from lib.adapters import LoRA, attach
from lib.models import LanguageModel
from lib.names import ends_in
from lib.text.language import next_token
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

IDS = torch.tensor([[4, 5, 6, 7, 8, 2], [9, 10, 11, 2, 2, 2]])
RIGHT = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])  # the second text ends in the token that pads
LABELS = IDS.where(RIGHT.bool(), -100)


def adapted() -> LanguageModel:
    model = LanguageModel(tiny_llama(), tiny_tokenizer())
    generator = torch.Generator().manual_seed(0)
    attach(model, ends_in("q_proj", "down_proj"), lambda W: LoRA(W, rank=4, alpha=8, generator=generator))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("weight.0.B"):
                p.copy_(torch.randn(p.shape, generator=generator))
    return model.train()


def gradients(model: LanguageModel, *, bf16: bool) -> list[Tensor]:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = next_token()(model, {"input_ids": IDS, "attention_mask": RIGHT, "labels": LABELS})
    loss.total.backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("mask", [RIGHT, RIGHT.flip(1), torch.tensor([[1] * 6, [1, 0, 0, 1, 1, 1]]), None])
def test_hidden_states_of_real_tokens_are_those_of_transformers(mask: Tensor | None) -> None:
    """Padding on the right, on the left, a hole, none; the mask counts but on the right."""
    model = LanguageModel(tiny_llama(), tiny_tokenizer())
    real = torch.ones_like(IDS).bool() if mask is None else mask.bool()
    with torch.no_grad():
        own = model.hidden(IDS, mask)[real]
        true = model.decoder.model(input_ids=IDS, attention_mask=mask, use_cache=False).last_hidden_state[real]
        blind = model.decoder.model(input_ids=IDS, use_cache=False).last_hidden_state[real]
    torch.testing.assert_close(own, true, rtol=1e-5, atol=1e-5)
    if mask is not None and not torch.equal(mask, RIGHT):
        assert not torch.allclose(own, blind, rtol=1e-3, atol=1e-3)  # control: there the mask counts


@pytest.mark.parametrize("bf16", [False, True])
def test_frozen_weights_are_not_copied_and_gradients_keep_their_bits(bf16: bool,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted()
    own = gradients(model, bf16=bf16)
    monkeypatch.setattr(adapters, "_frozen_linear", torch.nn.functional.linear)
    true = gradients(model, bf16=bf16)
    assert len(own) == len(true) == 12 and all(torch.equal(a, b) for a, b in zip(own, true, strict=True))


def saved(linear: torch.nn.Linear) -> int:
    """Bytes that autograd keeps of one layer, beside its parameters."""
    kept, own = 0, {p.data_ptr() for p in linear.parameters()}

    def pack(t: Tensor) -> Tensor:
        nonlocal kept
        kept += 0 if t.data_ptr() in own else t.numel() * t.element_size()
        return t

    x = torch.randn(3, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), torch.autocast("cpu", torch.bfloat16):
        linear(x).float().sum().backward()
    return kept


def test_autograd_keeps_no_second_copy_of_a_frozen_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 64))
    attach(model, lambda name: name == "0", lambda W: LoRA(W, rank=2, alpha=4))
    weight = 64 * 64 * 2  # in bfloat16
    assert saved(model.train()[0]) < weight
    monkeypatch.setattr(adapters, "_frozen_linear", torch.nn.functional.linear)
    assert saved(model[0]) > weight


def test_plain_attention_teaches_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 both attentions round; the plain one by no more than half as much again."""
    model = adapted()
    plain = torch.cat([g.flatten() for g in gradients(model, bf16=True)])
    assert model.decoder.config._attn_implementation == "sdpa"  # as it was
    monkeypatch.setattr(module, "_plain_attention_pays", lambda given: False)
    fused = torch.cat([g.flatten() for g in gradients(model, bf16=True)])
    true = torch.cat([g.flatten() for g in gradients(model, bf16=False)])
    errors = [((found - true).norm() / true.norm()).item() for found in (plain, fused)]
    assert 0 < errors[0] < 1.5 * errors[1] < 0.075, errors
    assert not torch.equal(plain, fused)  # control: it is another path


@pytest.mark.parametrize("words, grad, bf16, pays", [
    (67, True, True, True), (257, True, True, False), (67, False, True, False), (67, True, False, False)])
def test_plain_attention_is_for_short_texts_that_train_in_bfloat16(words: int, grad: bool, bf16: bool,
                                                                  pays: bool) -> None:
    with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        assert module._plain_attention_pays(torch.zeros(2, words)) is pays
