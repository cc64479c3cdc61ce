"""Numbers in prose: how they are read, how they are held to their records, and what a page makes of them."""
from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from nbformat.v4 import new_markdown_cell

from tests.tools.tiny_book import Book, executed, result
from tools import bands, quoted
from tools.book import run
from tools.execute import Settings
from tools.ext import book_site
from tools.lint import lint, numbers, prose

GAP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(("text", "value", "slack", "kind", "sense"), [
    ("79 %", 79, 0.5, "hundredths", "equal"), ("79%", 79, 0.5, "hundredths", "equal"),
    ("79.4 %", 79.4, 0.05, "hundredths", "equal"), ("about 79 %", 79, 0.5, "hundredths", "about"),
    ("79 percent", 79, 0.5, "hundredths", "equal"), ("3.2 points", 3.2, 0.05, "hundredths", "equal"),
    ("−3.2 points", -3.2, 0.05, "hundredths", "equal"), ("**−3.2 points**", -3.2, 0.05, "hundredths", "equal"),
    (f"1,801{GAP}MB", 1801, 0.5, "plain", "equal"), ("0.43", 0.43, 0.005, "plain", "equal"),
    ("1.2×10⁻⁶", 1.2e-6, 0.05e-6, "plain", "equal"), ("10⁻⁶", 1e-6, 0.5e-6, "plain", "equal"),
    ("135 million", 135e6, 0.5e6, "plain", "equal"), ("24 s", 24, 0.5, "plain", "equal"),
    ("ten times", 10, 0.5, "plain", "equal"), ("about ten times", 10, 0.5, "plain", "about"),
    ("twenty-four", 24, 1.2, "plain", "equal"), ("twice", 2, 0.1, "plain", "equal"),
    ("two hundred", 200, 10, "plain", "equal"), ("a hundred times", 100, 5, "plain", "equal"),
    ("two and a half times", 2.5, 0.125, "plain", "equal"), ("ten points", 10, 0.5, "hundredths", "equal"),
    ("a third", 1 / 3, 1 / 60, "fraction", "equal"), ("half", 0.5, 0.025, "fraction", "equal"),
    ("half the error", 0.5, 0.025, "fraction", "equal"), ("two thirds", 2 / 3, 1 / 30, "fraction", "equal"),
    ("three quarters of it", 0.75, 0.0375, "fraction", "equal"),
    ("less than a thirtieth", 1 / 30, 1 / 600, "fraction", "below"), ("within 2 points", 2, 0.5, "hundredths", "below"),
    ("More than 80 %", 80, 0.5, "hundredths", "above"), ("at least twice", 2, 0.1, "plain", "above"),
])
def test_a_number_is_read_as_it_is_said(text: str, value: float, slack: float, kind: str, sense: str) -> None:
    quote = quoted.parse(text)
    assert quote and (quote.kind, quote.sense) == (kind, sense)
    assert (quote.value, quote.slack) == (pytest.approx(value), pytest.approx(slack))


@pytest.mark.parametrize("text", [
    "", "here", "a lot", "a", "an accuracy", "79 % to 82 %", "between 3 and 4", "nine of 10", "half of 12"])
def test_what_says_no_number_or_two_is_not_read(text: str) -> None:
    assert quoted.parse(text) is None


@pytest.mark.parametrize(("text", "unit", "value"), [
    ("79 %", "% of sentences", 79.0), ("79 %", "1", 0.79), ("79 %", "of sentences", 0.79),
    ("3 points", "points", 3.0), ("3 points", "points of accuracy", 3.0),
    ("3 points", "of the way", 0.03), ("a quarter", "1", 0.25),
    ("a quarter", "% accuracy", 25.0), ("ten times", "times", 10.0), ("ten times", "% of it", 10.0),
    ("24 s", "s", 24.0),
])
def test_per_cent_and_fractions_are_turned_into_the_records_unit(text: str, unit: str, value: float) -> None:
    assert quoted.fault(text, result("a", value, unit=unit, stored=True), None) == ""
    assert quoted.fault(text, result("a", value * 1.2, unit=unit, stored=True), None).startswith("and the record is")
    assert quoted.fault(text, result("a", value * 100, unit=unit, stored=True), None) != ""
    assert quoted.fault(text, result("a", -value, unit=unit, stored=True), None) != "", "a sign is part of a number"


