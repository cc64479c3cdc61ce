"""Checkpoints that survive a kill, refuse another run, and say when they are damaged."""
from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def describe(value: Any) -> str:
    """A name for what a function, optimizer or tensor holds, equal in every process: a checkpoint refuses another's.

    A function is its name and what it closed over, so that two strengths of one penalty differ.

    Args:
        value: a function, optimizer, tensor, number or text, or lists and dictionaries of them.
    """
    if isinstance(value, Tensor):
        content = value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        return f"tensor {hashlib.sha256(content).hexdigest()}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {describe(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(describe, value)) + "]"
    if hasattr(value, "__closure__"):
        return f"{value.__qualname__}({', '.join(describe(cell.cell_contents) for cell in value.__closure__ or ())})"
    if hasattr(value, "param_groups"):
        own = {name: number for name, number in vars(value).items()
               if isinstance(number, (int, float)) and not name.startswith("_")}  # SAM's radius
        groups = [{**group, "params": len(group["params"]), "lr": None} for group in value.param_groups]
        return f"{type(value).__name__} {describe(own)} {describe(groups)}"
    return repr(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__qualname__


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write so that a kill at any moment leaves the old file or the new one, never half of one.

    Args:
        path: the file; its folder is made.
        state: what `torch.load` reads back with `weights_only`; "run" in it says which run it is of.

    Raises:
        ValueError: `path` is a folder, or `state` has no "run".
    """
    path = _file(path)
    if "run" not in state:
        raise ValueError(f'state must hold "run", got {sorted(state)}')
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".partial")
    with open(scratch, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def load_checkpoint(path: str | Path, run: dict[str, Any]) -> dict[str, Any]:
    """Read the checkpoint at `path`, if it is one of `run`.

    Raises:
        ValueError: there is no such file, it is damaged, or it is of another run; names what differs.
    """
    path = _file(path)
    if not path.exists():
        raise ValueError(f"path must be a checkpoint, got {path}: there is no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["run"]
    except (RuntimeError, EOFError, OSError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ValueError(f"checkpoint {path} is damaged ({type(error).__name__}); delete it to start afresh") from error
    other = {key: (found.get(key), run.get(key)) for key in found | run if found.get(key) != run.get(key)}
    if other:
        told = "; ".join(f"{key} was {was}, is {now}" for key, (was, now) in other.items())
        raise ValueError(f"checkpoint {path} is of another run: {told}; name another file or delete it")
    return state


def _file(path: str | Path) -> Path:
    """The path, unless it is a folder."""
    if Path(path).is_dir():
        raise ValueError(f"checkpoint must be a file, got the folder {path}")
    return Path(path)
