"""A card is a function of facts, band and language alone; what is undecided does not look like what holds."""
from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from lib.book import cards

FACTS: dict[str, Any] = {
    "name": "gain", "value": 2.0, "values": [1.0, 3.0], "seeds": 2, "items": 0, "interval": [0.5, 3.5], "level": 0.95,
    "unit": "points", "digits": 3, "note": "", "at_least": None, "at_most": None, "card": True, "stored": False,
    "over": "seeds", "profile": "quick", "device": "cpu"}
BAND = {"low": 1.0, "high": 3.0}


def facts(**other: Any) -> dict[str, Any]:
    return FACTS | other


@pytest.mark.parametrize(("given", "band", "expected"), [
    ({}, None, "unpublished"), ({}, BAND, "inside"), ({"value": 3.1}, BAND, "outside"),
    ({"value": float("nan")}, BAND, "outside"), ({"value": float("nan"), "at_most": 1}, None, "broken"),
    ({"at_least": 0.0}, None, "holds"), ({"at_least": 2.5}, BAND, "broken"),
    ({"at_most": 4.0}, {"low": 8, "high": 9}, "holds"),
    ({"at_least": 1.0}, None, "undecided"), ({"at_most": 3.0}, None, "undecided"),
    ({"at_least": 0.0, "at_most": 3.0}, None, "undecided"), ({"at_least": 0.5, "at_most": 3.5}, None, "holds"),
    ({"at_least": 1.0, "interval": None}, None, "holds"),
    ({"at_least": 1.0, "interval": [0.9, 4.0], "unit": "% right"}, None, "undecided"),
    ({"at_most": 100.0, "interval": [1.0, 104.0], "unit": "% right"}, None, "holds"),
])
def test_a_status_follows_from_facts_and_band(given: Any, band: Any, expected: str) -> None:
    assert cards.status(facts(**given), band) == expected


@pytest.mark.parametrize(("unit", "ends", "low", "high", "expected"), [
    ("points of accuracy", [-5.4, 16.5], -40, 40, "undecided"),  # a guard, and the runs leave the sign open
    ("points of accuracy", [-0.7, 0.6], -40, 40, "holds"),       # the same guard: a gain of two points is excluded
    ("points of accuracy", [-1.3, 1.6], -2, 2, "holds"),         # what counts as nothing, and all of it within
    ("points of accuracy", [-1.3, 2.6], -2, 2, "undecided"),
    ("points of accuracy", [0.1, 16.5], -40, 40, "holds"), ("points of accuracy", [-16.5, -0.1], -40, 40, "holds"),
    ("points of accuracy", [-0.1, 2.7], -2, 6, "undecided"), ("points of accuracy", [-6.5, 0.7], None, 2, "holds"),
    ("points of accuracy", [-0.3, 4.3], -5, None, "undecided"),
    ("points of accuracy", [-4.3, 1.3], None, 5, "undecided"),
    ("halvings", [-0.3, 0.3], -5, 5, "holds"), ("halvings", [-0.3, 0.4], -5, 5, "undecided"),
    ("another unit", [-5.4, 16.5], -40, 40, "holds"),            # nothing is known of what counts there
])
def test_a_bound_that_only_guards_is_no_finding(unit: str, ends: Any, low: Any, high: Any, expected: str) -> None:
    given = facts(unit=unit, value=sum(ends) / 2, interval=ends, at_least=low, at_most=high)
    assert cards.status(given, None) == expected
    shown = cards.card(given, None)["text/plain"]
    assert ("✓" in shown) == (expected == "holds")
    nothing = {"points of accuracy": "±2", "halvings": "±0.32"}.get(unit, "")
    wide = any(bound and abs(bound) > 2 for bound in (low, high))
    assert (f"but the interval contains zero and more than {nothing}" in shown) == (expected == "undecided" and wide)


