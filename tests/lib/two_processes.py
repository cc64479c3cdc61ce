"""What `test_accelerate.py` runs in two processes: each leaves what it ended with in FOLDER.

    torchrun --standalone --nproc_per_node 2 tests/lib/two_processes.py FOLDER
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib.data import Dataset
from lib.loss import Batch, Loss, Objective
from lib.models import LanguageModel
from lib.names import ends_in
from lib.objectives import cross_entropy, penalized
from lib.regularizers import l2
from lib.stopping import History
from lib.text.language import next_token
from lib.training import Plan, fit
from tests.lib.resume_run import METHODS, toy_data, toy_tokens, train
from tests.lib.tiny import TinyBert
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

PLAN = Plan(epochs=2, batch_size=8, lr=0.1, eval_every=2)  # of 31 rows: the last batch has seven, four and three


def exact(host: Any, wrap: Any = lambda objective: objective, **settings: Any) -> tuple[nn.Module, History]:
    """A run without noise in float64: what two processes compute is what one computes, up to rounding."""
    data = toy_data(31)
    data = Dataset([[token % 50 for token in row] for row in data.ids], data.labels)
    model = TinyBert(p=0.0).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    objective = wrap(penalized(cross_entropy(0.1), l2(0.01, ends_in("head.weight")), "l2"))
    return model, fit(model, optimizer, objective, data, PLAN, host=host, show=False, **settings)


def spoken(host: Any) -> tuple[nn.Module, History]:
    """The same of a decoder, whose rows learn different numbers of tokens."""
    model = LanguageModel(tiny_llama(2).double(), tiny_tokenizer())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, fit(model, optimizer, next_token(0.1), toy_tokens(31), PLAN, host=host, show=False)


def drawing(into: list[float]) -> Any:
    """An objective that notes what a random number would be, as dropout sees it."""
    def wrap(base: Objective) -> Objective:
        def objective(model: nn.Module, batch: Batch) -> Loss:
            into.append(torch.rand(()).item())
            return base(model, batch)
        return objective
    return wrap


def broken_in_one(process: int) -> Any:
    """An objective that is not a number in the second process, at its third call."""
    def wrap(base: Objective) -> Objective:
        calls: list[int] = []

        def objective(model: nn.Module, batch: Batch) -> Loss:
            calls.append(1)
            loss = base(model, batch)
            bad = float("nan") if process == 1 and len(calls) == 3 else 1.0
            return Loss(loss.total * bad, loss.logits, loss.parts)
        return objective
    return wrap


def stopped_at(evaluations: int) -> Any:
    """An evaluation that ends the run, in every process, as a power cut would."""
    calls: list[int] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        calls.append(1)
        if len(calls) > evaluations:
            raise KeyboardInterrupt
        return {"accuracy": float(len(calls))}
    return evaluate


def main(folder: Path) -> None:
    from accelerate import Accelerator

    host = Accelerator(cpu=True, mixed_precision="no")
    rank = host.process_index
    drawn: list[float] = []

    def ends(run: tuple[nn.Module, History]) -> tuple[dict[str, Tensor], History]:
        return run[0].state_dict(), run[1]

    left: dict[str, Any] = {"world": torch.distributed.get_world_size(), "backend": torch.distributed.get_backend()}
    left |= {method: ends(train(method, folder / f"{method}.pt", host=host)) for method in METHODS}
    left["exact"] = ends(exact(host, drawing(drawn)))
    left["drawn"] = drawn
    left["spoken"] = ends(spoken(host))
    whole, cut = ({"checkpoint": folder / name, "metric": None} for name in ("whole.pt", "cut.pt"))
    left["whole"] = ends(exact(host, evaluate=stopped_at(99), **whole))
    try:
        exact(host, evaluate=stopped_at(2), **cut)
    except KeyboardInterrupt:
        left["written"] = len(torch.load(folder / "cut.pt", weights_only=True)["history"])
    host.wait_for_everyone()
    left["resumed"] = ends(exact(host, evaluate=lambda model: {"accuracy": 0.0}, **cut))
    try:
        exact(host, broken_in_one(rank))
    except FloatingPointError as error:
        left["broken"] = str(error)
    torch.save(left, folder / f"process{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
