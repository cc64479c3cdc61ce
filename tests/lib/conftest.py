"""What the tests of `lib` share: one thread, a toy encoder with a real tokenizer, sentences that can be learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from lib.models import Encoder

WORDS = "good great fine bad awful poor film book plot the a was it not very".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two suites often share a machine, and the bits of a result depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    """A folder with a two-layer BERT of width 32 and its tokenizer, as `save_pretrained` writes them."""
    folder = tmp_path / "toy"
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))  # the one way in that old and new transformers share
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return folder


@pytest.fixture
def toy_encoder(toy_folder: Path) -> Encoder:
    from lib.models import load_encoder

    return load_encoder(toy_folder)


@pytest.fixture
def toy_texts() -> tuple[list[str], list[int]]:
    """Forty sentences whose label is a word's: learnable, with labels 0 and 1 in turn."""
    good, bad, rest = WORDS[:3], WORDS[3:6], WORDS[6:]
    texts = [
        f"the {rest[i % 3]} was {(good if i % 2 else bad)[i % 3]} {' '.join(rest[3 : 3 + i % 7])}" for i in range(40)
    ]
    return texts, [i % 2 for i in range(40)]
