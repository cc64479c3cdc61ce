"""Each exercise: the stub is told 'not yet', the solution passes, typical wrong answers are told their mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import numpy as np
import pytest
import torch

from lib.figures import Verdict
from lib.projection import truncate

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
        line
        for cell in book.cells
        if cell.cell_type == "code" and cell.id == "imports"
        for line in cell.source.split("\n")
        if re.match(r"(import|from) ", line)
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


W0 = torch.linspace(-1, 1, 28, dtype=torch.float64).reshape(7, 4)
WRONG = [
    ("05", "check_head_size", lambda d, c, k: (k or d) * c + c + 2 * d + (d * k if k else 0), "it is k wide"),
    ("05", "check_head_size", lambda d, c, k: (d * k if k else 0) + (k or d) * c + c, "a scale and a shift"),
    ("05", "check_head_size", lambda d, c, k: d + c, "expected"),
    ("05", "check_bce_gradient", lambda z, y: torch.sigmoid(z) - y, "divides each entry by N"),
    ("05", "check_bce_gradient", lambda z, y: (y - torch.sigmoid(z)) / 3, "sign is turned"),
    ("05", "check_tail_step", lambda W, r, eta, lam: W - eta * lam * W, "plain L2"),
    ("05", "check_tail_step", lambda W, r, eta, lam: truncate(W, r), "cuts the tail off at once"),
    ("05", "check_tail_step", lambda W, r, eta, lam: W[0], "array of shape"),
    ("05", "check_rank_for", lambda s, share: int(np.argmax(np.cumsum(s) / s.sum() >= share)) + 1, "square"),
    ("05", "check_rank_for", lambda s, share: int(np.argmax(np.cumsum(s**2) / (s**2).sum() >= share)), "rank at one"),
    ("05", "check_anchored", lambda W, W0, r, lam: lam * (W - truncate(W, r)), "subtract W0"),
    ("05", "check_anchored", lambda W, W0, r, lam: 1 / 0, "raised ZeroDivisionError"),
    ("05", "check_anchored", lambda W, W0, r, lam: "a string", "expected"),
]


@pytest.mark.parametrize("chapter, name, answer, hint", WRONG)
def test_a_wrong_answer_is_told_its_mistake(chapter: str, name: str, answer: Any, hint: str) -> None:
    verdict = namespace(next(path for path in CHAPTERS if path.stem.startswith(chapter)))[name](answer)
    assert isinstance(verdict, Verdict) and not verdict
    assert hint in verdict.message


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
