"""The page of speed says what was measured, also where a target is not met; numbers here are made up."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools import speed
from tools.notebooks import ROOT

Item = dict[str, Any]


def arms(**seconds: list[float]) -> Item:
    """What `benchmarks.report.compare` gives: `full` takes one second in each round."""
    runs = {name: {"what": f"arm {name}", "seconds": each, "cpu_seconds": each, "accuracy": [0.75, 0.85],
                   "peak_mb": [900.0, 900.0], "growth_mb": [210.0, 210.0], "share_of_peak": 0.42}
            for name, each in ({"full": [1.0, 1.0]} | seconds).items()}
    ratios = {a: {"full": sum(run["seconds"]) / 2} for a, run in runs.items()}
    return {"runs": runs, "ratios": ratios, "cpu_ratios": {a: {"full": 2 * row["full"]} for a, row in ratios.items()}}


def target(claim: str, found: float, aim: float, bound: float, verdict: str) -> Item:
    return {"claim": claim, "found": found, "aim": aim, "bound": bound, "verdict": verdict}


def measured(**more: Any) -> Item:
    """A file of `make bench --arms`."""
    place = {"machine": "An Old Processor", "device": "cpu", "when": "2001-02-03", "commit": "a" * 40, "dirty": False,
             "versions": {"torch": "9.9"}, "peers": {"peft": "8.8"}, "rounds": 2,
             "job": {"sentences": 77, "epochs": 1, "tests": 55, "max_length": 128, "threads": 3}}
    targets = [target("full: times as fast as source", 4.0, 10.0, 10.0, "missed"),
               target("lora: times as fast as peft_tuned", 1.5, 1.3, 1.3, "aim met")]
    return {"provenance": place, "peaks": {"fp32_gflops": 123.4, "bf16_gflops": None, "bf16_note": "none here"},
            "arms": arms(source=[3.0, 5.0]), "targets": targets} | more


LAW = {"x": [16, 16, 32, 32]} | {key: {"y": [], "exponent": b, "low": b - 0.1, "high": b + 0.1}
                                 for key, b in (("seconds", 1.25), ("growth_mb", 0.5))}


def test_the_page_says_what_was_measured_and_where() -> None:
    page = speed.page(measured(methods=arms(sam=[2.0, 2.0]), growth={"max_length": LAW}))
    assert "| arm source | 80.0% | 4.0 | 4.00 (3.00–\u20605.00) | 8.00 | 900 | 210 | 42% |" in page
    assert "| arm sam | 2.0 | 2.00 (2.00–\u20602.00) | 4.00 | 900 | 210 | 42% |" in page
    assert "| length, tokens | 16, 32 | 1.25 (1.15 to 1.35) | 0.50 (0.40 to 0.60) |" in page
    for fact in ("77 movie sentences, 1 epoch,", "3 threads, 2 rounds", "accuracy on 55", "An Old Processor",
                 "peft 8.8", "torch 9.9", "`aaaaaaaaaaaa`", "123 GFLOP/s in float32; bfloat16: none here"):
        assert fact in page, fact
    assert "changed since" not in page


def test_a_target_that_was_missed_says_so() -> None:
    page = speed.page(measured())
    assert "| full: times as fast as source | 10 | 10 | 4 | **missed** |" in page
    assert "| lora: times as fast as peft_tuned | 1.3 | 1.3 | 1.5 | **aim met** |" in page
    assert "What a method costs" not in page and "How time and memory grow" not in page
    assert "A decoder" not in page


def decoder(**more: Any) -> Item:
    """The decoder's part of a file, of another day and commit than the encoder's."""
    runs = {name: {"what": what, "seconds": seconds, "cpu_seconds": seconds, "loss": [1.25, 1.35],
                   "peak_mb": [2000.0, 2000.0], "growth_mb": added, "share_of_peak": 0.33}
            for name, what, seconds, added in (("ours_all", "ours: LoRA, all layers", [10.0, 10.0], [640.0, 640.0]),
                                               ("trl_all", "peft, SFTTrainer, all layers", [12.0, 16.0], [980.0] * 2))}
    ratios = {"ours_all": {"ours_all": 1.0}, "trl_all": {"ours_all": 1.4}}
    place = measured()["provenance"] | {"when": "2002-03-04", "commit": "b" * 40, "dirty": True, "rounds": 2,
                                        "job": {"sentences": 44, "epochs": 3, "rank": 8, "threads": 3, "tests": 22}}
    told = {"foretold_seconds": 33.3, "seconds": 36.6, "foretold_mb": 1111.1, "peak_mb": 1222.2,
            "timed_widths": [60, 95], "widths": [57, 78]}
    targets = [target("ours_all: times as fast as trl_all", 1.4, 1.5, 1.35, "accepted"),
               target("ours_all: memory added to the model, as a share of that of trl_all", 0.653, 0.7, 0.7, "aim met"),
               target("ours_all: loss as a share of that of trl_all", 1.031, 1.02, 1.02, "missed")]
    return {"provenance": place, "peaks": {"fp32_gflops": 99.0, "bf16_gflops": 150.0, "bf16_note": ""},
            "arms": {"runs": runs, "ratios": ratios, "cpu_ratios": ratios}, "targets": targets, "forecast": told} | more


def test_the_decoders_part_says_what_was_reached_what_is_accepted_and_what_was_missed() -> None:
    page = speed.page(measured(decoder=decoder()))
    for row in ("| peft, SFTTrainer, all layers | 1.300 | 14.0 | 1.40 (1.20–\u20601.60) | 1.40 | 2000 | 980 | 33% |",
                "| Target | Aim | Accepted | Found | Verdict |",
                "| ours_all: times as fast as trl_all | 1.5 | 1.35 | 1.4 | **accepted** |",
                "| ours_all: memory added to the model, as a share of that of trl_all | 0.7 | 0.7 | 0.653 | "
                "**aim met** |",
                "| ours_all: loss as a share of that of trl_all | 1.02 | 1.02 | 1.03 | **missed** |",
                "timed batches that were 60, 95 tokens wide. Scaled by the number of tokens, that is 33 s for batches "
                "57, 78 tokens wide, which it never saw; they took 37 s. Of memory it said 1111 MB, and the run took "
                "1222 MB."):
        assert row in page, row
    for fact in ("44 movie sentences", "3 epochs", "loss in nats a token on 22 other", "`bbbbbbbbbbbb`, changed since",
                 "2002-03-04", "99 GFLOP/s in float32; 150 in bfloat16", "`aaaaaaaaaaaa`;", "2001-02-03"):
        assert fact in page, fact  # the encoder's provenance stays beside it
    assert "| rank of LoRA |" not in page
    grown = speed.page(measured(decoder=decoder(growth={"rank": LAW})))
    assert "| rank of LoRA | 16, 32 | 1.25 (1.15 to 1.35) | 0.50 (0.40 to 0.60) |" in grown


def test_runs_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError):
        speed.page(measured(arms=arms(source=[3.0])))


def unlike(page: str, found: Item) -> list[str]:
    """The ratios of the file that the page lacks."""
    return [name for name, row in found["arms"]["ratios"].items() if f"| {row['full']:.2f} (" not in page]


def test_the_book_shows_its_own_file_or_says_that_there_is_none(tmp_path: Path) -> None:
    assert "Not measured yet" in speed.page(speed.stored(tmp_path / "bench.json"))
    path = ROOT / "results" / "bench.json"
    if path.exists():
        found = json.loads(path.read_text("utf-8"))
        page = speed.page(speed.stored(path))
        assert unlike(page, found) == [] and found["provenance"]["dirty"] is False
        found["arms"]["ratios"]["full"]["full"] = 123.0  # control: another file
        assert unlike(page, found) == ["full"]
