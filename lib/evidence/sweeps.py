"""Experiments: the same seeds in every arm, and sweeps that survive a crash.

    n  seeds: repetitions, the same ones (subset, order, initial head) in every arm, so that what a seed does cancels
    m  items: test sentences, the same ones in every arm
"""
from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from lib.evidence.store import commit, place, read_runs, save_run
from lib.files.cache import Json, digest
from lib.run.progress import progress


@dataclass(frozen=True)
class Row:
    """One finished run.

    Args:
        spec: the arguments it had.
        result: the numbers it returned, by name.
        seconds: how long it took; 0 or more.
    """

    spec: Json
    result: Json
    seconds: float


def product(**axes: Iterable[Any]) -> list[Json]:
    """Every combination of values, the last axis fastest: `product(arm=["none", "l2"], seed=range(5))`.

    Args:
        axes: name -> its values.

    Raises:
        ValueError: an axis is empty, or text in place of a list.
    """
    values = {name: list(axis) if isinstance(axis, Iterable) and not isinstance(axis, str) else []
              for name, axis in axes.items()}
    for name, axis in values.items():
        if not axis:
            raise ValueError(f"axis {name} must be a list of at least one value, got {axes[name]!r}")
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def sweep(
    run: Callable[..., Mapping[str, Any]],
    grid: Sequence[Json],
    *,
    question: str,
    store: Path | None = None,
    execute: bool = True,
) -> list[Row]:
    """Call `run(**spec)` for every spec of `grid`; a run that `store` holds is read, not repeated.

    One training run says little: another seed draws other examples, another order and another head. A sweep runs every
    arm under the same seeds, so that `paired_effect` can compare them seed by seed, and keeps each run, so that no one
    has to wait for it twice. A run is known by its question and its spec, not by its code: rename the question when its
    meaning changes. Each is saved as it ends, so a killed sweep goes on where it was. Runs go through joblib:
    `joblib.parallel_config` says how many at once, or hands them to a Dask or Ray cluster (Ray's pool hands back, and
    so saves, all of them at the end).

    Args:
        run: a pure function of its spec; returns by name a number, or a list of numbers (one per item).
        grid: what to run, from `product`.
        question: names the experiment, in the store and in the terminal; not blank.
        store: JSON file of runs, with the commit, machine, device, whether that has bfloat16, threads and versions of
            each; None keeps nothing.
        execute: False only reads.

    Returns:
        One row a spec, in the order of `grid`.

    Raises:
        LookupError: `execute` is False and a run is missing.
        ValueError: a blank question, no spec, one that stands twice or is not JSON, a result not finite or without a
            name, a store damaged or not named.
        OSError: the store cannot be written; what it held stays.
    """
    if not question.strip():
        raise ValueError(f"question must not be blank, got {question!r}")
    if not grid:
        raise ValueError("grid must hold at least one spec, got []")
    keys = [digest({"question": question, "spec": spec}) for spec in grid]
    todo = dict(zip(keys, grid, strict=True))
    if len(todo) < len(grid):
        raise ValueError(f"grid must hold each spec once, got {len(grid) - len(todo)} of {len(grid)} again")
    if store is None and not execute:
        raise ValueError("store must be a file when execute is False, got None")
    runs = read_runs(Path(store))["runs"] if store else {}
    todo = {key: spec for key, spec in todo.items() if key not in runs}
    if todo and not execute:
        raise LookupError(
            f"{store} lacks {len(todo)} of {len(grid)} runs of {question!r}, first {next(iter(todo.values()))}; "
            "call sweep with execute=True; in a chapter, set EVIDENCE = True or run `make evidence`"
        )
    if todo:
        code = commit(Path(store or ".").parent)
        jobs = (joblib.delayed(_measure)(run, key, question, spec) for key, spec in todo.items())
        done = len(grid) - len(todo)
        with warnings.catch_warnings():
            # joblib replaces a worker that has grown by 300 MB, as one that trains does, and says so
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
            for key, record, where in progress(_parallel()(jobs), label=question, total=len(grid), initial=done):
                runs[key] = record
                if store:
                    save_run(Path(store), key, record, code | where)
    return [Row(runs[key]["spec"], runs[key]["result"], runs[key]["seconds"]) for key in keys]


def per_seed(rows: Iterable[Row], name: str, **where: Any) -> NDArray[np.float64]:
    """The result `name` of the rows whose spec agrees with `where`, in the order of their seeds, so that arms pair up.

    One row alone needs no seed.

    Returns:
        (n,) where a run gives a number, (n, m) where it gives a list.

    Raises:
        ValueError: no row agrees, two of them share a seed (`where` leaves an axis open), or `name` is not a result.
    """
    rows = list(rows)
    found = [row for row in rows if where.items() <= row.spec.items()]
    seeds = [row.spec.get("seed") for row in found]
    if not found or len(set(seeds)) < len(seeds):
        axes = {axis: list(dict.fromkeys(repr(row.spec.get(axis)) for row in rows))
                for axis in sorted(set().union(*(row.spec for row in rows)))}
        raise ValueError(f"where must leave one row for each seed, got {where}, seeds {seeds}; the rows have {axes}")
    if name not in found[0].result:
        raise ValueError(f"name must be one of {sorted(found[0].result)}, got {name!r}")
    ordered = sorted(found, key=lambda row: row.spec["seed"]) if len(found) > 1 else found
    return np.array([row.result[name] for row in ordered], dtype=np.float64)


def accuracy(rows: Iterable[Row], name: str = "correct", **where: Any) -> NDArray[np.float64]:
    """Accuracy by seed, (n,), in percent, of runs that kept for every item whether it was right.

    Args:
        rows, where: as in `per_seed`.
        name: the result that holds the zeros and ones.

    Raises:
        ValueError: what `per_seed` refuses, or a result that is not a list.
    """
    right = per_seed(rows, name, **where)
    if right.ndim != 2:
        raise ValueError(f"name must be a result with one number an item, got {name!r}, which has one a run")
    return 100 * right.mean(1)


def _parallel() -> joblib.Parallel:
    try:
        return joblib.Parallel(return_as="generator_unordered")
    except ValueError:  # a pool that hands back everything at once
        return joblib.Parallel()


def _measure(run: Callable[..., Mapping[str, Any]], key: str, question: str, spec: Json) -> tuple[str, Json, Json]:
    start = time.perf_counter()
    result = {}
    returned = run(**spec)
    if not isinstance(returned, Mapping):
        raise ValueError(f"run must return numbers by name, got {returned!r} for {spec}")
    for name, value in returned.items():
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "biuf" or numbers.ndim > 1 or not np.isfinite(numbers).all():
            raise ValueError(f"{name} must be a finite number or a list of them, got {value} for {spec}")
        result[name] = (numbers + 0).tolist()  # + 0 makes True a 1
    seconds, when = time.perf_counter() - start, datetime.now(UTC).isoformat(timespec="seconds")
    record = {"question": question, "spec": spec, "result": result, "seconds": round(seconds, 3), "when": when}
    return key, record, place()
