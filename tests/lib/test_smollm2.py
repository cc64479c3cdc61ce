"""The real decoder: the file it comes from is the oracle, read by the `gguf` package and by transformers."""
from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from lib import models
from lib.adapters import DoRA, LoRA, PiSSA, attach, detach, merge
from lib.corpora.sentiment import load_domain
from lib.files import pretrained
from lib.files.fetch import fetch, member
from lib.files.pretrained import SMOLLM2, SMOLLM2_FILE, SMOLLM2_FILE_SHA256, SMOLLM2_WHEEL_SHA256
from lib.models import SMOLLM2_SHA256, LanguageModel, load_decoder, model_folder
from lib.names import ends_in
from lib.run.adapter_files import load_adapter, save_adapter
from lib.run.content import content_hash
from lib.text.generation import generate_ids

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load_decoder()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the file in it, fetched once."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / SMOLLM2).write_bytes(fetch(SMOLLM2, SMOLLM2_WHEEL_SHA256, remedy=""))
    (folder / "file.gguf").write_bytes(member((folder / SMOLLM2).read_bytes(), SMOLLM2_FILE, SMOLLM2_FILE_SHA256))
    return folder


# What transformers' own reader of the file answers greedily; the top two words are never closer than 0.03.
ANSWERS = {
    "What is the capital of France?": [504, 3575, 282, 4649, 314, 7042, 30, 2],
    "Is the film good? Review: a dull, endless film.": [57, 5248, 22657, 327, 750, 9563, 28, 564],
    "用中文说你好。": [57, 5248, 18948, 346, 983, 957, 724, 30],
    "Count from 1 to 5.": [33, 30, 216, 33, 198, 34, 30, 216],
    "Name three colours.": [33, 30, 3950, 42, 669, 314, 260, 768],
}


@pytest.mark.parametrize("prompt", ANSWERS)
def test_the_answers_are_those_of_transformers_reader(prompt: str, model: LanguageModel) -> None:
    said = [{"role": "user", "content": prompt}]
    told = model.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    assert told.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face")
    assert told.endswith(f"<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n")
    ids = model.tokenizer(told, return_tensors="pt").input_ids
    with torch.no_grad():
        answer = model.decoder.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
    assert answer[0, ids.shape[1]:].tolist() == ANSWERS[prompt]


def test_it_is_what_the_file_says(model: LanguageModel) -> None:
    config, tokenizer = model.decoder.config, model.tokenizer
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (30, 576, 49152)
    assert tokenizer.pad_token == tokenizer.eos_token == "<|im_end|>" and tokenizer.bos_token == "<|im_start|>"
    assert set(tokenizer("a")) == {"input_ids", "attention_mask"}  # old versions of transformers add a third
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.model_max_length) == (2, 1, 8192)
    assert model.decoder.lm_head.weight is model.get_input_embeddings().weight
    assert {weight.dtype for weight in model.parameters()} == {torch.float32} and not model.training
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    assert (model.source, model.sha256) == ("smollm2", SMOLLM2_SHA256)


def test_logits_at_chosen_positions_are_those_of_all(model: LanguageModel) -> None:
    batch = model.tokenizer(["A fine film.", "Dull, and long."], return_tensors="pt", padding=True)
    at = torch.zeros_like(batch.input_ids, dtype=torch.bool)
    at[0, 1] = at[1, 0] = at[1, 3] = True
    with torch.no_grad():
        torch.testing.assert_close(model(**batch, at=at), model(**batch)[at], atol=1e-3, rtol=1e-4)  # logits reach 20


def test_every_weight_is_that_of_the_file_bit_for_bit(model: LanguageModel, shop: Path) -> None:
    """Queries and keys after ggml's own order of rows, w.reshape(heads, 2, half, n).swapaxes(1, 2), is put back."""
    ours = {name: weight.detach().numpy() for name, weight in model.decoder.named_parameters()}
    theirs = gguf.GGUFReader(shop / "file.gguf").tensors
    assert len(ours) == len(theirs) == 272
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 30)
    by_file = {names.get_name(name, try_suffixes=(".weight",)): weight for name, weight in ours.items()}
    for tensor in theirs:
        weight = by_file[tensor.name]
        if heads := {"attn_q": 9, "attn_k": 3}.get(tensor.name.split(".")[-2]):
            weight = weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
        reference = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert weight.shape == reference.shape, tensor.name
        assert (weight.view(np.uint32) == reference.view(np.uint32)).all(), tensor.name


