"""Examples of `lib.files.gguf`; see `tests/lib/test_examples.py`."""

# %% Stored
import numpy as np

from lib.files.gguf import Stored, dequantize

block = np.frombuffer(np.float16(0.5).tobytes() + bytes(range(32)), np.uint8)  # the scale d, then 32 numbers
weights = dequantize(Stored("Q8_0", (1, 32), block[None]))
assert weights[0, :4].tolist() == [0, 0.5, 1, 1.5]

# %% read_gguf
import struct

from lib.files.gguf import read_gguf

key = b"general.name"
entry = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, 4) + b"tiny"  # 8 stands for text
said, stored = read_gguf(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
assert said == {"general.name": "tiny"} and stored == {}

# %% dequantize
import numpy as np

from lib.files.gguf import Stored, dequantize

block = np.frombuffer(np.float16([0.5, -4]).tobytes() + bytes([0xF0] * 16), np.uint8)
weights = dequantize(Stored("Q4_1", (2, 16), block[None]))
assert weights[0, 0] == -4 and weights[1, 0] == -4 + 15 * 0.5  # 4 bits: 16 values a block
