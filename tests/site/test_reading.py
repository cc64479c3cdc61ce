"""What a reader does on the site: move sliders, answer quizzes, change the theme, search, copy, use a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.site import checks
from tests.site.browser import SITE, Theme, missing, visit


def page_with(needle: str, folder: str = "chapters") -> str:
    """Return a chapter whose page holds `needle`."""
    found = [path for path in sorted((SITE / folder).glob("*.html")) if needle in path.read_text("utf-8")]
    return found[0].relative_to(SITE).as_posix() if found else missing(f"no chapter with {needle} is built here")


def visible_frame(slider: Locator) -> str | None:
    frames = slider.locator("[data-frame]:visible")
    assert frames.count() == 1
    return frames.get_attribute("data-frame")


def step_every_axis(page: Page) -> None:
    """Move each axis of each slider by one key and look at the picture and its label."""
    for slider in page.locator(".par-slider").all():
        for number, control in enumerate(slider.locator("input[type=range]").all()):
            before, value = visible_frame(slider), slider.locator("output").nth(number).inner_text()
            control.focus()
            page.keyboard.press("ArrowRight")
            assert visible_frame(slider) != before
            assert slider.locator("output").nth(number).inner_text() != value
            assert control.get_attribute("aria-valuetext") == slider.locator("output").nth(number).inner_text()
            page.keyboard.press("Home")
            assert visible_frame(slider) == before


def test_sliders_move_by_keyboard(site: str, browser: Browser) -> None:
    axes = []
    for path in sorted((SITE / "chapters").glob("*.html")):
        if "par-slider" in path.read_text("utf-8"):
            with visit(browser, f"{site}chapters/{path.name}") as opened:
                step_every_axis(opened.page)
                axes += [slider.locator("input").count() for slider in opened.page.locator(".par-slider").all()]
                assert opened.faults == []
    assert max(axes, default=0) > 1, "one of them has several axes"


def test_quizzes_answer(site: str, browser: Browser) -> None:
    with visit(browser, site + page_with("par-quiz")) as opened:
        for question in opened.page.locator(".par-quiz > li").all():
            assert question.locator("details p:visible").count() == 0
            for kind, word in (("wrong", "Not quite."), ("right", "Right.")):
                question.locator(f".par-{kind} summary").first.focus()
                opened.page.keyboard.press("Enter")
                explained = question.locator("details p:visible")
                assert explained.count() == 1, "one answer stays open"
                assert explained.inner_text().startswith(word)


def test_solutions_are_folded_away(site: str, browser: Browser) -> None:
    with visit(browser, site + page_with("tag_solution"), width=390) as opened:
        for solution in opened.page.locator(".tag_solution").all():
            assert not solution.locator("pre").first.is_visible()
            solution.locator("summary").first.click()
            assert solution.locator("pre").first.is_visible()
        opened.page.wait_for_timeout(100)
        assert checks.sideways(opened.page) == []


@pytest.mark.parametrize(("system", "other"), [("light", "dark"), ("dark", "light")])
def test_theme_follows_the_system_until_a_choice(site: str, browser: Browser, system: Theme, other: Theme) -> None:
    def lightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    with visit(browser, site + "index.html", theme=system) as opened:
        page = opened.page
        before = lightness(page)
        assert (before > 600) == (system == "light")
        page.get_by_role("button", name=f"Change to {other}").click()
        assert (lightness(page) > 600) == (other == "light")
        page.reload()
        assert (lightness(page) > 600) == (other == "light"), "the choice is kept"


def test_the_search_finds_words_of_a_chapter(site: str, browser: Browser) -> None:
    with visit(browser, site + "index.html") as opened:
        opened.page.keyboard.press("Control+k")
        opened.page.keyboard.type("singular")
        opened.page.keyboard.press("Enter")
        opened.page.locator("#search-results li a").first.wait_for()
        assert "chapters/" in (opened.page.locator("#search-results li a").first.get_attribute("href") or "")
        assert opened.faults == []


def test_a_phone_reaches_the_chapters(site: str, browser: Browser) -> None:
    with visit(browser, site + page_with("tag_setup"), width=390) as opened:
        menu = opened.page.get_by_role("navigation", name="Chapters")
        assert not menu.is_visible()
        opened.page.get_by_role("button", name="Chapters").click()
        assert menu.is_visible()
        menu.get_by_role("link").first.click()
        opened.page.wait_for_url("**/intro.html")


@pytest.mark.parametrize("width", [900, 1000, 1300, 1440])
def test_a_page_has_its_contents_beside_it(site: str, browser: Browser, width: int) -> None:
    with visit(browser, site + page_with("tag_setup"), width=width) as opened:
        page = opened.page
        contents, text = page.get_by_role("navigation", name="On this page"), page.get_by_role("main")
        page.evaluate("scrollTo(0, 6000)")
        page.wait_for_timeout(100)
        assert contents.is_visible()
        places = [node.bounding_box() for node in (contents, text)]
        left, right = sorted((box for box in places if box), key=lambda box: box["x"])
        assert left["x"] + left["width"] <= right["x"], "they stand side by side"
        assert 0 <= (places[0] or {})["y"] < 200, "and the contents stay while the text scrolls"


def test_code_can_be_copied(site: str, browser: Browser) -> None:
    with visit(browser, site + page_with("tag_setup")) as opened:
        opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        assert not opened.page.locator(".cell_output").get_by_role("button", name="Copy the code").count()
        block = opened.page.locator(".cell_input div.highlight:visible").first
        block.get_by_role("button", name="Copy the code").click()
        block.get_by_role("button", name="Copied").wait_for()
        assert opened.page.evaluate("navigator.clipboard.readText()") == block.locator("pre").inner_text().rstrip()


def test_links_to_elsewhere_are_right(site: str, browser: Browser) -> None:
    name = page_with("tag_setup").removesuffix(".html")
    with visit(browser, site + name + ".html") as opened:
        actions = opened.page.locator(".actions a").all()
        found = {link.inner_text(): link.get_attribute("href") or "" for link in actions}
        assert found["Open in Colab"].endswith(f"/blob/main/{name}.ipynb")
        assert found["Open in Binder"].endswith(f"/main?urlpath=lab/tree/{name}.ipynb")
        assert found["Edit this page"].endswith(f"/edit/main/{name}.ipynb")
        assert (SITE / name).parent.joinpath(found["Download notebook"]).resolve().is_file()
