"""How long a run will take on this machine, and how much memory, before it starts."""
from __future__ import annotations

import copy
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from lib import _check
from lib.evaluation import Data, _to
from lib.loss import Objective
from lib.run.host import Local, deterministic
from lib.stopping import never
from lib.training import Plan, _batches, _learned, _set_rate, _trained, update

SHAPES = 5  # batches that are timed, from the smallest to the largest of the plan
MB = 2**20


@dataclass(frozen=True)
class Forecast:
    """What a run will take, evaluations apart.

    Args:
        seconds: of all steps together, at least 0.
        memory_mb: MB at the peak, at least 0: on a CPU of the whole process, with what it held before; on a GPU of
            torch there.
        steps: of the optimizer, at least 1.
    """

    seconds: float
    memory_mb: float
    steps: int

    def __str__(self) -> str:
        return f"{self.steps:,} steps: {self.seconds / 60:.1f} minutes, {self.memory_mb:,.0f} MB at the peak"


@deterministic()
def forecast(model: nn.Module, optimizer: Any, objective: Objective, data: Data, plan: Plan, *, seconds: float = 20.0,
             host: Any = None) -> Forecast:
    """What `fit` with the same arguments will take here, from steps on a few of the plan's batches.

        seconds per step = a + b n,   n tokens with padding;   a, b >= 0 by least squares of relative errors

    Ask it before a run of more than minutes: the steps are real ones, at the small rate of the first, and afterwards
    weights, optimizer, gradients, modes and random streams are what they were, to the bit. The largest batch is among
    them, so a plan that does not fit into memory fails here and not after an hour.

    Args:
        model, optimizer, objective, data, plan, host: as in `fit`.
        seconds: to spend, above 0; each of up to five batches gets a step in any case, the largest two.

    Raises:
        ValueError, TypeError, FloatingPointError: as `fit`; seconds out of range.
    """
    _check.above_zero(seconds=seconds)
    trained = _trained(model, optimizer, objective, data, plan, None, never, host)
    host = host or Local()
    model, optimizer = host.prepare(model, optimizer)
    batches = _batches(data, plan, host)
    tokens = [data.collate(rows)["attention_mask"].numel() for rows in batches]
    order = np.argsort(tokens, kind="stable")
    chosen = [int(order[i]) for i in sorted({round(i) for i in np.linspace(len(order) - 1, 0, SHAPES)}, reverse=True)]

    def step(i: int) -> float:
        start = perf_counter()
        batch = _to(host.device, data.collate(batches[i][host.process_index::host.num_processes]))
        _set_rate(optimizer, plan, 0, len(batches))
        model.train()
        update(model, optimizer, objective, batch, list(trained.values()), plan, i, host)
        return perf_counter() - start

    with _undisturbed(host.unwrap_model(model), optimizer):
        end = perf_counter() + seconds
        step(chosen[0])  # kernels are chosen at the first
        taken = {i: [step(i)] for i in chosen}
        while perf_counter() < end:
            for i in chosen:
                taken[i].append(step(i))
        memory = peak_mb(host.device)
    typical = np.array([median(taken[i]) for i in chosen])
    shapes = np.array([[1.0, tokens[i]] for i in chosen])
    a, b = nnls(shapes / typical[:, None], np.ones(len(chosen)))[0]
    return Forecast(float(a * len(batches) + b * sum(tokens)), memory, len(batches))


@contextmanager
def _undisturbed(core: nn.Module, optimizer: Any) -> Iterator[None]:
    """A block of training steps of which nothing is left."""
    state, method = _learned(core), copy.deepcopy(optimizer.state_dict())
    modes = [(module, module.training) for module in core.modules()]
    gradients: list[tuple[nn.Parameter, Tensor | None]] = [
        (p, None if p.grad is None else p.grad.clone()) for p in core.parameters()]
    try:
        with torch.random.fork_rng():
            yield
    finally:
        core.load_state_dict(state, strict=False)
        optimizer.load_state_dict(method)
        for p, gradient in gradients:
            p.grad = gradient
        for module, training in modes:
            module.training = training


def peak_mb(device: torch.device) -> float:
    """The most memory so far, MB: on a CPU of the whole process, on a GPU of torch there.

    Args:
        device: one of this machine.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MB
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB
