"""What the tests of kills and of two processes train: a toy network or a tiny decoder, by one of nine methods."""
from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib.adapters import LoRA, attach, only_rows
from lib.data import Dataset
from lib.evaluation import evaluator
from lib.models import LanguageModel
from lib.names import ends_in
from lib.objectives import cross_entropy, penalized, r_drop, smart
from lib.optimizers import SAM
from lib.regularizers import Mixout, l2_sp
from lib.run.checkpoint import save_checkpoint
from lib.stopping import History, never, patience
from lib.text.conversations import Tokens
from lib.text.language import next_token
from lib.text.likelihood import token_nll
from lib.training import Local, Plan, fit, seed_step
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

LEFT = os.WEXITED | os.WNOHANG | os.WNOWAIT  # is it over? It stays to be waited for
METHODS = ("plain", "early", "r_drop+l2_sp", "smart", "sam", "mixout+sam+r_drop+l2_sp", "lora", "rows", "speech+r_drop")


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


def toy_tokens(rows: int) -> Tokens:
    """Rows of a decoder's words, of which different numbers are learned."""
    rng = np.random.default_rng(rows)
    ids = [rng.integers(4, 27, rng.integers(4, 16)).tolist() for _ in range(rows)]
    return tiny_tokens(ids, rng.integers(0, 4, rows).tolist(), pad=2)


def train(method: str, checkpoint: Path, pause: float = 0.0, host: Any = None) -> tuple[nn.Module, History]:
    """A run of `method`: the model as it is left, and the history."""
    torch.set_num_threads(1)
    seed_step(0, 1)
    speaks = "speech" in method
    model: Any = LanguageModel(tiny_llama(2, attention_dropout=0.2), tiny_tokenizer()) if speaks else Toy()
    rows, dev = (toy_tokens(120), toy_tokens(40)) if speaks else (toy_data(120), toy_data(40))
    start = {name: value.detach().clone() for name, value in model.named_parameters() if "head" not in name}
    objective = next_token(smoothing=0.1) if speaks else cross_entropy(smoothing=0.1)
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
    if "rows" in method:
        only_rows(model, itertools.chain(*rows.ids[:3]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.01)
    if "sam" in method:
        optimizer = SAM(optimizer, 0.05)
    judge = token_nll(dev) if speaks else evaluator(dev, host=Local("cpu"))

    def evaluate(model: nn.Module) -> dict[str, float]:
        time.sleep(pause)  # room for the killer
        return {"score": -judge(model)["nll"]} if speaks else judge(model)

    history = fit(model, optimizer, objective, rows, Plan(epochs=3, batch_size=8, lr=5e-3, eval_every=5),
                  evaluate=evaluate, metric="score" if speaks else "accuracy",
                  stop=patience("accuracy", 3) if "early" in method else never,
                  checkpoint=checkpoint, host=host or Local("cpu"), show=False)
    return model, history


def digest(model: nn.Module, history: History) -> str:
    """Length of the history, and a hash of it and of the weights."""
    told = hashlib.sha256(json.dumps(history).encode())
    for value in model.state_dict().values():
        told.update(value.numpy().tobytes())
    return f"{len(history)} {told.hexdigest()}"


def start(method: str, checkpoint: Path, pause: float) -> int:
    """Train in a process of its own, a fork, so that torch is imported once; the digest goes into a file."""
    process = os.fork()
    if process == 0:
        try:
            checkpoint.with_suffix(".txt").write_text(digest(*train(method, checkpoint, pause)))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return process


def written(checkpoint: Path) -> int:
    return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0


def run_with_kills(method: str, checkpoint: Path, wanted: int, tamper: bool) -> tuple[str, int]:
    """Kill the process each time it has written a new checkpoint, at a random moment after; return digest and kills."""
    kills, rng = 0, random.Random(method)
    while True:
        process, before = start(method, checkpoint, 0.5 if kills < wanted else 0.0), written(checkpoint)
        while kills < wanted and written(checkpoint) == before and os.waitid(os.P_PID, process, LEFT) is None:
            time.sleep(0.01)
        if kills < wanted:
            time.sleep(rng.uniform(0, 0.2))
            os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        if status == 0:
            return checkpoint.with_suffix(".txt").read_text(), kills
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        kills += 1
        if tamper:
            state = torch.load(checkpoint, weights_only=True)
            weight = state["model"]["query.weight"]
            weight[0, 0] *= 1 + torch.finfo(torch.bfloat16).eps
            save_checkpoint(checkpoint, state)


def main() -> None:
    """For each line `METHOD FOLDER KILLS TAMPER` of the input: one straight run, one with kills, and a line of JSON."""
    importlib.import_module("torch._dynamo")  # seconds, at the first step of any optimizer: once here, not in each fork
    for line in sys.stdin:
        method, folder, kills, tamper = line.split()
        os.waitpid(start(method, Path(folder) / "straight.pt", 0.0), 0)
        killed = run_with_kills(method, Path(folder) / "killed.pt", int(kills), tamper == "True")
        print(json.dumps([(Path(folder) / "straight.txt").read_text(), *killed]), flush=True)


if __name__ == "__main__":
    main()
