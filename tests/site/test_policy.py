"""Every page carries a content security policy; it holds, and the site says which pages it has."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser

from tests.site.browser import SITE, serve, visit
from tools.ext.book_site import secure

PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title><main><h1 id="a">One</h1>{}</main>'
CHANGE = "<script>document.getElementById('a').textContent = 'Two';</script>"


def test_every_page_has_one(built: str, site: str) -> None:
    text = (SITE / built).read_text("utf-8")
    assert text.count('http-equiv="Content-Security-Policy"') == 1
    assert text.index("Content-Security-Policy") < text.index("<script")


@pytest.mark.parametrize(("added", "heard"), [
    ("", None),
    ("<script>document.title = 'taken';</script>", "inline script"),
    ('<h2 onclick="0">x</h2>', "inline event handler"),
    ('<script src="https://example.org/a.js"></script>', "https://example.org/a.js"),
    ('<img src="https://example.org/a.png" alt="x">', "https://example.org/a.png"),
    ('<iframe src="index.html" title="x"></iframe>', "frame"),
])
def test_what_was_not_built_in_is_refused(tmp_path: Path, browser: Browser, added: str, heard: str | None) -> None:
    page = secure(PAGE.format(CHANGE)).replace("</main>", added + "</main>")
    (tmp_path / "index.html").write_text(page, "utf-8")
    with serve(tmp_path) as address, visit(browser, address + "index.html") as opened:
        assert opened.page.locator("h1").inner_text() == "Two", "what was built in runs"
        assert opened.page.title() == "A page"
        opened.page.evaluate("document.querySelector('main').lastElementChild.click()")  # when a handler is looked at
        refused = [fault for fault in opened.faults if "Content Security Policy" in fault]
        assert bool(refused) == (heard is not None), opened.faults
        assert heard is None or heard in refused[0].lower(), refused


def test_the_sitemap_names_every_chapter(site: str) -> None:
    places = [place.text or "" for place in ElementTree.parse(SITE / "sitemap.xml").iter() if place.tag.endswith("loc")]
    chapters = sorted(path.relative_to(SITE).as_posix() for path in (SITE / "chapters").glob("*.html"))
    assert ["chapters/" + place.rsplit("/", 1)[-1] for place in places] == chapters
    assert all(place.startswith("https://") for place in places)
    assert f"Sitemap: {places[0].split('chapters/')[0]}sitemap.xml" in (SITE / "robots.txt").read_text("utf-8")
