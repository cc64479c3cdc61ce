"""The page of speed and memory: what `make bench` measured, as Markdown; pure functions of the stored file."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

from tools.numerals import stacked

DESCRIPTION = ("How fast and how small the book's training is beside other libraries, measured in turn on one machine, "
               "and how time and memory grow.")
AXES = {"sentences": "examples", "max_length": "length, tokens", "rank": "rank of LoRA",
        "width": "width of the encoder"}
JOINER = "\N{WORD JOINER}"  # no line ends after the dash before it
TITLE = "# Speed and memory, measured"
WHY = """## Why ours costs what it costs

- **Only the rows in use are trained.** The word table is the largest matrix of a small encoder, and a run reads few
  of its rows. The others get no gradient, so without weight decay Adam leaves them where they are. `only_rows` takes
  them away from the optimizer: no gradient, no moments, no update. The weights at the end are the same; a test holds
  them side by side. With weight decay or an L2 penalty the result would differ, so it is not used there.
- **Little padding.** Batches hold sentences of similar length and are as wide as the longest of them.
- **Each sentence is tokenised once**, the optimizer is torch's fused one, and the encoder has no pooler.
- **A frozen encoder reads each sentence once**, shortest first, without a gradient.
"""


def stored(path: Path) -> dict[str, Any] | None:
    """What `make bench` wrote and someone committed; None where nobody did."""
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return found


def page(found: Mapping[str, Any] | None) -> str:
    """The page, from what `python -m benchmarks` wrote."""
    if found is None or "arms" not in found:
        return f"{TITLE}\n\nNot measured yet: `make bench` measures, and `results/bench.json` keeps it.\n\n{WHY}"
    place, job, peaks = found["provenance"], found["provenance"]["job"], found["peaks"]
    lines = [
        TITLE, "",
        "Is the book's training as fast as it could be, and does it need no more memory than other libraries? All ways "
        "to train ran in turn, each in a process of its own. Two are compared by the ratio of their times in the same "
        "round, and the median over rounds is what counts: a machine that is busy for a while slows all of them. "
        "`make bench` runs it afresh and prints these tables.", "",
        f"**Setting.** {job['sentences']} movie sentences, {counted(job['epochs'], 'epoch')}, batches of 16, at most "
        f"{job['max_length']} tokens, {counted(job['threads'], 'thread')}, {counted(place['rounds'], 'round')}; "
        f"accuracy on {job['tests']} other sentences.", "",
        *where(place, peaks), "## All arms in one run", "", *compared(found["arms"], "full", "Right"), "",
        "Right is the accuracy on test sentences. The time is that of a clock on the wall. The column CPU has the same "
        "ratio for the time that the process itself used, which other work on the machine disturbs less. Peak is that "
        "of the whole process; added is what training added to it. The last column is the useful arithmetic in a "
        "second, as a share of the machine's best product of matrices.", "",
        "## Targets", "", "Fixed before the runs, for equal accuracy.", "", *asked(found["targets"])]
    if "methods" in found:
        lines += ["## What a method costs beside plain fine-tuning", "", *compared(found["methods"], "full", ""), ""]
    if "growth" in found:
        lines += ["## How time and memory grow", "", *laws(found["growth"])]
    if "decoder" in found:
        lines += decoder(found["decoder"])
    return "\n".join([*lines, WHY])


def decoder(found: Mapping[str, Any]) -> list[str]:
    """The decoder's part, measured at a time of its own."""
    place, job, told = found["provenance"], found["provenance"]["job"], found["forecast"]
    lines = [
        "## A decoder under LoRA", "",
        f"**Setting.** SmolLM2 finishes {job['sentences']} movie sentences of which it is given two thirds: a row "
        "has 67 tokens in the mean with the chat's template, and 11 of them are learned. "
        f"{counted(job['epochs'], 'epoch')}, batches of 8, LoRA of rank {job['rank']} on all linear layers, or on "
        f"those of the top 20 or 10 layers of 30; {counted(job['threads'], 'thread')}, "
        f"{counted(place['rounds'], 'round')}; loss in nats a token on {job['tests']} other sentences. Both peers "
        "adapt the same layers, in the faster precision, similar lengths together, without recomputation. Ours "
        "reads the layers below once, and the time holds that reading.", "",
        *where(place, found["peaks"]), *compared(found["arms"], "ours_all", "Loss"), "",
        "The useful arithmetic leaves out the head, and counts layers below the adapted ones once.", "",
        "Aims and what is still accepted were fixed before the runs. A speed counts only where the loss is at most 2 % "
        "above the peer's.", "",
        *asked(found["targets"]),
        f"**Foretold.** `forecast` timed batches that were {listed(told['timed_widths'])} tokens wide. Scaled by the "
        f"number of tokens, that is {told['foretold_seconds']:.0f} s for batches {listed(told['widths'])} tokens wide, "
        f"which it never saw; they took {told['seconds']:.0f} s. Of memory it said {told['foretold_mb']:.0f} MB, and "
        f"the run took {told['peak_mb']:.0f} MB.", ""]
    if "growth" in found:
        lines += ["How time and memory grow:", "", *laws(found["growth"])]
    return lines


