"""Each exercise: the stub is told 'not yet', the solution passes, typical wrong answers are told their mistake."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import numpy as np
import pytest
import torch
from peft.utils.merge_utils import ties

from lib.book.quiz import Feedback
from lib.projection import intruders

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
matplotlib.use("Agg")


def cells(chapter: Path, tag: str) -> list[str]:
    book = nbformat.read(chapter, as_version=4)
    return [cell.source for cell in book.cells if tag in cell.metadata.get("tags", [])]


def namespace(chapter: Path) -> dict[str, Any]:
    """The chapter's imports and checkers, without its experiments."""
    book = nbformat.read(chapter, as_version=4)
    imports = [
        ast.unparse(line)
        for cell in book.cells
        if cell.cell_type == "code" and cell.id == "imports"
        for line in ast.parse(cell.source).body
        if isinstance(line, ast.Import | ast.ImportFrom)
    ]
    scope: dict[str, Any] = {}
    exec("\n".join(imports + cells(chapter, "checker")), scope)
    return scope


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_stub_is_told_not_yet_and_solution_passes(chapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope, stubs, solutions = namespace(chapter), cells(chapter, "exercise"), cells(chapter, "solution")
    assert len(stubs) == len(solutions) >= 5
    for stub, solution in zip(stubs, solutions, strict=True):
        exec(stub, scope)
        assert "Not yet" in capsys.readouterr().out
        with pytest.raises(AssertionError):  # the solution's assert is one that can fail
            exec(re.sub(r"(?s)^.*?(?=\nassert)", "", solution), scope)
        capsys.readouterr()
        exec(solution, scope)
        assert "Correct" in capsys.readouterr().out


def spoil(argument: Any) -> None:
    """Overwrite what an answer may overwrite."""
    if isinstance(argument, list):
        argument.clear()
    elif getattr(argument, "shape", ()):
        argument[...] = 0


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_an_answer_that_works_in_place_is_right_and_harms_no_later_one(chapter: Path) -> None:
    scope = namespace(chapter)
    for solution in cells(chapter, "solution"):
        exec(solution, scope)
    for stub in cells(chapter, "exercise"):
        name, checker = re.findall(r"def (\w+)|(check_\w+)\(", stub)
        honest, check = scope[name[0]], scope[checker[1]]

        def spoiling(*arguments: Any, honest: Any = honest) -> Any:
            result = deepcopy(honest(*arguments))
            for argument in arguments:
                spoil(argument)
            return result

        assert check(spoiling) and check(honest)


def test_a_name_that_the_learner_takes_harms_no_checker() -> None:
    scope = namespace(next(path for path in CHAPTERS if path.stem.startswith("05")))
    scope["truncate"] = lambda W: W  # the checker's mistakes call it with a rank
    verdict = scope["check_tail_step"](lambda W, r, eta, lam: W)
    assert not verdict and "largest difference" in verdict.message


WRONG = [  # each chapter's stand in wrong/chNN.py
    (path.stem[2:4], *row)
    for path in sorted((ROOT / "tests/chapters/wrong").glob("ch*.py"))
    for row in runpy.run_path(str(path))["WRONG"]
]


def test_every_checker_is_tried_with_two_wrong_answers() -> None:
    for chapter in CHAPTERS:
        names = {name for name, value in namespace(chapter).items() if name.startswith("check_") and callable(value)}
        tried = Counter(name for number, name, *_ in WRONG if number == chapter.stem[:2])
        assert {name: tried[name] for name in names if tried[name] < 2} == {}


@pytest.mark.parametrize("chapter, name, answer, hint", WRONG)
def test_a_wrong_answer_is_told_its_mistake(chapter: str, name: str, answer: Any, hint: str) -> None:
    verdict = namespace(next(path for path in CHAPTERS if path.stem.startswith(chapter)))[name](answer)
    assert isinstance(verdict, Feedback) and not verdict
    assert hint in verdict.message and len(verdict.message) < 500


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_has_a_hint_and_the_quiz_five_questions(chapter: Path) -> None:
    book = nbformat.read(chapter, as_version=4)
    tasks = [
        cell.source for cell in book.cells if cell.cell_type == "markdown" and cell.source.startswith("**Exercise")
    ]
    assert all("*Hint.*" in task or "research question" in task for task in tasks) and len(tasks) >= 5
    assert sum(cell.source.count("Question(") for cell in book.cells) == 5


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_chapter_keeps_its_contract(chapter: Path) -> None:
    """What stands at the top and at the end of each chapter, in words that Colab shows too."""
    text = json.dumps([cell.source for cell in nbformat.read(chapter, as_version=4).cells])
    for words in (
        "After this chapter you can",
        "You need",
        "Open this chapter in Colab",
        "Predict first",
        "## What we found",
        "## Where the source is wrong",
        "## Exercises",
        "## Quiz",
        "## Further reading",
    ):
        assert words in text, words


def test_the_ties_of_chapter_8_are_those_of_peft() -> None:
    """Its solution against `peft` on drawn changes; where only the plain mean is taken, they differ."""
    chapter = next(path for path in CHAPTERS if path.name.startswith("08"))
    scope = namespace(chapter)
    exec(next(cell for cell in cells(chapter, "solution") if "def ties(" in cell), scope)
    for seed in range(20):
        changes = np.random.default_rng(seed).normal(size=(4, 10))
        theirs = ties(list(torch.tensor(changes)), torch.ones(4), density=0.3).numpy()
        np.testing.assert_allclose(scope["ties"](changes, 3), theirs, atol=1e-12)
        assert not np.allclose(changes.mean(0), theirs)


def test_the_intruders_of_chapter_7_are_those_of_the_library() -> None:
    """Its solution against `lib.projection`, which is held to `peft`; signs do not matter, only the k loudest count."""
    chapter = next(path for path in CHAPTERS if path.name.startswith("07"))
    scope, found = namespace(chapter), set()
    exec(next(cell for cell in cells(chapter, "solution") if "def intruder_count(" in cell), scope)
    for seed, (m, n) in enumerate([(12, 5), (5, 12), (8, 8)] * 5):
        draws = torch.Generator().manual_seed(seed)
        W, D = (torch.randn(m, n, generator=draws, dtype=torch.float64) for _ in range(2))
        known = torch.linalg.svd(W, full_matrices=False).U
        for k, below in ((1, 0.5), (3, 0.6), (5, 0.7)):
            theirs = intruders(W + 2 * D, known, count=k, below=below).shape[1]
            assert scope["intruder_count"](W.numpy(), 2 * D.numpy(), k, below) == theirs
            found.add(theirs)
    assert {0, 1, 2} <= found
