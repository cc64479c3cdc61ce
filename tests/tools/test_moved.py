"""Links to renamed sections and to earlier verdicts lead on."""
from __future__ import annotations

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import moved, register
from tools.notebooks import ROOT, chapters, read


def test_an_old_anchor_stands_above_the_section_of_today() -> None:
    text = "## What holds?\n\nText.\n\n## Other"
    page = new_notebook(cells=[new_markdown_cell(text), new_code_cell("## What holds?")])
    moved.lead_on(page, {"what-is-true": "what-holds", "is-it": "what-holds", "gone": "no-such-place"})
    assert page.cells[0].source == f'<div id="what-is-true"></div><div id="is-it"></div>\n\n{text}'
    assert page.cells[1].source == "## What holds?"
    assert moved.anchors(page) == ["what-holds", "other"]


def test_a_link_to_another_verdict_leads_to_the_claim() -> None:
    entry = {"title": "Help", "quote": "x", "translation": "y", "source": "1", "chapter": "no", "asks": "a?",
             "protocol": "p", "section": "s"}
    page = register.claims({"C9": entry}, {}, {})
    for word in ("supported", "refuted", "no-gain", "mixed", "undecided", "inconclusive"):
        assert page.index(f'<div id="c9-{word}"></div>') < page.index("## C9. Help")
    assert page.count("c9-not-tested-yet") == 2, "the link from the table, and today's own anchor"


def test_every_section_that_moved_is_found_where_the_table_says() -> None:
    table, pages = moved.table(ROOT / "chapters"), {path.stem: read(path) for path in chapters(ROOT)}
    assert table
    for stem, entries in table.items():
        today = moved.anchors(pages[stem])
        assert [now for now in entries.values() if now not in today] == [], stem
        assert [was for was in entries if was in today] == [], f"{stem}: an old name is in use"