def where(place: Mapping[str, Any], peaks: Mapping[str, Any]) -> list[str]:
    """Machine, versions and the most that it can do."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted((place["versions"] | place["peers"]).items()))
    bf16 = f"{peaks['bf16_gflops']:.0f} in bfloat16" if peaks["bf16_gflops"] else f"bfloat16: {peaks['bf16_note']}"
    return [f"**Where.** {place['machine']}, {place['device']}; {place['when']}; commit `{place['commit'][:12]}`"
            f"{', changed since' if place['dirty'] else ''}; {versions}.", "",
            f"**The most this machine can do.** Products of matrices: {peaks['fp32_gflops']:.0f} GFLOP/s in float32; "
            f"{bf16}.", ""]


def asked(targets: Iterable[Mapping[str, Any]]) -> list[str]:
    """A table of what was aimed at, the worst that was to be accepted, and what was found."""
    return ["| Target | Aim | Accepted | Found | Verdict |", "|---|---:|---:|---:|---|",
            *(f"| {row['claim']} | {row['aim']:.3g} | {row['bound']:.3g} | {row['found']:.3g} | "
              f"**{row['verdict']}** |" for row in targets), ""]


def laws(found: Mapping[str, Any]) -> list[str]:
    """A table of exponents."""
    return ["Exponent $b$ of $y = a\\,x^b$, fitted to all rounds, with its 95% interval: 1 doubles $y$ where $x$ "
            "doubles. Memory is what training added to the process.", "",
            "| Along | Values | Time | Added memory |", "|---|---|---:|---:|",
            *(growth(axis, law) for axis, law in found.items()), ""]


def listed(numbers: Iterable[int]) -> str:
    """57, 63 -> "57, 63"."""
    return ", ".join(map(str, numbers))


def counted(number: int, what: str) -> str:
    """2, "epoch" -> "2 epochs"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def compared(found: Mapping[str, Any], first: str, accuracy: str) -> Iterable[str]:
    """A table with a row for each arm; times beside those of `first`, with the range over rounds."""
    runs, head = found["runs"], f"{accuracy} | " if accuracy else ""
    yield f"Ratios are to *{runs[first]['what']}*: the median over rounds, and in brackets the least and the largest."
    yield ""
    rows = [f"| Way | {head}Time, s | Ratio | CPU | Peak, MB | Added, MB | Of peak |",
            f"|---|{'---:|' if accuracy else ''}---:|---:|---:|---:|---:|---:|"]
    for name, run in runs.items():
        each = [a / b for a, b in zip(run["seconds"], runs[first]["seconds"], strict=True)]
        tested = ""
        if accuracy:
            tested = f"{mean(run['accuracy']):.1%} | " if "accuracy" in run else f"{mean(run['loss']):.3f} | "
        rows.append(
            f"| {run['what']} | {tested}{median(run['seconds']):.1f} | {found['ratios'][name][first]:.2f} "
            f"({min(each):.2f}–{JOINER}{max(each):.2f}) | {found['cpu_ratios'][name][first]:.2f} | "
            f"{median(run['peak_mb']):.0f} | {median(run['growth_mb']):.0f} | {run['share_of_peak']:.0%} |")
    yield from stacked(*rows, kind="named")


def growth(axis: str, law: Mapping[str, Any]) -> str:
    """A row for one axis."""
    cells = [f"{law[key]['exponent']:.2f} ({law[key]['low']:.2f} to {law[key]['high']:.2f})"
             for key in ("seconds", "growth_mb")]
    return f"| {AXES[axis]} | {listed(sorted(set(law['x'])))} | {' | '.join(cells)} |"
