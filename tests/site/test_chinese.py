"""The Chinese pages beside the English ones: the same places, found by search; words in figures do not collide."""
from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from tests.site.browser import SITE, visit
from tests.site.conftest import CHINESE
from tests.site.test_reading import step_every_axis
from tools.zh.typography import HAN

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

ENGLISH = re.compile(r"[A-Za-z][a-z'’]+(?: [a-z][a-z'’]+){2,}")
AROUND = """() => [...document.querySelectorAll("header, nav, footer, .actions, .times, button, summary, label, "
    + ".par-card, .par-quiz details p, .par-moving, .par-slider, #search-results > p, h1")]
    .filter(node => node.checkVisibility()).map(node => node.innerText)
    .concat([...document.querySelectorAll("[aria-label], [title], [placeholder]")]
        .map(node => [node.ariaLabel, node.title, node.placeholder].join("\\n"))).join("\\n")"""


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
    lost = (SITE / "404.html").read_text("utf-8")  # a host has one page for lost readers of either language
    assert 'zh/index.html" hreflang="zh-CN"' in lost


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


def english_left(text: str) -> list[str]:
    """English sentences where the site speaks, of three words or more; names and code are shorter."""
    return [match[0] for match in ENGLISH.finditer(text)]


def test_what_stands_around_the_text_is_chinese(site: str, browser: Browser) -> None:
    assert english_left("跳到正文 No such page here") == ["No such page here"], "negative control"
    for page in sorted(CHINESE):
        with visit(browser, site + page, width=1440) as opened:
            assert english_left(opened.page.evaluate(AROUND)) == [], page


def test_a_reader_in_chinese_does_what_one_in_english_does(site: str, browser: Browser) -> None:
    """Quiz, sliders, figures that move, copying, the theme, the menu of a phone: each answers in Chinese."""
    with visit(browser, f"{site}zh/chapters/02-concepts.html") as opened:
        page = opened.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        question = page.locator(".par-quiz > li").first
        for kind, word in (("wrong", "不对"), ("right", "对")):
            question.locator(f".par-{kind} summary").first.click()
            assert question.locator("details p:visible").inner_text().startswith(word)
        step_every_axis(page)
        for shown in page.locator(".par-moving").all():
            before = shown.locator(".par-said").inner_text()
            shown.locator("input").first.focus()
            page.keyboard.press("ArrowRight")
            after = shown.locator(".par-said").inner_text()
            assert after != before and re.search(f"[{HAN}]", after) and not english_left(after)
        block = page.locator(".cell_input div.highlight:visible").first
        block.get_by_role("button", name="复制代码").click()
        block.get_by_role("button", name="已复制").wait_for()
        page.get_by_role("button", name="切换为深色").click()
        page.set_viewport_size({"width": 390, "height": 900})
        page.get_by_role("button", name="目录").click()
        page.get_by_role("navigation", name="目录").get_by_role("link").first.click()
        page.wait_for_url("**/zh/chapters/intro.html")
        assert opened.faults == []


def test_a_question_in_chinese_is_answered_in_chinese(site: str, browser: Browser) -> None:
    with visit(browser, f"{site}zh/index.html") as opened:
        opened.page.keyboard.press("Control+k")
        opened.page.keyboard.type("语言模型微调")
        opened.page.keyboard.press("Enter")
        opened.page.get_by_text("搜索完成").wait_for()
        results = opened.page.locator("#search-results li a")
        assert results.count() > 2 and "chapters/" in (results.first.get_attribute("href") or "")
        assert re.search(f"[{HAN}]", results.first.inner_text()) and opened.faults == []


def test_each_term_is_found_in_the_chinese_search(site: str, browser: Browser) -> None:
    glossary = BeautifulSoup((SITE / "zh" / "chapters" / "glossary.html").read_text("utf-8"), "html.parser")
    terms = [mark.text for mark in glossary.select("dt [id]")]
    with visit(browser, f"{site}zh/search.html") as opened:
        asked = "words => Search._performSearch(...Search._parseQuery(words)).map(row => row[0])"
        lost = [term for term in terms if "chapters/glossary" not in opened.page.evaluate(asked, term)]
    assert len(terms) > 20 and lost == []


def test_the_contents_beside_a_page_lead_to_places_on_it() -> None:
    """The ids are those of the English page, set before Sphinx collects them."""
    for stem in stems():
        page = BeautifulSoup((SITE / "zh" / "chapters" / f"{stem}.html").read_text("utf-8"), "html.parser")
        places = [str(link["href"]) for link in page.select(".contents a")]
        assert places[:1] in ([], ["#"]) and all(page.find(id=place[1:]) for place in places[1:]), stem
        assert not [place for place in places if re.fullmatch(r"#id\d+", place)], stem
