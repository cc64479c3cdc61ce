"""A forecast adds up what steps take, says how much memory they took, and leaves nothing behind."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lib.loss import Batch, Loss
from lib.run import forecast as module
from lib.run.forecast import forecast
from lib.run.host import Local
from lib.text.conversations import Tokens
from lib.training import Plan, fit
from tests.lib.tiny import Tiny

PLAN = Plan(epochs=2, batch_size=4, lr=1e-2)
FP32 = Local("cpu", bf16=False)


class Clock:
    """A clock that only the objective moves: so much a step, so much a token, and sometimes much more."""

    def __init__(self, step: float, token: float) -> None:
        self.now, self.step, self.token, self.steps, self.tokens = 0.0, step, token, 0, 0

    def __call__(self) -> float:
        return self.now

    def objective(self, model: nn.Module, batch: Batch) -> Loss:
        self.now += self.step + self.token * batch["input_ids"].numel()
        self.steps, self.tokens = self.steps + 1, self.tokens + batch["input_ids"].numel()
        if self.steps % 7 == 1:
            self.now += 50.0  # the first step, and whatever else the machine does
        logits = model(batch["input_ids"] % 7, batch["attention_mask"])
        total = logits.square().mean()
        return Loss(total, logits, {"square": total.detach()})


def rows(lengths: list[int]) -> Tokens:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(7, (n,), generator=generator).tolist() for n in lengths]
    return Tokens(ids, [[True] * n for n in lengths])


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock(0.25, 0.01)
    monkeypatch.setattr(module, "perf_counter", clock)
    yield clock


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), weight_decay=0.1)


@pytest.mark.parametrize("lengths", [list(range(1, 60)), [9] * 30, [3, 3, 3, 3, 40]])
def test_steps_that_cost_so_much_a_token_are_foretold(clocked: Clock, lengths: list[int]) -> None:
    """Five shapes are timed; the sum over all of the plan's comes out, also where all batches are alike."""
    model, data = Tiny(), rows(lengths)
    found = forecast(model, optimizer(model), clocked.objective, data, PLAN, seconds=400.0, host=FP32)
    clocked.steps = clocked.tokens = 0
    fit(model, optimizer(model), clocked.objective, data, PLAN, host=FP32, show=False)
    assert found.steps == clocked.steps
    true = 0.25 * clocked.steps + 0.01 * clocked.tokens
    assert found.seconds == pytest.approx(true, rel=1e-6)
    assert found.seconds != pytest.approx(0.25 * clocked.steps, rel=0.1)  # what forgets the tokens


def test_calibration_ends_when_its_time_is_up(clocked: Clock) -> None:
    model = Tiny()
    forecast(model, optimizer(model), clocked.objective, rows([9] * 30), PLAN, seconds=400.0, host=FP32)
    assert 400.0 <= clocked.now < 600.0
    before = clocked.steps
    forecast(model, optimizer(model), clocked.objective, rows(list(range(1, 60))), PLAN, seconds=0.01, host=FP32)
    assert clocked.steps - before == module.SHAPES + 1


def everything(model: nn.Module, method: Any) -> list[Any]:
    """All that training changes."""
    state = method.state_dict()
    tensors = [*model.state_dict().values(), *(p.grad for p in model.parameters()),
               *(value for kept in state["state"].values() for value in kept.values())]
    return [*(None if t is None else t.clone() for t in tensors), torch.get_rng_state(), state["param_groups"],
            [m.training for m in model.modules()]]


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
                                    for x, y in zip(a, b, strict=True))


def square(model: nn.Module, batch: Batch) -> Loss:
    logits = model(batch["input_ids"] % 7, batch["attention_mask"])
    total = logits.square().mean()
    return Loss(total, logits, {"square": total.detach()})


@pytest.mark.parametrize("used", [False, True])
def test_nothing_is_left_of_it(used: bool) -> None:
    """Weights, moments, gradients, rates, modes and random streams, of a new run and of one under way."""
    model, data = Tiny(p=0.5), rows(list(range(1, 30)))
    method = optimizer(model)
    if used:
        fit(model, method, square, data, PLAN, host=FP32, show=False)
        model.dropout.eval()
        torch.manual_seed(99)
    before = everything(model, method)
    forecast(model, method, square, data, PLAN, seconds=0.01, host=FP32)
    assert same(before, everything(model, method))
    fit(model, method, square, data, PLAN, host=FP32, show=False)  # control
    assert not same(before, everything(model, method))


def test_nothing_is_left_of_one_that_fails() -> None:
    model, calls = Tiny(), list[int]()
    method = optimizer(model)
    before = everything(model, method)

    def breaks(model: nn.Module, batch: Batch) -> Loss:
        calls.append(1)
        if len(calls) == 4:
            raise MemoryError
        return square(model, batch)

    with pytest.raises(MemoryError):
        forecast(model, method, breaks, rows(list(range(1, 30))), PLAN, host=FP32)
    assert same(before, everything(model, method))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own number is in /proc")
def test_memory_is_the_peak_that_the_kernel_knows() -> None:
    model = Tiny()
    found = forecast(model, optimizer(model), square, rows([9] * 8), PLAN, seconds=0.01, host=FP32)
    kilobytes = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    assert found.memory_mb == pytest.approx(int(kilobytes) / 1024, rel=0.02)
    assert str(found).startswith("4 steps: 0.0 minutes, ") and str(found).endswith(" MB at the peak")


def test_wrong_arguments_are_named() -> None:
    model, data = Tiny(), rows([9] * 8)
    method = optimizer(model)
    with pytest.raises(ValueError, match="seconds must be above 0, got 0"):
        forecast(model, method, square, data, PLAN, seconds=0)
    with pytest.raises(ValueError, match="data must hold at least one example"):
        forecast(model, method, square, data.subset([]), PLAN)
    with pytest.raises(TypeError, match="objective must return a Loss"):
        forecast(model, method, lambda model, batch: torch.ones(()), data, PLAN, host=FP32)