def test_what_is_undecided_has_no_tick_and_a_look_of_its_own() -> None:
    open_, held = (cards.card(facts(at_least=bound), None) for bound in (1.0, 0.0))
    assert "✓" in held["text/plain"] and "✓" in held["text/html"] and "par-holds" in held["text/html"]
    assert "✓" not in open_["text/plain"] + open_["text/html"] and "par-undecided" in open_["text/html"]
    assert "undecided: mean at least 1, but the interval crosses it" in open_["text/plain"]
    style = (cards.__file__.rpartition("/lib/")[0]) + "/tools/ext/static/book.css"
    good = re.search(r"^(.*)\{ --tone: var\(--good\); \}$", re.search(r"\n.*par-holds.*", open(style).read())[0], re.M)
    assert good and "undecided" not in good[1] and ".par-undecided" in open(style).read()


def test_a_band_that_moves_moves_the_card_and_no_fact() -> None:
    before = dict(FACTS)
    first, second = (cards.card(FACTS, band) for band in (BAND, {"low": 5.0, "high": 6.0}))
    assert "inside the published band 1.00 to 3.00" in first["text/plain"]
    assert "outside the published band 5.00 to 6.00" in second["text/plain"] and FACTS == before


def test_every_word_comes_from_the_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every word of the language struck out, no English is left on any card but what the facts bring."""
    empty = {key: " ".join(re.findall(r"\{\w+\}", word)) for key, word in cards.WORDS["en"].items()}
    monkeypatch.setitem(cards.WORDS, "xx", empty)
    row = {"difference": 3.0, "error": 0.5, "dof": 4, "seeds": 5, "level": 0.95}
    claim = {"id": "C1", "unit": "u", "bound": 1.0, "direction": 1, "effects": {"a": row}}
    claim |= {"profile": "p", "device": "d"}
    for shown in (*(cards.card(facts(**given), band, "xx") for given in ({}, {"at_least": 1.0}, {"at_most": 0.0})
                    for band in (None, BAND)), cards.claim_card(claim, "xx"),
                  {"text/plain": cards.summary(FACTS, "xx")}):
        text = re.sub(r'<[^>]*>|: \+3\.0.*?(?=\n|<|$)', " ", shown["text/plain"])
        assert set(re.findall(r"[A-Za-z]{2,}", text)) <= {"gain", "points", "quick", "cpu"}, text
    assert cards.card(FACTS, None, "xx") != cards.card(FACTS, None)


@pytest.mark.parametrize(("unit", "values", "ends", "shown"), [
    ("of movie sentences", [0.9994], [0.9987, 1.0001], [0.9987, 1.0]), ("% accuracy", [99.0], [97.0, 102.5], [97, 100]),
    ("% of test predictions", [0.0, 0.5], [-0.1, 0.6], [0, 0.6]), ("share of the norm", [0.9], [-1.0, 2.0], [0, 1]),
    ("points of accuracy", [0.5], [-1.0, 2.0], [-1, 2]), ("of correlation", [0.1], [-0.1, 0.3], [-0.1, 0.3]),
    ("% of the way", [99.0], [97.0, 102.0], [97, 102]), ("% of the sentences", [-3.0], [-5.0, 1.0], [-5, 1]),
    ("% right", [65.0, 85.0, 79.0], [50.8, 101.8], [50.8, 100]),
])
def test_no_interval_of_a_share_leaves_what_a_share_can_be(unit: str, values: Any, ends: Any, shown: Any) -> None:
    given = facts(unit=unit, value=sum(values) / len(values), values=values, seeds=5, interval=ends)
    assert cards.possible(given) == shown
    text = "{} to {}".format(*(cards.number(facts(unit="1", value=end, interval=ends, values=[end]))["value"]
                               for end in shown))
    assert text in cards.card(given, None)["text/plain"] and text in cards.summary(given)
    assert cards.possible(facts(unit=unit, interval=None)) is None


@pytest.mark.parametrize(("unit", "values", "low", "high", "least", "expected"), [
    ("nats a token", [0.004, 0.02], 0.0, 1.0, 0, "holds"), ("nats", [0.004, 0.02], 0.001, 2.0, 0, "undecided"),
    ("nats a token", [-0.004, 0.028], 0.0, 1.0, -0.01, "undecided"),  # not from 0 up after all
    ("nats", [0.004, 0.02], 0.0, None, -0.01, "undecided"),           # a gain: it may be a loss under other seeds
    ("nats", [0.004, 0.02], -0.1, 1.0, -0.01, "holds"), ("points", [0.004, 0.02], 0.0, 1.0, -0.01, "undecided"),
    ("nats", [], 0.0, 1.0, -0.01, "undecided"),                       # an effect is a difference
])
def test_no_interval_of_a_divergence_goes_below_zero(unit: str, values: Any, low: Any, high: Any, least: float,
                                                     expected: str) -> None:
    given = facts(unit=unit, value=0.012, values=values, interval=[-0.01, 0.03], at_least=low, at_most=high)
    assert cards.possible(given) == [least, 0.03] and cards.status(given, None) == expected
    assert ("interval 0.000 to" in cards.summary(given)) == (least == 0)


def test_the_interval_says_its_level_and_the_verdict_its_word() -> None:
    assert "97.8% interval 0.5 to 3.5, 12 seeds" in cards.card(facts(level=0.978, seeds=12), None)["text/html"]
    assert ", 12 seeds and 600 test items;" in cards.summary(facts(seeds=12, items=600))
    row = {"difference": 0.0, "error": 0.1, "dof": 4, "seeds": 5, "level": 0.95}
    claim = {"id": "C1", "unit": "u", "bound": 1.0, "direction": 1, "profile": "p", "device": "d"}
    none, open_ = (cards.claim_card(claim | {"effects": {"a": row | {"error": error}}}) for error in (0.1, 5.0))
    assert "Claim C1: no gain" in none["text/plain"] and "par-claim par-no-gain" in none["text/html"]
    assert "par-undecided" in open_["text/html"] and "✓" not in open_["text/html"] + open_["text/plain"]


def test_an_interval_over_the_sentences_of_one_run_speaks_of_no_seeds() -> None:
    one = facts(seeds=600, over="sentences")
    for told in (cards.summary(one), cards.card(one, BAND)["text/plain"]):
        assert "95% interval 0.5 to 3.5, 600 sentences" in told and "seed" not in told
    assert "95% 置信区间 0.5 至 3.5，600 个句子" in cards.summary(one, "zh")


def test_a_card_can_be_linked_to() -> None:
    assert 'id="gain"' in cards.card(FACTS, None)["text/html"]


def test_cards_need_neither_a_notebook_nor_torch() -> None:
    code = "import sys, lib.book.cards as c; assert not {'IPython', 'torch', 'scipy', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_claim_of_the_field_needs_ten_seeds() -> None:
    def judged(name: str, seeds: int) -> str:
        row = {"difference": 9.0, "error": 1.0, "dof": seeds - 1.0, "seeds": seeds, "level": 0.95}
        return cards.judge({"id": name, "bound": 1.0, "direction": 1, "effects": {"a": row}}).word

    assert (judged("C1", 5), judged("F1", 10)) == ("supported", "supported")
    assert judged("F1", 9) == "undecided"


def test_a_claim_of_which_something_else_was_tested_is_undecided() -> None:
    row = {"difference": 9.0, "error": 1.0, "dof": 9.0, "seeds": 10, "level": 0.95}
    facts = {"id": "F1", "unit": "points", "bound": 1.0, "direction": 1, "effects": {"a": row}, "profile": "quick",
             "device": "cpu"}
    found = cards.judge(facts | {"stands_in": True})
    assert (cards.judge(facts).word, found.word, found.words) == ("supported", "undecided", ("supported",))
    shown = cards.claim_card(facts | {"stands_in": True})["text/plain"]
    assert "undecided" in shown and "in place of the claim's own sentence" in shown
