"""Examples of `lib.files.pretrained`; see `tests/lib/test_examples.py`."""

# %% fill_minilm
from pathlib import Path

from lib.files.pretrained import fill_minilm
from lib.models import load_encoder

Path("mine").mkdir()
fill_minilm(Path("mine"))  # as load_encoder() does where the cache has none
assert load_encoder("mine").sha256 == load_encoder().sha256

# %% fill_smollm2
from pathlib import Path

from lib.files.pretrained import fill_smollm2
from lib.models import load_decoder

Path("mine").mkdir()
fill_smollm2(Path("mine"))  # as load_decoder() does where the cache has none
assert load_decoder("mine").sha256 == load_decoder().sha256

# %% write_llama
from pathlib import Path

from lib.files.pretrained import write_llama

try:
    write_llama(b"GGUF of another version", Path())
except ValueError as error:
    said = str(error)
assert said.startswith("content must be a whole GGUF file")
