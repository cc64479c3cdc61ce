"""`lib.lower` against the whole model: the same logits, the same training."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from lib.data import Dataset, encode
from lib.host import Local
from lib.lower import States, above, read
from lib.models import Classifier, Encoder, freeze, layers
from lib.projection import LoRA, attach, ends_in, merge
from lib.regularizers import cross_entropy, set_dropout
from lib.training import Plan, fit, predict_logits

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
