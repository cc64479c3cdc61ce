"""Examples of `lib.training`; see `tests/lib/test_examples.py`."""

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

# %% fit
import torch

from lib.data import encode
from lib.evaluation import evaluator
from lib.models import Classifier, load_encoder
from lib.objectives import cross_entropy
from lib.training import Plan, fit

model = Classifier(load_encoder("minilm"), ["bad", "good"])
data = encode(model.tokenizer, ["A fine film.", "Dull.", "Great!", "Awful."] * 2, [1, 0, 1, 0] * 2)
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
history = fit(model, optimizer, cross_entropy(), data, Plan(epochs=4, batch_size=8, lr=3e-4), evaluate=evaluator(data))
assert history[-1]["accuracy"] == 1.0 and history[-1]["loss"] < history[0]["loss"]

# %% update
import torch
from torch import nn

from lib.objectives import cross_entropy
from lib.run.host import Local
from lib.training import Plan, update

model, batch = nn.Linear(8, 3), {"input": torch.randn(4, 8), "labels": torch.tensor([0, 2, 1, 1])}
optimizer, host = torch.optim.SGD(model.parameters(), lr=0.1), Local("cpu", bf16=False)
trained = list(model.parameters())
records = [update(model, optimizer, cross_entropy(), batch, trained, Plan(), step, host) for step in (0, 1)]
assert records[1]["loss"] < records[0]["loss"]
