"""Figures that compute in the page: moved by keyboard, held to numpy, under the site's policy, and still without it.

The oracle of each is another road to the same numbers: a matrix cut by its whole decomposition, and gradient descent
and a linear system solved step by step.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from lib.book import moving
from tests.site.browser import SITE, serve, visit
from tests.site.test_reading import page_with
from tools import light
from tools.ext import book_site

SCRIPT = Path(book_site.__file__).parent / "static" / "moving.js"
PAGE = ('<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>{}<link rel="icon" '
        'href="data:,"></head><body><main><h1>One</h1>{}</main></body></html>')
DRAW = np.random.default_rng(0)
THIN = DRAW.standard_normal((12, 3)) @ DRAW.standard_normal((3, 30))
MATRICES = {"thin": THIN + 0.1 * DRAW.standard_normal((12, 30)), "random": DRAW.standard_normal((12, 12))}
TRIED = [1, 2, 3, 6, 12]
BOWL: dict[str, Any] = {"curvature": [1.0, 0.05], "turn": 30.0, "target": [1.5, 1.2], "rate": 0.5,
                        "strengths": [0.0, 0.01, 0.1, 1.0], "steps": [0, 1, 5, 20, 80]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with both figures under the site's policy, and the same page without its script."""
    shown: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving, "display", lambda shown_now: shown.append(shown_now.data))
        moving.ranks(MATRICES, tried=TRIED, start=3, alt="Singular values of a matrix, falling.")
        moving.shrinkage(**BOWL, start=(2, 2), alt="Two paths from zero to the lowest loss.")
    out = tmp_path_factory.mktemp("moving")
    shutil.copy(SCRIPT, out)
    drawn, load = "".join(shown), '<script defer src="moving.js"></script>'
    for name, script, body in (("index", load, light.page(drawn)), ("still", "", drawn)):
        (out / f"{name}.html").write_text(book_site.secure(PAGE.format(script, body)), "utf-8")
    return out


@pytest.fixture
def page(folder: Path, browser: Browser) -> Iterator[Page]:
    with serve(folder) as address, visit(browser, address + "index.html") as opened:
        yield opened.page
        assert opened.faults == []


def figure(page: Page, kind: str) -> Locator:
    return page.locator(f'.par-moving[data-kind="{kind}"]')


def put(figure: Locator, number: int, index: int) -> None:
    """Move a slider to a value by keyboard."""
    control = figure.locator("input").nth(number)
    control.focus()
    control.press("Home")
    for _ in range(index):
        control.press("ArrowRight")


def said(figure: Locator) -> list[float]:
    """The numbers of the sentence, in order."""
    text = figure.locator(".par-said").inner_text().replace("\N{MINUS SIGN}", "-").replace(",", " ")
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def path(figure: Locator, part: str) -> np.ndarray:
    """The points of a part, in the picture's own units."""
    drawn = figure.locator(f'[data-part="{part}"] path').first.get_attribute("d") or ""
    return np.array(re.findall(r"-?[\d.]+", drawn), dtype=float).reshape(-1, 2)


@pytest.mark.parametrize("which", range(2))
@pytest.mark.parametrize("rank", range(len(TRIED)))
def test_a_rank_says_what_numpy_loses(page: Page, which: int, rank: int) -> None:
    shown = figure(page, "rank")
    put(shown, 0, rank)
    put(shown, 1, which)
    W, r = list(MATRICES.values())[which], TRIED[rank]
    U, S, Vh = np.linalg.svd(W, full_matrices=False)
    cut = (U[:, :r] * S[:r]) @ Vh[:r]
    kept, error = (cut**2).sum() / (W**2).sum(), np.linalg.norm(W - cut) / np.linalg.norm(W)
    stored = U[:, :r].size + Vh[:r].size
    expected = [r, 100 * kept, 100 * error, stored, 100 * stored / W.size]
    np.testing.assert_allclose(said(shown), expected, atol=0.11)  # one digit after the point; spectra have four digits
    assert list(MATRICES)[which] in shown.locator(".par-said").inner_text()


