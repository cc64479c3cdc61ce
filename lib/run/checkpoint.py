"""Checkpoints that survive a kill, refuse another run, and say when they are damaged."""
from __future__ import annotations

import functools
import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lib.files.atomic import write_atomically


def describe(value: Any) -> str:
    """A name for what a function, optimizer or tensor holds, equal in every process: a checkpoint refuses another's.

    A function is its name, what it closed over and its defaults, so that two strengths of one penalty differ.

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
    if isinstance(value, functools.partial):
        return describe([value.func, value.args, value.keywords])
    if hasattr(value, "__closure__"):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        held += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return f"{value.__qualname__}({', '.join(map(describe, held))})"
    if hasattr(value, "param_groups"):
        own = {name: number for name, number in vars(value).items()
               if isinstance(number, (int, float)) and not name.startswith("_")}  # SAM's radius
        groups = [{**group, "params": len(group["params"]), "lr": None} for group in value.param_groups]
        return f"{type(value).__name__} {describe(own)} {describe(groups)}"
    value = _plain(value)
    return repr(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__qualname__


def describe_model(model: nn.Module) -> str:
    """A hash of what decides the model's answers beside its weights: the kinds of its modules, their rates and scales.

    Args:
        model: its modules' public numbers count, such as the rate of a dropout or the scale of LoRA.
    """
    told = [(name, type(module).__qualname__, sorted(
        (key, value) for key, value in vars(module).items()
        if isinstance(value, (int, float)) and not key.startswith("_") and key != "training"
    )) for name, module in model.named_modules()]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write so that a kill at any moment leaves the old file or the new one, never half of one.

    Args:
        path: the file; its folder is made.
        state: what `torch.load` reads back with `weights_only`; "run" in it says which run it is of.

    Raises:
        ValueError: `path` is a folder, or `state` has no "run".
        OSError: the disk is full, or the folder cannot be written to.
    """
    path = _file(path)
    if "run" not in state:
        raise ValueError(f'state must hold "run", got {sorted(state)}')
    write_atomically(path, lambda file: torch.save(_plain(state), file))


def load_checkpoint(path: str | Path, run: dict[str, Any]) -> dict[str, Any]:
    """Read the checkpoint at `path`, if it is one of `run`.

    Raises:
        ValueError: there is no such file, it is damaged, or it is of another run; names what differs.
    """
    path = _file(path)
    if not path.exists():
        raise ValueError(f"path must be a checkpoint, got {path}: there is no such file")
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums and does not compare them
            if broken := archive.testzip():
                raise zipfile.BadZipFile(broken)
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["run"]
    except Exception as error:  # what a damaged file makes of the reader is anybody's guess
        raise ValueError(f"checkpoint {path} is damaged ({type(error).__name__}); delete it to start afresh") from error
    other = {key: (found.get(key), run.get(key)) for key in found | run if found.get(key) != run.get(key)}
    if other:
        told = "; ".join(f"{key} was {was}, is {now}" for key, (was, now) in other.items())
        raise ValueError(f"checkpoint {path} is of another run: {told}; name another file or delete it")
    return state


def _plain(value: Any) -> Any:
    """The value with Python's numbers for numpy's, which `torch.load` does not read back."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _file(path: str | Path) -> Path:
    """The path, unless it is a folder."""
    if os.path.isdir(path):  # no error where this user may not look
        raise ValueError(f"checkpoint must be a file, got the folder {path}")
    return Path(path)
