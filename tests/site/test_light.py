"""A lighter picture is the same picture: the browser draws both, and the pixels are compared."""

from __future__ import annotations

import io
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser

from lib.book import figures
from lib.book.figures import COLOURS, INK, MOVING, _svg
from tests.site.browser import Theme, visit
from tests.site.test_typeset import CSS, page
from tools import light
from tools.ext import typeset
from tools.ext.book_site import as_said, still

DRAW = np.random.default_rng(0)


def everything() -> Figure:
    """One of each kind of mark that the book draws, some of them through the edge of their axes."""
    fig, (left, right) = plt.subplots(1, 2)
    x = np.linspace(0, 10, 200)
    left.plot(x, 3 * np.sin(x), label="wave")
    left.plot(x, 12 * np.exp(-x) - 2, "--", color=COLOURS[1], lw=1)
    left.fill_between(x, np.sin(x) - 1, np.sin(x) + 1, alpha=0.2)
    left.scatter(*DRAW.normal(5, 2, (2, 120)), s=14, alpha=0.3, color=COLOURS[3])
    left.set(ylim=(-2, 2), title="A wave", xlabel=r"step $t$", ylabel="height, m")
    left.legend()
    right.errorbar([1e-3, 1e-1, 10], [2, 3, 5], yerr=0.7, fmt="o", capsize=3)
    right.bar([1e-2, 1], [1, 4], width=[3e-3, 0.3], color=COLOURS[2], alpha=0.5, hatch="//")
    right.add_patch(FancyArrowPatch((1e-3, 1), (1, 5), arrowstyle="-|>", mutation_scale=12, color=COLOURS[5]))
    right.set(xscale="log", title="Bars")
    right.annotate("here", (0.1, 3), (0.3, 0.5), color=COLOURS[0], weight="bold", arrowprops={"arrowstyle": "->"})
    right.axhline(2.5, color=INK, ls=":", lw=1)
    return fig


def drawn(browser: Browser, svg: str, theme: Theme) -> NDArray[np.int16]:
    with visit(browser, "about:blank", width=736, theme=theme) as opened:
        opened.page.set_content(page(svg))
        return np.asarray(Image.open(io.BytesIO(opened.page.locator("svg").screenshot())).convert("L"), dtype=np.int16)


def differing(browser: Browser, one: str, other: str, theme: Theme = "light") -> int:
    """Pixels whose brightness differs by more than the smoothing of an edge that moved by a fiftieth of one; a letter
    snaps to quarters of a pixel, and may differ in some dozens.
    """
    return int((abs(drawn(browser, one, theme) - drawn(browser, other, theme)) > 40).sum())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_lighter_picture_looks_the_same(browser: Browser, theme: Theme) -> None:
    before = _svg(everything(), "One of each kind of mark.")
    after = light.page(f"<p>{before}</p>").removeprefix("<p>").removesuffix("</p>")
    assert len(after) < 0.5 * len(before)
    assert differing(browser, before, after, theme) <= 150
    assert re.findall(r"<text[^>]*>(.*?)</text>", after) == re.findall(r"<text[^>]*>\s*(.*?)</text>", before)
    ticks = re.findall(r'<path d="((?:M[-\d. ]+[hv]-?3.5)+)"', after)
    assert len(ticks) == 2 and min(each.count("M") for each in ticks) > 5, "those of each direction in one path"
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', after)) == set(re.findall(r' id="([^"]+)"', after))


