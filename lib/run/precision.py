"""Which number format trains faster on this machine, float32 or bfloat16: measured once, then remembered."""
from __future__ import annotations

import functools
import json
import statistics
import time

import torch
from torch import nn

from lib.files.atomic import write_atomically
from lib.files.cache import locked
from lib.run.machine import note, processor, speed_ups

MARGIN = 1.1  # bfloat16 rounds, so it has to pay


def bf16_pays(device: torch.device) -> bool:
    """Whether training in bfloat16 is faster on `device` than in float32, by a tenth at least.

    That a processor has the instructions says little: on some that do, bfloat16 trains 1.4 to 1.8 times slower. So the
    two are timed in turn, in a second, and the answer is kept for this machine and this torch.

    Args:
        device: one of this machine.
    """
    return speed_up(device) >= MARGIN


def speed_up(device: torch.device) -> float:
    """How many times as fast a step is in bfloat16 as in float32; 0 where the device only emulates it.

    Args:
        device: one of this machine.
    """
    if not _has_bf16(device):
        return 0.0
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return _remembered(f"{name}, torch {torch.__version__}", device)


@functools.cache
def _remembered(key: str, device: torch.device) -> float:
    """The ratio that is kept under `key`, or a new one."""
    file = note()
    if key in (kept := speed_ups()):  # who may read need not be allowed to write, not even a lock
        return kept[key]
    try:
        with locked(file):
            kept = speed_ups()
            if key not in kept:
                kept[key] = round(_measure(device), 3)
                write_atomically(file, lambda out: out.write(json.dumps(kept, indent=1).encode()))
            return kept[key]
    except OSError:  # a cache that nobody can write to
        return _measure(device)


def _has_bf16(device: torch.device) -> bool:
    """Whether the processor of `device` multiplies bfloat16 in hardware; emulation is never faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)


def _measure(device: torch.device, pairs: int = 7) -> float:
    """Median over pairs of float32's seconds over bfloat16's, for one feed-forward layer as in the encoder."""
    with torch.random.fork_rng():
        layer = nn.Sequential(nn.LayerNorm(384), nn.Linear(384, 1536), nn.GELU(), nn.Linear(1536, 384)).to(device)
        x = torch.randn(16, 32, 384, device=device)  # 16 sentences of 32 tokens

    def seconds(bf16: bool) -> float:
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = layer(x).float().square().mean()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    for bf16 in (False, True):
        seconds(bf16)  # kernels are chosen at the first call
    return statistics.median(seconds(False) / seconds(True) for _ in range(pairs))
