"""Language models by their own definition in transformers: logits, the tie, where they come from."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertModel, Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from lib import models
from lib.models import LanguageModel, load_decoder
from lib.run.content import content_hash
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

IDS = torch.tensor([[4, 5, 6, 7], [8, 9, 2, 2]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
AT = torch.tensor([[False, True, False, True], [True, False, False, False]])


def folder(path: Path, model: Any, **options: Any) -> Path:
    model.save_pretrained(path, **options)
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def model() -> LanguageModel:
    return LanguageModel(tiny_llama(), tiny_tokenizer())


def test_logits_are_those_of_transformers_from_ids_or_from_vectors(model: LanguageModel) -> None:
    theirs = model.decoder(input_ids=IDS, attention_mask=MASK).logits
    torch.testing.assert_close(model(IDS, MASK), theirs)
    vectors = model.get_input_embeddings()(IDS)
    torch.testing.assert_close(model(attention_mask=MASK, inputs_embeds=vectors), theirs)
    assert not torch.allclose(model(IDS)[1, 1], model(IDS + 1)[1, 1])  # control: it reads what it is given


def test_chosen_positions_get_the_same_logits_row_by_row_and_the_same_gradient(model: LanguageModel) -> None:
    """Within float32's rounding: the products are of other sizes."""
    chosen, everywhere = model(IDS, MASK, at=AT), model(IDS, MASK)
    assert chosen.shape == (3, everywhere.shape[2])
    torch.testing.assert_close(chosen, torch.stack([everywhere[0, 1], everywhere[0, 3], everywhere[1, 0]]))
    one = torch.autograd.grad(chosen.square().sum(), model.get_input_embeddings().weight)[0]
    other = torch.autograd.grad(everywhere[AT].square().sum(), model.get_input_embeddings().weight)[0]
    torch.testing.assert_close(one, other)
    assert model(IDS, MASK, at=torch.zeros_like(AT)).shape == (0, everywhere.shape[2])


@pytest.mark.parametrize(("at", "got"), [(AT.long(), "torch.int64"), (AT[:1], r"\(1, 4\)"), (AT[0], r"\(4,\)")])
def test_positions_that_are_no_truth_values_are_refused(at: torch.Tensor, got: str, model: LanguageModel) -> None:
    with pytest.raises(ValueError, match=rf"at must be of dtype bool and shape \(2, 4\), got .*{got}"):
        model(IDS, MASK, at=at)


def test_a_folder_gives_the_model_in_float32_tied_and_ready_to_answer(tmp_path: Path) -> None:
    before = tiny_llama()
    for part, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        model = load_decoder(folder(tmp_path / part, before.to(dtype)))
        assert {p.dtype for p in model.parameters()} == {torch.float32} and not model.training
        assert model.decoder.lm_head.weight is model.get_input_embeddings().weight
        assert model.source == str(tmp_path / part) and model.sha256 == content_hash(before.float())
        torch.testing.assert_close(model(IDS, MASK), before.float()(input_ids=IDS, attention_mask=MASK).logits)


def test_the_hash_is_of_the_weights_in_whatever_files(tmp_path: Path) -> None:
    whole = load_decoder(folder(tmp_path / "whole", tiny_llama()))
    parts = load_decoder(folder(tmp_path / "parts", tiny_llama(), max_shard_size="20KB"))
    assert len([*(tmp_path / "parts").glob("*.safetensors")]) > 1 and parts.sha256 == whole.sha256
    with torch.no_grad():
        next(parts.parameters()).view(-1)[0] += 1e-6
    assert content_hash(parts.decoder) != whole.sha256 and len(whole.sha256) == 64


def test_other_families_too_and_their_padding_is_the_end_where_they_have_none(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=30, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    place = folder(tmp_path, GPT2LMHeadModel(config))
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(place)
    model = load_decoder(place)
    assert model.tokenizer.pad_token_id == model.tokenizer.eos_token_id == 2
    torch.testing.assert_close(model(IDS, MASK), model.decoder(input_ids=IDS, attention_mask=MASK).logits)


def test_what_is_no_language_model_is_refused_by_name(toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="decoder must be a language model with a head, got BertModel"):
        LanguageModel(BertModel.from_pretrained(toy_folder), tiny_tokenizer())
    body = folder(tmp_path / "body", tiny_llama(tie_word_embeddings=False).model)
    with pytest.raises(ValueError, match=r"weights at .*body' must hold a whole .* model, got none for \['lm_head"):
        load_decoder(body)
    capped = Gemma2ForCausalLM(Gemma2Config(
        vocab_size=30, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=16,
        intermediate_size=32, final_logit_softcapping=0.1))
    with pytest.raises(ValueError, match="logits of Gemma2ForCausalLM must be its head on its hidden states"):
        load_decoder(folder(tmp_path / "capped", capped))


def test_the_bundled_decoder_is_made_again_where_a_single_bit_of_it_is_wrong(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A tiny one stands in for it."""
    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(tmp_path))
    monkeypatch.setitem(models._BUNDLED, "smollm2", ("here", lambda place: folder(place, tiny_llama())))
    monkeypatch.setattr(models, "SMOLLM2_SHA256", content_hash(tiny_llama()))
    before = load_decoder()
    assert (before.source, before.sha256) == ("smollm2", content_hash(tiny_llama())) and not before.training
    file = tmp_path / "here" / "model.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert load_decoder().sha256 == before.sha256 and file.read_bytes() == good
    assert capsys.readouterr().out == f"{tmp_path / 'here'} is damaged: making it again\n"
    monkeypatch.setattr(models, "SMOLLM2_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=f"smollm2's weights must have sha256 000.*, got {before.sha256}"):
        load_decoder()


def test_a_name_that_is_neither_a_folder_nor_on_a_hub_names_the_default(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # what the variable sets when it is imported
    for name in ("nobody/nothing", tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=r"no decoder .* at '.*no.*: neither .* default is load_decoder\(\)"):
            load_decoder(name)
    torch.save(tiny_llama().state_dict(), tmp_path / "pytorch_model.bin")
    tiny_llama().config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no decoder with safetensors weights at"):
        load_decoder(tmp_path)
