"""Each term of the glossary is a link where a chapter first uses it in running text, and only there."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup, Tag

from tests.site.browser import SITE, missing

FIRST = '<a class="term reference internal" href="glossary.html#term-rank">rank</a>'
PAGE = "<main><h2>The rank</h2><p><code>rank</code> <em>Rank</em> low-rank {} and rank.</p></main>"
NO_PROSE = "h1, h2, h3, h4, h5, h6, code, pre, em, svg, .math, .cell_output, .cell_input, a:not(.term)"


def terms(chapter: str) -> dict[str, str]:
    """Term -> the address of its entry, for the terms that the glossary says the chapter uses."""
    glossary = BeautifulSoup((SITE / "chapters" / "glossary.html").read_text("utf-8"), "html.parser")
    found = {}
    for entry in glossary.select("main dt"):
        name, uses = entry.select_one("[id]"), entry.find_next_sibling("dd")
        assert name and isinstance(uses, Tag), f"{entry} must have an anchor and a sentence"
        if uses.select(f'a[href="{chapter}"]'):
            found[name.text] = f"glossary.html#{name['id']}"
    return found


def faults(page: str, terms: dict[str, str]) -> list[str]:
    """The terms of which another use than the first is a link, or none, though the running text has the term."""
    main = BeautifulSoup(page, "html.parser").main
    assert main
    for part in main.select(NO_PROSE):
        part.decompose()
    wrong = []
    for term, address in terms.items():
        word = re.compile(rf"(?<![\w-]){re.escape(term)}(?:s|es)?\b", re.IGNORECASE)
        links = []
        for text in main.find_all(string=word):
            link = text.find_parent("a")
            if not link or link["href"] == address:  # within another term's link, the word is that term's
                links.append(bool(link))
        if links and links != [True] + [False] * (len(links) - 1):
            wrong.append(term)
    return wrong


@pytest.mark.parametrize(("first", "wrong"), [(FIRST, []), ("rank", ["rank"]), (f"rank {FIRST}", ["rank"]),
                                              (f"{FIRST} {FIRST}", ["rank"])])  # fmt: skip
def test_a_missing_a_late_and_a_second_link_are_faults(first: str, wrong: list[str]) -> None:
    assert faults(PAGE.format(first), {"rank": "glossary.html#term-rank"}) == wrong


def test_every_chapter_links_its_terms_where_it_first_uses_them() -> None:
    chapters = sorted((SITE / "chapters").glob("[0-9]*.html")) or [missing("no built site here: run `make book`")]
    for chapter in chapters:
        page, listed = chapter.read_text("utf-8"), terms(chapter.name)
        assert len(listed) >= 10 and page.count('class="term ') >= 10
        assert faults(page, listed) == [], chapter.name
