"""From the runs of each round to what is reported: medians of ratios within a round, shares of the peak, exponents."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from statistics import mean, median
from time import perf_counter
from typing import Any

import torch

from benchmarks.arms import ARMS
from benchmarks.decoders import DECODERS
from benchmarks.growth import fit_exponent
from benchmarks.harness import Job, ratio, rounds
from benchmarks.methods import METHODS
from lib.run.precision import bf16_pays

TIMES = (("source", "full", 10.0), ("trainer_tuned", "full", 1.6), ("peft_tuned", "lora", 1.3))  # slow, fast, times
DECODER_TIMES = tuple((f"{peer}_{where}", f"ours_{where}", aim, least) for where, aim, least in
                      (("all", 1.5, 1.35), ("top20", 1.8, 1.5), ("top10", 2.5, 1.8)) for peer in ("trainer", "trl"))
DECODER_MEMORY = 0.7  # ours above the loaded model, as a share of either peer's
SAME_LOSS = 1.02  # ours as a share of either peer's
WITHIN = 1.25  # what was foretold over what it was, or the other way round
MEMORY = (("trainer_tuned", "full"), ("peft_tuned", "lora"))  # the first needs at least what the second needs
AXES: dict[str, tuple[int, ...]] = {"sentences": (1, 2, 4, 8), "max_length": (16, 32, 64, 128),
                                    "rank": (4, 16, 64, 256), "width": (96, 192, 384, 768)}
DECODER_AXES: dict[str, tuple[int, ...]] = {"sentences": (8, 16, 32), "max_length": (128, 192, 256),
                                            "rank": (4, 16, 64)}


def matmul_rates(size: int = 2048, repeats: int = 10) -> dict[str, Any]:
    """Best rate of a square matrix product, GFLOP/s, in float32 and, where that trains faster, in bfloat16."""

    def best(dtype: torch.dtype) -> float:
        a, seconds = torch.randn(size, size).to(dtype), []
        for _ in range(repeats):
            start = perf_counter()
            a @ a
            seconds.append(perf_counter() - start)
        return 2 * size**3 / 1e9 / min(seconds)

    bf16 = bf16_pays(torch.device("cpu"))
    return {"fp32_gflops": best(torch.float32), "bf16_gflops": best(torch.bfloat16) if bf16 else None,
            "bf16_note": "" if bf16 else "bfloat16 was measured to be no faster here, so no arm uses it"}


def compare(title: str, jobs: Mapping[str, Job], number: int, peaks: Mapping[str, Any]) -> dict[str, Any]:
    """Run the jobs in turn; a table of time, accuracy, memory and share of the peak; every ratio of times."""
    runs: dict[str, dict[str, Any]] = {name: {key: [run[key] for run in found] for key in found[0]}
                                       for name, found in rounds(jobs, number, label=title).items()}
    ratios, cpu_ratios = ({a: {b: ratio(runs[a][key], runs[b][key]) for b in runs} for a in runs}
                          for key in ("seconds", "cpu_seconds"))
    peak = peaks["bf16_gflops"] or peaks["fp32_gflops"]
    first = next((name for name in ("full", "ours_all") if name in runs), next(iter(runs)))
    print(f"\n{title}: median seconds of {number} rounds; 'x {first}' is the median ratio within a round, "
          "'x cpu' that of processor time, which other work disturbs less\n"
          f"{'':44}{'judged':>9}{'seconds':>9}{'x ' + first:>9}{'x cpu':>9}{'peak MB':>9}{'added MB':>9}{'TFLOP':>8}"
          f"{f'of {peak:.0f} GFLOP/s':>17}")
    for name, run in runs.items():
        arm = (ARMS | METHODS | DECODERS)[name]
        typical = {key: median(run[key]) for key in run if key not in ("accuracy", "loss")}
        share = typical["flop"] / typical["seconds"] / peak / 1e9
        judged = run.get("accuracy") or run["loss"]
        tested = "-" if None in judged else f"{mean(judged):.1%}" if "accuracy" in run else f"{mean(judged):.3f}"
        print(f"{arm.what + (f', rate {arm.lr:g}' if arm.lr else ''):44}{tested:>9}{typical['seconds']:9.1f}"
              f"{ratios[name][first]:9.2f}{cpu_ratios[name][first]:9.2f}"
              f"{typical['peak_mb']:9.0f}{typical['growth_mb']:9.0f}{typical['flop'] / 1e12:8.2f}{share:17.0%}")
        run |= {"what": arm.what, "lr": arm.lr, "share_of_peak": share}
    return {"runs": runs, "ratios": ratios, "cpu_ratios": cpu_ratios}


def targets(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the arms were meant to reach, where both sides were measured, and whether they did."""
    runs, said = found["runs"], []
    for slow, fast, aim in TIMES:
        if slow in runs and fast in runs:
            said.append(at_least(f"{fast}: times as fast as {slow}", found["ratios"][slow][fast], aim, aim))
    for peer, own in MEMORY:
        if peer in runs and own in runs:
            share = ratio(runs[own]["peak_mb"], runs[peer]["peak_mb"])
            said.append(at_most(f"{own}: peak memory as a share of that of {peer}", share, 1.0))
    return said


