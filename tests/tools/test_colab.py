"""A stand-in for Colab: an empty folder with a notebook, Colab's module, a host with packages of its own, and pip.

The host sees the packages of this environment through a folder of links, but for joblib and the book, which it lacks.
git fetches the working tree, under the address that the set-up cell names. What this cannot show is Colab's own Python
and versions.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from tools.notebooks import ROOT, chapters, tags
from tools.repo import reference, setting
from tools.zh import notebook as zh_notebook
from tools.zh import stage as zh_stage

LACKS = ("joblib", "project_and_regularize", "__editable__", "pip", "distutils-precedence")
WHERE = """
import json, sys, lib, numpy, torch, transformers
kept = {module.__name__: [module.__version__, module.__file__] for module in (torch, numpy, transformers)}
print("STAND-IN", json.dumps({"kernel": sys.executable, "lib": lib.__file__, "kept": kept}))
"""
DRIVE = """
from pathlib import Path

def mount(place):
    (Path(place) / "MyDrive").mkdir(parents=True, exist_ok=True)
"""


class Colab:
    """What a person meets who opens one chapter in Colab."""

    def __init__(self, folder: Path) -> None:
        self.content, self.remote = folder / "content", folder / "remote"
        self.python = folder / "host" / "bin" / "python"
        self.content.mkdir()
        self.links = folder / "packages"
        self.links.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if not path.name.startswith(LACKS):
                (self.links / path.name).symlink_to(path)
        subprocess.run([sys.executable, "-m", "venv", folder / "host"], check=True)
        own = next((folder / "host" / "lib").glob("python*")) / "site-packages"
        (own / "host.pth").write_text(f"{self.links}\n")
        (folder / "stub" / "google" / "colab").mkdir(parents=True)
        (folder / "stub" / "google" / "colab" / "__init__.py").touch()
        (folder / "stub" / "google" / "colab" / "drive.py").write_text(DRIVE)
        (own / "stub.pth").write_text(f"{folder / 'stub'}\n")
        self.environment = {name: os.environ[name] for name in os.environ if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{self.remote}.insteadOf",
                             "GIT_CONFIG_VALUE_0": setting(ROOT), "OMP_NUM_THREADS": "1",
                             "JUPYTER_PREFER_ENV_PATH": "1"}

    def publish(self) -> None:
        """Put the working tree, as it is now, where git finds it."""
        def git(*arguments: str, cwd: Path = ROOT) -> str:
            return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout
        for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")[:-1]:
            if (ROOT / name).is_file():
                (self.remote / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.remote / name)
        git("init", "-q", "-b", reference(ROOT), cwd=self.remote)
        git("add", "-A", cwd=self.remote)
        git("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "x", cwd=self.remote)

    def set_up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up cell alone."""
        cell = (ROOT / "tools" / "setup_cell.txt").read_text("utf-8")
        return subprocess.run([self.python, "-c", cell], cwd=self.content, env=self.environment | environment,
                              capture_output=True, text=True)

    def run(self, notebook: nbformat.NotebookNode, last: str = "") -> tuple[dict, nbformat.NotebookNode]:
        """Run a notebook, to the cell with the id `last` if given, and ask it where it was."""
        if last:
            end = [cell.id for cell in notebook.cells].index(last)
            notebook.cells = notebook.cells[: end + 1]
        notebook.cells.append(new_code_cell(WHERE))
        done = self.papermill(notebook)
        assert done.returncode == 0, done.stderr[-3000:]
        ran = nbformat.read(self.content / "out.ipynb", as_version=4)
        (self.content / "out.ipynb").unlink()
        said = "".join(output.text for output in ran.cells[-1].outputs if output.get("name") == "stdout")
        return json.loads(said.removeprefix("STAND-IN ")), ran

    def papermill(self, notebook: nbformat.NotebookNode) -> subprocess.CompletedProcess[str]:
        """Run a notebook into `out.ipynb`."""
        nbformat.write(notebook, self.content / "chapter.ipynb")
        command = [self.python, "-m", "papermill", "chapter.ipynb", "out.ipynb", "-k", "python3", "--no-progress-bar"]
        return subprocess.run(command, cwd=self.content, env=self.environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Colab]:
    folder = tmp_path_factory.mktemp("colab")
    yield Colab(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def visited(colab: Colab) -> Colab:
    """The same Colab after the set-up cell has run there, whichever test comes first."""
    if not colab.remote.exists():
        colab.publish()
    done = colab.set_up()
    assert done.returncode == 0, done.stderr
    return colab


def versions(host: Colab) -> str:
    ask = "import importlib.metadata as m; print([(n, m.version(n)) for n in ('torch', 'numpy', 'transformers')])"
    return subprocess.run([host.python, "-c", ask], capture_output=True, text=True, check=True).stdout


def test_the_first_minutes_on_colab(colab: Colab) -> None:
    """One story, since each part starts from what the one before left."""
    before = versions(colab)

    cut_off = colab.set_up()
    assert cut_off.returncode == 1 and f"git could not fetch {reference(ROOT)} of {setting(ROOT)}" in cut_off.stderr
    assert list(colab.content.iterdir()) == []  # nothing that a second try could take for a book

    colab.publish()
    half = colab.content / ".book-killed" / "book" / "tools"  # a clone that was killed on its way
    half.mkdir(parents=True)
    (half / "setup_cell.txt").touch()
    no_package = colab.set_up(PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
    assert no_package.returncode == 1 and "pip could not install joblib>=1.4" in no_package.stderr

    start = time.monotonic()
    second = colab.set_up()
    seconds = time.monotonic() - start
    assert second.returncode == 0, second.stderr
    words = "The book is in its place; installed joblib>=1.4; left as they are: numpy"
    assert second.stdout.startswith(words)
    assert second.stdout.count("\n") == 1 and seconds < 240  # a download is part of it

    start = time.monotonic()
    third = colab.set_up()  # as after a restart of the kernel
    assert third.stdout == "The book is in its place; nothing was missing.\n", third.stderr
    assert time.monotonic() - start < 60
    shutil.rmtree(colab.content / f"book-{reference(ROOT)}")
    assert colab.set_up().stdout == f"The book was fetched ({reference(ROOT)}); nothing was missing.\n"
    assert versions(colab) == before


@pytest.mark.parametrize("chapter", chapters(ROOT), ids=lambda path: path.stem)
def test_a_chapter_opened_on_colab(visited: Colab, chapter: Path) -> None:
    """One chapter runs to its end, the others to the end of their imports."""
    whole = chapter.stem.startswith("04")
    notebook = nbformat.read(chapter, as_version=4)
    at, ran = visited.run(notebook, last="" if whole else "imports")
    assert at["kernel"] == str(visited.python)
    assert at["lib"] == str(visited.content / f"book-{reference(ROOT)}" / "lib" / "__init__.py")
    assert all(file.startswith(str(visited.links)) for _, file in at["kept"].values())
    if whole:
        cards = [output for cell in ran.cells for output in cell.get("outputs", []) if "par-card" in str(output)]
        assert len(cards) >= 5 and not any("outside" in str(card) or "broken" in str(card) for card in cards)


def test_a_chinese_chapter_speaks_chinese_from_the_first_run(visited: Colab) -> None:
    """Its figures, cards and checkers; the same notebook with LANGUAGE = "en" is the negative control."""
    stem = "04-mathematics"
    _, ran = visited.run(nbformat.read(zh_notebook.place(ROOT, stem), as_version=4))
    shown = [str(output) for cell in ran.cells for output in cell.get("outputs", [])]
    for kind in ("par-card", "<svg", "还不对", "正确。"):
        assert any(kind in output for output in shown), kind
    assert left_in_english(ran, stem) == []

    english = nbformat.read(zh_notebook.place(ROOT, stem), as_version=4)
    parameters = next(cell for cell in english.cells if "parameters" in tags(cell))
    parameters.source = parameters.source.replace('LANGUAGE = "zh"', 'LANGUAGE = "en"')
    _, ran = visited.run(english, last="ex1-stub")
    assert "ex1-stub" in left_in_english(ran, stem), "there is English left that the catalogue can say"


def left_in_english(ran: nbformat.NotebookNode, stem: str) -> list[str]:
    """What a notebook printed, drew and said in English after its set-up, but for its data."""
    ran.cells = [cell for cell in ran.cells[:-1] if "setup" not in tags(cell)]  # the last is the stand-in's own
    before = [_unspaced(cell) for cell in ran.cells]
    words = zh_stage.catalogue(ROOT, stem[:2])
    zh_stage.outputs(ran, words, zh_stage.held(ROOT, stem).get("data", ()))
    changed = [cell.id for cell, was in zip(ran.cells, before, strict=True) if _unspaced(cell) != was]
    return [text for text in words.missing if not re.search("[\u3400-\u9fff]", text)] + changed


def _unspaced(cell: nbformat.NotebookNode) -> str:
    """What a cell shows, without the blanks between the columns of a table, which follow the words."""
    return str(cell.get("outputs", [])).replace(" ", "")


def test_a_chapter_downloaded_from_the_site_runs_too(visited: Colab) -> None:
    """It holds outputs, and lies where no book is."""
    page = ROOT / "_build" / "site" / "_sources" / "chapters" / "05-bert-case-study.ipynb"
    notebook = nbformat.read(page, as_version=4)
    cell = (ROOT / "tools" / "setup_cell.txt").read_text("utf-8").strip()
    assert cell in [cell.source for cell in notebook.cells], "the site is older than the set-up cell: make book"
    assert any(cell.get("outputs") for cell in notebook.cells)
    at, ran = visited.run(notebook, last="imports")
    assert at["lib"].startswith(str(visited.content))
    words = next(cell for cell in ran.cells if "setup" in tags(cell)).outputs[0].text
    assert words.endswith("nothing was missing.\n") and str(visited.content) not in words


def test_the_stand_in_sees_a_book_that_comes_from_elsewhere(visited: Colab, tmp_path: Path) -> None:
    """Negative control: with the book beside the notebook gone and another in sight, `lib` is the other."""
    shutil.copytree(visited.content / f"book-{reference(ROOT)}", tmp_path / "other")
    cell = f"import sys; sys.path.insert(0, {str(tmp_path / 'other')!r})"
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell(cell)])
    at, _ = visited.run(notebook)
    assert at["lib"].startswith(str(tmp_path / "other"))