def test_kept_and_lost_share_the_spectrum_where_the_rank_cuts(page: Page) -> None:
    shown = figure(page, "rank")
    widths = []
    for index, rank in enumerate(TRIED):
        put(shown, 0, index)
        kept, lost = path(shown, "kept"), path(shown, "lost")
        assert np.isclose(kept[:, 0].max(), lost[:, 0].min(), atol=0.02)
        widths.append(np.ptp(kept[:, 0]) / rank)
    assert np.ptp(widths) < 0.02, "each singular value is as wide as any"


@pytest.mark.parametrize("strength", range(4))
@pytest.mark.parametrize("steps", range(5))
def test_both_paths_stand_where_numpy_ends(page: Page, strength: int, steps: int) -> None:
    shown = figure(page, "shrinkage")
    put(shown, 0, strength)
    put(shown, 1, steps)
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    H = np.array([[c, -s], [s, c]]) @ np.diag(BOWL["curvature"]) @ np.array([[c, s], [-s, c]])
    target, lam, tau = np.array(BOWL["target"]), BOWL["strengths"][strength], BOWL["steps"][steps]
    ridge, w = np.linalg.solve(H + lam * np.eye(2), H @ target), np.zeros(2)
    for _ in range(tau):
        w = w - BOWL["rate"] * H @ (w - target)
    loss = [(v - target) @ H @ (v - target) / 2 for v in (ridge, w)]
    expected = [2, lam, *ridge, loss[0], *w, tau, loss[1], np.linalg.norm(ridge - w)]
    np.testing.assert_allclose(said(shown)[:10], expected, atol=0.0051)  # two digits after the point; "L2" is a number
    frame = shown.evaluate("figure => JSON.parse(figure.dataset.told).frame")
    for part, place in (("shrunk", ridge), ("ended", w)):
        marker = shown.locator(f'[data-part="{part}"] use').first
        at = [float(marker.get_attribute(key) or "nan") for key in ("x", "y")]
        np.testing.assert_allclose(at, [frame[k][0] + frame[k][1] * v for k, v in zip("xy", place, strict=True)],
                                   atol=0.01)
    assert len(path(shown, "steps")) == tau + 1
    assert np.ptp(path(shown, "ball"), 0) == pytest.approx(2 * frame["x"][1] * np.linalg.norm(ridge), abs=0.1)


def test_the_page_begins_as_the_picture_was_drawn(folder: Path, browser: Browser) -> None:
    """Matplotlib drew the parts and Python said the words; the script, which starts from data, agrees with both."""
    with serve(folder) as address:
        with visit(browser, address + "index.html") as moved, visit(browser, address + "still.html") as still:
            for kind, part in (("rank", "kept"), ("rank", "lost"), ("shrinkage", "contour"), ("shrinkage", "steps")):
                a, b = (path(figure(opened.page, kind), part) for opened in (moved, still))
                for corner in (np.min, np.max):
                    np.testing.assert_allclose(corner(a, 0), corner(b, 0), atol=0.1)
            for kind in ("rank", "shrinkage"):
                words = [figure(o.page, kind).locator(".par-said").inner_text() for o in (moved, still)]
                assert words[0] == words[1] and "{" not in words[0]
            controls = [opened.page.locator(".par-moving input:visible").count() for opened in (moved, still)]
            assert controls == [4, 0], "without the script there is a picture and nothing to move"
            assert still.faults == []


def test_a_control_says_its_value_and_has_a_name(page: Page) -> None:
    shown = figure(page, "rank")
    put(shown, 0, 2)
    control = shown.get_by_label("rank r")
    assert control.get_attribute("aria-valuetext") == shown.locator("output").first.inner_text() == "3"
    assert shown.locator('[role="status"]').count() == 1


def test_a_built_page_has_the_script_only_where_something_moves(site: str, browser: Browser) -> None:
    for built in SITE.rglob("chapters/*.html"):
        text = built.read_text("utf-8")
        assert ("_static/moving.js" in text) == ("par-moving" in text), built.name
    with visit(browser, site + page_with("par-moving")) as opened:
        for shown in opened.page.locator(".par-moving").all():
            before = shown.locator(".par-said").inner_text()
            shown.locator("input").first.focus()
            opened.page.keyboard.press("ArrowRight")
            assert shown.locator(".par-said").inner_text() != before
        assert opened.faults == []
