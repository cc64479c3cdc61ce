"""The book by keyboard, by ear, and without motion."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.site import checks
from tests.site.browser import visit
from tests.site.test_checks import HEAD
from tests.site.test_reading import page_with

FOCUSED = """() => {
    const node = document.activeElement, style = getComputedStyle(node), box = node.getBoundingClientRect();
    const bar = document.querySelector(".top")?.getBoundingClientRect().bottom ?? 0;
    const top = node.closest("header, .skip, nav") ? 0 : bar;
    return { body: node === document.body, place: [...document.querySelectorAll("*")].indexOf(node),
             what: node.outerHTML.slice(0, 70),
             ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
             seen: box.width > 0 && box.bottom > top && box.top < innerHeight };
}"""
STOPS = """() => [...document.querySelectorAll(
    "a[href], button, input:not([disabled]), summary, [tabindex='0']")].filter(node => node.tabIndex >= 0
    && node.checkVisibility({ visibilityProperty: true })).length"""


def stops(page: Page) -> Iterator[dict[str, object]]:
    """What the Tab key reaches, from the top of the page to its end."""
    while True:
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop["body"]:
            return
        yield stop


def keyboard_faults(page: Page) -> list[str]:
    reached = list(stops(page))
    faults = [f"no ring: {stop['what']}" for stop in reached if not stop["ring"]]
    faults += [f"out of sight: {stop['what']}" for stop in reached if not stop["seen"]]
    places = [stop["place"] for stop in reached]
    faults += ["the order of the keys is not the order of the page"] * (places != sorted(places))  # type: ignore[type-var]
    expected = page.evaluate(STOPS)
    return faults + [f"{len(reached)} places reached of {expected}"] * (len(reached) != expected)


def sees(check: Callable[[Page], list[str]], browser: Browser, body: str, fault: str) -> bool:
    """Whether a check finds a fault that begins so on a page with this body."""
    with visit(browser, "about:blank") as opened:
        opened.page.set_content(HEAD + body)
        return any(found.startswith(fault) for found in check(opened.page))


@pytest.mark.parametrize("folder", ["chapters", "zh/chapters"])
def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(site: str, browser: Browser,
                                                                        folder: str) -> None:
    with visit(browser, site + page_with("par-slider", folder)) as opened:
        assert keyboard_faults(opened.page) == []


@pytest.mark.parametrize(("body", "fault"), [
    ("<style>:focus-visible { outline: none !important }</style><a href='#a'>x</a>", "no ring"),
    ("<a href='#a' style='position:absolute;left:0;top:-99px'>x</a>", "out of sight"),
    ("<a href='#a' tabindex='2'>x</a><a href='#b' tabindex='1'>y</a>", "the order"),
    ("<a href='#a'>x</a><div inert><button>y</button></div>", "1 places reached of 2"),
])
def test_what_the_keyboard_misses_is_seen(browser: Browser, body: str, fault: str) -> None:
    assert sees(keyboard_faults, browser, body, fault)


def test_the_first_key_skips_to_the_text(site: str, browser: Browser) -> None:
    with visit(browser, site + page_with("par-slider")) as opened:
        page = opened.page
        page.keyboard.press("Tab")
        assert page.get_by_role("link", name="Skip to the text").bounding_box()["x"] >= 0  # type: ignore[index]
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize(("body", "fault"), [
    ("<h1>Two titles</h1>", "titles"),
    ("<h3>Too deep</h3>", "heading of level 3 after 1"),
    ("<h2><span></span></h2>", "heading without words"),
    ("<h2>Name<a href='#a'>#</a></h2>", "heading with a sign"),
    ("<nav><a href='#a'>x</a></nav>", "landmark without a name"),
    ("<nav aria-label='a'></nav><nav aria-label='a'></nav>", "landmarks of one name"),
    ("<svg role='img'><path d='M0 0'/></svg>", "picture without a name"),
])
def test_what_is_heard_wrongly_is_seen(browser: Browser, body: str, fault: str) -> None:
    assert sees(checks.heard, browser, "<header></header>" + body, fault)


def test_nothing_moves_for_who_wants_no_motion(site: str, browser: Browser) -> None:
    with visit(browser, site + page_with("par-slider")) as opened:
        scroll = "getComputedStyle(document.documentElement).scrollBehavior"
        assert opened.page.evaluate(scroll) == "auto"
        times = "[...document.querySelectorAll('*')].map(node => getComputedStyle(node).transitionDuration)"
        assert set(opened.page.evaluate(times)) == {"0s"}
        opened.page.emulate_media(reduced_motion="no-preference")
        assert opened.page.evaluate(scroll) == "smooth", "negative control: without the wish it glides"
