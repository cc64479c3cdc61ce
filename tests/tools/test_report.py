"""The page of the run says what the ledger holds, and the time to read follows what there is to read."""
from __future__ import annotations

from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.tools.tiny_book import executed, result
from tools import bands, budget, report

GAP = "\N{NO-BREAK SPACE}"
WORDS = "one two three four"
ENTRIES: dict[str, Any] = {
    "commit": "a" * 40, "when": "2026-01-02T03:04:05+00:00", "machine": "Linux x86_64, 2 cores", "device": "cpu",
    "speed_ups": {"A Processor, torch 9": 0.7},
    "profile": "quick", "seed": 7, "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "chapters": {"01-tiny": {
        "seconds": 61.4, "peak_mb": 1812, "cached": False, "when": "2026-01-02T03:00:00+00:00",
        "results": {"gain": result("gain", 12.34, at_least=2.0) | {
            "band": None, "status": "holds", "interval": [11.0, 13.7], "values": [12.0, 12.68], "seeds": 2,
            "unit": "points"},
                    "share": result("share", 0.5) | {"status": "inside", "band": {"low": 0.4, "high": 0.6}}},
        "claims": {"C8": {"word": "mixed"}}}}}


def chapter(*cells: NotebookNode) -> NotebookNode:
    return new_notebook(cells=[new_markdown_cell("# Tiny"), *cells])


def page(entries: dict[str, Any] = ENTRIES, **facts: Any) -> str:
    source = chapter()
    return report.page(entries, {"01-tiny": source, "02-later": chapter()}, {"01-tiny": executed()},
                       repository="https://github.com/o/n", **facts)


def test_the_page_says_what_the_ledger_holds() -> None:
    text = page()
    assert "A Processor, torch 9: a step in bfloat16 was measured to be 0.7 times as fast as in float32" in text
    assert "nothing was trained" in page(ENTRIES | {"speed_ups": {}})
    assert f"**2 of 2 results** of chapter{GAP}1 lie where they must; chapter{GAP}2 was not run." in text
    assert f"[`{'a' * 12}`](https://github.com/o/n/commit/{'a' * 40})" in text
    for words in ("2026-01-02 03:04 UTC", "Linux x86_64, 2 cores, cpu", "`SEED=7`", "torch 2.13.0", "none is publi"):
        assert words in text
    read = f'1{GAP}min<span class="phone"> to read</span>'
    assert (f'| [Tiny](01-tiny.ipynb) | 2<span class="phone"> results</span> | 61{GAP}s | 1,812{GAP}MB | {read} | '
            "2026-01-02 03:00 UTC |") in text
    assert f"| [Tiny](02-later.ipynb) |  | |  | {read} | not run |" in text
    assert (f'| <span id="gain">gain</span> | 12.3 points <span class="part beside">11.0{GAP}to{GAP}13.7</span> | '
            f"mean ≥{GAP}2 | ✓{GAP}holds |") in text
    assert f"| <span id=\"share\">share</span> | 0.5 | ≥{GAP}0.4, ≤{GAP}0.6 (published) | ✓{GAP}inside |" in text
    assert "C8 mixed" in text


@pytest.mark.parametrize(("ran", "words"), [
    ([1, 2, 3, 4], "must"), ([4], f"of chapter{GAP}4 lie where they must; chapters{GAP}1–3 were not run"),
    ([1, 3], f"of chapters{GAP}1, 3 lie where they must; chapters{GAP}2, 4 were not run"),
])
def test_the_page_says_which_chapters_its_count_speaks_of(ran: list[int], words: str) -> None:
    assert report.partly([f"0{n}-a" for n in range(1, 5)], {f"0{n}-a": {} for n in ran}).endswith(words)


def test_the_rule_of_the_bands_is_printed_as_a_formula() -> None:
    rule = report.printed(bands.RULE)
    assert r"\pm t_{n-1}" in rule and "10⁻⁶" in rule and "-+" not in rule and "1e-06" not in rule


def test_a_result_that_fails_is_not_counted_and_changed_sources_are_said() -> None:
    entries = ENTRIES | {"commit": "a" * 40 + "-changed", "chapters": {"01-tiny": ENTRIES["chapters"]["01-tiny"] | {
        "results": {"gain": result("gain", 1.0, at_least=2.0) | {"status": "broken", "band": None}}}}}
    text = page(entries)
    assert "**0 of 1 results**" in text and f"✕{GAP}broken" in text and ", with changes since" in text


