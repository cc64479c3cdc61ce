"""`python -m benchmarks`: all arms in turn, what methods add, how cost grows; tables and `_build/bench.json`."""
from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.arms import ARMS
from benchmarks.decoders import BATCH, COST, DECODERS, START
from benchmarks.harness import ROOT, Job, measure
from benchmarks.methods import METHODS
from benchmarks.report import (
    compare,
    decoder_growth,
    decoder_targets,
    forecast_targets,
    growth,
    matmul_rates,
    targets,
)
from lib.evidence.store import commit, place
from lib.files.atomic import write_atomically
from lib.run.command import command

PEERS = ("accelerate", "peft", "scikit-learn", "sentence-transformers", "tokenizers", "trl")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written: the encoder's part, and the decoder's under "decoder"."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    found = kept(options.out)
    if options.part in ("encoder", "both"):
        found = {key: found[key] for key in ("decoder",) if key in found}
        encoder(options, found, lambda: write(options.out, found))
    if options.part in ("decoder", "both"):
        found["decoder"] = {}
        decoder(options, found["decoder"], lambda: write(options.out, found))
    return found


def kept(out: Path) -> dict[str, Any]:
    """What was measured before, of which the other part stays: here, or else what is committed."""
    for path in (out, ROOT / "results" / "bench.json"):
        if path.exists():
            return json.loads(path.read_text("utf-8"))
    return {}


def write(out: Path, found: dict[str, Any]) -> None:
    """Each part as it ends: a run that is cut short keeps what it has."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda file: file.write(json.dumps(found, indent=1).encode()))
    print(f"\nwritten to {out.name}", flush=True)


def provenance(options: argparse.Namespace, job: Job) -> dict[str, Any]:
    """Where, when and with what a part was measured."""
    return commit(ROOT) | place() | {
        "when": datetime.now(UTC).isoformat(timespec="seconds"), "peers": {name: version(name) for name in PEERS},
        "rounds": options.rounds, "job": asdict(job)}


def encoder(options: argparse.Namespace, found: dict[str, Any], save: Callable[[], None]) -> None:
    """The arms of the encoder, what methods add, how cost grows."""
    job = Job("full", sentences=options.sentences, epochs=options.epochs, threads=options.threads,
              tests=100 if options.quick else options.tests)
    started, peaks = time.perf_counter(), matmul_rates()
    found |= {"peaks": peaks, "provenance": provenance(options, job)}

    def done() -> None:
        found["provenance"]["minutes"] = round((time.perf_counter() - started) / 60, 1)
        save()

    names = [name for name in options.arms or ARMS if name in ARMS]
    found["arms"] = compare("arms", {name: replace(job, arm=name) for name in names}, options.rounds, peaks)
    found["targets"] = targets(found["arms"])
    done()
    if not options.arms:
        short = replace(job, sentences=16 if options.quick else 160, epochs=1, tests=0)
        jobs = {name: replace(short, arm=name) for name in ("full", *METHODS)}
        found["methods"] = compare("methods", jobs, options.rounds, peaks)
        done()
        found["growth"] = growth(short, options.rounds)
        done()


def decoder(options: argparse.Namespace, found: dict[str, Any], save: Callable[[], None]) -> None:
    """The arms of the decoder, whether a forecast of one holds, how cost grows."""
    job = Job("ours_all", sentences=16 if options.quick else options.pairs, epochs=1 if options.quick else 3,
              threads=options.threads, tests=16 if options.quick else 64, max_length=512)
    rounds = 1 if options.quick else min(options.rounds, 3)
    started, peaks = time.perf_counter(), matmul_rates()
    found |= {"peaks": peaks, "provenance": provenance(options, job) | {"rounds": rounds}}

    def done() -> None:
        found["provenance"]["minutes"] = round((time.perf_counter() - started) / 60, 1)
        save()

    names = [name for name in options.arms or DECODERS if name in DECODERS]
    told = found["forecast"] = measure(replace(job, arm="foretell"), seed=0)
    print(f"forecast of half a run of ours: {told['foretold_seconds']:.1f} s and {told['foretold_mb']:.0f} MB, "
          f"it took {told['seconds']:.1f} s and {told['peak_mb']:.0f} MB")
    minutes = rounds * sum(START + COST[name] * 2 * told["seconds"] for name in names) / 60
    print(f"{len(names)} arms in {rounds} rounds: about {minutes:.0f} minutes", flush=True)
    found["arms"] = compare("decoder", {name: replace(job, arm=name) for name in names}, rounds, peaks)
    found["targets"] = decoder_targets(found["arms"]) + forecast_targets(told)
    done()
    if not options.arms and options.growth:
        found["growth"] = decoder_growth(replace(job, sentences=8, epochs=1, tests=0), rounds)
        done()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--part", choices=("encoder", "decoder", "both"), default="both",
                        help="what to measure; the other part of the file stays as it is")
    parser.add_argument("--pairs", type=int, default=64, help="to train the decoder on")
    parser.add_argument("--growth", action="store_true", help="of the decoder's cost, too: ten more runs a round")
    parser.add_argument("--sentences", type=int, default=2000, help="to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="times that each arm runs; medians are over these")
    parser.add_argument("--tests", type=int, default=1000, help="sentences for the accuracy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arms", nargs="+", choices=[*ARMS, *DECODERS], metavar="ARM",
                        help=f"only these, without methods and growth: {', '.join([*ARMS, *DECODERS])}")
    parser.add_argument("--quick", action="store_true", help="see that it runs: 32 sentences, one epoch, one round")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "bench.json")
    options = parser.parse_args(arguments)
    for name, least in {"pairs": 2 * BATCH, "sentences": 1, "epochs": 1, "rounds": 1, "tests": 1, "threads": 1}.items():
        if getattr(options, name) < least:  # the forecast needs a batch to time and another
            parser.error(f"--{name} must be at least {least}, got {getattr(options, name)}")
    if options.arms:
        options.part = "decoder" if options.arms[0] in DECODERS else "encoder"
        if not set(options.arms) <= set(DECODERS if options.part == "decoder" else ARMS):
            parser.error(f"--arms must be of the encoder alone or of the decoder alone, got {', '.join(options.arms)}")
    if options.quick:
        options.sentences, options.epochs, options.rounds = 32, 1, 1
    return options


def measured() -> int:
    """Measure as the command line says; gives 0."""
    main()
    return 0


if __name__ == "__main__":
    sys.exit(command("python -m benchmarks", measured))