TRAIN = """
import os
import signal

import torch

from lib.objectives import cross_entropy
from lib.training import Plan, fit, seed_step
from tests.lib.resume_run import Toy, digest, toy_data

seed_step(0, 1)
model, data, plan, steps = Toy(), toy_data(120), Plan(epochs=3, batch_size=8, lr=5e-3, eval_every=5), 0
optimizer = torch.optim.AdamW(model.parameters())


def loss(model, batch):
    global steps
    if steps == KILLED_AT:
        os.kill(os.getpid(), signal.SIGKILL)
    steps += 1
    return cross_entropy()(model, batch)
"""


def test_a_long_run_goes_on_from_the_drive_in_another_kernel(visited: Colab) -> None:
    """The tip of chapter 6, as it stands there, with a folder for the drive and a kernel that is killed."""
    cells = nbformat.read(ROOT / "chapters" / "06-project.ipynb", as_version=4).cells
    tip = next(cell.source for cell in cells if cell.id == "model-drive")
    tip = tip.split("```python\n")[1].split("```")[0].replace("/content/", f"{visited.content}/")
    kept = visited.content / "drive" / "MyDrive"

    def kernel(killed_at: int, tip: str) -> subprocess.CompletedProcess[str]:
        tell = "print('TOLD', steps, digest(model, history))"
        codes = ["import torch; torch.set_num_threads(1)", f"KILLED_AT = {killed_at}{TRAIN}", tip, tell]
        setup = next(cell for cell in cells if "setup" in tags(cell))
        return visited.papermill(nbformat.v4.new_notebook(cells=[setup, *map(new_code_cell, codes)]))

    def told() -> list[str]:
        ran = nbformat.read(visited.content / "out.ipynb", as_version=4)
        return "".join(output.get("text", "") for output in ran.cells[-1].outputs).split()

    killed = kernel(23, tip)
    assert killed.returncode != 0 and "DeadKernelError" in killed.stderr
    assert [path.suffix for path in kept.rglob("*") if path.is_file()] == [".pt"]
    assert kernel(-1, tip).returncode == 0
    resumed = told()
    assert kernel(-1, tip.replace("MyDrive", "MyDrive/another")).returncode == 0
    straight = told()
    assert (resumed[:3], straight[:3]) == (["TOLD", "25", "45"], ["TOLD", "45", "45"])
    assert resumed[3] == straight[3]
