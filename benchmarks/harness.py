"""How to measure on a machine that is not quiet: a process for each measurement, arms in turn, ratios within a round.

A round runs every job once, one after the other, so that whatever slows the machine for a while slows all of them. Two
jobs are compared by the ratio of their times in the same round; what is reported is the median of these ratios.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lib.run.progress import progress

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Job:
    """What one process trains, clocks and tests.

    Args:
        arm: a name in `benchmarks.arms.ARMS`, `benchmarks.methods.METHODS` or `benchmarks.decoders.DECODERS`.
        sentences: to train on, drawn from the training part of the movie sentences; for the decoder, to finish.
        epochs: passes over them.
        tests: sentences of the test part for the accuracy, or the loss of the decoder; with 0 there is none.
        max_length: tokens a sentence; the rest is cut.
        rank: of LoRA; alpha is twice the rank.
        width: of an encoder with random weights and six layers; None takes the pretrained one, which is 384 wide.
        fill: join sentences, so that each text has `max_length` tokens.
        threads: of the processor.
    """

    arm: str
    sentences: int = 2000
    epochs: int = 2
    tests: int = 1000
    max_length: int = 128
    rank: int = 8
    width: int | None = None
    fill: bool = False
    threads: int = 2


Run = dict[str, Any]  # what `benchmarks.clock` prints


def measure(job: Job, seed: int) -> Run:
    """Run one job in a fresh process without a GPU.

    Raises:
        RuntimeError: the process failed; ends with what it said.
    """
    threads = str(job.threads)
    environment = {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads, "CUDA_VISIBLE_DEVICES": "",
                   "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "benchmarks.clock", json.dumps(asdict(job)), str(seed)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{job} failed: {done.stderr[-1500:]}")
    run: Run = json.loads(done.stdout.splitlines()[-1])  # peers print lines of their own before
    return run


def rounds(jobs: Mapping[str, Job], number: int, *, label: str) -> dict[str, list[Run]]:
    """Every job `number` times, in turn: run i of each job belongs to round i and has seed i.

    Each round starts one job later, so that no job always follows the same state of the machine.
    """
    runs: dict[str, list[Run]] = {name: [] for name in jobs}
    order = [list(jobs)[(i + start) % len(jobs)] for start in range(number) for i in range(len(jobs))]
    bar = progress(order, label=label)
    for name in bar:
        bar.set_postfix_str(name)
        runs[name].append(measure(jobs[name], seed=len(runs[name])))
    return runs


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Median over rounds of a_i / b_i.

    Raises:
        ValueError: not the same number of rounds, so nothing says which belong together.
    """
    return median(x / y for x, y in zip(a, b, strict=True))

