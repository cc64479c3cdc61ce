"""A run killed by SIGKILL at random moments ends with the weights and history of an uninterrupted one, bit for bit."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
import torch

from lib.run.checkpoint import describe, load_checkpoint, save_checkpoint
from tests.lib.resume_run import METHODS

ROOT = Path(__file__).parents[2]
KILLS = 3
Runs = Callable[..., tuple[str, str, int]]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Digest of a straight run, digest of a killed one, and the number of kills."""
    command = [sys.executable, "-m", "tests.lib.resume_run"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        def run(method: str, folder: Path, kills: int, tamper: bool = False) -> tuple[str, str, int]:
            assert nursery.stdin and nursery.stdout
            print(method, folder, kills, tamper, file=nursery.stdin, flush=True)
            return tuple(json.loads(nursery.stdout.readline()))

        yield run


@pytest.mark.parametrize("method", METHODS)
def test_killed_run_ends_with_the_same_bits(method: str, tmp_path: Path, runs: Runs) -> None:
    straight, killed, kills = runs(method, tmp_path, KILLS)
    assert kills >= KILLS
    assert killed == straight
    assert not list(tmp_path.glob("*.partial"))


def test_kill_test_can_fail(tmp_path: Path, runs: Runs) -> None:
    """Negative control: a checkpoint one weight of which moved by the last bit of bfloat16 ends elsewhere."""
    straight, moved, _ = runs("plain", tmp_path, 1, tamper=True)
    assert moved.split()[0] == straight.split()[0] and moved != straight


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"run": {"lr": 0.1, "steps": 3}})
    assert load_checkpoint(tmp_path / "c.pt", {"lr": 0.1, "steps": 3})
    with pytest.raises(ValueError, match=r"of another run: lr was 0.1, is 0.2"):
        load_checkpoint(tmp_path / "c.pt", {"lr": 0.2, "steps": 3})


def test_a_write_that_dies_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path / "c.pt", {"run": {}, "step": 1})

    def dies(state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch, "save", dies)
        save_checkpoint(tmp_path / "c.pt", {"run": {}, "step": 2})
    assert load_checkpoint(tmp_path / "c.pt", {})["step"] == 1


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"run": {}, "payload": Payload(tmp_path / "ran")}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="is damaged"):
        load_checkpoint(tmp_path / "c.pt", {})
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "c.pt", weights_only=False)  # the control: it would have
    assert (tmp_path / "ran").exists()


class Payload:
    """What unpickles by making a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_checkpoint_is_named(keep: float, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"run": {}, "model": {"w": torch.randn(100)}})
    whole = path.read_bytes()
    path.write_bytes(whole[:int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(ValueError, match="c.pt is damaged.*delete it"):
        load_checkpoint(path, {})


def test_describe_tells_methods_apart_and_is_equal_in_every_process() -> None:
    from lib.objectives import cross_entropy, penalized
    from lib.optimizers import SAM
    from lib.regularizers import l2_sp
    start = {"w": torch.ones(2)}

    def told(strength: float, anchor: dict[str, torch.Tensor]) -> str:
        return describe(penalized(cross_entropy(0.1), l2_sp(anchor, strength, 0.0), "l2_sp"))

    assert told(0.1, start) == told(0.1, {"w": torch.ones(2)})
    assert len({told(0.1, start), told(0.2, start), told(0.1, {"w": torch.zeros(2)})}) == 3
    weight = [torch.nn.Parameter(torch.ones(1))]
    sam = [describe(SAM(torch.optim.AdamW(weight), rho)) for rho in (0.05, 0.1)]
    assert sam[0] != sam[1] and "0x" not in "".join(sam) + told(0.1, start)
