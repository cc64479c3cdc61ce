"""The machine that a run takes place on."""
from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """The name of this machine's processor, as its maker writes it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]
