"""Examples of `lib.lower`; see `tests/lib/test_examples.py`."""

# %% States
import torch

from lib.lower import States

states = States([[101, 7592, 102]], [1], states=(torch.randn(3, 384),))
assert states.collate([0])["inputs_embeds"].shape == (1, 3, 384)

# %% Reader
from lib.data import encode
from lib.lower import Reader
from lib.models import load_encoder

encoder = load_encoder("minilm")
states = Reader(encoder, top=2)(encode(encoder.tokenizer, ["A fine film."], [1]))
assert states.states[0].shape == (6, 384)  # two special tokens, three words, a full stop

# %% reader
from lib.lower import reader

assert reader("minilm", top=2) is reader("minilm", top=2)  # one memory for all who ask

# %% above
from lib.data import encode
from lib.lower import Reader, above
from lib.models import Classifier, load_encoder
from lib.training import predict_logits

encoder = load_encoder("minilm")
model = Classifier(encoder, ["bad", "good"])
data = encode(encoder.tokenizer, ["A fine film.", "A bore."], [1, 0])
gap = predict_logits(above(model, top=2), Reader(encoder, top=2)(data)) - predict_logits(model, data)
assert gap.abs().max() < 1e-4
