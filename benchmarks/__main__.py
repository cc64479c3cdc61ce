"""`python -m benchmarks`: all arms in turn, what methods add, how cost grows; tables and `_build/bench.json`."""
from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.arms import ARMS
from benchmarks.harness import ROOT, Job
from benchmarks.methods import METHODS
from benchmarks.report import compare, growth, matmul_rates, targets
from lib.evidence.store import commit, place
from lib.files.atomic import write_atomically

PEERS = ("accelerate", "peft", "scikit-learn", "sentence-transformers", "tokenizers")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    job = Job("full", sentences=options.sentences, epochs=options.epochs, threads=options.threads,
              tests=100 if options.quick else options.tests)
    started = time.perf_counter()
    peaks = matmul_rates()
    found: dict[str, Any] = {"peaks": peaks, "provenance": commit(ROOT) | place() | {
        "when": datetime.now(UTC).isoformat(timespec="seconds"), "peers": {name: version(name) for name in PEERS},
        "rounds": options.rounds, "job": asdict(job)}}
    names = options.arms or list(ARMS)
    found["arms"] = compare("arms", {name: replace(job, arm=name) for name in names}, options.rounds, peaks)
    found["targets"] = targets(found["arms"])

    def write() -> None:
        found["provenance"]["minutes"] = round((time.perf_counter() - started) / 60, 1)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.out, lambda file: file.write(json.dumps(found, indent=1).encode()))
        print(f"\nwritten to {options.out.name} after {found['provenance']['minutes']} minutes", flush=True)

    write()  # each part as it ends: a run that is cut short keeps what it has
    if not options.arms:
        short = replace(job, sentences=16 if options.quick else 160, epochs=1, tests=0)
        jobs = {name: replace(short, arm=name) for name in ("full", *METHODS)}
        found["methods"] = compare("methods", jobs, options.rounds, peaks)
        write()
        found["growth"] = growth(short, options.rounds)
        write()
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--sentences", type=int, default=2000, help="to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="times that each arm runs; medians are over these")
    parser.add_argument("--tests", type=int, default=1000, help="sentences for the accuracy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), metavar="ARM",
                        help=f"only these, without methods and growth: {', '.join(ARMS)}")
    parser.add_argument("--quick", action="store_true", help="see that it runs: 32 sentences, one epoch, one round")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "bench.json")
    options = parser.parse_args(arguments)
    for name in ("sentences", "epochs", "rounds", "tests", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.quick:
        options.sentences, options.epochs, options.rounds = 32, 1, 1
    return options


if __name__ == "__main__":
    main()
