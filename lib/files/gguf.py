"""Read a GGUF file: what it says of itself, and its weights as float32.

The formats, by the specification and the reference code of ggml (2023): a block is 32 weights of one row; `Q4_1`
holds for each two float16 numbers d and m and 32 numbers q of 4 bits, `Q8_0` holds d and 32 numbers q of 8 bits.
"""
from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = {0: ("F32", 1, 4), 3: ("Q4_1", 32, 20), 8: ("Q8_0", 32, 34)}  # number in the file: name, weights, bytes a block
_NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_TEXT, _LIST = 8, 9


@dataclass(frozen=True)
class Stored:
    """One array of a GGUF file as it is stored.

    Args:
        kind: "F32", "Q4_1" or "Q8_0".
        shape: of the array, rows first: (out, in) of a layer's weight.
        blocks: the bytes, one row a block.
    """

    kind: str
    shape: tuple[int, ...]
    blocks: NDArray[np.uint8]


def read_gguf(content: bytes) -> tuple[dict[str, Any], dict[str, Stored]]:
    """What a GGUF file says of itself, by key, and its arrays by name; they share the memory of `content`.

    Raises:
        ValueError: it is no whole GGUF file of version 3, or an array is stored in another way than those in `KINDS`.
    """
    at = 0

    def take(form: str) -> Any:
        nonlocal at
        at += struct.calcsize(f"<{form}")
        return struct.unpack_from(f"<{form}", content, at - struct.calcsize(f"<{form}"))[0]

    def text() -> str:
        return str(take(f"{take('Q')}s"), "utf-8")

    def value(kind: int) -> Any:
        if kind == _LIST:
            kind, length = take("I"), take("Q")
            return [value(kind) for _ in range(length)]
        return text() if kind == _TEXT else take(_NUMBERS[kind])

    try:
        head = take("4s"), take("I")
        if head != (b"GGUF", 3):
            raise LookupError(f"it begins with {head}")
        arrays, entries = take("Q"), take("Q")
        said = {text(): value(take("I")) for _ in range(entries)}
        listed = [(text(), [take("Q") for _ in range(take("I"))], take("I"), take("Q")) for _ in range(arrays)]
    except (struct.error, LookupError, UnicodeError) as error:
        raise ValueError(f"content must be a whole GGUF file of version 3, got {len(content)} bytes: {error}") from None
    start = at + -at % said.get("general.alignment", 32)
    stored = {}
    for name, shape, number, offset in listed:
        if number not in KINDS:
            raise ValueError(f"{name} must be stored as {', '.join(k for k, *_ in KINDS.values())}, got type {number}")
        kind, weights, size = KINDS[number]
        first, count = start + offset, math.prod(shape) // weights
        if first + count * size > len(content):
            raise ValueError(f"content must be a whole GGUF file, got {len(content)} bytes, of which {name} needs more")
        blocks = np.frombuffer(content, np.uint8, count * size, first).reshape(count, size)
        stored[name] = Stored(kind, tuple(reversed(shape)), blocks)
    return said, stored


def dequantize(stored: Stored) -> NDArray[np.float32]:
    """The array as float32, of its shape, equal to ggml's own reading bit for bit.

    Args:
        stored: from `read_gguf`.
    """
    if stored.kind == "Q4_1":
        numbers = stored.blocks[:, :4].copy().view(np.float16).astype(np.float32)  # d and m
        packed = stored.blocks[:, 4:]  # the low halves hold the first 16 of a block, the high halves the last 16
        weights = numbers[:, :1] * np.hstack([packed & 15, packed >> 4]).astype(np.float32) + numbers[:, 1:]
    elif stored.kind == "Q8_0":
        scale, numbers = stored.blocks[:, :2].copy().view(np.float16), stored.blocks[:, 2:].view(np.int8)
        weights = scale.astype(np.float32) * numbers
    else:
        weights = stored.blocks.copy().view(np.float32)
    return weights.reshape(stored.shape)
