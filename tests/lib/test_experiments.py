"""Sweeps and stores: nothing finished is lost, nothing is half-written, nothing is run twice."""
from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import joblib
import nbformat
import numpy as np
import pytest

from lib.evidence import store
from lib.evidence.sweeps import Row, accuracy, per_seed, product, sweep
from lib.files.cache import cached
from lib.run import precision

ROOT = Path(__file__).parents[2]
GRID = product(arm=["none", "l2"], seed=[0, 1, 2])


def noisy(arm: str, seed: int) -> dict[str, Any]:
    """A stand-in for training: a number and a list that follow from the spec alone."""
    rng = np.random.default_rng([seed, len(arm)])
    return {"accuracy": 0.8 + rng.normal(), "right": rng.random(4) < 0.5}


def recording(calls: list[tuple[str, int]]) -> Any:
    def run(arm: str, seed: int) -> dict[str, Any]:
        calls.append((arm, seed))
        return noisy(arm, seed)

    return run


def test_product_is_every_combination_with_the_last_axis_fastest() -> None:
    assert product(a=[1, 2], b=range(2)) == [{"a": 1, "b": 0}, {"a": 1, "b": 1}, {"a": 2, "b": 0}, {"a": 2, "b": 1}]
    with pytest.raises(ValueError, match="axis arm must be a list of at least one value, got 'l2'"):
        product(arm="l2", seed=[0])
    with pytest.raises(ValueError, match=r"axis seed must be .* got \[\]"):
        product(arm=["l2"], seed=[])


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky", "multiprocessing"])
def test_every_backend_gives_the_same_rows_in_the_order_of_the_grid(backend: str, tmp_path: Path) -> None:
    with joblib.parallel_config(backend=backend, n_jobs=1 if backend == "sequential" else 2):
        rows = sweep(noisy, GRID, question="q", store=tmp_path / "s.json")
    assert [row.spec for row in rows] == GRID
    for row in rows:
        wanted = noisy(**row.spec)
        assert row.result["accuracy"] == wanted["accuracy"]  # to the last bit
        assert row.result["right"] == [int(x) for x in wanted["right"]]
    stored = sweep(noisy, GRID, question="q", store=tmp_path / "s.json", execute=False)
    assert stored == rows


@pytest.mark.parametrize("words, heard", [("A worker stopped while some jobs were given to the executor.", 0),
                                          ("Something else is wrong.", 1)])  # fmt: skip
