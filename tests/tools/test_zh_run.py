"""The page of the run in Chinese: none of it stays English, whatever the machine, the moment and the results were."""
from __future__ import annotations

import itertools
from typing import Any

import pytest

from lib.book.cards import SIGNS
from lib.book.languages import Catalogue
from tests.tools.test_report import ENTRIES
from tests.tools.tiny_book import result
from tools import bands, budget, report
from tools.notebooks import ROOT, chapters, read, record_calls
from tools.zh import lines

WORDS = ("supported", "refuted", "mixed", "no gain", "undecided")
MEASURED = {"version": "13", "pages": {"index.html": {"title": "Project and Regularize", "kilobytes": 150, "scores": {
    "performance": 99, "accessibility": 100, "best-practices": 100, "seo": 98}}}}
ORIGIN = {"seeds": [0, 1, 2], "when": "2025-01-01T00:00:00+00:00", "rule": bands.RULE}
SOURCES = {path.stem: read(path) for path in chapters(ROOT)}
NAMES = {stem: [name for name in record_calls(source) if name][:20] for stem, source in SOURCES.items()}
VALUES = [(12.34, [11.0, 13.7], "points"), (-1234.5, None, "nats a token"), (2.3e-7, None, "1"),
          (0.5, [-0.1, 1.1], "1"), (0, [0, 0], "% accuracy")]
BANDS: list[dict[str, float] | None] = [None, {"low": 0.4, "high": 0.6}, {"low": -2e-6, "high": 1e6}]


def entries(*ran: str, statuses: tuple[str, ...] = tuple(SIGNS), words: tuple[str, ...] = WORDS, **facts: Any) -> Any:
    """A ledger of these chapters: results under the book's names, with values of all kinds."""
    found: dict[str, Any] = {}
    kinds = itertools.cycle(itertools.product(VALUES, BANDS, statuses, (1, 3)))
    for stem in ran:
        results = {name: result(name, value, at_least=1.0 if band is None else None) | {
            "interval": ends, "values": [value] * seeds, "seeds": seeds, "unit": unit, "band": band, "status": status}
            for name, ((value, ends, unit), band, status, seeds) in zip(NAMES[stem], kinds, strict=False)}
        claims = {f"{'CF'[n % 2]}{n + 1}": {"word": word} for n, word in enumerate(words)}
        found[stem] = {"seconds": 61.4, "peak_mb": 1812, "when": ENTRIES["when"], "results": results, "claims": claims}
    return ENTRIES | {"chapters": found} | facts


def english(ledger: Any, **facts: Any) -> str:
    return report.page(ledger, SOURCES, {}, repository="https://github.com/o/n", **facts)


def faults(ledger: Any, **facts: Any) -> list[str]:
    return lines.faults(english(ledger, **facts), "run", lines.catalogue(ROOT, "run"), {})


@pytest.mark.parametrize("facts", [
    {}, {"commit": "unknown", "machine": "Darwin arm64, 10 cores", "device": "cuda", "speed_ups": {}},
    {"commit": "b" * 40 + "-changed", "when": "2027-10-11T12:13:14+00:00", "versions": {"python": "3.13.1"}},
    {"speed_ups": {f"Processor {n}, torch 9": 0.7 + n for n in range(3)}, "profile": "full", "bands": ORIGIN},
    {"bands": ORIGIN | {"seeds": [4], "when": None}, "lighthouse": MEASURED, "machine": "Linux x86_64, None cores"},
])
def test_nothing_stays_english_on_any_machine(facts: dict[str, Any]) -> None:
    assert faults(entries(*SOURCES, **facts)) == []
    kept = [budget.Took("08-keep-quick", "adapters", 1200, 90, 90, {"AMD EPYC": 1200}),
            budget.Took("09-a", "SmolLM2", 1, 30, 30, {"Intel(R) Xeon(R) Processor": 1})]
    assert faults(entries(*SOURCES, **facts), evidence=kept) == []


@pytest.mark.parametrize("numbers", [(), (1,), (4,), (1, 3), (1, 2, 3, 4, 5, 6, 7, 8), (2, 4, 6, 8)])
def test_nothing_stays_english_where_only_some_chapters_ran(numbers: tuple[int, ...]) -> None:
    ran = [stem for stem in SOURCES if int(stem[:2]) in numbers]
    assert faults(entries(*ran)) == []
    assert faults(entries(*ran, statuses=("holds",), words=())) == []


@pytest.mark.parametrize(("facts", "line"), [
    ({"words": ("doubtful",)}, "doubtful"), ({"statuses": ("lucky",)}, "✓ lucky"),
    ({"bands": ORIGIN | {"rule": "by hand"}}, "by hand"), ({"commit": "astray"}, "astray")])
def test_a_word_that_the_page_did_not_have_is_red(facts: Any, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIGNS, "lucky", SIGNS["holds"])
    assert faults(entries(*SOURCES, **facts)) == [f"zh/run: no Chinese for {line!r}"]


def test_the_page_says_the_same_in_chinese() -> None:
    text = english(entries("01-background", "02-concepts", bands=ORIGIN))
    said = lines.page(text, lines.catalogue(ROOT, "run"))
    for words in ("第 1、2 章的", "；第 3–9 章没有运行", "出自随机种子 0、1、2，公布于 2025-01-01 00:00 UTC：",
                  "[背景：", "12.3\N{NO-BREAK SPACE}个百分点",
                  "C1 得到支持，F2 被否定，C3 结果不一，F4 没有增益，C5 未决（"):
        assert words in said
    shown = [line.count("|") for line in text.split("\n")]
    assert [line.count("|") for line in said.split("\n")] == shown, "no cell of a table is lost"


def test_each_result_has_a_name_in_chinese() -> None:
    words = lines.catalogue(ROOT, "run")
    for name in {name for source in SOURCES.values() for name in record_calls(source) if name}:
        words.say(name.replace("_", " "))
    assert list(words.missing) == []


def test_the_pages_of_entries_name_chapters_and_sections_as_these_call_themselves() -> None:
    found = lines.headings(ROOT)
    assert found["Background: what a pretrained model knows, and what your labels add"].startswith("背景：")
    assert len(found) > 100 and not [name for name in found.values() if name.startswith("#")]
    assert Catalogue(found).say("What we found") == "我们的发现"
