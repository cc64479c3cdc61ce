"""Results that cost time, kept: files that are never half-written, keyed by the content that they depend on."""
from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from lib.files.atomic import write_atomically

Json = dict[str, Any]
"""What JSON gives back as it took it: text keys; text, numbers, truth values, None, lists and such dictionaries."""


def digest(content: Json) -> str:
    """The name of `content`: the first 16 hexadecimal digits of the SHA-256 of its JSON with sorted keys.

    Raises:
        ValueError: JSON cannot hold `content` and give it back.
    """
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{content} must hold only what JSON can: {error}") from None
    if json.loads(text) != content:
        raise ValueError(f"{content} must come back from JSON as it was: lists, not tuples; text keys")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cached(folder: Path, key: Json, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays that `compute()` returns, computed once and shared by every process that asks for the same `key`.

    It is for what many runs share and no seed changes, such as the frozen features of a data set: without it each
    worker of a sweep computes them again.

    Args:
        folder: where they lie, one `.npz` a key. Its checksums are verified; a damaged file is computed anew.
        key: everything the arrays depend on: hashes of model and data, settings.
        compute: returns arrays by name.

    Raises:
        ValueError: `key` is not JSON, or an array holds Python objects.
        OSError: the disk is full, or the folder cannot be written to.
    """
    path = Path(folder) / f"{digest(key)}.npz"
    with _locked(path):
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        except (FileNotFoundError, EOFError, ValueError, zipfile.BadZipFile, zlib.error):
            arrays: dict[str, Any] = {name: np.asarray(array) for name, array in compute().items()}
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise ValueError(f"array {name} must hold numbers or text, got dtype {array.dtype}")
        write_atomically(path, lambda file: np.savez(file, **arrays))
    return arrays


def read_runs(path: Path) -> dict[str, Json]:
    """The store at `path`: `{"provenance": {name: where and what}, "runs": {key: run}}`; empty where there is none.

    Raises:
        ValueError: the file is not a store.
    """
    try:
        book = json.loads(path.read_text(encoding="utf-8"))
        return {"provenance": book["provenance"], "runs": book["runs"]}
    except FileNotFoundError:
        return {"provenance": {}, "runs": {}}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a store of runs ({error!r}); restore it from version control") from None


def save_run(path: Path, key: str, run: Json, provenance: Json) -> None:
    """Add one run to the store at `path`; several processes may do so at once.

    Args:
        key: the run's name, from `digest`; a run of that name is replaced.
        run: what happened, as JSON holds it; one line of the file, for a readable diff.
        provenance: where and with what it ran, from `place` and `commit`.

    Raises:
        ValueError: the file is not a store, or what was given is not JSON.
        OSError: the disk is full, or the folder cannot be written to.
    """
    with _locked(path):
        book = read_runs(path)
        book["provenance"][digest(provenance)] = provenance
        book["runs"][key] = run | {"provenance": digest(provenance)}
        sections = []
        for section, entries in book.items():
            ordered = sorted(entries.items(), key=lambda entry: json.dumps([entry[1].get("question"), *entry]))
            lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry, allow_nan=False)}" for name, entry in ordered)
            sections.append(f'"{section}": {{\n{lines}\n}}')
        text = "{\n" + ",\n".join(sections) + "\n}\n"
        write_atomically(path, lambda file: file.write(text.encode()))


def place() -> Json:
    """Machine, device, whether that has bfloat16, threads and versions of this process, which is the one that runs."""
    torch = sys.modules.get("torch")  # asked, not imported: did this process use it, and how?
    gpu = torch is not None and torch.cuda.is_initialized()
    bf16 = False
    if torch:
        from lib.host import has_bf16  # it imports torch

        bf16 = has_bf16(torch.device("cuda" if gpu else "cpu"))
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    versions = {"python": platform.python_version()}
    for package in ("torch", "transformers", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "device": f"cuda ({torch.cuda.get_device_name()})" if torch and gpu else "cpu",
        "bf16": bf16,
        "machine": (names or [platform.processor() or platform.machine()])[0],
        "threads": torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "versions": versions,
    }


def commit(folder: Path) -> Json:
    """The commit of the repository around `folder`, and whether any file of it outside `results` differs from it."""
    known = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(known), *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else "unknown"

    if not shutil.which("git"):
        return {"commit": "unknown", "dirty": True}
    changed = git("status", "--porcelain", "--", ":/", ":(top,exclude)results")
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing `path`, by a lock file beside it; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        yield