STORED = result("tuned_accuracy", 79.4, unit="% accuracy", stored=True)
LIVE = STORED | {"stored": False}
NARROW, WIDE = {"low": 77.0, "high": 81.0}, {"low": 75.0, "high": 82.0}


@pytest.mark.parametrize(("text", "facts", "band", "words"), [
    ("79 %", STORED, None, ""), ("79.4 %", STORED, None, ""), ("about 79 %", STORED, None, ""),
    ("80 %", STORED, None, "the record is 79.4"), ("79.5 %", STORED, None, "the record is 79.4"),
    ("about 80 %", STORED, NARROW, "the record is 79.4"), ("here", STORED, None, "no number"),
    ("at least 79 %", STORED, None, ""), ("more than 80 %", STORED, None, "its value is 79.4"),
    ("less than 79 %", STORED, None, "its value is 79.4"), ("under 80 %", STORED, None, ""),
    ("about 79 %", LIVE, NARROW, ""), ("79 %", LIVE, NARROW, 'written with "about"'),
    ("about 79 %", LIVE, None, "no band is published"), ("about 83 %", LIVE, NARROW, "the published band is 77 to 81"),
    ("about 79 %", LIVE, WIDE, "too wide to say so: 3.5 either way, at most 3 may be"),
    ("about 79 %", LIVE | {"at_least": 70.0}, NARROW, ""), ("about 79 %", LIVE | {"at_least": 70.0}, None, "no band"),
    ("more than 75 %", LIVE, NARROW, ""), ("more than 78 %", LIVE, NARROW, "its gate allows 77"),
    ("less than 80 %", LIVE, NARROW, "its gate allows 81"), ("less than 85 %", LIVE, None, "its gate allows anything"),
    ("less than 85 %", LIVE | {"at_most": 84.0}, None, ""), ("less than 82 %", LIVE | {"at_most": 84.0}, NARROW, ""),
    ("about ten times", result("a", 10.0, unit="times"), {"low": 9.2, "high": 10.8}, ""),
    ("about ten times", result("a", 10.0, unit="times"), {"low": 8.8, "high": 11.2}, "too wide to say so"),
    ("about 79 %", result("a", 0.79, unit="of them"), {"low": 0.77, "high": 0.81}, ""),
    ("about 79 %", result("a", 0.79, unit="of them"), {"low": 0.75, "high": 0.82}, "too wide to say so"),
])
def test_a_number_is_held_to_its_record(text: str, facts: Any, band: Any, words: str) -> None:
    found = quoted.fault(text, facts, band)
    assert words in found and bool(words) == bool(found), found


def test_the_word_before_a_link_is_part_of_it_and_code_holds_no_link() -> None:
    text = "It is about\n[79 %](#a_b), `[1 %](#c_d)` and\n```\n[2 %](#e_f)\n```\nSee [this](#a-section), [3 %](#g_h)."
    found = [(quoted.said(match), match["name"]) for match in quoted.quotes(text)]
    assert found == [("about 79 %", "a_b"), ("3 %", "g_h")]


def test_a_page_links_a_number_to_the_card_or_to_the_row_on_the_page_of_the_run() -> None:
    quiet = result("quiet_one", 3.0, unit="points", card=False, values=[2.0, 4.0], interval=[1.0, 5.0], stored=True)
    owner = {"tuned_accuracy": "05-case", "quiet_one": "05-case", "not_run": "06-project"}
    text = ("**About** about [79 %](#tuned_accuracy), [3 points](#quiet_one), [a third](#not_run), [x](#stranger_one), "
            "`[79 %](#tuned_accuracy)`.")
    shown = quoted.linked(text, "03-other", owner, {"tuned_accuracy": LIVE, "quiet_one": quiet})
    first, second, third = BeautifulSoup(shown, "html.parser").select("a.number")
    assert (first["href"], first.text) == ("05-case.html#tuned_accuracy", f"79{GAP}%") and f"about{GAP}<a" in shown
    assert first["aria-description"] == "tuned accuracy: 79.4 % accuracy; from this run (quick, cpu); chapter 5"
    assert (second["href"], second["aria-description"]) == ("run.html#quiet_one", (
        "quiet one: 3.0 points, 95% interval 1.0 to 5.0, 2 seeds; from stored runs (quick, cpu); chapter 5"))
    assert third["href"] == "06-project.html" and "aria-description" not in third.attrs
    assert shown.endswith("[x](#stranger_one), `[79 %](#tuned_accuracy)`.")
    here = quoted.linked(text, "05-case", owner, {"tuned_accuracy": LIVE})
    assert 'href="#tuned_accuracy"' in here
    full = quoted.linked(text, "05-case", owner, {"tuned_accuracy": LIVE | {"profile": "full", "value": 81.0}})
    assert f"79{GAP}%</a> (here 81.0 % accuracy)" in full and "(here" not in here


