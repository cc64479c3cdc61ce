"""Progress where the reader is looking: in the notebook for a person, in the terminal for a headless run."""
from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm
from tqdm.auto import tqdm as notebook_tqdm

SECONDS_BETWEEN_LINES = 10.0  # where the terminal is a log file


def _watched() -> bool:
    """Whether a person looks at this notebook: Jupyter Server names its sessions, Colab brings a module of its own."""
    return "JPY_SESSION_NAME" in os.environ or "google.colab" in sys.modules


def progress(items: Iterable[Any], *, label: str, total: int | None = None, initial: int = 0,
             show: bool = True) -> tqdm:
    """Iterate over `items` with a bar.

    A kernel run by papermill writes to the terminal behind its captured streams (ipykernel's `fileno` names that
    descriptor), so that the stored notebook holds neither stderr nor widget state.

    Args:
        items: what to iterate over.
        label: the words before the bar.
        total: number of steps in all, `len(items)` if not given.
        initial: number of steps done before.
        show: no bar at all where false.
    """
    settings = {"desc": label, "total": total, "initial": initial, "disable": not show, "dynamic_ncols": True}
    if not show:
        return tqdm(items, **settings)
    if _watched():
        return notebook_tqdm(items, **settings)
    try:
        terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    except (OSError, ValueError, AttributeError):  # a stream with no descriptor
        return tqdm(items, **{**settings, "disable": True})
    pause = 0.1 if terminal.isatty() else SECONDS_BETWEEN_LINES
    return tqdm(items, file=terminal, mininterval=pause, leave=terminal.isatty(), **settings)
