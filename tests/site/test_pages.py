"""Every page of the built site, as a reader's browser sees it."""

from __future__ import annotations

import re

import pytest
import yaml
from playwright.sync_api import Browser

from tests.site import checks
from tests.site.browser import SITE, Theme, visit
from tests.site.test_chinese import english_left
from tools.notebooks import ROOT
from tools.zh.typography import HAN

KB = 1000
DESKTOP, LAPTOP, TABLET, PHONE = 1440, 1000, 820, 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_loads_cleanly_and_is_accessible(site: str, browser: Browser, opened_page: str, theme: Theme) -> None:
    with visit(browser, site + opened_page, width=DESKTOP, theme=theme) as opened:
        page = opened.page
        faults = checks.mathematics(page) + checks.diagrams(page) + checks.pictures(page) + checks.heard(page)
        for width in (DESKTOP, LAPTOP, TABLET, PHONE):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(100)
            faults += checks.sideways(page) + checks.fits(page) + (checks.legible(page) if width == PHONE else [])
            if width == DESKTOP or (width, theme) == (PHONE, "light"):
                faults += checks.accessibility(page)
        assert not opened.faults + faults, "\n".join(opened.faults + faults)
        first = opened_page.removeprefix("zh/") in ("index.html", "chapters/intro.html")
        assert opened.weight < (600 if first else 900) * KB


def test_links_lead_somewhere(site: str, built: str) -> None:
    assert checks.links(SITE / built, SITE) == []


def test_a_model_that_reads_for_somebody_finds_each_page_and_each_verdict(site: str) -> None:
    text = (SITE / "llms.txt").read_text("utf-8")
    listed = re.findall(r"^- \[.+\]\((\S+)\): .{40}", text, re.MULTILINE)
    address = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["html"]["baseurl"]
    assert sorted([*listed, f"{address}chapters/intro.html"]) == sorted(
        f"{address}chapters/{path.name}" for path in (SITE / "chapters").glob("*.html"))
    claims = (SITE / "chapters" / "claims.html").read_text("utf-8")
    judged = re.findall(r"<h2>([CF]\d+)\. [^<]*: (supported|refuted|no gain|mixed|undecided)<", claims)
    assert judged and all(f"- {name}, {word}: " in text for name, word in judged)


def test_the_chinese_list_leads_to_each_chinese_page_and_says_all_in_chinese(site: str) -> None:
    if not (SITE / "zh").exists():
        pytest.skip("the Chinese pages are shown once each page of the book is Chinese")
    text, address = (SITE / "zh" / "llms.txt").read_text("utf-8"), yaml.safe_load(
        (ROOT / "_config.yml").read_text("utf-8"))["html"]["baseurl"]
    listed = re.findall(r"^- \[(.+)\]\((\S+)\): (.{15,})", text, re.MULTILINE)
    pages = [path for path in sorted((SITE / "zh" / "chapters").glob("*.html")) if path.stem != "intro"]
    assert sorted(link for _, link, _ in listed) == [f"{address}zh/chapters/{path.name}" for path in pages]
    for title, link, _ in listed:
        page = (SITE / link.removeprefix(address)).read_text("utf-8")
        assert re.search(f"[{HAN}]", title) and f"<h1>{title}<" in page, title
    assert english_left(text) == [] and re.findall(r"^- [^[].*$", text, re.MULTILINE)
    without = [line for line in text.splitlines() if line.strip() and not re.search(f"[{HAN}]", line)]
    assert without == [f"English: {address}llms.txt"]
    assert f"In Chinese: {address}zh/llms.txt" in (SITE / "llms.txt").read_text("utf-8")


def test_no_other_host_is_named_as_a_source(site: str) -> None:
    files = [path for path in SITE.rglob("*") if path.suffix in (".html", ".css")]
    assert [(path.name, fault) for path in files for fault in checks.foreign(path.read_text("utf-8"))] == []


def test_the_whole_site_is_light_in_each_language(site: str) -> None:
    files = [path for path in SITE.rglob("*") if path.is_file() and path.suffix != ".pdf"]  # nobody loads one unasked
    for chinese in (False, True):
        own = [path for path in files if (path.relative_to(SITE).parts[0] == "zh") == chinese]
        assert sum(path.stat().st_size for path in own) < 12_000 * KB
    assert [path.name for path in files if path.suffix == ".map"] == []
