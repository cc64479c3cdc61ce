"""One loop for every method in the book.

What varies is passed in as plain values and nothing else:

    model      altered beforehand (LoRA, thin layers, mixout, a projection in the head, another dropout rate)
    objective  `(model, batch) -> Loss`; composes by wrapping (R-Drop, SMART, L2-SP, smoothing)
    optimizer  anything with torch's `step(closure)` contract: AdamW, SGD, `SAM(AdamW(...))`
    stop       `(history) -> bool`, a pure function of the record so far
    host       where it runs: `Local()`, the default, or an `accelerate.Accelerator`

Randomness is a function, not a state: step t of seed s always draws the same numbers. A checkpoint therefore holds no
generator state, a resumed run ends with the bits of an uninterrupted one, and evaluation cannot disturb training.
"""
from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib import _check
from lib.evaluation import Data, _to
from lib.loss import Batch, Loss, Objective, terms
from lib.run.checkpoint import describe, describe_model, load_checkpoint, save_checkpoint
from lib.run.host import Local, deterministic, precision, seed_step
from lib.run.progress import progress
from lib.stopping import History, Record, Stop, never


@dataclass(frozen=True)
class Plan:
    """The numbers that define a run.

    The learning rate matters most: too high and the loss jumps or the pretrained knowledge is lost, too low and nothing
    is learned in the steps there are. About 2e-5 to 1e-4 is usual for a whole encoder, ten times as much for LoRA.

    Args:
        epochs: passes over the data, at least 1.
        batch_size: examples a step, over all processes together, at least 1.
        lr: peak learning rate, above 0.
        warmup: fraction, at least 0 and below 1, of all steps over which the rate rises to its peak; it then falls
            linearly to zero.
        clip: largest L2 norm of the whole gradient, above 0; `inf` switches clipping off.
        eval_every: steps between evaluations, at least 1. The last step is always evaluated. Set it below the number
            of steps, or the one evaluation at the end leaves nothing to choose between.
        seed: chooses batch order and every random draw of training, from 0.

    Raises:
        ValueError: a number outside its range.
    """

    epochs: int = 3
    batch_size: int = 16
    lr: float = 5e-5
    warmup: float = 0.1
    clip: float = 1.0
    eval_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        _check.whole(1, epochs=self.epochs, batch_size=self.batch_size, eval_every=self.eval_every)
        _check.whole(0, seed=self.seed)
        _check.above_zero(lr=self.lr, clip=1.0 if self.clip == math.inf else self.clip)
        _check.rate(warmup=self.warmup)


def warmup_linear(t: float, warmup: float) -> float:
    """Learning-rate factor at progress `t`, between 0 and 1: up to 1 over the fraction `warmup`, then down to 0.

    Raises:
        ValueError: a number out of range.
    """
    _check.rate(warmup=warmup)
    if not 0 <= t <= 1:
        raise ValueError(f"t must be between 0 and 1, got {t}")
    return t / warmup if t < warmup else (1.0 - t) / (1.0 - warmup)


