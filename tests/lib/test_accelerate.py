"""Two processes under Accelerate: a real pair, joined by gloo, ends with one model, one history, one checkpoint."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.run.host import Local
from tests.lib.resume_run import METHODS
from tests.lib.two_processes import exact, spoken

pytest.importorskip("accelerate")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of the two processes ended with."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "tests/lib/two_processes.py", str(folder)], cwd=ROOT, env=environment,
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"process{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_there_are_two_processes(both):
    assert [(left["world"], left["backend"]) for left in both] == [(2, "gloo")] * 2


@pytest.mark.parametrize("method", [*METHODS, "exact", "spoken", "resumed"])
def test_both_end_with_the_same_bits_and_the_same_history(method, both):
    (weights, history), (others, other) = (left[method] for left in both)
    assert history == other and len(history) > 7
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


def test_two_processes_compute_what_one_does(both):
    """Weights, losses, gradient norms: also where the last batch is shared unevenly, and with a penalty on top."""
    same_as_one(exact, both[0]["exact"])


def test_two_processes_learn_the_mean_over_all_tokens(both):
    """Each has rows with another number of tokens to learn; the mean is over tokens, not over processes or rows."""
    same_as_one(spoken, both[0]["spoken"])


def same_as_one(run: Callable[[Any], Any], left: Any) -> None:
    model, history = run(Local("cpu", bf16=False))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(left[0][name], value, rtol=1e-10, atol=1e-10)  # sums in another order
    for one, two in zip(history, left[1], strict=True):
        assert two == pytest.approx(one, rel=1e-9)


def test_each_process_draws_noise_of_its_own(both):
    a, b = (left["drawn"] for left in both)
    assert len(a) == len(b) == 8 and not set(a) & set(b)


def test_a_run_cut_short_goes_on_in_both(both):
    assert both[0]["written"] == 4  # the checkpoint of the second evaluation
    for left in both:
        assert all(torch.equal(value, left["whole"][0][name]) for name, value in left["resumed"][0].items())
        assert [record["loss"] for record in left["resumed"][1]] == [record["loss"] for record in left["whole"][1]]


def test_a_loss_that_is_no_number_in_one_process_stops_both(both):
    assert [left["broken"].split(",")[0] for left in both] == ["the loss is nan at step 2"] * 2


def test_a_batch_smaller_than_the_number_of_processes_is_named():
    class Nine(Local):
        num_processes = 9

    with pytest.raises(ValueError, match="each batch must hold an example for each of 9 processes, got one of 7"):
        exact(Nine("cpu"))
