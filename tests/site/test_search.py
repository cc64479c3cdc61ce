"""The search, offline: it finds every term of the glossary in both languages, and formulas by their names."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from tests.site.browser import SITE, Visit, visit


@pytest.fixture(scope="module")
def opened(site: str, browser: Browser) -> Iterator[Visit]:
    with visit(browser, site + "search.html") as page:
        yield page


def found(opened: Visit, words: str) -> list[str]:
    """The pages that the search page finds for words."""
    rows = opened.page.evaluate("words => Search._performSearch(...Search._parseQuery(words))", words)
    return [PurePosixPath(row[0]).name for row in rows]


def terms() -> list[str]:
    glossary = BeautifulSoup((SITE / "chapters" / "glossary.html").read_text("utf-8"), "html.parser")
    return [dt.text.removesuffix("#").strip() for dt in glossary.select("dt")]


def formulas() -> list[tuple[str, str]]:
    """The names of formulas: headings of the sections that show one by itself, and their pages."""
    names = []
    for path in sorted((SITE / "chapters").glob("0*.html")):
        page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for mark in page.select(".headerlink"):
            mark.decompose()
        names += [(section.find(["h2", "h3"]).text, path.stem) for section in page.select("section section")
                  if section.select(":scope > div.math")]
    return names


@pytest.mark.parametrize("query", ["", "?q=rank"])
def test_without_a_query_the_page_says_what_to_type(site: str, browser: Browser, query: str) -> None:
    with visit(browser, f"{site}search.html{query}") as page:
        assert page.page.get_by_text("Type a word, a formula’s name or a Chinese term").is_visible() == (not query)


def test_terms_are_found_in_english_and_chinese(opened: Visit) -> None:
    lost = []
    for term in terms():
        english, _, chinese = term.partition(" (")
        lost += [words for words in (english, chinese.removesuffix(")")) if "glossary" not in found(opened, words)]
    assert len(terms()) > 20 and lost == []


def test_formulas_are_found_by_their_names(opened: Visit) -> None:
    names = formulas()
    lost = [name for name, page in names if page not in found(opened, re.sub(r"[^\w\s-]", " ", name))]
    assert len(names) > 10 and lost == []
    assert opened.faults == [], "nothing was asked of another host"


def test_what_is_nowhere_is_not_found(opened: Visit) -> None:
    assert found(opened, "xylophone") == []
