"""Runs of experiments, kept with where and with what each took place."""
from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lib.files.atomic import write_atomically
from lib.files.cache import Json, digest, locked
from lib.run.machine import processor


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
    with locked(path):
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
    """Machine, device, whether it computes in bfloat16, threads and versions of this process, the one that runs."""
    torch = sys.modules.get("torch")  # asked, not imported: did this process use it, and how?
    gpu = torch is not None and torch.cuda.is_initialized()
    bf16 = False
    if torch:
        from lib.run.precision import bf16_pays  # it imports torch

        bf16 = bf16_pays(torch.device("cuda" if gpu else "cpu"))
    versions = {"python": platform.python_version()}
    for package in ("torch", "transformers", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "device": f"cuda ({torch.cuda.get_device_name()})" if torch and gpu else "cpu",
        "bf16": bf16,
        "machine": processor(),
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
