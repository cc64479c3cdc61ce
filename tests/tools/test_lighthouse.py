"""What is read from a Lighthouse report, and when its figures miss their aim."""
from __future__ import annotations

from typing import Any

import pytest

from tools.lighthouse import AIMS, MANIFEST, faults, figures
from tools.notebooks import ROOT

AUDITS = {"contrast": {"title": "Colours have contrast", "score": 0, "scoreDisplayMode": "binary"},
          "manual": {"title": "Look yourself", "score": None, "scoreDisplayMode": "manual"},
          "total-byte-weight": {"title": "Weight", "score": 1, "scoreDisplayMode": "numeric", "numericValue": 152_400}}
REPORT: dict[str, Any] = {"audits": AUDITS, "categories": {
    name: {"score": 0.97, "auditRefs": [{"id": each, "weight": 1} for each in AUDITS]} for name in AIMS}}


def test_figures_are_those_of_the_report() -> None:
    found = figures(REPORT, "<title>One &amp; two · The book</title>")
    assert (found["title"], found["kilobytes"], set(found["lost"])) == ("One & two", 152, {"Colours have contrast"})
    assert set(found["scores"].values()) == {97}


@pytest.mark.parametrize(("page", "kind", "score", "wrong"), [
    ("index.html", "performance", 94, True), ("index.html", "performance", 95, False),
    ("chapters/01.html", "performance", 60, False), ("chapters/01.html", "accessibility", 99, True),
    ("chapters/01.html", "seo", 99, True), ("index.html", "best-practices", 100, False),
])
def test_a_missed_aim_is_named(page: str, kind: str, score: int, wrong: bool) -> None:
    pages = {name: {"scores": dict.fromkeys(AIMS, 100), "lost": ["something"]} for name in ("index.html", page)}
    pages[page] = {"scores": dict.fromkeys(AIMS, 100) | {kind: score}, "lost": ["something"]}
    found = faults({"pages": pages})
    assert found == ([f"{page}: {kind} is {score} of 100, the aim is {AIMS[kind]} (something)"] if wrong else [])


def test_the_book_itself_does_not_install_it() -> None:
    assert "lighthouse" not in (ROOT / "package-lock.json").read_text("utf-8")
    assert '"node_modules/lighthouse"' in (MANIFEST / "package-lock.json").read_text("utf-8")