def test_a_replaced_worker_is_no_news_and_other_warnings_are(
    words: str, heard: int, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    class Parallel(joblib.Parallel):
        def __call__(self, jobs: Any) -> Any:
            warnings.warn(words, UserWarning, stacklevel=2)
            return super().__call__(jobs)

    monkeypatch.setattr(joblib, "Parallel", Parallel)
    sweep(noisy, GRID[:2], question="q")
    assert [str(each.message) for each in recwarn].count(words) == heard, [str(each.message) for each in recwarn]


def test_a_dask_cluster_runs_the_same_sweep(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as local:
        with distributed.Client(local), joblib.parallel_config(backend="dask"):
            rows = sweep(noisy, GRID, question="q", store=tmp_path / "s.json")
    here = sweep(noisy, GRID, question="q")
    assert [(row.spec, row.result) for row in rows] == [(row.spec, row.result) for row in here]


def test_stored_runs_are_not_repeated_and_questions_do_not_mix(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    book = tmp_path / "evidence" / "05.json"
    first = sweep(recording(calls), GRID[:4], question="q", store=book)
    again = sweep(recording(calls), GRID, question="q", store=book)
    assert len(calls) == 6 and again[:4] == first
    sweep(recording(calls), GRID[:1], question="another", store=book)
    assert len(calls) == 7
    sweep(recording(calls), GRID[:1], question="q")  # no store, so nothing to read
    assert len(calls) == 8


def test_the_order_of_a_specs_keys_does_not_matter(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    for spec in ({"arm": "l2", "seed": 0}, {"seed": 0, "arm": "l2"}):
        sweep(recording(calls), [spec], question="q", store=tmp_path / "s.json")
    assert len(calls) == 1


def test_a_normal_build_only_reads_and_names_what_is_missing(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    book = tmp_path / "05.json"
    sweep(recording(calls), GRID[:5], question="q", store=book)
    with pytest.raises(LookupError, match=r"lacks 1 of 6 runs of 'q', first .*'seed': 2.*make evidence"):
        sweep(recording(calls), GRID, question="q", store=book, execute=False)
    assert len(calls) == 5
    with pytest.raises(ValueError, match="store must be a file"):
        sweep(noisy, GRID, question="q", execute=False)


@pytest.mark.parametrize("answer", [False, True])
def test_a_run_says_whether_its_machine_computes_in_bfloat16(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(precision, "bf16_pays", lambda device: answer)
    assert store.place()["bf16"] is answer


def test_every_run_says_when_where_and_at_which_commit(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "code.py").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    book = tmp_path / "results" / "evidence" / "05.json"
    sweep(noisy, GRID[:1], question="q", store=book)
    sweep(noisy, GRID[:2], question="q", store=book)  # the store itself has changed: that is not dirt
    (tmp_path / "code.py").write_text("2")
    sweep(noisy, GRID[:3], question="q", store=book)
    content = json.loads(book.read_text())
    runs = sorted(content["runs"].values(), key=lambda run: run["spec"]["seed"])
    origins = [content["provenance"][run["provenance"]] for run in runs]
    assert [origin["commit"] for origin in origins] == [head] * 3
    assert [origin["dirty"] for origin in origins] == [False, False, True]
    assert origins[0]["versions"]["numpy"] == np.__version__ and origins[0]["device"] == "cpu"
    assert origins[0]["threads"] >= 1 and origins[0]["machine"]
    assert all(run["question"] == "q" and run["seconds"] >= 0 and run["when"].endswith("+00:00") for run in runs)
    lines = book.read_text().splitlines()
    assert sum('"question"' in line for line in lines) == 3  # one line a run: a readable diff


def test_a_run_that_fails_keeps_the_finished_ones(tmp_path: Path) -> None:
    def breaks(arm: str, seed: int) -> dict[str, float]:
        return {"loss": float("nan") if (arm, seed) == ("l2", 1) else 1.0}

    with pytest.raises(ValueError, match=r"loss must be a finite number .* got nan for \{'arm': 'l2', 'seed': 1\}"):
        sweep(breaks, GRID, question="q", store=tmp_path / "s.json")
    assert len(store.read_runs(tmp_path / "s.json")["runs"]) == 4


@pytest.mark.parametrize("result", ["high", [[1.0]], [1.0, float("inf")], None])
def test_a_result_that_is_no_number_is_refused(result: Any) -> None:
    with pytest.raises(ValueError, match="loss must be a finite number or a list of them"):
        sweep(lambda seed: {"loss": result}, [{"seed": 0}], question="q")


@pytest.mark.parametrize("value", [(1, 2), float("nan"), {1: 2}, np.int64(3), noisy])
def test_a_spec_that_json_would_change_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        sweep(noisy, [{"arm": value, "seed": 0}], question="q")


def test_a_truth_value_is_kept_as_a_number() -> None:
    (row,) = sweep(lambda seed: {"hit": True, "hits": [True, False]}, [{"seed": 0}], question="q")
    assert [type(value) for value in (row.result["hit"], *row.result["hits"])] == [int, int, int]


def test_a_spec_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="grid must hold each spec once, got 1 of 7 again"):
        sweep(noisy, [*GRID, GRID[0]], question="q")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": {}}'])
def test_a_damaged_store_is_named_and_left_alone(text: str, tmp_path: Path) -> None:
    book = tmp_path / "05.json"
    book.write_text(text)
    with pytest.raises(ValueError, match=r"05.json is not a store of runs .*restore it"):
        sweep(noisy, GRID, question="q", store=book)
    assert book.read_text() == text


def test_per_seed_orders_by_seed_and_refuses_an_open_axis() -> None:
    rows = sweep(noisy, GRID[::-1], question="q")
    accuracy = per_seed(rows, "accuracy", arm="l2")
    assert accuracy.tolist() == [noisy("l2", seed)["accuracy"] for seed in (0, 1, 2)]
    assert per_seed(rows, "right", arm="l2").shape == (3, 4)
    two_axes = [Row(spec | {"seed": 0}, {"f1": spec["k"] * len(spec["arm"])}, 0.0)
                for spec in product(arm=["l2", "none"], k=[1, 10])]
    assert per_seed(two_axes, "f1", arm="none", k=10) == [40]
    with pytest.raises(ValueError, match="must leave one row for each seed"):
        per_seed(rows, "accuracy")
    with pytest.raises(ValueError, match=r"where must .*\{'arm': 'l3'\}, seeds \[\]; the rows have .*'arm': .*'none'"):
        per_seed(rows, "accuracy", arm="l3")
    with pytest.raises(ValueError, match=r"name must be one of \['accuracy', 'right'\], got 'f1'"):
        per_seed(rows, "f1", arm="l2")
    with pytest.raises(ValueError, match="one row for each seed"):
        per_seed([Row({"arm": "l2"}, {"f1": 1.0}, 0.0), Row({"arm": "l2", "k": 2}, {"f1": 1.0}, 0.0)], "f1", arm="l2")


def test_accuracy_is_the_share_of_items_that_are_right_by_seed() -> None:
    right = {1: [1, 0, 0, 0], 0: [1, 1, 1, 1]}
    rows = [Row({"seed": seed}, {"correct": right[seed], "loss": 0.5}, 0.0) for seed in right]
    assert accuracy(rows).tolist() == [100, 25]
    with pytest.raises(ValueError, match="one number an item, got 'loss'"):
        accuracy(rows, "loss")


SCRIPT = """
import sys, time
from pathlib import Path
from lib.evidence.sweeps import product, sweep

def run(seed, big):
    with open(sys.argv[2], "a") as log:
        log.write(f"{seed}\\n")
    time.sleep(float(sys.argv[3]))
    return {"x": seed / 7, "list": list(range(big))}

sweep(run, product(seed=range(int(sys.argv[4]), int(sys.argv[5])), big=[2000]), question="q", store=Path(sys.argv[1]))
assert "torch" not in sys.modules  # `experiments` knows no model
"""


def start(tmp_path: Path, seconds: float, first: int, last: int) -> subprocess.Popen[bytes]:
    arguments = [tmp_path / "s.json", tmp_path / f"log{first}", seconds, first, last]
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


def test_a_killed_sweep_keeps_its_finished_runs_and_goes_on_beside_another(tmp_path: Path) -> None:
    book, total, kills = tmp_path / "s.json", 40, 0
    seen: dict[str, Any] = {}
    rng = random.Random(0)
    while kills < 3:
        process = start(tmp_path, 0.02, 0, total)
        before = len(seen)
        while process.poll() is None and len(store.read_runs(book)["runs"]) < before + 5:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the sweep must still have been going"
        kills += 1
        now = store.read_runs(book)["runs"]  # parses: nothing is half-written
        assert len(now) > before and seen.items() <= now.items()
        seen = now
    last = [start(tmp_path, 0.0, 0, total), start(tmp_path, 0.0, total, 2 * total)]  # two sweeps share the store
    assert [process.wait() for process in last] == [0, 0]
    final = store.read_runs(book)["runs"]
    assert sorted(run["spec"]["seed"] for run in final.values()) == list(range(2 * total))
    assert seen.items() <= final.items()
    assert all(run["result"] == {"x": run["spec"]["seed"] / 7, "list": list(range(2000))} for run in final.values())
    calls = (tmp_path / "log0").read_text().split()
    assert len(set(calls)) == total and len(calls) <= total + kills  # at most the run under way was repeated


def save_from_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    read = store.read_runs
    monkeypatch.setattr(store, "read_runs", lambda path: (read(path), time.sleep(0.02))[0])  # hold the gap open
    failures: list[Exception] = []

    def save(name: str) -> None:
        try:
            store.save_run(path, name, {"question": "q", "spec": {}}, {})
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(str(i),)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(read(path)["runs"]) - len(failures)


def test_the_lock_is_what_keeps_concurrent_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert save_from_threads(tmp_path / "locked.json", monkeypatch) == 5
    monkeypatch.setattr(store, "locked", lambda path: nullcontext())
    assert save_from_threads(tmp_path / "unlocked.json", monkeypatch) < 5


def test_features_are_computed_once_and_come_back_bit_for_bit(tmp_path: Path) -> None:
    calls: list[int] = []
    rng = np.random.default_rng(0)
    features = {"x": rng.normal(size=(5, 3)).astype(np.float32), "y": np.arange(5), "domain": np.array(["a", "bb"])}

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return features

    for _ in range(2):
        got = cached(tmp_path / "cache", {"model": "abc", "pool": "mean"}, compute)
        assert got.keys() == features.keys()
        assert all(got[k].dtype == v.dtype and np.array_equal(got[k], v) for k, v in features.items())
    assert len(calls) == 1
    cached(tmp_path / "cache", {"model": "abc", "pool": "first"}, compute)
    assert len(calls) == 2


def test_features_are_computed_once_by_all_who_ask_at_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def slow() -> dict[str, np.ndarray]:
        calls.append(1)
        time.sleep(0.1)
        return {"x": np.arange(3.0)}

    threads = [threading.Thread(target=cached, args=(tmp_path, {"k": 1}, slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:200] + b"\xff" + b[201:]])
def test_damaged_features_are_computed_anew(damage: Any, tmp_path: Path) -> None:
    def compute() -> dict[str, np.ndarray]:
        return {"x": np.arange(100.0)}

    cached(tmp_path, {"k": 1}, compute)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert np.array_equal(cached(tmp_path, {"k": 1}, compute)["x"], np.arange(100.0))
    with np.load(path) as stored:
        assert np.array_equal(stored["x"], np.arange(100.0))


def test_cached_features_that_would_run_code_are_computed_anew(tmp_path: Path) -> None:
    cached(tmp_path, {"k": 1}, lambda: {"x": np.arange(3.0)})
    (path,) = tmp_path.glob("*.npz")
    np.savez(path, x=np.array([Path("/")], dtype=object))  # a pickle inside
    assert np.array_equal(cached(tmp_path, {"k": 1}, lambda: {"x": np.arange(3.0)})["x"], np.arange(3.0))


def test_features_that_are_python_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="array x must hold numbers or text, got dtype object"):
        cached(tmp_path, {"k": 1}, lambda: {"x": np.array([{}, None])})
    assert not list(tmp_path.glob("*.npz"))


def test_a_headless_notebook_stores_no_stderr_and_the_terminal_shows_progress(tmp_path: Path) -> None:
    kernel = {"name": "python3", "display_name": "", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [nbformat.v4.new_code_cell(
        "from lib.evidence.sweeps import product, sweep\n"
        "def run(seed): return {'x': seed}\n"
        "len(sweep(run, product(seed=range(4)), question='the question'))"
    )]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar"]
    command += ["--execution-timeout", "60"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    environment["PYTHONPATH"] = str(ROOT)  # and without pytest's own, at which ipykernel leaves its descriptors alone
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outputs = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0].outputs
    assert [output.output_type for output in outputs] == ["execute_result"]
    assert outputs[0].data["text/plain"] == "4"
    assert "the question" in done.stderr