@deterministic()
def fit(model: nn.Module, optimizer: Any, objective: Objective, data: Data, plan: Plan, *,
        evaluate: Callable[[nn.Module], Record] | None = None, metric: str | None = "accuracy", stop: Stop = never,
        checkpoint: str | Path | None = None, host: Any = None, show: bool = True) -> History:
    """Train `model` in place and return one record a step.

    Each step sets the learning rate, computes loss and gradient on one batch, clips the gradient and lets the optimizer
    step; where an evaluation is due, it evaluates, keeps the best weights, saves and asks whether to stop. It is the
    same loop for full fine-tuning, LoRA and every regulariser, for encoders and language models.

    The model is left with the weights of the evaluation where `metric` was highest (the first of equals), or with the
    last weights where `metric` is None or nothing is evaluated. `metric` must rise with quality; to select by
    likelihood, return `{"score": -nll}` from `evaluate` and give `metric="score"`. How often one evaluates changes
    which weights can be kept, never the path of the weights: it draws no random number that training sees.

    Args:
        model: returns logits from the batch without its "labels".
        optimizer: over the model's parameters; its rate is set from `plan`, times a group's "lr_scale" if it has one.
        objective: `(model, batch) -> Loss`.
        data: batches and their content.
        plan: the numbers of the run.
        evaluate: model in evaluation mode -> named numbers, called every `plan.eval_every` steps and at the end; their
            names are none of the record's.
        metric: which of these numbers chooses the weights to keep; higher is better, so neither "nll" nor "loss".
        stop: pure function of the history, asked after each evaluation.
        checkpoint: file to write at each evaluation and to resume from. A kill at any moment leaves a whole file. Hooks
            of the optimizer are not compared: register the same again.
        host: `Local()` or an `accelerate.Accelerator`.
        show: whether to show progress.

    Returns:
        A record a step: "step" from 0, "loss" in nats, "grad_norm" before it is clipped, "lr", the parts of the loss by
        name, and where it was evaluated what `evaluate` gave. The last record is that of the last step; the weights
        that are kept are those of the largest `metric`.

    Raises:
        ValueError: empty data, nothing that trains or an optimizer that does not hold it, fewer examples in a batch
            than processes, an unknown metric, one whose name is taken or of which less is better, a checkpoint that is
            no file, damaged or of another run.
        TypeError: an argument of another kind, or an objective that returns no Loss.
        FloatingPointError: a loss or gradient that is not finite, a metric that is no number; names the step and the
            part, keeps the checkpoint.
        OSError: the checkpoint cannot be written; the one before stays.
    """
    trained = _trained(model, optimizer, objective, data, plan, evaluate, stop, host)
    _check.rises(metric)
    host, method = host or Local(), describe(optimizer)
    model, optimizer = host.prepare(model, optimizer)
    core, batches = host.unwrap_model(model), _batches(data, plan, host)
    run = {} if checkpoint is None else {
        "plan": asdict(plan), "steps": len(batches), "data": data.fingerprint(), "objective": describe(objective),
        "optimizer": method, "metric": metric, "stop": describe(stop), **_place(core, trained, host)}
    history, best = _resume(checkpoint, run, core, optimizer)
    done, show = len(history), show and host.is_main_process
    steps = range(done, done if done and stop(history) else len(batches))
    for step in progress(steps, label="fit", total=len(batches), initial=done, show=show):
        lr = _set_rate(optimizer, plan, step, len(batches))
        rows = batches[step][host.process_index::host.num_processes]
        batch = _to(host.device, data.collate(rows))
        own = terms(batch)
        whole = host.reduce(torch.tensor(own, device=host.device), "sum").item()
        share = own * host.num_processes / whole  # the mean over processes is that over the batch, or over its tokens
        model.train()
        record = update(model, optimizer, objective, batch, list(trained.values()), plan, step, host, share=share)
        record["lr"] = lr
        due = (step + 1) % plan.eval_every == 0 or step + 1 == len(batches)
        if due and evaluate is not None:
            record |= _judge(core, evaluate, metric, record)
            if metric is not None and not any(r.get(metric, -math.inf) >= record[metric] for r in history):
                best = _learned(core)
        history.append(record)
        if due and checkpoint is not None and host.is_main_process:
            save_checkpoint(checkpoint, {"run": run, "history": history, "best": best, "model": _learned(core),
                                         "optimizer": optimizer.state_dict()})
        if due and stop(history):
            break
    core.load_state_dict(best, strict=False)
    return history


def update(model: nn.Module, optimizer: Any, objective: Objective, batch: Batch, trained: list[nn.Parameter],
           plan: Plan, step: int, host: Any, *, share: float = 1.0) -> Record:
    """One optimizer step of `fit`; the record of its first pass.

    Args:
        objective: `(model, batch) -> Loss`.
        batch: the model's keyword arguments and "labels", on its device.
        trained: parameters whose gradient is clipped.
        plan: its `clip` and `seed` are used.
        step: from 0; with the seed it decides every random draw.
        share: weight, above 0, of this process's rows, or learned tokens, in the mean over processes.

    Raises:
        ValueError: a seed or step below 0.
        TypeError: the objective returns no Loss.
        FloatingPointError: a loss or gradient that is not finite, before it reaches the weights; in every process.
    """
    passes: list[Record] = []

    def closure() -> Tensor:
        """Zero, forward, backward, clip. SAM calls it twice: one seed gives both passes the same dropout mask."""
        seed_step(plan.seed, step, host.process_index)
        optimizer.zero_grad()
        with host.autocast():
            loss = objective(model, batch)
        if not isinstance(loss, Loss):
            raise TypeError(f"objective must return a Loss, as cross_entropy() does, got {type(loss).__name__}")
        told = torch.stack([value.detach() for value in (loss.total, *loss.parts.values())]) * share
        total, *values = host.reduce(told, "mean").tolist()
        parts = dict(zip(loss.parts, values, strict=True))
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss is {total} at step {step}, parts {parts}; lower lr or a strength")
        host.backward(loss.total * share)
        norm = nn.utils.clip_grad_norm_(trained, plan.clip).item()
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient norm is {norm} at step {step}, the parts of the loss are {parts}; "
                                     "lower lr or a strength")
        passes.append({"step": step, "loss": total, "grad_norm": norm, **parts})
        return loss.total.detach()

    optimizer.step(closure)
    return passes[0]


