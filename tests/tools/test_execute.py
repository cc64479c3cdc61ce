"""Runs that go wrong, runs that are found again, and what is left behind."""
from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_output

import tools.execute
from tests.tools.tiny_book import Book, executed, result
from tools import gate
from tools.book import arguments, commit, evidence, run
from tools.execute import Job, cached, execute, key
from tools.notebooks import ROOT, join_streams, read, write
from tools.stage import merge

COUNT = "open({!r}, 'a').write('.')"


def left_behind(book: Book) -> list[psutil.Process]:
    """Processes that still work in the book's folder or on its files, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(book.root) in " ".join([process.cwd(), *process.cmdline()]):
                found.append(process)
    return psutil.wait_procs(found, timeout=10)[1]


def test_each_kind_of_bad_run_is_named_and_only_accidents_are_tried_again(book: Book) -> None:
    tries = {name: book.root / f"{name}.count" for name in ("raises", "outside", "sleeps", "dies", "recovers")}
    count = {name: COUNT.format(str(path)) for name, path in tries.items()}
    good = "run.record('{}', 0.8)"
    once = f"import os, pathlib\nif len(pathlib.Path({str(tries['recovers'])!r}).read_text()) == 1: os._exit(1)"
    jobs = [
        book.chapter("raises", count["raises"], "raise ValueError('boom')", good.format("r")),
        book.chapter("stderr", "import sys; print('careful', file=sys.stderr)", good.format("s")),
        book.chapter("nothing", "1 + 1"),
        book.chapter("twice", "for _ in range(2):\n    run.record('t', 0.8)"),
        book.chapter("outside", count["outside"], "run.record('o', 0.1)"),
        book.chapter("dies", count["dies"], "import os; os._exit(1)", good.format("d")),
        book.chapter("recovers", count["recovers"], once, good.format("c")),
    ]
    sleeps = book.chapter("sleeps", count["sleeps"], "import time; time.sleep(600)", good.format("z"))
    runs = {job.chapter.stem: run for job, run in zip(jobs, execute(jobs), strict=True)}
    runs["sleeps"], = execute([sleeps], limits=(5, 300))
    assert left_behind(book) == []
    names = {"raises": "r", "stderr": "s", "twice": "t", "outside": "o", "sleeps": "z", "dies": "d", "recovers": "c"}
    bands = {chapter: {name: {"low": 0.7, "high": 0.9}} for chapter, name in names.items()}
    problems = gate.check(runs, bands)
    for words in ("raises, cell 5: raised ValueError: boom", "stderr, cell 4: wrote to stderr: 'careful'",
                  "nothing: records no result", "twice: t is recorded 2 times", "outside: o is out of band",
                  "sleeps: cell 6 of 7: a cell took longer than 5 s", "dies: cell 6 of 7: the kernel died"):
        assert any(line.startswith(words) for line in problems), (words, problems)
    assert not any(line.startswith("recovers") for line in problems)
    assert {name: len(path.read_text()) for name, path in tries.items()} == {
        "raises": 1, "outside": 1, "sleeps": 2, "dies": 2, "recovers": 2}
    assert cached(jobs[4]) is not None, "a run that ended is kept, whatever it found"
    assert all(cached(job) is None for job in (jobs[0], jobs[5], sleeps)), "a run that did not end is not kept"


def test_the_limit_of_a_chapter_ends_a_run_whose_cells_are_each_quick(book: Book) -> None:
    job = book.chapter("long", *["import time; time.sleep(3)"] * 40, "run.record('a', 1)")
    run, = execute([job], limits=(60, 4), again=True)
    assert run.metadata.book.failure == "the chapter took longer than 4 s"
    assert left_behind(book) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_no_kernel_behind(book: Book, how: signal.Signals) -> None:
    begun = book.root / "begun"
    job = book.chapter("01-a", f"open({str(begun)!r}, 'w').close(); import time; time.sleep(600)")
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's "&" ignores it
    code = f"{heard}; from tools.execute import *; execute([Job(Path({str(job.chapter)!r}), Settings())])"
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not begun.exists():
        assert command.poll() is None
        time.sleep(0.1)
    family = psutil.Process(command.pid).children(recursive=True)
    assert len(family) >= 2, "papermill and its kernel"
    command.send_signal(how)
    command.wait(timeout=60)
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_prose_joins_the_results_of_an_earlier_run(book: Book) -> None:
    job = book.chapter("01-a", "run.record('a', 1.0)", prose="Before.", seed=3)
    first, = execute([job])
    assert first.metadata.book.cached is False
    assert first.metadata.book.peak_mb > 10
    assert "SEED = 3" in "".join(cell.source for cell in first.cells)
    source = read(job.chapter)
    source.cells[0].source = "After."
    nbformat.write(source, job.chapter)
    second, = execute([job])
    assert second.metadata.book.cached is True
    page = merge(read(job.chapter), second, {})
    assert [cell.source for cell in page.cells] == [cell.source for cell in source.cells]
    assert page.cells[0].source == "After."
    shown = page.cells[-1].outputs[0].data
    assert shown.keys() == {"text/plain", "text/html"} and "no band published yet" in shown["text/plain"]
    with pytest.raises(ValueError, match="changed while it ran"):
        source.cells[-1].source += "\n"
        merge(source, second, {})


def test_the_key_changes_with_all_that_can_change_a_result_and_with_nothing_else(book: Book, monkeypatch: Any) -> None:
    job = book.chapter("01-a", "run.record('a', 1.0)")
    keys = {key(job)}

    def changed(other: Job = job) -> bool:
        size = len(keys)
        keys.add(key(other))
        return len(keys) > size

    def edit(cell: int, **what: Any) -> None:
        notebook = read(job.chapter)
        notebook.cells[cell].update(what)
        nbformat.write(notebook, job.chapter)

    edit(0, source="Other prose.")
    assert not changed()
    assert not changed(dataclasses.replace(job, settings=tools.execute.Settings("quick", 0)))
    edit(-1, source="run.record('a', 2.0)")
    assert changed()
    edit(-1, metadata={"tags": ["hide-input"]})
    assert changed()
    (book.root / "lib" / "deep").mkdir()
    (book.root / "lib" / "deep" / "new.py").write_text("x = 1")
    assert not changed(), "no chapter reaches it"
    with (book.root / "lib" / "book" / "record.py").open("a") as file:
        file.write("import lib.deep.new\n")
    assert changed()
    (book.root / "lib" / "deep" / "new.py").write_text("x = 2")
    assert changed()
    write(book.root / "results" / "evidence" / "01-a-quick.json", "{}")
    assert changed()
    write(book.root / "results" / "evidence" / "02-b-quick.json", "{}")
    assert not changed()
    edit(-1, source="run.record('a', len('02-b-quick.json'))")
    assert changed()
    write(book.root / "results" / "evidence" / "02-b-quick.json", "{ }")
    assert changed(), "the chapter names that store"
    assert changed(dataclasses.replace(job, settings=tools.execute.Settings("quick", 1)))
    assert changed(dataclasses.replace(job, settings=tools.execute.Settings("full", 0)))
    book.publish({"01-a": {"a": (0, 1)}})
    assert not changed(), "staging draws the cards again"
    monkeypatch.setattr(tools.execute, "installed", lambda: {"torch": "99"})
    assert changed()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "results.json"
    write(path, "old")

    def torn(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", torn)
    with pytest.raises(KeyboardInterrupt):
        write(path, "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("results.json", "old")]


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(ValueError, match="PROFILE must be one of quick, full, got 'fast'"):
        tools.execute.Settings("fast")


COMMANDS = {
    "book --seed 7.0": "SEED must be a whole number from 0 up, got '7.0'",
    "book --seed -1": "SEED must be a whole number from 0 up, got '-1'",
    "book --profile Quick": "PROFILE must be one of quick, full, got 'Quick'",
    "book --name 99": "NAME must begin like one of 01-",
    "book --report --name 99": "NAME must begin like one of 01-",
    "book --evidence --name 99": "NAME must begin like one of 01-",
    "bands --seeds": "SEEDS must name at least 3 different seeds, got",
    "bands --seeds 0 1 x": "SEED must be a whole number from 0 up, got 'x'",
    "serve": "PORT must be a number from 0 to 65535, got ''",
    "serve x": "PORT must be a number from 0 to 65535, got 'x'",
    "serve 65536": "PORT must be a number from 0 to 65535, got '65536'",
    "repo --url http://x": "URL must look like https://github.com/OWNER/NAME, got 'http://x'",
    "repo --ref a:b": "REF must be a branch or a tag, such as main or v1.0.0, got 'a:b'",
}


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_says_in_one_sentence_what_is_wrong_with_its_input(words: str) -> None:
    name, *options = words.split()
    done = subprocess.run([sys.executable, "-m", f"tools.{name}", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode not in (0, -signal.SIGKILL) and done.stderr.count(COMMANDS[words]) == 1
    assert "Traceback" not in done.stderr and done.stderr.splitlines()[-1].find(COMMANDS[words]) >= 0


STOPS = {
    "raise PermissionError(13, 'Permission denied', '_build/site')": ("  Permission denied: _build/site\n", 1),
    "raise Mistake('SEED must be')": ("  SEED must be\n", 1),
    "print('x' * 9 ** 6) or sys.stdout.flush() or 0": ("", 128 + signal.SIGPIPE),
    "raise KeyboardInterrupt": ("\n  stopped; what was finished is kept, and the same command goes on from there\n",
                                -signal.SIGINT),
}


@pytest.mark.parametrize("body", STOPS)
def test_what_stops_a_command_from_outside_is_said_in_one_line(body: str) -> None:
    code = f"import sys; from tools.notebooks import *\ndef main():\n    {'' if 'raise' in body else 'return '}{body}"
    command = subprocess.Popen([sys.executable, "-c", f"{code}\ncommand(main)"], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout and command.stderr
    command.stdout.close()  # as `head` does
    assert (command.stderr.read(), command.wait(timeout=60)) == STOPS[body]


def test_a_notebook_that_is_cut_off_is_named(book: Book) -> None:
    path = book.chapter("01-a", "1 + 1").chapter
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match="01-a.ipynb must be a notebook, got what does not read as one"):
        read(path)


def test_a_damaged_run_in_the_cache_runs_again(book: Book) -> None:
    job = book.chapter("01-a", "run.record('a', 0.8)")
    execute([job])
    kept, = (book.root / "_build" / "cache").iterdir()
    for damaged in ("", kept.read_text()[:200], "{}"):
        kept.write_text(damaged)
        assert cached(job) is None
    assert execute([job])[0].metadata.book.cached is False and cached(job)


def test_the_commit_is_that_of_the_book_not_of_a_repository_around_it(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words], cwd=tmp_path, check=True)

    (tmp_path / "book").mkdir()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "another project")
    assert len(commit(tmp_path)) == 40
    assert commit(tmp_path / "book") == "unknown", "an archive of the book, unpacked inside another project"


def test_the_time_limit_of_plain_papermill_leaves_what_ran_before_it(book: Book) -> None:
    job = book.chapter("01-a", "print('before')", "import time; time.sleep(600)", "print('after')")
    out = book.root / "out.ipynb"
    command = [sys.executable, "-m", "papermill", job.chapter, out, "-k", "python3", "--execution-timeout", "4"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=book.root, timeout=120)
    assert done.returncode != 0 and "Timeout" in done.stderr
    said = [output.get("text") for cell in read(out).cells for output in cell.get("outputs", [])]
    assert "before\n" in said and "after\n" not in said
    assert left_behind(book) == []


def test_make_hands_profile_and_seed_to_the_chapters(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["make", "--dry-run", "book", "PROFILE=full", "SEED=3"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    given = re.search(r"-m tools\.book (.*?);", told)
    assert given
    options = arguments().parse_args(given[1].split())
    given_all = "int(PROFILE == 'full' and SEED == 3 and EVIDENCE)"  # a full run makes the runs that nobody committed
    book.chapter("01-a", f"run.record('full_runs', {given_all}, at_least=1)")
    assert run(book.root, tools.execute.Settings(options.profile, options.seed), site=False) == 0
    assert run(book.root, tools.execute.Settings("quick", options.seed), site=False) == 1, "negative control"
    capsys.readouterr()


def test_evidence_is_made_one_chapter_after_the_other_and_the_one_that_fails_is_named(
        book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    log = book.root / "log"
    say = f"import time\nif EVIDENCE: open({str(log)!r}, 'a').write('{{}} ')"
    for name in ("01-a", "02-b"):
        book.chapter(name, say.format("begins"), "time.sleep(2)", say.format("ends"), "run.record('a', 0.8)")
    settings = tools.execute.Settings(evidence=True)
    assert evidence(book.root, settings) == 0
    assert log.read_text().split() == ["begins", "ends"] * 2
    book.chapter("02-b", "raise ValueError('boom')")
    assert evidence(book.root, settings) == 1
    told = capsys.readouterr().err
    assert "02-b" in told and "boom" in told and "01-a" not in told


def test_the_report_prints_each_result_and_fails_where_one_is_outside(
        book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    book.chapter("01-a", "run.record('inner', 0.8)", "run.record('outer', 0.1)")
    settings = tools.execute.Settings()
    book.publish({"01-a": {"inner": (0.7, 0.9), "outer": (0.0, 0.2)}})
    assert run(book.root, settings, site=False) == 0
    book.publish({"01-a": {"inner": (0.7, 0.9), "outer": (0.7, 0.9)}})
    assert run(book.root, settings, site=False) == 1
    told = capsys.readouterr()
    assert re.search(r"outer +0.1 .*>= 0.7 <= 0.9", told.out) and "outer is out of band" in told.err
    assert "inner is out" not in told.err
    book.chapter("01-a", "run.record('open_one', 0.8, values=[0.6, 1.0], interval=[0.4, 1.2], at_least=0.5)")
    book.publish({})
    assert run(book.root, settings, site=False) == 0
    told = capsys.readouterr()
    assert re.search(r"open_one +0.8 .*undecided +>= 0.5", told.out) and "1 results" in told.out
    assert "all within their bounds, 1 of them undecided" in told.out


def test_staging_draws_the_cards_that_are_to_be_seen_from_the_facts_and_todays_bands() -> None:
    loud, quiet = result("loud", 0.8), result("quiet", 0.3, card=False)
    run = executed(loud, quiet)
    run.cells[-1].outputs.append(new_output("stream", text="said"))
    for band, words in (({"low": 0.7, "high": 0.9}, "inside the published band"),
                        ({"low": 0.1, "high": 0.2}, "outside the published band")):
        shown, said = merge(Book.notebook(run.cells[-1].source), run, {"loud": band}).cells[-1].outputs
        assert words in shown.data["text/html"] and 'id="loud"' in shown.data["text/html"] and said.text == "said"
    assert [found["name"] for found in gate.results(run)] == ["loud", "quiet"], "the gate sees both"


def test_an_empty_stub_invites_and_what_a_checker_says_elsewhere_stays() -> None:
    said = '<div class="par-verdict par-not-yet" style="x"><strong>Not yet.</strong> nothing comes back</div>'
    page, run = Book.notebook("check(f)"), Book.notebook("check(f)")
    run.cells[-1].outputs = [new_output("display_data", data={"text/html": said, "text/plain": "Not yet"})]
    page.cells[-1].metadata["tags"] = ["exercise"]
    shown, = merge(page, run, {}).cells[-1].outputs
    assert "Your turn." in shown.data["text/html"] and "Not yet" not in shown.data["text/html"]
    page.cells[-1].metadata["tags"] = ["solution"]
    shown, = merge(page, run, {}).cells[-1].outputs
    assert "Not yet." in shown.data["text/html"]


def test_the_commit_is_marked_where_files_differ_and_unknown_without_git(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert commit(tmp_path) == "unknown"
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "-A")
    git("commit", "-q", "-m", "x")
    head = git("rev-parse", "HEAD").strip()
    assert commit(tmp_path) == head
    write(tmp_path / "results" / "quick-cpu.json", "{}")
    assert commit(tmp_path) == head, "bands are what a run makes"
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == f"{head}-changed"


def test_what_one_call_prints_is_one_output() -> None:
    """A busy kernel sends a print in pieces; what another stream or a picture parts stays parted."""
    said = [("stdout", "lost:"), ("stdout", " 15\n"), ("stderr", "a warning\n"), ("stdout", "kept: 3\n")]
    pieces = [new_output("stream", name=name, text=text) for name, text in said]
    pieces += [new_output("display_data"), new_output("stream", name="stdout", text="last\n")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=pieces),
                                               nbformat.v4.new_markdown_cell("no outputs")])
    join_streams(notebook)
    told = [(output.output_type, output.get("name"), output.get("text")) for output in notebook.cells[0].outputs]
    assert told == [("stream", "stdout", "lost: 15\n"), ("stream", "stderr", "a warning\n"),
                    ("stream", "stdout", "kept: 3\n"), ("display_data", None, None), ("stream", "stdout", "last\n")]
    nbformat.validate(notebook)
