"""The machine that a run takes place on, and what was measured of it."""
from __future__ import annotations

import json
import platform
from pathlib import Path

from lib.files.cache import cache_folder


def processor() -> str:
    """The name of this machine's processor, as its maker writes it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def speed_ups() -> dict[str, float]:
    """Processor and torch -> how many times as fast bfloat16 trains there as float32, as far as it was measured.

    The note is kept by `lib.run.precision`; one that is damaged counts as none.
    """
    try:
        kept = json.loads(note().read_text("utf-8"))
        return {str(key): float(ratio) for key, ratio in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def note() -> Path:
    """The file of these measurements."""
    return cache_folder() / "precision.json"
