"""Examples of `lib.run.content`; see `tests/lib/test_examples.py`."""

# %% content_hash
from lib.adapters import LoRA, attach
from lib.models import load_encoder
from lib.names import ends_in
from lib.run.content import content_hash

encoder = load_encoder("minilm").model
base = content_hash(encoder)
attach(encoder, ends_in("query"), lambda W: LoRA(W, rank=8, alpha=16))
assert content_hash(encoder) == base  # a map leaves the weights under it alone

# %% tensors_hash
import torch

from lib.run.content import tensors_hash

a, b = torch.ones(2, 3), torch.zeros(4)
assert tensors_hash({"a": a, "b": b}) == tensors_hash({"b": b, "a": a}) != tensors_hash({"a": a.T, "b": b})

# %% transformers_module
from lib.models import Classifier, load_encoder
from lib.run.content import transformers_module

encoder = load_encoder("minilm")
assert transformers_module(Classifier(encoder, ["bad", "good"])) is encoder.model