def test_tokens_are_those_of_transformers_reader_but_for_white_space_before_a_number(
        model: LanguageModel, shop: Path) -> None:
    reader = pytest.importorskip("transformers.integrations.gguf")
    theirs: Any = reader.convert_gguf_tokenizer(*reader.get_gguf_tokenizer(str(shop / "file.gguf"))[:2])[0]
    texts = [s.text for domain in ("movies", "nyt", "tweets") for s in load_domain(domain)[:1000]]
    texts += ["中文，你好。", "🙂 👩‍👩‍👧 🇫🇷", "3.14 1,000 12 a1", "  two  spaces ", "\t\n\n x\r\n", "é e\u0301 ﬁ ß", "",
              "<|im_start|>user\nhi<|im_end|>\n", "don't I'LL we've", "\u200b\u00a0x", "x" * 500]
    usual = [text for text in texts if not re.search(r"\s\s\d|[½²]", text)]
    assert len(usual) > 2900
    assert [model.tokenizer.encode(text) for text in usual] == [theirs.encode(text).ids for text in usual]
    assert all(model.tokenizer.decode(model.tokenizer.encode(text)) == text for text in texts)


def test_every_digit_is_a_piece_of_its_own_as_the_file_asks(model: LanguageModel) -> None:
    """The file's `smollm` stands for cutting at each number first: what is beside it is read as if it stood alone."""
    for before in ("", "a", " ", "  ", "\n\n", "   ", "a\n   "):
        for number in "0127½²":
            apart = [token for part in (before, number, "  b") for token in model.tokenizer.encode(part)]
            assert model.tokenizer.encode(f"{before}{number}  b") == apart


# An adapter on it

PROMPTS = ["The capital of France is", "A dull, endless film.", "Count: 1, 2, 3,", "She opened the door", "def f(x):",
           "Water boils at", "To be or not to", "My favourite colour is", "Two plus two equals", "Once upon a time"]
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
KINDS: dict[str, tuple[tuple[str, ...], Callable[[torch.Tensor], torch.nn.Module]]] = {
    "LoRA": (LINEAR, lambda W: LoRA(W, 8, alpha=16.0)),
    "PiSSA, folded": (("q_proj", "v_proj"), lambda W: PiSSA(W, 4, alpha=4.0)),
    "DoRA": (("o_proj", "up_proj"), lambda W: DoRA(W, 4, alpha=8.0))}


