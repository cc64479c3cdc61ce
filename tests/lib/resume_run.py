"""The subject of the kill test: train a toy network by one method, print a hash of its weights and history.

    python tests/lib/resume_run.py METHOD CHECKPOINT [SECONDS A STEP]
"""
from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lib.data import Dataset
from lib.projection import LoRA, attach, ends_in
from lib.regularizers import SAM, Mixout, cross_entropy, l2_sp, penalized, r_drop, smart
from lib.training import Local, Plan, evaluator, fit, never, patience, seed_step

METHODS = ("plain", "early", "r_drop+l2_sp", "smart", "sam", "mixout+sam+r_drop+l2_sp", "lora")


class Toy(nn.Module):
    """A one-layer Transformer over 64 tokens with dropout; takes what the book's models take."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, 16)
        self.query = nn.Linear(16, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.2, batch_first=True)
        self.head = nn.Linear(16, 2)

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, input_ids: Tensor | None = None, *, attention_mask: Tensor,
                inputs_embeds: Tensor | None = None) -> Tensor:
        hidden = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        hidden = self.layer(self.query(hidden), src_key_padding_mask=attention_mask == 0)
        weight = attention_mask.unsqueeze(-1)
        return self.head((hidden * weight).sum(1) / weight.sum(1))


def toy_data(rows: int) -> Dataset:
    rng = np.random.default_rng(rows)
    ids = [rng.integers(1, 64, rng.integers(4, 24)).tolist() for _ in range(rows)]
    return Dataset(ids, [int(sum(row) % 7 < 3) for row in ids])


def main(method: str, checkpoint: str, pause: float) -> None:
    torch.set_num_threads(1)
    seed_step(0, 1)
    model, train, dev = Toy(), toy_data(120), toy_data(40)
    start = {name: value.detach().clone() for name, value in model.named_parameters() if "head" not in name}
    objective = cross_entropy(smoothing=0.1)
    if "r_drop" in method:
        objective = r_drop(objective, 1.0)
    if "smart" in method:
        objective = smart(objective, 1.0)
    if "l2_sp" in method:
        objective = penalized(objective, l2_sp(start, 0.1, 0.01), "l2_sp")
    if "mixout" in method:
        attach(model, ends_in("query"), lambda weight: Mixout(weight, 0.3))
    if "lora" in method:
        attach(model, ends_in("query"), lambda weight: LoRA(weight, 2, alpha=4.0))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.01)
    if "sam" in method:
        optimizer = SAM(optimizer, 0.05)
    accuracy = evaluator(dev, host=Local("cpu"))

    def evaluate(model: nn.Module) -> dict[str, float]:
        time.sleep(pause)  # room for the killer
        return accuracy(model)

    history = fit(model, optimizer, objective, train, Plan(epochs=3, batch_size=8, lr=5e-3, eval_every=5),
                  evaluate=evaluate, stop=patience("accuracy", 3) if "early" in method else never,
                  checkpoint=Path(checkpoint), host=Local("cpu"), show=False)
    digest = hashlib.sha256(json.dumps(history).encode())
    for value in model.state_dict().values():
        digest.update(value.numpy().tobytes())
    print(len(history), digest.hexdigest())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
