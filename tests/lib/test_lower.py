"""`lib.lower` against the whole model: the same logits, the same training, the same bits in any company."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from lib.data import Dataset, encode
from lib.host import Local
from lib.lower import Reader, States, above, reader
from lib.models import Classifier, Encoder, freeze, load_encoder
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
    states = Reader(toy_encoder, top=top)(data)
    torch.testing.assert_close(predict_logits(above(model, top=top), states), predict_logits(model, data))


@pytest.mark.parametrize("top", [0, 1, 2])
def test_training_it_is_training_the_whole_with_the_rest_frozen(
    top: int, toy_encoder: Encoder, data: Dataset
) -> None:
    whole = Classifier(copy.deepcopy(toy_encoder), [0, 1])
    model = Classifier(toy_encoder, [0, 1])
    before = predict_logits(model, data)
    states = Reader(toy_encoder, top=top)(data)
    set_dropout(whole, 0.0)
    set_dropout(model, 0.0)
    freeze(whole, top=top)
    whole.encoder.embeddings.requires_grad_(False)
    trained(whole, data)
    trained(above(model, top=top), states)
    after = predict_logits(model, data)  # of the model that was given, not of the part
    torch.testing.assert_close(after, predict_logits(whole, data), rtol=1e-3, atol=1e-4)
    assert (after - before).abs().max() > 0.1


def test_what_is_frozen_has_no_dropout(toy_encoder: Encoder, data: Dataset) -> None:
    toy_encoder.model.train()
    set_dropout(toy_encoder.model, 0.5)
    first, second = (Reader(toy_encoder, top=1)(data).states for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert toy_encoder.model.training


def test_a_state_does_not_depend_on_its_company_and_is_computed_once(toy_encoder: Encoder, data: Dataset) -> None:
    read = Reader(toy_encoder, top=1)
    alone, together = read(data.subset([3])), Reader(toy_encoder, top=1)(data)
    assert torch.equal(alone.states[0], together.states[3])
    assert read(data).states[3] is alone.states[0]


def test_what_trains_later_does_not_move_a_reader(toy_encoder: Encoder, data: Dataset) -> None:
    read, model = Reader(toy_encoder, top=1), Classifier(toy_encoder, [0, 1])
    before = Reader(toy_encoder, top=1)(data).states
    trained(model, data)
    assert all(torch.equal(a, b) for a, b in zip(read(data).states, before, strict=True))
    moved = Reader(toy_encoder, top=1)(data).states
    assert not torch.equal(moved[0], before[0])
    assert next(model.encoder.parameters()).requires_grad  # the copy is frozen, not the encoder


def test_maps_on_the_part_are_maps_of_the_model(toy_encoder: Encoder, data: Dataset) -> None:
    model = Classifier(toy_encoder, [0, 1])
    part = above(model, top=1)
    freeze(part, top=0)
    assert len(attach(part.encoder, ends_in("query"), lambda W: LoRA(W, 2, 4))) == 1  # none in the layer below
    states = Reader(load_encoder(toy_encoder.source), top=1)(data)
    trained(part, states)
    with_maps = predict_logits(part, states)
    merge(model)
    torch.testing.assert_close(predict_logits(model, data), with_maps, rtol=1e-4, atol=1e-5)


def test_states_are_cut_and_known_again_as_a_data_set_is(toy_encoder: Encoder, data: Dataset) -> None:
    states = Reader(toy_encoder, top=1)(data)
    batch = states.collate([0, 5])
    width = max(len(data.ids[0]), len(data.ids[5]))
    assert batch["inputs_embeds"].shape == (2, width, 32) and "input_ids" not in batch
    shorter = min(len(data.ids[0]), len(data.ids[5]))
    assert shorter < width and not batch["inputs_embeds"][:, shorter:].any(-1).all()
    assert torch.equal(states.subset([5, 0]).collate([0])["inputs_embeds"], states.collate([5])["inputs_embeds"])
    assert states.fingerprint() == Reader(toy_encoder, top=1)(data).fingerprint()
    assert states.fingerprint() != Reader(toy_encoder, top=0)(data).fingerprint()


def test_a_reader_is_found_again_by_its_name(toy_folder: Path) -> None:
    assert reader(str(toy_folder), top=1) is reader(str(toy_folder), top=1)
    assert reader(str(toy_folder), top=1) is not reader(str(toy_folder), top=0)


def test_what_means_nothing_is_refused_by_name(toy_encoder: Encoder, data: Dataset) -> None:
    with pytest.raises(ValueError, match="top must be a whole number between 0 and 2, got 3"):
        Reader(toy_encoder, top=3)
    with pytest.raises(ValueError, match="top must be a whole number between 0 and 2, got -1"):
        above(Classifier(toy_encoder, [0, 1]), top=-1)
    with pytest.raises(ValueError, match="model must be a Classifier, got Linear"):
        above(nn.Linear(2, 2), top=1)  # type: ignore[arg-type]
    other = Encoder(nn.Sequential(nn.ModuleList([nn.Linear(2, 2)])), toy_encoder.tokenizer, "", "")
    with pytest.raises(ValueError, match="encoder must have embeddings and .*, as BERT has, got Sequential"):
        Reader(other, top=1)
    with pytest.raises(ValueError, match="states must hold one row a token of ids, got 0 for 40 rows"):
        States(data.ids, data.labels)
