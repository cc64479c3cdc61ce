"""Examples of `lib.run.forecast`; see `tests/lib/test_examples.py`."""

# %% Forecast
from lib.run.forecast import Forecast

assert str(Forecast(seconds=720.0, memory_mb=1800.0, steps=240)) == "240 steps: 12.0 minutes, 1,800 MB at the peak"

# %% forecast
import torch

from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.objectives import cross_entropy
from lib.run.forecast import forecast
from lib.training import Plan

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull.", "Great!", "Awful."] * 8, [1, 0, 1, 0] * 8)
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
found = forecast(model, optimizer, cross_entropy(), data, Plan(epochs=3, batch_size=8), seconds=0.1)
assert found.steps == 12 and found.seconds > 0 and found.memory_mb > 100  # of a plan that has not begun

# %% peak_mb
import torch

from lib.run.forecast import peak_mb

before = peak_mb(torch.device("cpu"))
assert 50 < before <= peak_mb(torch.device("cpu"))  # it never falls
