"""Examples of `lib.training`; see `tests/lib/test_examples.py`."""

# %% Data
from lib.data import Dataset
from lib.training import Data


def rows(data: Data) -> int:  # whatever has these methods can be trained on
    return sum(len(batch) for batch in data.in_length_order(2))


assert rows(Dataset([[1], [2, 3], [4]], labels=[0, 1, 0])) == 3

# %% Plan
from dataclasses import replace

from lib.training import Plan

plan = Plan(epochs=4, lr=1e-4)
again = replace(plan, seed=1)  # the same run with other draws
assert again.lr == plan.lr and again != plan

# %% warmup_linear
from lib.training import warmup_linear

assert warmup_linear(0.05, warmup=0.1) == 0.5
assert warmup_linear(0.1, warmup=0.1) == 1.0

# %% never
from lib.training import never

assert never([{"accuracy": 0.5}]) is False

# %% patience
from lib.training import patience

stop = patience("accuracy", evaluations=2)
assert not stop([{"accuracy": 0.7}, {"accuracy": 0.8}, {"accuracy": 0.8}])
assert stop([{"accuracy": 0.8}, {"accuracy": 0.8}, {"accuracy": 0.7}])

# %% predict_logits
from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.training import predict_logits

model = Classifier(load_encoder("minilm"), ["sport", "food", "weather"])
data = encode(model.tokenizer, ["Rain is expected.", "Stir the soup."], [2, 1])
assert predict_logits(model, data).shape == (2, 3)

# %% judging
import torch
from torch import nn

from lib.training import judging

model, x = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)), torch.randn(3, 4)
with judging(model):
    assert torch.equal(model(x), model(x))  # no dropout
assert model[0].training  # and on it goes

# %% evaluator
from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.training import evaluator

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull.", "Awful."], [1, 0, 0])
found = evaluator(data)(model)
assert found["accuracy"] in (0, 1 / 3, 2 / 3, 1) and found["nll"] > 0

# %% fit
import torch

from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.regularizers import cross_entropy
from lib.training import Plan, evaluator, fit

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull.", "Great!", "Awful."] * 2, [1, 0, 1, 0] * 2)
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
history = fit(model, optimizer, cross_entropy(), data, Plan(epochs=4, batch_size=8, lr=3e-4), evaluate=evaluator(data))
assert history[-1]["accuracy"] == 1.0 and history[-1]["loss"] < history[0]["loss"]

# %% update
import torch
from torch import nn

from lib.host import Local
from lib.regularizers import cross_entropy
from lib.training import Plan, update

model, batch = nn.Linear(8, 3), {"input": torch.randn(4, 8), "labels": torch.tensor([0, 2, 1, 1])}
optimizer, host = torch.optim.SGD(model.parameters(), lr=0.1), Local("cpu", bf16=False)
trained = list(model.parameters())
records = [update(model, optimizer, cross_entropy(), batch, trained, Plan(), step, host) for step in (0, 1)]
assert records[1]["loss"] < records[0]["loss"]
