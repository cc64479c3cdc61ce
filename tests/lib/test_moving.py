"""Figures that compute in the page, as Python leaves them: data, words, marks; the browser's part is in tests/site."""

from __future__ import annotations

import json
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from bs4 import BeautifulSoup, Tag

from lib.book import moving
from lib.book.moving import Control, ranks, shrinkage


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The HTML of everything displayed, newest last."""
    displayed: list[str] = []
    monkeypatch.setattr(moving, "display", lambda data: displayed.append(data.data))
    return displayed


def only(shown: list[str]) -> Tag:
    soup = BeautifulSoup(shown[-1], "html.parser")
    assert soup.figure and not soup.script
    return soup.figure


def square(gid: str = "moving-part") -> Any:
    fig, ax = plt.subplots()
    ax.fill([1, 3, 3, 1], [2, 2, 4, 4], gid=gid)
    ax.set(xlim=(0, 5), ylim=(0, 5))
    return fig


def show(fig: Any, **changes: Any) -> None:
    given = {"kind": "rank", "data": {}, "controls": [Control("rank", [1, 2])], "words": "Rank {rank}.",
             "said": {"rank": "1"}, "alt": "A square."}
    moving.moving(fig, **(given | changes))


def test_what_moves_is_marked_and_where_data_lie_is_told(shown: list[str]) -> None:
    show(square())
    figure = only(shown)
    part = figure.select_one('[data-part="part"] path')
    assert part
    corners = np.array([float(word) for word in str(part["d"]).split() if word not in "MLz"]).reshape(-1, 2)
    frame = json.loads(str(figure["data-told"]))["frame"]
    expected = [[frame["x"][0] + frame["x"][1] * x, frame["y"][0] + frame["y"][1] * y]
                for x, y in ((1, 2), (3, 2), (3, 4), (1, 4))]
    np.testing.assert_allclose(corners[:4], expected, atol=0.01)
    assert plt.get_fignums() == []


def test_without_the_script_there_are_words_and_nothing_to_move(shown: list[str]) -> None:
    show(square(), words='Rank {rank} & "more".')
    figure = only(shown)
    assert figure.select_one(".par-said").text == 'Rank 1 & "more".'
    assert all(axis.has_attr("hidden") for axis in figure.select(".par-axis"))
    assert [label["for"] for label in figure.select("label")] == [box["id"] for box in figure.select("input")]


@pytest.mark.parametrize(("changes", "message"), [
    ({"controls": []}, "controls must hold at least one, got none"),
    ({"controls": [Control("rank", [1, 2], 2)]}, "rank must start at one of at least two values"),
    ({"controls": [Control("rank", [1])]}, "rank must start at one of at least two values"),
    ({"controls": [Control("rank", [1, 2], 0, ["one"])]}, "each with its text"),
    ({"words": "{rank} {error}"}, "said must hold every name in words, got none for error"),
    ({"alt": " "}, "alt must say what the figure shows"),
])
def test_what_is_missing_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        show(square(), **changes)
    plt.close("all")


def test_a_figure_in_which_nothing_moves_is_refused() -> None:
    with pytest.raises(ValueError, match="fig must have an artist with a gid moving-NAME"):
        show(square("part"))
    with pytest.raises(ValueError, match="fig must have one pair of axes, got 2"):
        show(plt.subplots(1, 2)[0])
    plt.close("all")


def test_ranks_say_what_the_best_approximation_misses(shown: list[str]) -> None:
    W = np.array([[3.0, 0.0], [4.0, 5.0]])  # singular values: the roots of 45 and 5
    ranks({"matrix": W, "other": np.eye(2)}, tried=[1, 2], start=1, alt="Two singular values.")
    figure = only(shown)
    assert figure.select_one(".par-said").text == (
        "Rank 1 keeps 90.0 % of the squared norm of the matrix. The relative error is 31.6 %. "
        "Its two factors hold 4 numbers: 100.0 % of the matrix.")
    data = json.loads(str(figure["data-told"]))["data"]
    np.testing.assert_allclose(data["spectra"], [[0.9**0.5, 0.1**0.5], [0.5**0.5] * 2], atol=1e-4)


@pytest.mark.parametrize(("tried", "start", "message"), [
    ([1, 3], 1, "rank must be a whole number between 1 and 2, got 3"), ([1, 2], 3, "start must be one of the ranks"),
])
def test_a_rank_that_is_none_is_refused(tried: list[int], start: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ranks({"matrix": np.eye(2)}, tried=tried, start=start, alt="x")
    plt.close("all")


def test_shrinkage_says_where_both_end(shown: list[str]) -> None:
    """Axes along the weights: L2 leaves h / (h + lambda) of each, two steps of one half three quarters of the first."""
    shrinkage(curvature=[1.0, 0.5], turn=0, target=[3.0, 2.0], rate=0.5, strengths=[0.0, 0.5], steps=[0, 2],
              start=(1, 1), alt="Two paths.")
    assert only(shown).select_one(".par-said").text == (
        "L2 of strength 0.5 ends at (2.00, 1.00), where the loss is 0.75. Gradient descent is at (2.25, 0.88) after 2 "
        "steps, where it is 0.60. The two are 0.28 apart. The strength that matches so many steps, 1/(ητ), is 1.000.")


@pytest.mark.parametrize("rate", [0.0, 1.1])
def test_a_rate_that_overshoots_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be above 0 and at most 1, got"):
        shrinkage(curvature=[1.0, 0.5], turn=0, target=[3.0, 2.0], rate=rate, strengths=[0.0, 0.5], steps=[0, 2],
                  start=(1, 1), alt="x")
