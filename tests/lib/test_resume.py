"""A run killed by SIGKILL at random moments ends with the weights and history of an uninterrupted one, bit for bit."""
from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lib.checkpoint import describe, load_checkpoint, save_checkpoint
from tests.lib.resume_run import METHODS

ROOT = Path(__file__).parents[2]
KILLS = 3


def start(method: str, checkpoint: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.lib.resume_run", method, str(checkpoint), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def steps_in(checkpoint: Path) -> int:
    return len(torch.load(checkpoint, weights_only=True)["history"]) if checkpoint.exists() else 0


def run_with_kills(method: str, checkpoint: Path, rng: random.Random) -> tuple[str, int]:
    """Kill the process each time it has written a new checkpoint, at a random moment after; return output and kills."""
    kills = 0
    while True:
        process, before = start(method, checkpoint, 0.15 if kills < KILLS else 0.0), steps_in(checkpoint)
        while process.poll() is None and kills < KILLS and steps_in(checkpoint) == before:
            time.sleep(0.01)
        if process.poll() is None and kills < KILLS:
            time.sleep(rng.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=120)
        if process.returncode == 0:
            return output, kills
        assert process.returncode == -signal.SIGKILL
        kills += 1


@pytest.mark.parametrize("method", METHODS)
def test_killed_run_ends_with_the_same_bits(method: str, tmp_path: Path) -> None:
    straight, _ = start(method, tmp_path / "straight.pt", 0.0).communicate(timeout=120)
    killed, kills = run_with_kills(method, tmp_path / "killed.pt", random.Random(method))
    assert kills >= KILLS
    assert killed == straight
    assert not list(tmp_path.glob("*.partial"))


def test_kill_test_can_fail(tmp_path: Path) -> None:
    """Negative control: a checkpoint whose weights moved by one bit ends elsewhere."""
    straight, _ = start("plain", tmp_path / "a.pt", 0.0).communicate(timeout=120)
    process = start("plain", tmp_path / "b.pt", 0.3)
    while steps_in(tmp_path / "b.pt") == 0:
        time.sleep(0.01)
    process.kill()
    process.wait()
    state = torch.load(tmp_path / "b.pt", weights_only=True)
    state["model"]["query.weight"][0, 0] = torch.nextafter(state["model"]["query.weight"][0, 0], torch.tensor(9.0))
    save_checkpoint(tmp_path / "b.pt", state)
    moved, _ = start("plain", tmp_path / "b.pt", 0.0).communicate(timeout=120)
    assert moved.split()[0] == straight.split()[0] and moved != straight


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"run": {"lr": 0.1, "steps": 3}})
    assert load_checkpoint(tmp_path / "c.pt", {"lr": 0.1, "steps": 3})
    with pytest.raises(ValueError, match=r"of another run: lr was 0.1, is 0.2"):
        load_checkpoint(tmp_path / "c.pt", {"lr": 0.2, "steps": 3})


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_checkpoint_is_named(keep: float, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"run": {}, "model": {"w": torch.randn(100)}})
    whole = path.read_bytes()
    path.write_bytes(whole[:int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(ValueError, match="c.pt is damaged.*delete it"):
        load_checkpoint(path, {})


def test_describe_tells_methods_apart_and_is_equal_in_every_process() -> None:
    from lib.regularizers import SAM, cross_entropy, l2_sp, penalized
    start = {"w": torch.ones(2)}

    def told(strength: float, anchor: dict[str, torch.Tensor]) -> str:
        return describe(penalized(cross_entropy(0.1), l2_sp(anchor, strength, 0.0), "l2_sp"))

    assert told(0.1, start) == told(0.1, {"w": torch.ones(2)})
    assert len({told(0.1, start), told(0.2, start), told(0.1, {"w": torch.zeros(2)})}) == 3
    weight = [torch.nn.Parameter(torch.ones(1))]
    sam = [describe(SAM(torch.optim.AdamW(weight), rho)) for rho in (0.05, 0.1)]
    assert sam[0] != sam[1] and "0x" not in "".join(sam) + told(0.1, start)
