"""The page of the run and the lines at the chapters' tops say what the ledger says."""
from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from tests.site.browser import SITE, visit
from tools import numerals

Ledger = dict[str, Any]


@pytest.fixture
def ledger(site: str) -> Ledger:
    return json.loads((SITE.parent / "results.json").read_text("utf-8"))


def differences(ledger: Ledger) -> list[str]:
    """Where the site and the ledger differ: the facts of the run, every result, and how long each chapter took."""
    page = BeautifulSoup((SITE / "chapters" / "run.html").read_text("utf-8"), "html.parser").text
    facts = (ledger["machine"], ledger["commit"][:12], *ledger["versions"].values())
    wrong = [fact for fact in facts if fact not in page]
    for chapter, entry in ledger["chapters"].items():
        top = (SITE / "chapters" / f"{chapter}.html").read_text("utf-8").partition("<article")[0]
        words = BeautifulSoup(top, "html.parser").select_one(".times").text
        took = f"{entry['seconds']:.0f} s to run"
        if not re.fullmatch(rf"Chapter \d+ · \d+ min to read, {took} \(.*{ledger['machine']}\)", words):
            wrong.append(f"{chapter}: {words}")
        for name, result in entry["results"].items():
            places = numerals.decimals(*result["interval"]) if result["interval"] else None
            if f"{name.replace('_', ' ')}\n{numerals.number(result['value'], places)}" not in page:
                wrong.append(name)
    return wrong


def test_the_site_says_what_the_ledger_says(ledger: Ledger) -> None:
    assert differences(ledger) == []


def test_a_difference_is_seen(ledger: Ledger) -> None:
    other = copy.deepcopy(ledger)
    chapter, entry = next(iter(other["chapters"].items()))
    name = next(iter(entry["results"]))
    entry["results"][name]["value"] += 1.0
    entry["seconds"] += 100
    found = differences(other | {"machine": ledger["machine"]})
    assert found[0].startswith(f"{chapter}: ") and found[1:] == [name]
    assert differences(ledger | {"versions": {"torch": "9.9.9"}}) == ["9.9.9"]


def test_a_reader_gets_from_the_time_to_the_run(site: str, browser: Browser, ledger: Ledger) -> None:
    chapter = next(iter(ledger["chapters"]))
    with visit(browser, f"{site}chapters/{chapter}.html", width=390) as opened:
        opened.page.locator(".times a").click()
        opened.page.wait_for_url("**/run.html")
        assert opened.page.get_by_role("heading", level=1).inner_text().startswith("The run behind")
