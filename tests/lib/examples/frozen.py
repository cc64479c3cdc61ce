"""Examples of `lib.run.frozen`; see `tests/lib/test_examples.py`."""

# %% States
import torch

from lib.data import Dataset
from lib.run.frozen import States

states = States(Dataset([[101, 7592, 102]], [1]), (torch.randn(3, 384),))
assert states.collate([0])["inputs_embeds"].shape == (1, 3, 384)

# %% read
from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.run.frozen import read

model = Classifier(load_encoder("minilm"), ["bad", "good"])
states = read(model, encode(model.tokenizer, ["A fine film."], [1]), top=2)
assert states.states[0].shape == (6, 384)  # two special tokens, three words, a full stop

# %% above
from lib.data import encode
from lib.evaluation import predict_logits
from lib.models import Classifier, load_encoder
from lib.run.frozen import above, read

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "A bore."], [1, 0])
gap = predict_logits(above(model, top=2), read(model, data, top=2)) - predict_logits(model, data)
assert gap.abs().max() < 1e-4