def _trained(model: Any, optimizer: Any, objective: Any, data: Any, plan: Any, evaluate: Any, stop: Any,
             host: Any) -> dict[str, nn.Parameter]:
    """The parameters that train, by name, if the arguments of `fit` are of their kinds and fit together."""
    _check.kind("a torch module", "named_parameters", model=model)
    _check.kind("an optimizer, made from the model's parameters", "param_groups", optimizer=optimizer)
    _check.kind("a data set, such as encode(...) makes", "collate", data=data)
    _check.kind("a Plan", "eval_every", plan=plan)
    _check.kind("a function", "__call__", objective=objective, stop=stop, evaluate=evaluate or never)
    try:
        inspect.signature(objective).bind(model, {})
        if isinstance(objective, nn.modules.loss._Loss):  # takes logits and targets
            raise TypeError
    except TypeError:
        raise TypeError(f"objective must take model and batch, as cross_entropy() does, got {objective!r}") from None
    _check.kind("Local() or an Accelerator", "prepare", host=host or Local)
    if not len(data):
        raise ValueError("data must hold at least one example, got none")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trained:
        raise ValueError("model must have a parameter that requires a gradient, got none")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    strange = [name for name, p in trained.items() if id(p) not in held]
    if strange:
        raise ValueError(f"optimizer must hold each parameter that trains, lacks {strange[0]}; make it after the model")
    return trained


def _batches(data: Data, plan: Plan, host: Any) -> list[list[int]]:
    """The rows of each step, over all epochs, if each process gets one of every batch."""
    batches = [rows for epoch in range(plan.epochs) for rows in data.batches(plan.batch_size, (plan.seed, epoch))]
    if min(map(len, batches)) < host.num_processes:
        raise ValueError(f"each batch must hold an example for each of {host.num_processes} processes, "
                         f"got one of {min(map(len, batches))}; change batch_size or drop the last rows")
    return batches


def _place(core: nn.Module, trained: dict[str, nn.Parameter], host: Any) -> dict[str, Any]:
    """What of the model and the machine decides the bits of a run, beside the weights that train."""
    return {"trained": list(trained), "threads": torch.get_num_threads(), "processes": host.num_processes,
            "torch": str(torch.__version__), "rates and scales of the model": describe_model(core),
            "frozen weights": describe([p for p in core.parameters() if not p.requires_grad]),
            "device": host.device.type,
            "precision": precision(host)}


def _resume(checkpoint: str | Path | None, run: dict[str, Any], core: nn.Module,
            optimizer: Any) -> tuple[History, dict[str, Tensor]]:
    """History and best weights so far, with model and optimizer put where the run was; nothing where it is new."""
    if checkpoint is None or not Path(checkpoint).exists():
        return [], {}
    state = load_checkpoint(checkpoint, run)
    core.load_state_dict(state["model"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    return state["history"], state["best"]


def _learned(core: nn.Module) -> dict[str, Tensor]:
    """Copies of what a run changes: all of the model's state but the parameters that are frozen."""
    frozen = {name for name, p in core.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: value.detach().cpu().clone() for name, value in core.state_dict().items() if name not in frozen}


def _set_rate(optimizer: Any, plan: Plan, step: int, steps: int) -> float:
    """The learning rate of a step, given to each group times its "lr_scale"."""
    lr = plan.lr * warmup_linear((step + 1) / (steps + 1), plan.warmup)
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    return lr


def _judge(core: nn.Module, evaluate: Callable[[nn.Module], Record], metric: str | None, record: Record) -> Record:
    """What `evaluate` gives of the model, if it can stand in the record and `metric` can choose by it."""
    core.eval()
    seen = evaluate(core)
    if not isinstance(seen, dict):
        raise TypeError(f"evaluate must return numbers by name, got {seen!r}")
    if taken := sorted(seen.keys() & record.keys()):
        raise ValueError(f"evaluate must return other names than a step has, got {taken}")
    if metric is not None and metric not in seen:
        raise ValueError(f"metric must be one of {sorted(seen)}, got {metric!r}")
    if metric is not None and math.isnan(seen[metric]):
        raise FloatingPointError(f"the metric {metric} is nan at step {record['step']}; evaluate must give a number")
    return seen
