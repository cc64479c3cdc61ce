"""Examples of `lib.activations`; see `tests/lib/test_examples.py`."""

# %% input_covariance
from lib.activations import input_covariance
from lib.data import encode
from lib.models import load_encoder
from lib.names import ends_in

encoder = load_encoder("minilm")
data = encode(encoder.tokenizer, ["A fine film.", "Dull."], [1, 0])
found = input_covariance(encoder.model, ends_in("query"), data)
assert len(found) == 6 and all(C.shape == (384, 384) for C in found.values())