@torch.no_grad()
def last(model: LanguageModel, rows: list[list[int]]) -> torch.Tensor:
    """Log-probabilities of the token after each row."""
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.int64) for row in rows], True)
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True)
    at = torch.nn.functional.one_hot(mask.sum(1) - 1, mask.shape[1]).bool()
    return model(ids, mask, at=at).log_softmax(1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_says_the_same_attached_merged_loaded_again_and_in_peft(
        kind: str, model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Next-token log-probabilities after ten prompts, within 1e-4 in float32.

    Products of matrices round differently in merged weights: over all places of a text they were seen 1.8e-4 apart.
    """
    from peft import PeftModel

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    layers, make = KINDS[kind]
    rows, base = [model.tokenizer(prompt)["input_ids"] for prompt in PROMPTS], model.decoder.state_dict()
    plain = {name: value.clone() for name, value in base.items() if name.split(".")[-2] in layers}
    untuned = last(model, rows)

    def told() -> tuple[torch.Tensor, list[list[int]]]:
        return last(model, rows), generate_ids(model, rows, max_new_tokens=2)

    attach(model.decoder, ends_in(*layers), make)
    with torch.no_grad():
        for name, value in model.named_parameters():  # stands for training
            if name.endswith((".A", ".B", ".M")):
                value.add_(0.01 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))))
    save_adapter(model, tmp_path)
    attached, words = told()
    merge(model)
    found = {"merged": told()}
    model.decoder.load_state_dict(plain, strict=False)
    load_adapter(model, tmp_path)
    found["loaded again"] = told()
    detach(model)
    theirs = PeftModel.from_pretrained(model.decoder, tmp_path, autocast_adapter_dtype=False).eval()
    found["in peft"] = told()  # peft puts its layers into the model that it is given
    theirs.unload()
    assert content_hash(model) == SMOLLM2_SHA256
    assert (attached - untuned).abs().max() > 0.1  # it does something
    for where, (log_p, written) in found.items():
        assert (log_p - attached).abs().max() < 1e-4, where
        for row, ours, other in zip(rows, words, written, strict=True):
            if ours != other:  # only where the top two of the base with the adapter are too close to call
                same = next(t for t, pair in enumerate(zip(ours, other, strict=False)) if pair[0] != pair[1])
                load_adapter(model, tmp_path)
                top = last(model, [row + ours[:same]])[0].topk(2).values
                detach(model)
                assert top[0] - top[1] < 1e-4, where


# From the wheel to the cache

LOAD = """
import os, re
from lib.models import load_decoder
os.umask(0o022)
found = load_decoder().sha256
with open("/proc/self/status") as status:  # `getrusage` would count what the process that started this one had
    print(found, *re.findall(r"VmHWM:\\s+(\\d+)", status.read()))
"""


def test_a_fresh_machine_gets_it_once_within_its_memory_and_then_needs_no_network(
        model: LanguageModel, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.5 GB while it converts, its 0.5 GB of weights in memory and torch included."""
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop), "PIP_CONFIG_FILE": os.devnull,
                        "PROJECT_AND_REGULARIZE_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", LOAD], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, kilobytes = done.stdout.split()
    assert found == SMOLLM2_SHA256 and int(kilobytes) < 1_500_000
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert {path.name for path in files} == {"config.json", "model.safetensors", "tokenizer.json",
                                             "tokenizer_config.json"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("pip was called"))
    fresh = load_decoder()
    assert fresh.sha256 == SMOLLM2_SHA256
    for text in ("A fine  film.", "a  12\n\n3", "中文 🙂 <|im_end|>"):  # the cache that the other tests read is as new
        assert fresh.tokenizer.encode(text) == model.tokenizer.encode(text)
    assert fresh.tokenizer.chat_template == model.tokenizer.chat_template
    assert fresh.decoder.config.to_diff_dict() == model.decoder.config.to_diff_dict()


def test_weights_that_are_cut_off_are_noticed_and_made_again(
        model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    good = model_folder("smollm2")

    def fill(folder: Path) -> None:
        for path in good.iterdir():
            (folder / path.name).symlink_to(path)

    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(tmp_path))
    monkeypatch.setitem(models._BUNDLED, "smollm2", ("here", fill))
    (tmp_path / "here").mkdir()
    fill(tmp_path / "here")
    (tmp_path / "here" / "model.safetensors").unlink()
    with (good / "model.safetensors").open("rb") as file:
        (tmp_path / "here" / "model.safetensors").write_bytes(file.read(1_000_000))
    assert load_decoder().sha256 == model.sha256
    assert capsys.readouterr().out == f"{tmp_path / 'here'} is damaged: making it again\n"


def test_another_file_in_the_wheel_or_none_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wheel(name: str) -> Any:
        with io.BytesIO() as file:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(name, "no model")
            content = file.getvalue()
        return lambda *_, **__: content

    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(tmp_path))
    for name, message in ((SMOLLM2_FILE, f"{SMOLLM2_FILE} must have sha256 b179c95.*, got"),
                          ("other", f"{SMOLLM2_FILE} must be a file in the archive, but the archive has none")):
        monkeypatch.setattr(pretrained, "fetch", wheel(name))
        with pytest.raises(ValueError, match=message):
            load_decoder()


def test_without_wheel_and_network_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path),
                        "PROJECT_AND_REGULARIZE_CACHE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=f"pip could not fetch {SMOLLM2}, .*: run `python -c .*load_decoder.*` in "
                                           "the book's folder once where pip reaches a package index; pip said: "):
        load_decoder()