def test_the_page_says_how_many_results_are_undecided_and_why() -> None:
    assert "undecided" not in page()
    entries = ENTRIES | {"chapters": {"01-tiny": ENTRIES["chapters"]["01-tiny"] | {"results": {
        name: result(name, 1.0, at_least=0.0) | {"status": status, "band": None}
        for name, status in (("a", "undecided"), ("b", "holds"), ("c", "undecided"))}}}}
    text = page(entries)
    assert "**3 of 3 results**" in text and f"○{GAP}undecided" in text and f"✓{GAP}holds" in text
    assert ("2 results are *undecided*: the interval crosses a bound, or contains zero and more than counts as nothing "
            "where the bound is only a guard") in text


def test_the_page_says_what_the_stored_evidence_took() -> None:
    assert "stored evidence" not in page()
    keep, jobs = budget.Took("08-keep-quick", "adapters", 1200, 90, 90), budget.Took("09-a", "SmolLM2", 1, 30, 30)
    text = page(evidence=[keep, jobs])
    assert "load 1,201 runs that were made once, in 2.0 hours of two cores" in text
    assert "| 8 | 90 |  |" in text and "| the frontiers | 90 | 90 | 180 |" in text


def test_bands_and_lighthouse_stand_there_where_they_are_known() -> None:
    scores = {"performance": 99, "accessibility": 100, "best-practices": 100, "seo": 98}
    measured = {"version": "13", "pages": {"index.html": {"title": "Cover", "scores": scores, "kilobytes": 150}}}
    bands = {"seeds": [0, 1], "when": "2025-01-01T00:00:00+00:00", "rule": "the rule"}
    text = page(ENTRIES | {"bands": bands, "lighthouse": measured})
    assert "from seeds 0, 1, published 2025-01-01 00:00 UTC: the rule" in text
    assert '| <a href="../index.html">Cover</a> | 99 | 100 | 100 | 98 | 150 |' in text
    assert "Lighthouse" not in page()


@pytest.mark.parametrize(("cell", "kind", "number"), [
    (new_markdown_cell(f"{WORDS} [link](https://example.org/a/b/c)"), "words", 5),
    (new_markdown_cell(f"{WORDS} <a href='x y z'>link</a>"), "words", 5),
    (new_markdown_cell(f"{WORDS} $a + b$ and $c$"), "formulas in a line", 2),
    (new_markdown_cell(f"{WORDS}\n\n$$\na + b\n$$\n"), "formulas on their own", 1),
    (new_markdown_cell("<!-- mermaid\nflowchart LR\n a ==> b\n-->"), "figures", 1),
    (new_markdown_cell("<!-- mermaid\nflowchart LR\n a ==> b\n-->"), "words", 0),
    (new_markdown_cell(f"{WORDS}\n\n![Not read.][diagram-1]\n\n[diagram-1]: data:image/png;base64,ab"), "words", 4),
    (new_code_cell("a = 1\n\nb = 2"), "lines of code shown", 2),
    (new_code_cell("a = 1\n\nb = 2", metadata={"tags": ["hide-input"]}), "lines of code shown", 0),
    (new_code_cell("a = 1", metadata={"tags": ["solution"]}), "lines of code shown", 0),
])
def test_what_there_is_to_read_is_counted(cell: NotebookNode, kind: str, number: int) -> None:
    title = report.counts(chapter(), None)
    assert report.counts(chapter(cell), None)[kind] - title[kind] == number


def test_figures_and_cards_are_counted_in_the_run() -> None:
    shown = new_output("display_data", data={"text/html": '<figure class="par-figure">'})
    run = executed(result("a", 1.0), result("b", 2.0), extra=(shown,))
    found = report.counts(chapter(), run)
    assert (found["figures"], found["result cards"]) == (1, 2)


def test_the_minutes_follow_the_words() -> None:
    short, long = (report.minutes(report.counts(chapter(new_markdown_cell("word " * n)), None)) for n in (238, 2380))
    assert (short, long) == (1, 10)
    assert report.times(ENTRIES, {"01-tiny": chapter(), "02-later": chapter()}, {}) == {
        "01-tiny": {"minutes": 1, "seconds": 61.4}, "02-later": {"minutes": 1, "seconds": None}}
