"""Every page carries a content security policy; it holds, and the site says which pages it has."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import sphinx
from playwright.sync_api import Browser

from tests.site.browser import SITE, serve, visit
from tools.ext.book_site import secure, without_eval

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


def test_the_sitemap_names_every_page_and_what_it_is_in_the_other_language(site: str) -> None:
    entries = ElementTree.parse(SITE / "sitemap.xml").getroot()
    places = [entry[0].text or "" for entry in entries]
    stems = [sorted(path.stem for path in (SITE / folder).glob("*.html")) for folder in ("chapters", "zh/chapters")]
    assert [place.split("/chapters/")[1] for place in places] == [f"{stem}.html" for some in stems for stem in some]
    assert all(place.startswith("https://") for place in places)
    for entry in entries:
        own = (entry[0].text or "").replace("/zh/", "/")
        both = own.rpartition("/")[2].removesuffix(".html") in stems[1]
        expected = {"en": own, "zh-CN": own.replace("/chapters/", "/zh/chapters/")} if both else {}
        assert {link.get("hreflang"): link.get("href") for link in entry[1:]} == expected
    assert f"Sitemap: {places[0].split('chapters/')[0]}sitemap.xml" in (SITE / "robots.txt").read_text("utf-8")


@pytest.mark.parametrize("changed", [True, False])
def test_the_words_of_a_language_need_no_code_from_text(tmp_path: Path, browser: Browser, changed: bool) -> None:
    """Sphinx's own script, which the policy refuses, is the negative control."""
    script = (Path(sphinx.__file__).parent / "themes" / "basic" / "static" / "doctools.js").read_text("utf-8")
    (tmp_path / "doctools.js").write_text(without_eval(script) if changed else script, "utf-8")
    spoken = 'Documentation.addTranslations({messages: {a: "b"}, plural_expr: "0"});'
    (tmp_path / "words.js").write_text(spoken, "utf-8")
    load = '<script defer src="doctools.js"></script><script defer src="words.js"></script>'
    (tmp_path / "index.html").write_text(secure(PAGE.format(load)), "utf-8")
    with serve(tmp_path) as address, visit(browser, address + "index.html") as opened:
        refused = [fault for fault in opened.faults if "unsafe-eval" in fault]
        assert bool(refused) != changed
        assert not changed or opened.page.evaluate("Documentation.ngettext('a', 'as', 3)") == "b"
