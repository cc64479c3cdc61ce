"""Publish the bands that `make book` holds the results to: run every chapter for several seeds, write `results/`."""
from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.book.cards import hard
from lib.evidence.verdicts import prediction_interval
from tools import gate, lock, quoted
from tools.book import arguments, provenance, say, whole
from tools.execute import Job, Settings, bands_file, execute
from tools.notebooks import ROOT, Mistake, chapters, command, write

LEVEL = 0.99           # the share of new runs that falls inside
FLOOR = 0.01           # of the largest run: sums in another order (threads, processors) move a result by this much
SMALLEST_FLOOR = 1e-6  # where every run gives zero
RULE = (f"{LEVEL:.0%} prediction interval for one new run from n runs: mean -+ t(n - 1) s sqrt(1 + 1/n); its "
        f"half-width is at least {FLOOR:.0%} of the largest run, and {SMALLEST_FLOOR:g}, for the arithmetic of other "
        "machines")


def band(runs: Sequence[float]) -> tuple[float, float]:
    """The interval that one new run falls into with probability 0.99 if runs are normal; no narrower than the floor.

    mean -+ max(t_{n-1, 0.995} s sqrt(1 + 1/n), 0.01 max|run|, 1e-6)   (Hahn and Meeker, Statistical Intervals, ch. 4)

    Raises:
        Mistake: fewer than three runs.
    """
    n = len(runs)
    if n < 3:
        raise Mistake(f"SEEDS must name at least 3 different seeds, got {n}")
    low, high = prediction_interval(runs, level=LEVEL)
    middle, half = (low + high) / 2, max((high - low) / 2, FLOOR * max(map(abs, runs)), SMALLEST_FLOOR)
    return middle - half, middle + half


@lock.one_build
def publish(root: Path, profile: str, seeds: Sequence[int], name: str = "") -> int:
    """Run every chapter for every seed and write the bands of its results, the book's and nobody else's.

    Args:
        name: the beginning of a chapter's file name, to run those alone; the bands of the others stay.

    Returns:
        0, or 1 where a run is unsound or breaks a bound: nothing is written then.
    """
    if len(set(seeds)) < 3:
        raise Mistake(f"SEEDS must name at least 3 different seeds, got {' '.join(map(str, seeds))}")
    seeds = sorted(set(seeds))
    asked = chapters(root, name)
    say(f"run {len(asked)} chapter(s) for seeds {' '.join(map(str, seeds))}, PROFILE={profile}")
    jobs = [Job(path, Settings(profile, seed)) for path in asked for seed in seeds]
    said = quoted.names(list(quoted.texts(root)))
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {path.stem: {} for path in asked}
    problems = []
    for job, notebook in zip(jobs, execute(jobs), strict=True):
        found = gate.sound(notebook, job.chapter.stem)
        for result in [] if found else gate.results(notebook):
            if hard(result):
                found += gate.fault(result, None, job.chapter.stem)
            runs[job.chapter.stem].setdefault(result["name"], []).append(result)
        problems += [f"seed {job.settings.seed}: {problem}" for problem in found]
    problems += [f"{chapter}: {name} is recorded as stored, and its seeds give {', '.join(map(str, sorted(seen)))}"
                 for chapter, results in runs.items() for name, each in results.items() if each[0]["stored"]
                 if len(seen := {result["value"] for result in each}) > 1]
    if problems:
        print("\n".join(["no bands are written:", *(f"  {problem}" for problem in problems)]), file=sys.stderr)
        return 1
    path = bands_file(root, jobs[0].settings)
    before = json.loads(path.read_text("utf-8")) if path.exists() else {"provenance": {}, "chapters": {}}
    stay = {each.stem for each in chapters(root)} - set(runs)
    entries: dict[str, dict[str, Any]] = {key: was for key, was in before["chapters"].items() if key in stay}
    for chapter, names in runs.items():
        for result_name, found_results in names.items():
            if hard(found_results[0]) and (result_name not in said or found_results[0]["stored"]):
                continue  # a bound of its own judges it, and no sentence says it live
            values = [result["value"] for result in found_results]
            low, high = band(values)
            entries.setdefault(chapter, {})[result_name] = {"low": low, "high": high, "runs": values,
                                                     "unit": found_results[0]["unit"]}
            print(f"  {chapter}  {result_name:<40} {low:.5g} to {high:.5g} from {len(values)} runs")
    origin = provenance(root, jobs[0].settings) | {"seeds": seeds, "rule": RULE}
    commits = {key: commit for key, commit in before["provenance"].get("commits", {}).items() if key in stay}
    origin["commits"] = dict(sorted((commits | dict.fromkeys(runs, origin["commit"])).items()))  # of each chapter
    write(path, json.dumps({"provenance": origin, "chapters": dict(sorted(entries.items()))}, indent=1) + "\n")
    print(f"  written to {path.relative_to(root)}, from {len(seeds)} runs of each chapter, by this rule:\n  {RULE}")
    return 0


def main() -> int:
    """The command line behind `make bands`."""
    parser = arguments()
    parser.add_argument("--seeds", nargs="*", type=whole, required=True)
    parser.add_argument("--name", default="", help="the beginning of a chapter's file name; the others' bands stay")
    asked = parser.parse_args()
    return publish(ROOT, asked.profile, asked.seeds, asked.name)


if __name__ == "__main__":
    command(main)
