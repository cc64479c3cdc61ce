"""`lib.run.frozen` against the whole model: the same logits, the same training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.adapters import LoRA, attach, merge
from lib.data import Dataset, encode
from lib.evaluation import predict_logits
from lib.models import Classifier, Encoder, LanguageModel, freeze, layers
from lib.names import ends_in
from lib.objectives import cross_entropy
from lib.regularizers import set_dropout
from lib.run.frozen import States, above, read
from lib.run.host import Local
from lib.text.language import Answers, next_token
from lib.text.likelihood import token_nll
from lib.training import Plan, fit
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

Texts = tuple[list[str], list[int]]


def trained(model: Classifier, data: Dataset) -> None:
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.01)
    fit(model, optimizer, cross_entropy(), data, Plan(epochs=3, lr=1e-2), host=Local("cpu"), show=False)


@pytest.fixture
def data(toy_encoder: Encoder, toy_texts: Texts) -> Dataset:
    return encode(toy_encoder.tokenizer, *toy_texts)


@pytest.mark.parametrize("top", [0, 1, 2])
def test_the_part_above_says_what_the_whole_says(top: int, toy_encoder: Encoder, data: Dataset) -> None:
    model = Classifier(toy_encoder, [0, 1])
    states = read(model, data, top=top, batch_size=7)
    torch.testing.assert_close(predict_logits(above(model, top=top), states), predict_logits(model, data))


@pytest.mark.parametrize("top", [0, 1, 2])
def test_training_it_is_training_the_whole_with_the_rest_frozen(top: int, toy_encoder: Encoder, data: Dataset) -> None:
    whole = Classifier(copy.deepcopy(toy_encoder), [0, 1])
    model = Classifier(toy_encoder, [0, 1])
    before = predict_logits(model, data)
    set_dropout(whole, 0.0)
    set_dropout(model, 0.0)
    freeze(whole, top=top)
    trained(whole, data)
    trained(above(model, top=top), read(model, data, top=top))
    after = predict_logits(model, data)  # of the model that was given, not of the part
    torch.testing.assert_close(after, predict_logits(whole, data), rtol=1e-3, atol=1e-4)
    assert (after - before).abs().max() > 0.1


def test_what_is_read_has_no_dropout_and_the_model_stays_as_it_was(toy_encoder: Encoder, data: Dataset) -> None:
    model = Classifier(toy_encoder, [0, 1])
    set_dropout(model, 0.5)
    model.train()
    first, second = (read(model, data, top=1).states for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_it_is_this_model_that_reads(toy_encoder: Encoder, data: Dataset) -> None:
    model = Classifier(toy_encoder, [0, 1])
    before = read(model, data, top=1).states
    with torch.no_grad():
        next(layers(model.encoder)[1].parameters()).add_(1.0)
    assert torch.equal(read(model, data, top=1).states[0], before[0])
    with torch.no_grad():
        next(layers(model.encoder)[0].parameters()).add_(1.0)
    assert not torch.equal(read(model, data, top=1).states[0], before[0])


def test_maps_on_the_part_are_maps_of_the_model(toy_encoder: Encoder, data: Dataset) -> None:
    model = Classifier(toy_encoder, [0, 1])
    part = above(model, top=1)
    freeze(part, top=0)
    assert len(attach(part.encoder, ends_in("query"), lambda W: LoRA(W, 2, 4))) == 1  # none in the layer below
    states = read(model, data, top=1)
    trained(part, states)
    with_maps = predict_logits(part, states)
    merge(model)
    torch.testing.assert_close(predict_logits(model, data), with_maps, rtol=1e-4, atol=1e-5)


def test_states_are_cut_and_known_again_as_a_data_set_is(toy_encoder: Encoder, data: Dataset) -> None:
    model = Classifier(toy_encoder, [0, 1])
    states = read(model, data, top=1)
    batch = states.collate([0, 5])
    width, shorter = (choose(len(data.ids[0]), len(data.ids[5])) for choose in (max, min))
    assert batch["inputs_embeds"].shape == (2, width, 32) and "input_ids" not in batch
    assert shorter < width and not batch["inputs_embeds"][:, shorter:].any(-1).all()
    assert torch.equal(batch["attention_mask"], data.collate([0, 5])["attention_mask"])
    assert states.labels == data.labels
    assert torch.equal(states.subset([5, 0]).collate([0])["inputs_embeds"], states.collate([5])["inputs_embeds"])
    assert states.fingerprint() == read(model, data, top=1).fingerprint()
    assert states.fingerprint() != read(model, data, top=0).fingerprint()


def test_what_was_read_is_found_again_by_the_same_layers_and_rows_alone(
    toy_encoder: Encoder, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Classifier(toy_encoder, [0, 1])
    first = read(model, data, top=1, keep=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(first.states, read(model, data, top=1).states, strict=True))
    calls = []
    embeddings = type(model.encoder.embeddings)
    forward = embeddings.forward
    monkeypatch.setattr(embeddings, "forward", lambda *args, **more: calls.append(1) or forward(*args, **more))
    again = read(model, data, top=1, keep=tmp_path)
    assert not calls and torch.equal(again.states[3], first.states[3])
    read(model, data.subset([3]), top=1, keep=tmp_path)
    read(model, data, top=0, keep=tmp_path)
    with torch.no_grad():
        next(layers(model.encoder)[1].parameters()).add_(1.0)  # above what is read
    read(model, data, top=1, keep=tmp_path)
    assert len(calls) == 2 and len(list(tmp_path.glob("*.npz"))) == 3
    with torch.no_grad():
        next(layers(model.encoder)[0].parameters()).add_(1.0)
    moved = read(model, data, top=1, keep=tmp_path)
    assert len(calls) == 3 and not torch.equal(moved.states[3], first.states[3])


def test_what_means_nothing_is_refused_by_name(toy_encoder: Encoder, data: Dataset) -> None:
    model = Classifier(toy_encoder, [0, 1])
    with pytest.raises(ValueError, match="top must be a whole number between 0 and 2, got 3"):
        read(model, data, top=3)
    with pytest.raises(ValueError, match="top must be a whole number between 0 and 2, got -1"):
        above(model, top=-1)
    with pytest.raises(ValueError, match="model must be a Classifier or a LanguageModel, got Linear"):
        above(nn.Linear(2, 2), top=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        read(model, data, top=1, batch_size=0)
    with pytest.raises(ValueError, match="data must hold token ids, as encode makes them, got States"):
        read(model, read(model, data, top=1), top=1)
    model.encoder = nn.Sequential(nn.ModuleList([nn.Linear(2, 2)]))
    with pytest.raises(ValueError, match="encoder must have embeddings and .*, as BERT has, got Sequential"):
        above(model, top=1)
    with pytest.raises(ValueError, match="states must hold one tensor a row, got 0 for 40 rows"):
        States(data)


# A decoder: what it says next, and its answers as classes

HERE = Local("cpu", bf16=False)
SPOKEN = [[4 + (3 * i + j) % 20 for j in range(3 + i % 6)] for i in range(24)]
PROMPTS = Dataset(SPOKEN, [i % 2 for i in range(24)], pad=2)
TOKENS = tiny_tokens(SPOKEN, [i % 2 for i in range(24)], pad=2)


def language(**changes: Any) -> LanguageModel:
    return LanguageModel(tiny_llama(3, **changes), tiny_tokenizer())


def spoken(model: LanguageModel, data: Dataset, at: Tensor) -> Tensor:
    """Logits at every real token."""
    batch = data.collate(range(len(data)))
    batch.pop("labels")
    with torch.no_grad():
        return model(**batch, at=at)


def learned(model: nn.Module, objective: Any, data: Any) -> None:
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.01)
    fit(model, optimizer, objective, data, Plan(epochs=3, batch_size=8, lr=1e-2), host=HERE,
        show=False)


@pytest.mark.parametrize("top", [0, 1, 2, 3])
def test_a_decoder_s_part_above_says_what_the_whole_says(top: int) -> None:
    model = language()
    freeze(model, top=top)
    real = TOKENS.collate(range(24))["attention_mask"].bool()
    states = read(model, TOKENS, top=top, batch_size=7, host=HERE)
    torch.testing.assert_close(spoken(above(model, top=top), states, real), spoken(model, TOKENS, real))
    assert token_nll(states)(above(model, top=top)) == pytest.approx(token_nll(TOKENS)(model), rel=1e-5)
    answers = Answers(model, ["good", "bad"])
    part = above(answers, top=top)
    states = read(answers, PROMPTS, top=top, host=HERE)
    expected = predict_logits(answers, PROMPTS, host=HERE)
    torch.testing.assert_close(predict_logits(part, states, host=HERE), expected)


@pytest.mark.parametrize("top", [0, 1, 3])
@pytest.mark.parametrize("kind", ["next_token", "answers"])
@pytest.mark.parametrize("tied", [True, False])
def test_training_a_decoder_s_part_is_training_the_whole_with_the_rest_frozen(tied: bool, kind: str, top: int) -> None:
    whole, model = (language(tie_word_embeddings=tied) for _ in range(2))
    objective, data = (next_token(), TOKENS) if kind == "next_token" else (cross_entropy(), PROMPTS)
    if kind == "answers":
        whole, model = Answers(whole, ["good", "bad"]), Answers(model, ["good", "bad"])
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    trains = freeze(whole, top=top)
    assert freeze(model, top=top) == trains
    learned(whole, objective, data)
    learned(above(model, top=top), objective, read(model, data, top=top, host=HERE))
    for (name, mine), theirs in zip(model.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
        assert torch.equal(mine, start[name]) is (name not in trains)


@pytest.mark.parametrize("kind", ["next_token", "answers"])
def test_maps_on_a_decoder_s_part_are_maps_of_the_model(kind: str) -> None:
    model = language() if kind == "next_token" else Answers(language(), ["good", "bad"])
    objective, data = (next_token(), TOKENS) if kind == "next_token" else (cross_entropy(), PROMPTS)
    freeze(model, top=2)
    part = above(model, top=2)
    names = attach(part, ends_in("q_proj", "v_proj", "up_proj"), lambda W: LoRA(W, 2, 4))
    assert len(names) == 6  # none in the layer below
    states = read(model, data, top=2, host=HERE)
    learned(part, objective, states)
    batch, cached = (each.collate(range(24)) for each in (data, states))
    with torch.no_grad():
        mapped = objective(part, cached).logits
        merge(model)
        torch.testing.assert_close(objective(model.eval(), batch).logits, mapped, rtol=1e-4, atol=1e-5)


def test_what_is_frozen_of_a_decoder(toy_encoder: Encoder) -> None:
    names = freeze(language(), top=1)
    assert {name.rsplit(".", 2)[-2] for name in names if "layers" not in name} == {"norm"}
    assert {name.split(".")[3] for name in names if "layers" in name} == {"2"} and len(names) == 1 + 9
    assert freeze(Answers(language(), ["good", "bad"]), top=0) == ["language.decoder.model.norm.weight"]
    own = language(tie_word_embeddings=False)
    assert freeze(own, top=0) == ["decoder.model.norm.weight", "decoder.lm_head.weight"]
    assert len(freeze(own, top=None)) == len(list(own.parameters()))
    with pytest.raises(ValueError, match="top must be a whole number between 0 and 3, got 4"):
        freeze(own, top=4)


def test_what_means_nothing_of_a_decoder_is_refused_by_name() -> None:
    model = language()
    with pytest.raises(ValueError, match=r"the head must not train .* call freeze\(model, top=1\) first"):
        above(model, top=1)
    above(language(tie_word_embeddings=False), top=1)
    freeze(model, top=1)
    with pytest.raises(ValueError, match="answers must be one token each, .* got 'very bad'"):
        above(Answers(model, ["good", "very bad"]), top=1)
    with pytest.raises(ValueError, match="top must be a whole number between 0 and 3, got 4"):
        read(model, TOKENS, top=4)
    model.decoder.model.norm = None
    del model.decoder.model.rotary_emb
    with pytest.raises(ValueError, match="decoder.model must have .* rotary_emb, as Llama has, got LlamaModel"):
        read(model, TOKENS, top=1)