def test_lint_wants_a_link_for_every_result_and_a_record_for_every_link() -> None:
    assert prose("It reaches [82.5 %](#a_b) here.") == []
    assert "say it as [82.5%](#name)" in prose("It reaches 82.5% here.")[0]
    assert len(prose("It reaches [82.5 %](https://example.org) here.")) == 1
    assert numbers("[79 %](#a_b), [this](#a-section)", {"a_b"}) == []
    assert numbers("[79 %](#b_c)", {"a_b"}) == ["[79 %](#b_c) is a link to no record of the book"]
    assert numbers("[so many](#a_b)", {"a_b"}) == ["[so many](#a_b) must say one number"]
    notebook = Book.notebook("run.record('a_b', 1)")
    notebook.cells.append(new_markdown_cell("See [79 %](#other_one)."))
    assert "link to no record" in lint(notebook)[0] and lint(notebook, {"other_one"}) == []


@pytest.mark.parametrize(("point", "words"), [
    ("- It reaches [79 %](#a_b).", []), ("- It reaches [79 %](#a_b) (`C3`).", []),
    ("- It reaches [79 %](#z_z).", ["is a link to no record"]), ("- It helps.", ["say its number as"]),
])
def test_a_takeaway_may_say_its_number_in_place_of_a_name(point: str, words: list[str]) -> None:
    notebook = Book.notebook("run.record('a_b', 1)\nrun.claim('C3', {})")
    notebook.cells.append(new_markdown_cell(f"## What we found\n\n{point}\n"))
    found = lint(notebook)
    assert len(found) == len(words) and all(word in line for word, line in zip(words, found, strict=True))


def test_a_sentence_that_outlives_its_number_shuts_the_gate_and_runs_nothing(book: Book, capsys: Any) -> None:
    code = "run.record('a_b', 0.794, stored=True, at_least=0)"
    for said, shut in (("It is [79 %](#a_b).", 0), ("It is [80 %](#a_b).", 1), ("It is [less than 80 %](#a_b).", 0)):
        book.chapter("01-a", code, prose=f"# T\n\n{said}")
        assert run(book.root, Settings(), site=False) == shut
    told = capsys.readouterr()
    assert "01-a: prose says '80 %' of a_b, and the record is 0.794" in told.err
    assert told.out.count("nothing changed") == 2


def test_bands_are_published_for_live_numbers_that_a_sentence_says_and_stored_ones_must_not_move(
        book: Book, monkeypatch: Any, capsys: Any) -> None:
    book.chapter("01-a", prose="About [0.8](#said_one) and [1](#stored_one).")
    moves = [0.0]

    def runs(jobs: Any) -> list[Any]:
        return [executed(result("said_one", 0.8 + job.settings.seed / 100, at_least=0.0),
                         result("unsaid_one", 0.8, at_least=0.0),
                         result("stored_one", 1.0 + moves[0] * job.settings.seed, at_least=0.0, stored=True))
                for job in jobs]

    monkeypatch.setattr(bands, "execute", runs)
    assert bands.publish(book.root, "quick", [0, 1, 2]) == 0
    assert "said_one" in capsys.readouterr().out
    written = (book.root / "results" / "quick-cpu.json").read_text()
    assert "said_one" in written and "unsaid_one" not in written and "stored_one" not in written
    moves[0] = 1.0
    assert bands.publish(book.root, "quick", [0, 1, 2]) == 1
    assert "01-a: stored_one is recorded as stored, and its seeds give 1.0, 2.0, 3.0" in capsys.readouterr().err


def test_no_term_is_linked_inside_a_numbers_link() -> None:
    inside, outside = nodes.Text("3 points of accuracy"), nodes.Text(" and accuracy")
    opening = nodes.raw("", '<a class="number" href="#a_b">', format="html")
    nodes.paragraph("", "", opening, inside, nodes.raw("", "</a>", format="html"), outside)
    assert book_site.in_number(inside) and not book_site.in_number(outside)
