"""Negative controls: each check of a page must see the fault that was put into a page."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.site import checks
from tests.site.browser import serve, visit
from tests.site.test_reading import step_every_axis

HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A broken page</title><main><h1>Broken</h1>'
FIGURE = ('<svg class="par-svg" viewBox="0 0 360 200" style="display:block;width:{width};max-width:360px;'
          'overflow:visible;font:11px sans-serif">{body}</svg>')
Check = Callable[[Page], list[str]]
CASES: list[tuple[Check, str, str]] = [
    (checks.mathematics, '<span class="math">\\(x^2\\)</span>', "formula not drawn"),
    (checks.mathematics, '<span class="katex-error" title="ParseError">\\foo</span>', "formula in error"),
    (checks.mathematics, r"<p>The loss \frac{1}{2} stays.</p>", "TeX left in the text"),
    (checks.diagrams, '<pre class="mermaid">flowchart LR\n a --> b</pre>', "diagram not drawn"),
    (checks.diagrams, '<div class="mermaid"><svg><g class="node">a</g></svg></div>', "diagram not drawn or not"),
    (checks.pictures, '<img src="data:," alt="">', "picture without alternative text"),
    (checks.pictures, '<img src="data:," alt="../_images/output_3_0.png">', "picture without alternative text"),
    (checks.pictures, '<svg role="img"></svg>', "picture without alternative text"),
    (checks.sideways, '<div style="width:3000px">wide</div>', "page is"),
    (checks.sideways, '<div style="overflow-x:auto"><p style="width:3000px">wide</p></div>', "scrolls, but"),
    (checks.fits, '<div class="mermaid" style="width:9em;overflow:auto"><svg width="400"></svg></div>', "does not fit"),
    (checks.legible, FIGURE.format(width="40%", body="<text y='20'>word</text>"), "small, "),
    (checks.legible, FIGURE.format(width="100%", body="<text y='20' x='330'>a word too long</text>"), "cut off: aword"),
    (checks.legible, FIGURE.format(width="100%", body="<text y='20'>one</text><text y='21' x='9'>other</text>"),
     "on one another: one, other"),
    (checks.accessibility, '<p style="color:#ccc;background:#fff">pale words</p>', "color-contrast"),
    (checks.accessibility, '<input type="range">', "label"),
]


@pytest.mark.parametrize(("check", "body", "fault"), CASES)
def test_checks_see_the_fault(tmp_path: Path, browser: Browser, check: Check, body: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(HEAD + body, "utf-8")
    with serve(tmp_path) as address, visit(browser, address + "index.html", width=390) as opened:
        assert any(found.startswith(fault) for found in check(opened.page)), check(opened.page)


@pytest.mark.parametrize(("body", "fault"), [
    ('<script src="https://example.org/a.js"></script>', "request to another host"),
    ('<link rel="stylesheet" href="missing.css">', "404"),
    ("<script>console.error('told')</script>", "console error"),
    ("<script>throw new Error('raised')</script>", "script error"),
])
def test_visits_see_the_fault(tmp_path: Path, browser: Browser, body: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(HEAD + body, "utf-8")
    with serve(tmp_path) as address, visit(browser, address + "index.html") as opened:
        assert any(found.startswith(fault) for found in opened.faults), opened.faults


def test_weight_counts_what_a_page_loads(tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "noise.js").write_bytes(b"//" + random.Random(0).randbytes(40_000).hex().encode())
    (tmp_path / "index.html").write_text(HEAD + '<script src="noise.js"></script>', "utf-8")
    with serve(tmp_path) as address, visit(browser, address + "index.html") as opened:
        assert 40_000 < opened.weight < 60_000


def test_a_slider_that_does_not_move_is_seen(tmp_path: Path, browser: Browser) -> None:
    still = ('<div class="par-slider"><input type="range" max="1" value="0"><output>1</output>'
             '<div data-frame="0">one</div><div data-frame="1" hidden>two</div></div>')
    (tmp_path / "index.html").write_text(HEAD + still, "utf-8")
    with serve(tmp_path) as address, visit(browser, address + "index.html") as opened, pytest.raises(AssertionError):
        step_every_axis(opened.page)


def test_links_and_sources_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text(HEAD + '<a href="gone.html">x</a><a href="#nowhere">y</a><a href="index.html">z</a>', "utf-8")
    assert [fault.split(":")[0] for fault in checks.links(page, tmp_path)] == ["link to nothing", "link to no place"]
    assert len(checks.foreign('<script src="//cdn.example.org/a.js"></script>')) == 1
    assert len(checks.foreign("@import url('https://fonts.example.org/css')")) == 1
    assert checks.foreign('<a href="https://example.org">a link is no source</a>') == []
