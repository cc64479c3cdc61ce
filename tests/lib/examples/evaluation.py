"""Examples of `lib.evaluation`; see `tests/lib/test_examples.py`."""

# %% Data
from lib.data import Dataset
from lib.evaluation import Data


def rows(data: Data) -> int:  # whatever has these methods can be trained on
    return sum(len(batch) for batch in data.in_length_order(2))


assert rows(Dataset([[1], [2, 3], [4]], labels=[0, 1, 0])) == 3

# %% predict_logits
from lib.data import encode
from lib.evaluation import predict_logits
from lib.models import Classifier, load_encoder

model = Classifier(load_encoder("minilm"), ["sport", "food", "weather"])
data = encode(model.tokenizer, ["Rain is expected.", "Stir the soup."], [2, 1])
assert predict_logits(model, data).shape == (2, 3)

# %% correct
from lib.data import encode
from lib.evaluation import correct, evaluator
from lib.models import Classifier, load_encoder

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull.", "Awful."], [1, 0, 0])
right = correct(model, data)
assert right.shape == (3,) and right.mean() == evaluator(data)(model)["accuracy"]

# %% evaluator
from lib.data import encode
from lib.evaluation import evaluator
from lib.models import Classifier, load_encoder

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull.", "Awful."], [1, 0, 0])
found = evaluator(data)(model)
assert found["accuracy"] in (0, 1 / 3, 2 / 3, 1) and found["nll"] > 0

# %% judging
import torch
from torch import nn

from lib.evaluation import judging

model, x = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)), torch.randn(3, 4)
with judging(model):
    assert torch.equal(model(x), model(x))  # no dropout
assert model[0].training  # and on it goes
