"""The reader of GGUF files against the `gguf` package, which writes them and reads them independently of us."""
from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from lib.files.gguf import dequantize, read_gguf

KINDS = {"F32": gguf.GGMLQuantizationType.F32, "Q4_1": gguf.GGMLQuantizationType.Q4_1,
         "Q8_0": gguf.GGMLQuantizationType.Q8_0}
SAID = {"general.architecture": "llama", "a.text": "中文 🙂!", "a.whole": 7, "a.real": 0.5, "a.truth": True,
        "a.words": ["good", "bad", ""], "a.numbers": [1, -2, 3]}


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {kind: rng.normal(size=(6, 64)).astype(np.float32) for kind in KINDS} | {"one": np.ones(5, np.float32)}


@pytest.fixture(scope="module")
def file(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, SAID["general.architecture"])
    writer.add_string("a.text", SAID["a.text"])
    writer.add_uint64("a.whole", SAID["a.whole"])
    writer.add_float32("a.real", SAID["a.real"])
    writer.add_bool("a.truth", SAID["a.truth"])
    writer.add_array("a.words", SAID["a.words"])
    writer.add_array("a.numbers", SAID["a.numbers"])
    for name, array in arrays.items():
        kind = KINDS.get(name, gguf.GGMLQuantizationType.F32)
        writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_a_file_says_and_holds_is_what_was_written(file: Path, arrays: dict[str, np.ndarray]) -> None:
    said, stored = read_gguf(file.read_bytes())
    assert said == SAID
    assert {name: each.shape for name, each in stored.items()} == {name: a.shape for name, a in arrays.items()}
    assert [each.kind for each in stored.values()] == ["F32", "Q4_1", "Q8_0", "F32"]


def test_weights_are_those_of_the_package_bit_for_bit(file: Path) -> None:
    stored = read_gguf(file.read_bytes())[1]
    for theirs in gguf.GGUFReader(file).tensors:
        ours = dequantize(stored[theirs.name])
        reference = gguf.dequantize(theirs.data, theirs.tensor_type)
        assert ours.dtype == np.float32 and ours.shape == reference.shape
        np.testing.assert_array_equal(ours.view(np.uint32), reference.view(np.uint32), theirs.name)


def test_blocks_of_four_bits_are_nearest_points_of_a_grid_from_least_to_greatest(
        file: Path, arrays: dict[str, np.ndarray]) -> None:
    """By the format alone: a block keeps its least and greatest weight, and each other one its nearest of 16 points."""
    found = dequantize(read_gguf(file.read_bytes())[1]["Q4_1"]).reshape(-1, 32)
    blocks = arrays["Q4_1"].reshape(-1, 32)
    np.testing.assert_allclose(found.min(1), blocks.min(1), rtol=1e-3)  # float16 has 11 bits
    np.testing.assert_allclose(found.max(1), blocks.max(1), rtol=1e-2)
    d = np.ptp(found, 1, keepdims=True) / 15
    assert (np.abs(found - blocks) <= 0.52 * d).all()  # half a step, and the rounding of d and m


def test_arrays_share_the_memory_of_the_content(file: Path) -> None:
    content = file.read_bytes()
    assert all(np.shares_memory(each.blocks, np.frombuffer(content, np.uint8))
               for each in read_gguf(content)[1].values())


def test_a_damaged_file_is_named_wherever_it_ends(file: Path) -> None:
    content = file.read_bytes()
    for end in [*range(0, len(content) - 8, 37), len(content) // 2]:
        with pytest.raises(ValueError, match="content must be a whole GGUF file"):
            read_gguf(content[:end])
    for other in (b"GGML" + content[4:], content[:4] + struct.pack("<I", 2) + content[8:]):
        with pytest.raises(ValueError, match="content must be a whole GGUF file of version 3, got .*: it begins with"):
            read_gguf(other)


def test_other_ways_of_storing_are_refused_by_name(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "half.gguf", "llama")
    writer.add_tensor("half", np.ones((2, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match="half must be stored as F32, Q4_1, Q8_0, got type 1"):
        read_gguf((tmp_path / "half.gguf").read_bytes())
