"""Figures: the same bytes for the same picture, readable by everyone, interactive without a kernel."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import matplotlib.pyplot as plt
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure

from lib.book import figures
from lib.book import quiz as quiz_module
from lib.book.figures import COLOURS, explore, show, slider
from lib.book.quiz import Question, feedback, quiz


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The HTML of everything displayed, newest last."""
    displayed: list[str] = []

    def display(data: Any, raw: bool = False) -> None:
        displayed.append(data["text/html"] if raw else data.data)

    for module in (figures, quiz_module):
        monkeypatch.setattr(module, "display", display)
    return displayed


def line(slope: float = 1.0, title: str = "A line") -> Figure:
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, slope], label="arm")
    ax.fill_between([0, 1], [0, slope], alpha=0.2)
    ax.set(title=title, xlabel=r"strength $\lambda$", ylabel="accuracy (%)")
    ax.legend()
    return fig


def ids(html: str) -> Counter[str]:
    return Counter(re.findall(r' id="([^"]+)"', html))


def test_the_same_figure_gives_the_same_bytes(shown: list[str]) -> None:
    for _ in range(2):
        show(line(), alt="A rising line.")
    assert shown[0] == shown[1]
    assert not re.search(r"\d{4}-\d\d-\d\d", shown[0]), "no date"


def test_ids_are_unique_and_every_reference_has_its_target(shown: list[str]) -> None:
    for slope in (1.0, 2.0):
        show(line(slope), alt="A rising line.")
    both = ids("".join(shown))
    assert both and set(both.values()) == {1}
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', "".join(shown))) == set(both)


def test_text_and_axes_take_the_colour_of_the_page(shown: list[str]) -> None:
    show(line(), alt="A rising line.")
    assert figures.INK not in shown[0] and "#000000" not in shown[0]
    assert "currentColor" in shown[0] and COLOURS[0] in shown[0]
    assert "<style" not in shown[0], "an inline style sheet would reach the whole page"
    assert ">accuracy (%)</text>" in shown[0], "text stays text"


def test_figures_are_closed_named_and_captioned(shown: list[str]) -> None:
    show(line(), alt='Says "up" & <on>.', caption="Five seeds, \\(r\\) from 1.")
    picture = BeautifulSoup(shown[0], "html.parser")
    assert picture.figure and picture.svg and picture.figcaption
    assert picture.svg["role"] == "img" and picture.svg["aria-label"] == 'Says "up" & <on>.'
    assert picture.figcaption.text == "Five seeds, \\(r\\) from 1."
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_alternative_text_is_asked_for(alt: str) -> None:
    with pytest.raises(ValueError, match="alt must say what the figure shows"):
        show(line(), alt=alt)
    plt.close("all")


def test_a_slider_shows_one_frame_and_names_all(shown: list[str]) -> None:
    drawn = {(rank, strength): line(rank * strength) for rank in (1, 2, 4) for strength in (0.1, 0.5)}
    slider(drawn, label=["rank", "strength"], alt="Rank {0}, {1}.")
    soup = BeautifulSoup(shown[0], "html.parser")
    frames = soup.select("[data-frame]")
    assert [frame["data-frame"] for frame in frames] == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
    assert [frame.has_attr("hidden") for frame in frames] == [False] + [True] * 5
    assert [svg["aria-label"] for svg in soup.select("svg")][3] == "Rank 2, 0.5."
    assert [label.text for label in soup.select("label")] == ["rank", "strength"]
    assert [label["for"] for label in soup.select("label")] == [control["id"] for control in soup.select("input")]
    assert [control["max"] for control in soup.select("input")] == ["2", "1"]
    assert [output.text for output in soup.select("output")] == ["1", "0.1"]
    assert set(ids(shown[0]).values()) == {1}
    assert soup.script and "currentScript" not in soup.script.text


def test_a_slider_wants_every_combination() -> None:
    with pytest.raises(ValueError, match="every combination of values of 2 axes, got 3 frames"):
        slider({(1, 1): line(), (1, 2): line(), (2, 1): line()}, label=["a", "b"], alt="{0} {1}")
    with pytest.raises(ValueError, match="got 0 frames"):
        slider({}, label="a", alt="{0}")
    plt.close("all")


def test_explore_draws_beforehand_or_live(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[dict[str, int]] = []
    live: dict[str, Any] = {}

    def draw(**values: int) -> Figure:
        drawn.append(values)
        return line(values["tail_rank"])

    explore(draw, live=False, alt="Rank {0}.", tail_rank=[1, 2])
    assert drawn == [{"tail_rank": 1}, {"tail_rank": 2}]
    assert ">tail rank</label>" in shown[0]

    monkeypatch.setattr("ipywidgets.interact", lambda function, **sliders: live.update(function=function, **sliders))
    explore(draw, live=True, alt="Rank {0}.", tail_rank=[1, 2])
    assert len(drawn) == 2, "nothing is drawn beforehand"
    assert live["tail_rank"].options == (1, 2)
    live["function"](tail_rank=2)
    assert drawn[-1] == {"tail_rank": 2} and 'aria-label="Rank 2."' in shown[-1]


def questions(count: int) -> list[Question]:
    wrong = {"wrong": "no", "worse": "never"}
    return [Question(f"Is {n} `odd` & \\(n < 9\\)?", "right", "because", wrong) for n in range(count)]


def test_quizzes_explain_every_option_in_a_settled_order(shown: list[str]) -> None:
    quiz(questions(3))
    quiz(questions(3))
    assert shown[0] == shown[1]
    for item in BeautifulSoup(shown[0], "html.parser").select("li"):
        options = item.select("details")
        assert {option.select("summary")[0].text: option["class"] for option in options} == {
            "right": ["par-right"], "wrong": ["par-wrong"], "worse": ["par-wrong"]}
        assert len({option["name"] for option in options}) == 1, "one answer stays open"
        assert {strong.text for strong in item.select("strong")} == {"Right.", "Not quite."}
    assert "<code>odd</code> &amp; \\(n &lt; 9\\)" in shown[0]


def test_the_right_answer_has_no_favourite_place(shown: list[str]) -> None:
    quiz([Question(f"{n}?", f"right {n}", "yes", {f"wrong {n}": "no", f"worse {n}": "no"}) for n in range(60)])
    items = BeautifulSoup(shown[0], "html.parser").select("li")
    classes = [[str(option["class"][0]) for option in item.select("details")] for item in items]
    places = Counter(row.index("par-right") for row in classes)
    assert all(10 <= places[place] <= 30 for place in range(3)), "20 of 60 each, within 2.7 standard errors"


@pytest.mark.parametrize("wrong", [{}, {"same": "no"}])
def test_a_question_needs_wrong_answers(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="wrong must hold answers that differ from the right one, in 'Why\\?'"):
        quiz([Question("Why?", "same", "so", wrong)])


def test_a_verdict_is_shown_once_and_is_true_or_false(shown: list[str]) -> None:
    assert feedback(True, "well done")
    refused = feedback(False, "the tail was not shrunk: `rank` < 2")
    assert not refused
    refused._ipython_display_()
    assert len(shown) == 2
    assert "Correct." in shown[0] and "Not yet.</strong> the tail was not shrunk: <code>rank</code> &lt; 2" in shown[1]


def luminance(colour: str) -> float:
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("paper", ["#ffffff", "#fffdf8", "#15171b", "#000000"])
def test_colours_stand_out_on_light_and_dark(colour: str, paper: str) -> None:
    high, low = sorted((luminance(colour), luminance(paper)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3, "WCAG 1.4.11"
