"""What the stored evidence took on two cores, and what the runs that are missing will take, by question and chapter.

Each run keeps its seconds and its threads (`lib.evidence.sweeps`). A run on one thread leaves the other core to another
run, so it counts half. Other work on the machine makes a run slower and never faster; so of runs that differ in their
seed alone, the quickest says best what each of them takes where nothing else runs.
"""
from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORES = 2  # of the machine that the budgets speak of
BUDGETS = {"the encoder's claims": 2.0, "the decoder's columns": 2.0, "the frontiers": 3.0, "the applications": 2.0}
CAVEAT = ("Many runs went on beside other work on the same machine, which can only make them slower. *Alone*: each run "
          "counts as much as the quickest among those that differ from it in the seed alone; the budgets are held to "
          "that. There is no column for a GPU: none was at hand when they were made.")
LANGUAGE_MODEL = ("SmolLM2", "decoder")  # a question about it says so, or its store does


@dataclass(frozen=True)
class Took:
    """The runs of one question in one store.

    Args:
        store: the file's name without its ending, which begins with its chapter's.
        question: what they ask.
        runs: how many there are.
        minutes: what they took together on two cores.
        alone: the same, each at the pace of the quickest of its seeds.
    """

    store: str
    question: str
    runs: int
    minutes: float
    alone: float

    @property
    def decoder(self) -> bool:
        """Whether it is the language model that runs."""
        return any(word in f"{self.store} {self.question}" for word in LANGUAGE_MODEL)

    @property
    def part(self) -> str:
        """Which of the budgets pays for it."""
        chapter = int(self.store[:2])
        if chapter > 6:
            return "the applications" if chapter > 8 else "the frontiers"
        return "the decoder's columns" if self.decoder else "the encoder's claims"


def stores(root: Path) -> dict[str, Any]:
    """Name -> store, of those that lie in `results/evidence`."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(_folder(root).glob("*.json"))}


def committed(root: Path) -> dict[str, Any]:
    """Name -> store, of those of the commit that is checked out; none outside git."""
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    paths = git("ls-tree", "--name-only", "HEAD", f"{_folder(root).relative_to(root)}/").split()
    return {Path(path).stem: json.loads(git("show", f"HEAD:{path}")) for path in paths if path.endswith(".json")}


def _folder(root: Path) -> Path:
    return root / "results" / "evidence"


def took(found: Mapping[str, Any], but: Mapping[str, Any] | None = None) -> list[Took]:
    """What the runs of the stores took, by store and question; without those that the stores `but` hold too."""
    rows = []
    for name, store in found.items():
        held = (but or {}).get(name, {"runs": {}})["runs"]
        minutes: dict[str, dict[str, list[float]]] = {}  # question -> arm -> minutes of its seeds
        for key, run in store["runs"].items():
            if key not in held:
                threads = store["provenance"][run["provenance"]]["threads"]
                arm = json.dumps({axis: value for axis, value in run["spec"].items() if axis != "seed"}, sort_keys=True)
                minutes.setdefault(run["question"], {}).setdefault(arm, []).append(
                    run["seconds"] * min(threads, CORES) / CORES / 60)
        rows += [Took(name, question, sum(map(len, arms.values())), sum(map(sum, arms.values())),
                      sum(len(each) * min(each) for each in arms.values()))
                 for question, arms in sorted(minutes.items())]
    return rows


def lines(rows: Iterable[Took]) -> list[str]:
    """For a terminal: one line a question, and their sum."""
    listed = list(rows)
    total = sum(row.minutes for row in listed)
    return [*(f"  {row.minutes:7.1f} min  {row.runs:4d} runs  {row.store}: {row.question}" for row in listed),
            f"  {total:7.1f} min  {sum(row.runs for row in listed):4d} runs on two cores; each at the pace of its "
            f"quickest seed {sum(row.alone for row in listed):.1f}"]


def table(rows: Iterable[Took]) -> list[str]:
    """In Markdown: each chapter's minutes with the encoder and with the language model, and each budget's sum.

    A budget that would not be kept by the runs alone is named below.
    """
    listed = list(rows)

    def minutes(chosen: Iterable[Took]) -> str:
        each = [row.minutes for row in chosen]
        return f"{sum(each):.0f}" if each else ""

    written = ["| Chapter | Encoder, min | Decoder, min |", "|---|---:|---:|"]
    for chapter in sorted({row.store[:2] for row in listed}):
        here = [row for row in listed if row.store[:2] == chapter]
        written.append(f"| {int(chapter)} | {minutes(row for row in here if not row.decoder)} | "
                       f"{minutes(row for row in here if row.decoder)} |")
    written += ["", "| Of the evidence | Took, min | Alone, min | May take, min |", "|---|---:|---:|---:|"]
    own = {part: [row for row in listed if row.part == part] for part in BUDGETS}
    alone = {part: sum(row.alone for row in each) for part, each in own.items()}
    written += [f"| {part} | {sum(row.minutes for row in own[part]):.0f} | {alone[part]:.0f} | {60 * hours:.0f} |"
                for part, hours in BUDGETS.items()]
    over = ", ".join(f"{part} ({alone[part]:.0f} of {60 * hours:.0f})" for part, hours in BUDGETS.items()
                     if alone[part] > 60 * hours)
    written += ["", f"Over budget, in minutes: {over}."] if over else []
    return [*written, "", CAVEAT]
