"""What a slip with texts, labels, tokens or models is called: one sentence, wherever it comes in."""
from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import peft
import pytest
import torch
from torch import nn
from transformers import OPTConfig, OPTForCausalLM, RobertaConfig, RobertaModel

from lib import models
from lib._explain import positions
from lib.data import Dataset, encode
from lib.models import Classifier, Encoder, LanguageModel, embed, save
from lib.text.conversations import encode_conversations, encode_pairs
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

BLANK = ["", " \n\t", "\x00", "\x01\x1f\x7f", "\u200b", "\ufeff", "\u200d\u2060", "\u00ad", "\u0301", "\ufe0f",
         "\u20dd", "\u3164", "\u115f", "\uffa0", "\u2800", "\u180e", "\ue000", "\uffff", "\U000e0020", "\u2028"]
SEEN = ["a", "0", "!", "好", "❤️", "é", "e\u0301", "\u200bgood", "\U0001f469\u200d\U0001f4bb", "ก็", "\x00good"]


@pytest.fixture
def model(toy_encoder: Encoder) -> Classifier:
    return Classifier(toy_encoder, ["bad", "good"])


def ways_in(model: Classifier) -> dict[str, Callable[[str], Any]]:
    """Every function that takes texts, given one as its second row."""
    decoder = tiny_tokenizer()
    turns = [{"role": "user", "content": "good"}, {"role": "assistant", "content": "yes"}]
    return {
        "encode": lambda text: encode(model.tokenizer, ["good", text], [0, 1]),
        "predict": lambda text: model.predict(["good", text]),
        "probabilities": lambda text: model.probabilities(["good", text]),
        "pairs": lambda text: encode_pairs(decoder, [("good", "yes"), (text, "yes")], max_length=64),
        "plain": lambda text: encode_pairs(decoder, [("good", " yes"), (text, " yes")], max_length=64, chat=False),
        "conversations": lambda text: encode_conversations(
            decoder, [turns, [turns[0] | {"content": text}, turns[1]]], max_length=64),
    }


@pytest.mark.parametrize("text", BLANK, ids=ascii)
def test_every_way_in_refuses_a_text_without_ink_and_numbers_it(text: str, model: Classifier) -> None:
    for name, way in ways_in(model).items():
        with pytest.raises(ValueError, match=r"must not be blank, got .* (at 1|in row 1)$") as caught:
            way(text)
        assert str(caught.value).isprintable(), name


def test_every_way_in_refuses_bytes_that_were_no_text(model: Classifier) -> None:
    text = b"caf\xe9 good".decode("utf-8", "surrogateescape")  # what Python makes of an argument in another encoding
    for way in ways_in(model).values():
        with pytest.raises(ValueError, match=r"must be whole Unicode, got 'caf\\udce9 good' .*1: bytes that cannot"):
            way(text)


@pytest.mark.parametrize("text", SEEN, ids=ascii)
def test_what_has_ink_is_read(text: str, model: Classifier) -> None:
    for way in ways_in(model).values():
        way(text)


def test_a_text_of_which_the_tokenizer_knows_nothing_is_refused(model: Classifier) -> None:
    """BERT drops the replacement character, so that nothing would be left but [CLS] and [SEP]."""
    assert model.tokenizer("\ufffd")["input_ids"] == model.tokenizer("")["input_ids"]
    with pytest.raises(ValueError, match="texts must hold a word for the tokenizer, got .* at 1"):
        model.predict(["good", "\ufffd"])


# Labels and texts in other containers


def test_columns_cut_from_a_table_are_read_by_place(model: Classifier) -> None:
    table = pd.DataFrame({"text": ["good", "bad"] * 5, "name": ["yes", "no"] * 5, "class": [1, 0] * 5})[5:]
    with pytest.raises(ValueError, match="labels must be whole numbers or probabilities, got 'no'; index_labels"):
        encode(model.tokenizer, table["text"], table["name"])
    found = encode(model.tokenizer, table["text"], table["class"])
    assert found.labels == [0, 1, 0, 1, 0]
    with pytest.raises(ValueError, match=r"labels must be classes from 0, or probabilities, got -1 at 0"):
        encode(model.tokenizer, table["text"], table["class"] - 1)
    with pytest.raises(ValueError, match="labels must be whole numbers or probabilities, got True"):
        encode(model.tokenizer, table["text"], table["class"] == 0)
    with pytest.raises(ValueError, match="got a table; give one of its columns, .*'name'"):
        model.predict(table)


