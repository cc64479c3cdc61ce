"""The Chinese pages beside the English ones: the same places, found by search; words in figures do not collide."""
from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.site.browser import SITE, visit

OVERLAPS = """() => [...document.querySelectorAll(".par-svg")].filter(svg => svg.checkVisibility()).flatMap(svg => {
    const texts = [...svg.querySelectorAll("text")].filter(text => text.textContent.trim());
    const boxes = texts.map(text => text.getBoundingClientRect()), found = [];
    texts.forEach((one, i) => texts.slice(i + 1).forEach((other, k) => {
        const a = boxes[i], b = boxes[i + 1 + k];
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 2 && high > 3) found.push(`${one.textContent} | ${other.textContent}`);
    }));
    return found; })"""


def stems() -> list[str]:
    return sorted(path.stem for path in (SITE / "zh" / "chapters").glob("*.html"))


@pytest.fixture(scope="module", autouse=True)
def chinese() -> Iterator[None]:
    if not stems():
        pytest.skip("the Chinese pages are shown once each page of the book is Chinese")
    yield


def ids(path: str) -> list[str]:
    return re.findall(r'<section[^>]* id="([^"]+)"', (SITE / path).read_text("utf-8"))


def test_both_languages_have_the_same_places_and_lead_to_each_other() -> None:
    for stem in stems():
        english, said = (SITE / folder / f"{stem}.html" for folder in ("chapters", "zh/chapters"))
        assert ids(f"chapters/{stem}.html") == ids(f"zh/chapters/{stem}.html"), stem
        assert f'href="../zh/chapters/{stem}.html" hreflang="zh-CN"' in english.read_text("utf-8")
        page = said.read_text("utf-8")
        assert f'href="../../chapters/{stem}.html" hreflang="en"' in page and '<html lang="zh-CN"' in page


def test_no_words_of_a_figure_collide(site: str, browser: Browser) -> None:
    found = []
    for stem in [stem for stem in stems() if stem[:2].isdigit()]:
        with visit(browser, f"{site}zh/chapters/{stem}.html", width=1280) as opened:
            found += [f"{stem}: {words}" for words in opened.page.evaluate(OVERLAPS)]
        with visit(browser, f"{site}chapters/{stem}.html", width=1280) as opened:  # what is drawn so in English too
            before = len(opened.page.evaluate(OVERLAPS))
        assert len([words for words in found if words.startswith(stem)]) <= before, found


@pytest.mark.parametrize("folder", ["", "zh/"])
def test_chinese_is_found_by_its_signs(site: str, browser: Browser, folder: str) -> None:
    """微调 and 低秩 stand in no other word; a longer question is cut as the pages are; nonsense is nowhere."""
    with visit(browser, f"{site}{folder}search.html") as opened:
        def found(words: str) -> int:
            asked = "words => Search._performSearch(...Search._parseQuery(words)).length"
            return int(opened.page.evaluate(asked, words))

        assert all(found(words) for words in ("微调", "低秩", "正则化", "LoRA"))
        assert not found("鸵鸟") and not found("xylophone")
        assert folder == "" or found("语言模型微调")
