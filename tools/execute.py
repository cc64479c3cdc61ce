"""Run chapters: each once for each state of its code, two side by side, within limits, never leaving a kernel behind.

A run is found again by a hash of everything that can change its outputs: the code cells and their tags, the parameters,
Python and every installed package (the model's weights are one), the files of `lib/` and `chapters/checks/` that the
code reaches (they pin the hashes of data and model), the chapter's evidence and that of others which its code names,
and this runner. Prose is not part of it, nor are bands and the look of a card (staging draws it again), nor a module
that the chapter never reaches.
"""
from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat import NotebookNode

from lib.book.cards import PROFILES
from tools import lock, runner
from tools.closure import reached
from tools.notebooks import ROOT, Mistake, cells, join_streams, read, tags, write

LIMITS = {"quick": (600, 1_800), "full": (7_200, 43_200)}  # seconds: a cell, a chapter
BUDGET = {"quick": (150, 2_000)}                         # what a chapter promises: seconds, MB
DECODER_MB = 3_000                                       # a chapter that loads the language model promises this
DECODERS = {"01-background", "03-algorithm", "06-project", "07-frontier-projections", "08-frontier-regularisers",
            "09-applications"}
SECONDS_BETWEEN_LINES = 10.0                             # of progress
SOURCE_DATE_EPOCH = "1767225600"                         # 2026-01-01, the date that figures carry


@dataclass(frozen=True)
class Settings:
    """The papermill parameters of a run."""

    profile: str = "quick"
    seed: int = 0
    evidence: bool = False

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise Mistake(f"PROFILE must be one of {', '.join(PROFILES)}, got {self.profile!r}")
        if self.seed < 0:
            raise Mistake(f"SEED must be a whole number from 0 up, got {self.seed}")

    @functools.cached_property
    def device(self) -> str:
        """The device whose bands hold: the quick profile is a promise about a CPU and is kept on one."""
        if self.profile == "quick" or not shutil.which("nvidia-smi"):
            return "cpu"
        ask = "import torch; print('cuda' if torch.cuda.is_available() else 'cpu')"
        return subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()

    @property
    def parameters(self) -> dict[str, Any]:
        """What papermill injects. LIVE is never among it: nobody is there to watch."""
        return {"PROFILE": self.profile, "SEED": self.seed} | ({"EVIDENCE": True} if self.evidence else {})


@dataclass(frozen=True)
class Job:
    """One chapter under one setting."""

    chapter: Path
    settings: Settings

    @property
    def label(self) -> str:
        """How the terminal and the log file call it."""
        return f"{self.chapter.stem} seed {self.settings.seed}"


def bands_file(root: Path, settings: Settings) -> Path:
    """Where the bands of this profile and device are published."""
    return root / "results" / f"{settings.profile}-{settings.device}.json"


def published(root: Path, settings: Settings) -> dict[str, dict[str, Any]]:
    """The published bands: chapter -> name -> band; empty where none are."""
    path = bands_file(root, settings)
    return json.loads(path.read_text(encoding="utf-8"))["chapters"] if path.exists() else {}


@functools.cache
def installed() -> dict[str, str]:
    """Versions of every installed distribution."""
    return {found.metadata["Name"].lower(): found.version for found in metadata.distributions()}