def decoder_targets(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the arms of the decoder were meant to reach against each peer, and whether they did."""
    runs, said = found["runs"], []
    for peer, own, aim, least in DECODER_TIMES:
        if peer in runs and own in runs:
            shares = {key: ratio(runs[own][key], runs[peer][key]) for key in ("growth_mb", "loss")}
            said += [at_least(f"{own}: times as fast as {peer}", found["ratios"][peer][own], aim, least),
                     at_most(f"{own}: memory added to the model, as a share of that of {peer}", shares["growth_mb"],
                             DECODER_MEMORY),
                     at_most(f"{own}: loss as a share of that of {peer}", shares["loss"], SAME_LOSS)]
    return said


def forecast_targets(told: Mapping[str, float]) -> list[dict[str, Any]]:
    """Whether what was foretold of a run of ours holds within a quarter, on batches of widths that were not timed."""
    return [at_most(f"{what}, foretold over found or the other way round", max(a / b, b / a), WITHIN)
            for what, a, b in (("seconds", told["foretold_seconds"], told["seconds"]),
                               ("peak memory", told["foretold_mb"], told["peak_mb"]))]


def at_least(claim: str, found: float, aim: float, least: float) -> dict[str, Any]:
    """A target where more is better: what was aimed at, and what it must be at least."""
    return _target(claim, found, aim, least,
                   "aim met" if found >= aim else "accepted" if found >= least else "missed")


def at_most(claim: str, found: float, most: float) -> dict[str, Any]:
    """A target where less is better; the aim is all that is asked."""
    return _target(claim, found, most, most, "aim met" if found <= most else "missed")


def _target(claim: str, found: float, aim: float, bound: float, verdict: str) -> dict[str, Any]:
    print(f"{verdict:9}{claim}: {found:.3g}")
    return {"claim": claim, "found": found, "aim": aim, "bound": bound, "verdict": verdict}


def decoder_growth(short: Job, number: int) -> dict[str, Any]:
    """How time and added memory of LoRA on the decoder grow along each axis."""
    return _growth({axis: {value: replace(short, fill=axis == "max_length", **{axis: value})
                            for value in values}
                    for axis, values in DECODER_AXES.items()}, number)


def growth(short: Job, number: int) -> dict[str, Any]:
    """How time and added memory grow along each axis: y = scale * x ** exponent, fitted to all runs."""
    plans: dict[str, dict[int, Job]] = {}
    for axis, values in AXES.items():
        base = replace(short, arm="lora" if axis == "rank" else "full", fill=axis == "max_length")
        plans[axis] = {}
        for value in values:
            change: dict[str, Any] = {axis: value * (short.sentences if axis == "sentences" else 1)}
            plans[axis][value] = replace(base, **change)
    return _growth(plans, number)


def _growth(plans: Mapping[str, Mapping[int, Job]], number: int) -> dict[str, Any]:
    """The law along each axis, of the jobs by their value on it."""
    jobs = {f"{axis} {value}": job for axis, each in plans.items() for value, job in each.items()}
    runs, found = rounds(jobs, number, label="growth"), dict[str, Any]()
    print(f"\ngrowth: exponent and its 95% interval\n{'':20}{'time':>20}{'added memory':>20}")
    for axis, values in plans.items():
        names = [f"{axis} {value}" for value in values]
        x = [getattr(jobs[name], axis) for name in names for _ in range(number)]
        y = {key: [run[key] for name in names for run in runs[name]] for key in ("seconds", "growth_mb")}
        laws = {key: fit_exponent(x, y[key]) for key in y}
        print(f"{axis:20}" + "".join(f"{f'{w.exponent:.2f} [{w.low:.2f}, {w.high:.2f}]':>20}" for w in laws.values()))
        found[axis] = {"x": x} | {key: {"y": y[key]} | asdict(laws[key]) for key in y}
    return found