def test_generators_are_read_once_and_whole(model: Classifier) -> None:
    texts = ["good", "a bad plot"]
    there = encode(model.tokenizer, iter(texts), iter([0, 1]))
    assert (there.ids, there.labels) == (encode(model.tokenizer, texts, [0, 1]).ids, [0, 1])
    assert model.predict(iter(texts)) == model.predict(texts)
    assert Dataset([[1], [2]], (p for p in (0.25, 1.0))).labels == [0.25, 1.0]
    assert Dataset([[1], [2]], torch.tensor([1, 0])).labels == [1, 0]
    pairs, decoder = [("good", "yes")], tiny_tokenizer()
    assert encode_pairs(decoder, iter(pairs), max_length=64).ids == encode_pairs(decoder, pairs, max_length=64).ids


@pytest.mark.parametrize("value", [None, 3, "good", b"good", {"good": 1}, {"good", "bad"}], ids=repr)
def test_what_is_no_list_is_named(value: Any, model: Classifier) -> None:
    for call, name in ((lambda: model.predict(value), "texts"), (lambda: encode(model.tokenizer, value, [0]), "texts"),
                       (lambda: encode(model.tokenizer, ["a"], value), "labels"),
                       (lambda: encode_pairs(tiny_tokenizer(), value, max_length=64), "pairs"),
                       (lambda: encode_conversations(tiny_tokenizer(), value, max_length=64), "conversations")):
        with pytest.raises(ValueError, match=f"{name} must be a list of .*, got "):
            call()


# Tokens that do not fit the model


def roberta(encoder: Encoder) -> Encoder:
    """A RoBERTa of 64 positions: its table has 66 rows, since it counts from behind the padding."""
    config = RobertaConfig(vocab_size=len(encoder.tokenizer), hidden_size=32, num_hidden_layers=1,
                           num_attention_heads=2, intermediate_size=32, max_position_embeddings=66, pad_token_id=1)
    return replace(encoder, model=RobertaModel(config, add_pooling_layer=False))


@pytest.mark.parametrize("made", [lambda encoder: encoder, roberta], ids=["bert", "roberta"])
def test_a_long_text_is_cut_to_the_positions_or_refused(
        made: Callable[[Encoder], Encoder], toy_encoder: Encoder, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = made(toy_encoder)
    assert encoder.tokenizer.model_max_length > 10**9 and positions(encoder.model) == 64
    model = Classifier(encoder, ["bad", "good"]).eval()
    long, fits = "good " * 100, "good " * 62  # and two special tokens
    assert model.probabilities([long]).tolist() == model.probabilities([fits]).tolist()
    assert capsys.readouterr().out == "1 of 1 texts were cut to 64 tokens\n"
    data = encode(encoder.tokenizer, [long], [0])
    for call in (lambda: embed(encoder, data), lambda: model(**encode_batch(data))):
        with pytest.raises(ValueError, match="at most 64 tokens, the positions of the model, got 102: encode with "
                                             "max_length=64"):
            call()


def encode_batch(data: Dataset) -> dict[str, torch.Tensor]:
    return {name: value for name, value in data.collate([0]).items() if name != "labels"}


def test_positions_of_other_families() -> None:
    """Checked against what each model itself can read."""
    opt = OPTForCausalLM(OPTConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, ffn_dim=8,
                                   max_position_embeddings=16, word_embed_proj_dim=8, pad_token_id=1))
    assert positions(opt) == 16 and positions(tiny_llama()) == float("inf")
    opt(torch.full((1, 16), 3))
    with pytest.raises((IndexError, RuntimeError)):
        opt(torch.full((1, 17), 3))


