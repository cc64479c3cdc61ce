"""Precision is what was measured to be faster on this machine, once, and not what a flag of the processor promises."""
from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from lib.run import precision
from lib.run.host import Local

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has bfloat16 and was never measured."""
    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "_has_bf16", lambda device: True)
    precision._remembered.cache_clear()
    yield tmp_path
    precision._remembered.cache_clear()


@pytest.mark.parametrize(("ratio", "pays"), [(0.6, False), (1.0, False), (1.09, False), (1.1, True), (3.0, True)])
def test_bfloat16_is_taken_where_it_wins_by_a_tenth(monkeypatch: pytest.MonkeyPatch, ratio: float, pays: bool) -> None:
    monkeypatch.setattr(precision, "_measure", lambda device: ratio)
    assert precision.bf16_pays(CPU) is pays and Local("cpu").bf16 is pays


def test_a_machine_is_measured_once_for_all_processes(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    calls: list[torch.device] = []

    def measure(device: torch.device) -> float:
        calls.append(device)
        return 2.0

    monkeypatch.setattr(precision, "_measure", measure)
    for _ in range(2):
        assert precision.speed_up(CPU) == 2.0
        precision._remembered.cache_clear()  # as in another process
    assert len(calls) == 1 and list(json.loads((fresh / "precision.json").read_text()).values()) == [2.0]
    monkeypatch.setattr(torch, "__version__", "another")
    precision.speed_up(CPU)
    assert len(calls) == 2  # another torch has other kernels


@pytest.mark.parametrize("note", ["{", "[]", '{"a": null}'])
def test_a_damaged_note_is_measured_anew(monkeypatch: pytest.MonkeyPatch, fresh: Path, note: str) -> None:
    (fresh / "precision.json").write_text(note)
    monkeypatch.setattr(precision, "_measure", lambda device: 0.5)
    assert precision.speed_up(CPU) == 0.5


def test_where_bfloat16_is_emulated_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_has_bf16", lambda device: False)
    monkeypatch.setattr(precision, "_measure", lambda device: pytest.fail("measured"))
    assert precision.speed_up(CPU) == 0.0 and not precision.bf16_pays(CPU)


def test_the_measurement_sees_a_slow_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real measurement, with a clock in which each pass under autocast takes a second longer, or less."""
    draws = torch.random.get_rng_state()
    assert precision._measure(CPU, pairs=1) > 0
    assert torch.equal(draws, torch.random.get_rng_state())  # it draws nothing that training sees
    real, late = time.perf_counter, [0.0]

    def slow(device_type: str, dtype: torch.dtype, enabled: bool) -> torch.autocast:
        late[0] += enabled
        return torch.amp.autocast(device_type, dtype, enabled=enabled)

    monkeypatch.setattr(precision.torch, "autocast", slow)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: real() + late[0])
    assert precision._measure(CPU, pairs=3) < 0.5


def test_a_cache_that_nobody_can_write_to_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    (fresh / "file").touch()
    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(fresh / "file" / "below"))
    monkeypatch.setattr(precision, "_measure", lambda device: 0.5)
    assert precision.speed_up(CPU) == 0.5
