"""The benchmark runs, writes what it found, and compares arms only within a round."""
from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import harness, report
from benchmarks.__main__ import main
from benchmarks.arms import ARMS, Task, add_lora
from benchmarks.harness import Job, Run
from lib.data import encode
from lib.models import Classifier, load_encoder
from lib.objectives import cross_entropy

TRUE = {"source": 12.0, "trainer_tuned": 2.0, "peft_tuned": 1.2, "full": 1.0, "lora": 1.0}  # seconds, undisturbed
PEAKS = {"fp32_gflops": 100.0, "bf16_gflops": None}
DRIFT = [1.0, 10.0, 100.0, 1000.0, 10000.0]  # how much slower the machine is in each round


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """`main` sets the number of threads of this process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """No process is started: times come from a machine that slows down, and disturbs "full" in the middle round."""
    asked: list[tuple[str, int]] = []

    def measure(job: Job, seed: int) -> Run:
        asked.append((job.arm, seed))
        seconds = TRUE[job.arm] * DRIFT[seed] * (7 if (job.arm, seed) == ("full", 2) else 1)
        return {"seconds": seconds, "cpu_seconds": 1.0, "accuracy": 0.8, "peak_mb": 600.0, "growth_mb": 100.0,
                "flop": 10**12}

    monkeypatch.setattr(harness, "measure", measure)
    return asked


def jobs() -> dict[str, Job]:
    return {name: Job(name) for name in TRUE}


def test_ratios_are_taken_within_a_round(busy_machine: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The true ratio comes back, although the machine slows 10,000 times; an unpaired comparison gets it wrong."""
    found = report.compare("test", jobs(), len(DRIFT), PEAKS)
    for a in TRUE:
        for b in TRUE:
            assert found["ratios"][a][b] == pytest.approx(TRUE[a] / TRUE[b], rel=1e-12)
    monkeypatch.setattr(report, "ratio", lambda a, b: median(a) / median(b))
    unpaired = report.compare("test", jobs(), len(DRIFT), PEAKS)
    assert unpaired["ratios"]["source"]["full"] == pytest.approx(12 / 7)  # one disturbed run of five moves the median


def test_targets_say_what_was_met(busy_machine: list[tuple[str, int]]) -> None:
    found = report.compare("test", jobs(), len(DRIFT), PEAKS)
    assert [target["verdict"] == "aim met" for target in report.targets(found)] == [
        True, True, False, True, True]  # LoRA: 1.2 of 1.3


def test_targets_on_file_follow_from_the_runs_on_file() -> None:
    found = json.loads((harness.ROOT / "results" / "bench.json").read_text())
    assert found["targets"] == report.targets(found["arms"])
    if "decoder" in found:
        own = found["decoder"]
        assert own["targets"] == report.decoder_targets(own["arms"]) + report.forecast_targets(own["forecast"])


def test_every_round_runs_every_arm_once_in_turn(busy_machine: list[tuple[str, int]]) -> None:
    harness.rounds(jobs(), len(DRIFT), label="test")
    size = len(TRUE)
    for i in range(len(DRIFT)):
        arms, seeds = zip(*busy_machine[i * size : (i + 1) * size], strict=True)
        assert sorted(arms) == sorted(TRUE) and set(seeds) == {i}
        assert arms[0] == list(TRUE)[i]  # another first in each round


def test_runs_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError):
        harness.ratio([1.0, 2.0], [1.0])


def test_a_process_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.sys, "executable", shutil.which("false"))
    with pytest.raises(RuntimeError, match="Job.*full.* failed"):
        harness.measure(Job("full"), 0)


def test_a_run_that_is_cut_short_keeps_its_arms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def measure(job: Job, seed: int) -> Run:
        if not job.tests:  # methods and growth are not tested: the first of these is the end
            raise KeyboardInterrupt
        return {"seconds": 1.0, "cpu_seconds": 1.0, "accuracy": 0.8, "peak_mb": 600.0, "growth_mb": 100.0, "flop": 1}

    monkeypatch.setattr(harness, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        main(["--quick", "--part", "encoder", "--out", str(tmp_path / "bench.json")])
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["arms"]["runs"].keys() == ARMS.keys() and found["targets"] and "methods" not in found


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--arms", "nobody"]])
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)


def test_two_arms_for_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """32 sentences, one round: the file holds what was measured, where, and on which commit."""
    out = tmp_path / "bench.json"
    main(["--quick", "--threads", "1", "--arms", "lora", "head", "--out", str(out)])
    found = json.loads(out.read_text())
    place = found["provenance"]
    assert {"commit", "dirty", "device", "machine", "threads", "versions", "when", "peers"} <= place.keys()
    assert place["job"]["sentences"] == 32 and place["rounds"] == place["threads"] == 1
    assert found["peaks"]["fp32_gflops"] > 0 and (found["peaks"]["bf16_gflops"] or found["peaks"]["bf16_note"])
    for name in ("lora", "head"):
        arm = found["arms"]["runs"][name]
        assert len(arm["seconds"]) == 1 and arm["seconds"][0] > 0 and arm["lr"] == ARMS[name].lr
        assert 0 <= arm["accuracy"][0] <= 1 and arm["peak_mb"][0] > arm["growth_mb"][0] > 0
    lora, head = (found["arms"]["runs"][name]["seconds"][0] for name in ("lora", "head"))
    assert found["arms"]["ratios"]["lora"]["head"] == pytest.approx(lora / head)
    printed = capsys.readouterr().out
    assert ARMS["lora"].what in printed and ARMS["head"].what in printed


@pytest.mark.parametrize("arm, extra", [("full", 0.0), ("lora", 2 * 2 / 12)])
def test_arithmetic_is_what_torch_counts(arm: str, extra: float) -> None:
    """6 or 4 operations a weight and token, by torch's own counter of matrix products, within 3%.

    The counter also sees attention's products (1.5% here) and, for LoRA, the whole gradient of the two mapped weights
    of twelve, which the arm could do without: `extra` operations a weight, here not counted as useful.
    """
    model = Classifier(load_encoder(), [0, 1])
    texts = ["a film that is long enough to be read without any padding at the end of it"] * 4
    task = Task(Job(arm), 0, texts, [0] * 4, [], [])
    if arm == "lora":
        add_lora(model, task)
    batch = encode(model.tokenizer, task.texts, task.labels).collate(range(4))
    assert batch["attention_mask"].double().mean() > 0.7
    with FlopCounterMode(display=False) as counter:
        cross_entropy()(model, batch).total.backward()
    counted = counter.get_total_flops() / (task.weights * batch["input_ids"].numel())
    assert counted == pytest.approx(ARMS[arm].flop + extra, rel=0.05)
    assert counted != pytest.approx(2 + extra, rel=0.05)  # the forward pass alone