def test_a_token_added_without_a_resize_is_named(toy_encoder: Encoder) -> None:
    size = len(toy_encoder.tokenizer)
    toy_encoder.tokenizer.add_tokens(["zebra"])
    decoder = LanguageModel(tiny_llama(), tiny_tokenizer())
    words = f"token ids must be below {size}, .* got {size}: after adding tokens call resize_token_embeddings"
    data = encode(toy_encoder.tokenizer, ["a zebra"], [0])
    for call in (lambda: Classifier(toy_encoder, ["a", "b"]).predict(["a zebra"]), lambda: embed(toy_encoder, data)):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(ValueError, match="token ids must be below 27, the rows of the word embedding, got 27"):
        decoder(torch.tensor([[1, 27]]))
    toy_encoder.model.resize_token_embeddings(size + 1)
    Classifier(toy_encoder, ["bad", "good"]).predict(["a zebra"])


def test_an_error_of_another_cause_stays_as_it_is(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.encoder, "forward", fail)
    with pytest.raises(RuntimeError, match="^out of memory$"):
        model.predict(["good"])


@pytest.mark.parametrize("part", ["encoder", "norm", "all"])
def test_float16_on_a_cpu_is_named(part: str, model: Classifier) -> None:
    (model if part == "all" else getattr(model, part)).half()
    with torch.autocast("cpu", torch.bfloat16, enabled=part == "all"), \
            pytest.raises(ValueError, match=r"weights must be float32 or bfloat16 on a CPU, got float16: call mod"):
        model(torch.tensor([[2, 5, 3]]))


# Models in wrappers


@pytest.mark.parametrize(("wrap", "way"), [
    (nn.DataParallel, "DataParallel made: model{}.module"),
    (torch.compile, "torch.compile made: model{}._orig_mod"),
    (torch.optim.swa_utils.AveragedModel, "AveragedModel made: model{}.module"),
    (lambda inner: peft.get_peft_model(inner, peft.LoraConfig(target_modules=["query", "q_proj"])),
     r"peft made: model{}.merge_and_unload\(\)"),
], ids=["data-parallel", "compile", "average", "peft"])  # fmt: skip
def test_a_wrapped_model_says_how_to_unwrap_it(wrap: Callable[[Any], Any], way: str, model: Classifier,
                                               tmp_path: Path) -> None:
    inner = copy.deepcopy(model)
    inner.encoder = wrap(inner.encoder)
    outer = wrap(model)
    for wrapped, place in ((outer, ""), (inner, ".encoder")):
        with pytest.raises(ValueError, match=f"must be a plain Classifier, .*; unwrap what {way.format(place)}$"):
            save(wrapped, tmp_path / "m")
    with pytest.raises(ValueError, match=f"must be a Classifier or a LanguageModel, .*; unwrap what {way.format('')}$"):
        models.freeze(outer, top=1)
    with pytest.raises(ValueError, match="decoder must be a language model with a head, got .*; unwrap what"):
        LanguageModel(wrap(tiny_llama()), tiny_tokenizer())
    assert not [*tmp_path.glob("m*")]


def test_what_the_sentence_says_to_unwrap_can_be_saved(model: Classifier, tmp_path: Path) -> None:
    save(nn.DataParallel(model).module, tmp_path / "a")
    save(torch.compile(model)._orig_mod, tmp_path / "b")
    model.encoder = peft.get_peft_model(model.encoder, peft.LoraConfig(target_modules=["query"])).merge_and_unload()
    save(model, tmp_path / "c")


def test_layers_that_share_a_weight_are_named(model: Classifier, tmp_path: Path) -> None:
    layers = model.encoder.encoder.layer
    layers[1] = layers[0]
    with pytest.raises(ValueError, match=r"but encoder\S*layer.0.\S* and encoder\S*layer.1.\S* share a weight: "):
        save(model, tmp_path / "m")
    layers[1] = copy.deepcopy(layers[0])  # the remedy
    save(model, tmp_path / "m")