def digest(path: Path) -> str:
    """The hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def key(job: Job) -> str:
    """The hash under which a run of this job is kept."""
    root = job.chapter.parents[1]
    notebook = read(job.chapter)
    code = "\n".join(cell.source for cell in cells(notebook) if cell.cell_type == "code")
    stored = sorted((root / "results" / "evidence").glob("*.json"))  # its own, and those that its code names
    evidence = [path for path in stored if path.name.startswith(f"{job.chapter.stem}-") or path.name in code]
    files = [*reached(root, notebook), *evidence]
    facts = {
        "code": [[tags(cell), cell.source] for cell in cells(notebook) if cell.cell_type == "code"],
        "parameters": job.settings.parameters,
        "device": job.settings.device,
        "python": platform.python_version(),
        "packages": sorted(installed().items()),
        "files": [[str(path.relative_to(root)), digest(path)] for path in files],
        "runner": [digest(Path(runner.__file__)), digest(Path(__file__))],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def cached(job: Job) -> NotebookNode | None:
    """The run of this job that is already there, if any."""
    path = _cache(job)
    try:
        notebook = read(path)
        notebook.metadata.book.cached = True
    except (OSError, ValueError, AttributeError):  # none, or one that a failing disk damaged: the chapter runs again
        return None
    return notebook


def execute(jobs: Sequence[Job], *, limits: tuple[float, float] | None = None,
            again: bool = False) -> list[NotebookNode]:
    """Run the jobs that were not run before.

    Args:
        jobs: what to run; all of one profile.
        limits: seconds for a cell and for a chapter; the profile's own if not given.
        again: run them even if they are in the cache, and keep nothing.

    Returns:
        The executed notebooks, in the order of `jobs`. `metadata.book` holds seconds, peak_mb and cached, and `failure`
        in words where a run failed: what a failure means is the gate's business.
    """
    done = {} if again else {job: found for job in jobs if (found := cached(job))}
    for job in done:
        print(f"  {job.label}: nothing changed, its results are reused", flush=True)
    waiting = [job for job in jobs if job not in done]
    cores = os.cpu_count() or 1
    width = 1 if any(job.settings.device == "cuda" for job in waiting) else min(2, cores, len(waiting))
    running: list[_Run] = []
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` is reached
    try:
        while waiting or running:
            while waiting and len(running) < width:
                job = waiting.pop(0)
                running.append(_Run(job, limits or LIMITS[job.settings.profile]))
            time.sleep(0.1)
            for run in list(running):
                if not run.alive():
                    running.remove(run)
                    done[run.job] = run.notebook(keep=not again)
    finally:
        deaf = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave a kernel behind
        for run in running:
            run.kill()
            run.target.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, deaf)
    return [done[job] for job in jobs]


def _cache(job: Job) -> Path:
    return job.chapter.parents[1] / "_build" / "cache" / f"{job.chapter.stem}-{key(job)[:20]}.ipynb"


class _Run:
    """A papermill process and what it started; a run that timed out or whose kernel died is tried once more."""

    def __init__(self, job: Job, limits: tuple[float, float]) -> None:
        self.job, self.limits, self.tries = job, limits, 0
        self.root = job.chapter.parents[1]
        self.kept = _cache(job)  # named before the run: an edit meanwhile must not be credited with its results
        self.target = self.kept.with_suffix(f".{secrets.token_hex(4)}.partial.ipynb")
        self.log = self.root / "_build" / "logs" / f"{job.label.replace(' ', '-')}.log"
        self.cells = len(read(job.chapter).cells) + 1  # papermill adds one
        self.start()

    def start(self) -> None:
        self.tries += 1
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        # more threads than free cores make torch several times slower, and their number moves the last bits
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        environment = os.environ | threads | {
            "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH, "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false",
            "MALLOC_MMAP_THRESHOLD_": "4194304",  # so that glibc gives the room of a freed tensor back
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # pages of 2 MB where the kernel grants them: fewer faults
            "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",  # kernels, one for each width of a batch; 1024 cost 400 MB
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PATH": "",
            "PYTHONPATH": str(self.root)}
        if self.job.settings.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        arguments = [self.job.chapter, self.target, json.dumps(self.job.settings.parameters), int(self.limits[0])]
        print(f"  {self.job.label}: runs, at most {self.limits[1]:.0f} s", flush=True)
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "tools.runner", *map(str, arguments)], cwd=ROOT,
                                            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=lock.held())
        self.family = {psutil.Process(self.process.pid)}
        self.started = self.spoke = time.monotonic()
        self.failure = ""

    def alive(self) -> bool:
        """Look after the process: its descendants, its limit, its progress. False once it is over for good."""
        with suppress(psutil.Error):
            self.family |= set(psutil.Process(self.process.pid).children(recursive=True))
        self.seconds = time.monotonic() - self.started
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.process.returncode = os.waitstatus_to_exitcode(status)
            # ru_maxrss is that of the largest process waited for, which is the kernel: kilobytes, on macOS bytes.
            self.peak_mb = round(usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))
            if self.process.returncode == runner.GONE:
                self.failure = self.last_words()
            elif self.process.returncode < 0:
                self.failure = f"papermill was killed by signal {-self.process.returncode}"
            elif self.process.returncode > 0:
                self.failure = "a cell failed" if self.process.returncode == runner.CELL_FAILED else self.last_words()
        elif self.seconds > self.limits[1]:
            self.failure = f"the chapter took longer than {self.limits[1]:.0f} s"
        else:
            if time.monotonic() - self.spoke > SECONDS_BETWEEN_LINES:
                self.spoke = time.monotonic()
                print(f"  {self.job.label}: {self.seconds:4.0f} s, {self.last_words()}", flush=True)
            return True
        code = self.process.returncode  # None where the chapter's limit struck
        self.kill()
        if self.failure and (code is None or code < 0 or code == runner.GONE) and self.tries == 1:
            print(f"  {self.job.label}: {self.failure}; it gets one more try", flush=True)
            self.start()
            return True
        return False

    def kill(self) -> None:
        """End the process and everything it ever started."""
        if self.process.returncode is None:
            with suppress(psutil.Error):
                runner = psutil.Process(self.process.pid)
                runner.suspend()  # or it might start a kernel that is not seen here
                self.family |= set(runner.children(recursive=True))
        for process in self.family:
            with suppress(psutil.Error):
                process.kill()
        if self.process.returncode is None:
            self.process.wait()

    def last_words(self) -> str:
        """Where the run is: the cell that papermill is at, and the log's last line, which may be a bar of `lib`."""
        text = self.log.read_text(errors="replace")
        begun = re.findall(r"^Executing Cell (\d+)", text, re.MULTILINE)
        lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
        said = lines[-1][:90] if lines and not re.match("(Executing|Ending) Cell", lines[-1]) else ""
        return ": ".join(filter(None, [f"cell {begun[-1]} of {self.cells}" if begun else "", said])) or "starts"

    def notebook(self, keep: bool) -> NotebookNode:
        """What the run left: kept in the cache if it came to its end."""
        try:
            notebook = read(self.target)
        except (OSError, ValueError):  # killed before papermill wrote it, or while it did
            notebook = read(self.job.chapter)
        join_streams(notebook)
        self.target.unlink(missing_ok=True)
        facts = {"seconds": round(self.seconds, 1), "peak_mb": getattr(self, "peak_mb", None), "cached": False,
                 "seed": self.job.settings.seed}
        notebook.metadata["book"] = nbformat.from_dict(facts | ({"failure": self.failure} if self.failure else {}))
        if keep and not self.failure:
            write(self.kept, nbformat.writes(notebook))
        print(f"  {self.job.label}: {self.failure or 'done'} after {self.seconds:.0f} s"
              f"{self.budget() if not self.failure else ''}", flush=True)
        return notebook

    def budget(self) -> str:
        """What the run used, beside what its profile promises."""
        seconds, megabytes = BUDGET.get(self.job.settings.profile, (float("inf"), float("inf")))
        megabytes = max(megabytes, DECODER_MB) if self.job.chapter.stem in DECODERS else megabytes
        over = self.seconds > seconds or self.peak_mb > megabytes
        promise = f" of {seconds} s and {megabytes} MB" if seconds < float("inf") else ""
        return f", {self.peak_mb} MB{promise}{' - OVER BUDGET' if over else ''}"