def test_another_picture_is_seen(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _svg(everything(), "One of each kind of mark.")
    monkeypatch.setattr(light, "FINE", 1)  # places in whole units
    assert differing(browser, before, light.picture(before)) > 1000


def test_a_path_is_the_same_path(browser: Browser) -> None:
    """The oracle is the browser: length, and places along it."""
    d = "M 10.004 20 L 30.5 20.001 \nL 30.5 1e-05 C 40 0 50.25 10.75 60 -10 Q 1 2 -3.5 4.1 z L 20 30 M 5 5 L 6 7.256 z"
    asked = """d => { const path = document.querySelector("path"); path.setAttribute("d", d);
        const length = path.getTotalLength(), at = share => path.getPointAtLength(share * length);
        return [length, ...[...Array(20).keys()].flatMap(n => [at(n / 19).x, at(n / 19).y])]; }"""
    with visit(browser, "about:blank") as opened:
        opened.page.set_content(page("<svg><path></path></svg>"))
        before, after = (opened.page.evaluate(asked, each) for each in (d, light.path(d)))
    assert before[0] > 100 and np.allclose(before, after, atol=0.03)
    assert len(light.path(d)) < 0.8 * len(d)


def test_another_command_is_refused() -> None:
    with pytest.raises(ValueError, match="must be made of M, L, C, Q and Z, got A"):
        light.path("M 0 0 A 1 1 0 0 0 2 2")


def test_what_the_page_bends_is_not_filled() -> None:
    """A moving line that begins straight: the script gives it corners, and needs its mark and its path to be there."""
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], gid=f"{MOVING}line")
    ax.plot(0.5, 0.5, "o", gid=f"{MOVING}mark")
    ax.plot(0.5, 0.5, "|", gid=f"{MOVING}bar")
    after = light.picture(_svg(fig, "A line and two marks."))
    assert re.search(r'<g data-part="line"><path [^>]*style="fill:none;', after)
    for part in ("mark", "bar"):
        assert re.search(rf'<g data-part="{part}">(?:(?!data-part).)*<use x=', after)


def test_a_notebook_to_download_holds_of_a_slider_what_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(figures, "display", lambda page: shown.append(page.data))
    monkeypatch.setattr(figures.plt, "close", lambda fig: None)
    figures.slider({x: everything() for x in (1, 2, 3)}, label="step", alt="At {0}.", caption="Below.")
    figures.show(everything(), alt="No slider <input> and no frame.")
    slider, plain = shown
    outputs = [{"data": {"text/html": slider.splitlines(keepends=True)}}, {"data": {"text/html": plain}}, {"text": "1"}]
    book = {"cells": [{"source": "1"}, {"source": ["<script>"], "outputs": outputs}]}
    after = json.loads(still(json.dumps(book)))
    held = after["cells"][1]["outputs"][0]["data"].pop("text/html")
    assert held.count("<svg") == held.count("data-frame") == 1 and "At 1." in held and "Below." in held
    assert "<input" not in held and "<script" not in held and "par-slider" in held
    book["cells"][1]["outputs"][0]["data"].pop("text/html")
    assert after == book, "and nothing else"


def test_listings_lose_the_marks_without_colour_and_no_sign() -> None:
    listing = ('<div class="highlight"><pre><span></span><span class="k">def</span><span class="w"> </span>'
               '<span class="nf">f</span><span class="p">(</span><span class="n">x</span><span class="p">):</span>\n'
               "</pre></div>")
    kept = '<div class="highlight"><pre><span class="k">def</span> <span class="nf">f</span>(x):\n</pre></div>'
    outside = '<p><span class="n">x</span></p>'
    asked = '<div class="highlight"><pre><span class="gp">&gt; </span>x\n<span class="go">1</span>\n</pre></div>'
    assert typeset.plain(asked) == asked, "prompts and answers, which are not copied"
    assert typeset.plain(outside + listing) == outside + kept


def test_the_style_sheet_colours_what_is_kept() -> None:
    rules = re.findall(r"^\.highlight :is\((.*?)\)", CSS, re.MULTILINE)
    assert {name.strip(" .") for rule in rules for name in rule.split(",")} == typeset.COLOURED


def test_the_index_of_the_search_says_the_same_in_fewer_bytes() -> None:
    words = {"terms": {"秩": [0, 2], 'a "quoted" \\ word': 1}, "titles": ["What rank does"]}
    found = as_said(f"Search.setIndex({json.dumps(words)})")
    assert found.startswith("Search.setIndex({") and found.endswith("})") and "秩" in found
    assert json.loads(found[len("Search.setIndex("):-1]) == words
    assert len(found.encode()) < len(f"Search.setIndex({json.dumps(words)})")
