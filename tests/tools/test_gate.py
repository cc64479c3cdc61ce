"""The gate names everything that is wrong with an executed notebook, and nothing else."""
from __future__ import annotations

import math
from typing import Any

import pytest
from nbformat.v4 import new_output

from lib.book import cards, record
from lib.book.cards import CLAIM, RESULT
from lib.evidence.verdicts import paired_effect
from tests.tools.tiny_book import executed, result
from tools import gate

BANDS = {"01-a": {"accuracy": {"low": 0.7, "high": 0.9}}}
GOOD = result("accuracy", 0.8)


def check(*found: dict[str, Any], bands: Any = BANDS, **how: Any) -> list[str]:
    return gate.check({"01-a": executed(*found, **how)}, bands)


def test_a_sound_chapter_passes() -> None:
    assert check(GOOD, result("bound", 0.0, at_most=1e-6)) == []


@pytest.mark.parametrize(("notebook", "words"), [
    ({"extra": [new_output("error", ename="KeyError", evalue="boom", traceback=[])]}, "cell 4: raised KeyError: boom"),
    ({"extra": [new_output("stream", name="stderr", text="careful")]}, "cell 4: wrote to stderr: 'careful'"),
    ({"source": "run.record('accuracy', 1)\nrun.record('lost', 1)"}, "lost is never recorded"),
    ({"source": "record('other', 1)"}, "accuracy is recorded, but no record('accuracy', ...)"),
    ({"source": "run.record(name, 1)"}, "needs a literal name"),
    ({"source": "1 + 1"}, "records no result"),
])
def test_unsound_runs_are_named(notebook: Any, words: str) -> None:
    assert any(line.startswith("01-a") and words in line for line in check(GOOD, **notebook))


def test_widget_state_failure_duplicates_and_broken_outputs_are_named() -> None:
    notebook = executed(GOOD)
    notebook.metadata["widgets"] = {"state": {}}
    notebook.metadata["book"]["failure"] = "a cell took longer than 3 s"
    late, widgets = gate.check({"01-a": notebook}, BANDS)
    assert late == "01-a: a cell took longer than 3 s"
    assert widgets.startswith("01-a: holds widget state")
    assert "01-a: accuracy is recorded 2 times" in check(GOOD, GOOD)
    lacking = {key: value for key, value in GOOD.items() if key != "unit"}
    assert "01-a: accuracy is no result: it lacks unit" in check(lacking)


def test_a_name_may_live_in_one_chapter_only() -> None:
    two = {"01-a": executed(GOOD), "02-b": executed(GOOD)}
    assert gate.check(two, BANDS | {"02-b": BANDS["01-a"]}) == ["02-b: accuracy is recorded in 01-a as well"]


@pytest.mark.parametrize(("found", "words"), [
    (result("accuracy", 0.5), "accuracy is out of band: it is 0.5, the published band is 0.7 to 0.9"),
    (result("accuracy", 0.9000001), "accuracy is out of band"),
    (result("accuracy", math.nan), "accuracy is out of band"),
    (result("accuracy", 0.8, values=[0.1, 0.2]), "the mean over its seeds is 0.15"),
    (result("accuracy", 0.8, at_least=0.85), "accuracy is broken: it is 0.8 and must be at least 0.85"),
    (result("accuracy", math.nan, at_least=0.0), "accuracy is broken"),
])
def test_wrong_numbers_are_named_whatever_their_cards_say(found: Any, words: str) -> None:
    assert any(words in line for line in check(found))


def test_bands_and_results_must_match_in_both_directions() -> None:
    assert check(GOOD, bands={}) == ["01-a: accuracy is unpublished: `make bands` has to publish a band for it"]
    bands = {"01-a": BANDS["01-a"] | {"forgotten": {"low": 0, "high": 1}}}
    assert check(GOOD, bands=bands) == ["01-a: forgotten has a published band, but no result is recorded for it"]


def test_magic_lines_do_not_hide_a_record() -> None:
    assert check(GOOD, source="%matplotlib inline\n!true\nrun.record('accuracy', 1)") == []


@pytest.mark.parametrize(("value", "bound", "expected"), [
    (0.8, {}, "inside"), (0.5, {}, "outside"), (0.5, {"at_least": 0.4}, "holds"),
    ([0.8, 0.2], {"at_least": 0.6}, "broken"),
    ([0.8, 0.7], {"at_least": 0.6}, "undecided"), ([0.8, 0.7], {"at_least": 0.0}, "holds"),
])
def test_the_gate_agrees_with_the_cards_of_lib(monkeypatch: Any, value: Any, bound: Any, expected: str) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(record, "display", lambda data, **_: shown.append(data))
    band = BANDS["01-a"]["accuracy"]
    record.Run("01-a", "quick", 0, "cpu", {"accuracy": band}).record("accuracy", value, unit="1", **bound)
    found = shown[0][RESULT]
    assert set(found) == cards.FACTS
    assert cards.status(found, band) == expected
    assert cards.WORDS["en"][expected] in shown[0]["text/plain"]
    assert (gate.fault(found, band, "01-a") == []) == (expected in cards.GOOD)


ENTRIES = {"C1": {"chapter": "01-a", "lock": "supported"}, "C2": {"chapter": None, "lock": None}}


def claim(difference: float = 3.0, *, name: str = "C1") -> dict[str, Any]:
    """A claim as the notebook holds it: one effect of `difference` +- 0.5, over five seeds, against a bound of 1."""
    row = {"difference": difference, "error": 0.5, "dof": 4, "seeds": 5, "level": 0.95}
    return {"id": name, "unit": "points", "bound": 1.0, "direction": 1, "effects": {"a - b": row}}


def judged(*found: dict[str, Any], entries: Any = ENTRIES, source: str | None = None) -> list[str]:
    """What the gate says of a chapter that shows these claims and has a call for each."""
    notebook = executed(source=source or "\n".join(f"run.claim({each['id']!r}, {{}})" for each in found))
    notebook.cells[-1].outputs = [new_output("display_data", data={CLAIM: each}) for each in found]
    return gate.claims({"01-a": notebook}, entries)


def test_a_claim_whose_advice_is_locked_to_its_verdict_passes() -> None:
    assert judged(claim()) == []


@pytest.mark.parametrize(("found", "words"), [
    ([], "claim C1 is never judged"),
    ([claim(), claim()], "claim C1 is judged in 01-a as well"),
    ([claim(-3.0)], "is refuted, its advice in chapters/claims is locked to supported"),
    ([claim(0.7)], "is undecided, its advice in chapters/claims is locked to supported"),
    ([claim(), claim(name="C7")], "claim C7 is judged here, its entry in chapters/claims names None"),
    ([claim(), claim(name="C2")], "claim C2 is judged here, its entry in chapters/claims names None"),
])
def test_an_advice_cannot_outlive_its_evidence(found: Any, words: str) -> None:
    assert any(words in line for line in judged(*found))


def test_a_claim_is_in_the_source_by_its_literal_name() -> None:
    assert any("the source has [None]" in line for line in judged(claim(), source="run.claim(name, effects)"))


def test_the_rule_of_the_gate_is_that_of_the_card(monkeypatch: Any) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(record, "display", lambda data, **_: shown.append(data))
    run = record.Run("01-a", "quick", 0, "cpu", {})
    for number, effects in enumerate(([3.0, 3.5, 2.5], [-3.0, -2.5, -3.2], [0.1, -0.1, 0.0]), start=1):
        run.claim(f"C{number}", {"a - b": paired_effect(effects, [0, 0, 0])}, unit="points", bound=1.0, direction=1)
    found = [data[CLAIM] for data in shown]
    assert [gate.word(each) for each in found] == ["supported", "refuted", "no gain"]
    assert [data["text/plain"].split("\n")[0] for data in shown] == [
        "Claim C1: supported", "Claim C2: refuted", "Claim C3: no gain"]


GAIN = {"difference": 9.0, "error": 0.1, "dof": 4, "seeds": 5, "level": 0.95}
SHOWN = executed(result("a", 3.0, interval=[2.0, 4.0]))
SHOWN.cells[-1].outputs.append(new_output("display_data", data={CLAIM: {
    "id": "C8", "bound": 2.0, "direction": 1, "effects": {"x": GAIN, "y": GAIN | {"difference": -9.0}}}}))


@pytest.mark.parametrize(("ground", "words"), [
    ({"record": "a", "sign": 1}, []),
    ({"record": "a", "sign": -1}, ["a being below zero, and it is above zero"]),
    ({"claim": "C8", "verdict": "mixed"}, []),
    ({"claim": "C8", "verdict": "supported"}, ["C8 being supported, and it is mixed"]),
    ({"claim": "C8", "effect": "x", "verdict": "supported"}, []),
    ({"claim": "C8", "effect": "y", "verdict": "supported"}, ["C8 being supported, and it is refuted"]),
    ({"claim": "C8", "effect": "z", "verdict": "supported"}, ["and it is without that effect"]),
    ({"record": "b", "sign": 1}, ["rests on b, which no chapter shows"]),
])
def test_a_row_of_the_recipe_falls_with_what_it_rests_on(ground: dict[str, Any], words: list[str]) -> None:
    found = gate.recipe([{"take": "Do so.", "rests_on": [ground]}], {"01-a": SHOWN})
    assert len(found) == len(words) and all(word in line for word, line in zip(words, found, strict=True))


def test_an_interval_that_holds_zero_carries_no_sign_and_a_chapter_that_did_not_run_is_not_missed() -> None:
    rows = [{"take": "Do so.", "rests_on": [{"record": "a", "sign": 1}]}]
    assert "it is of no sign" in gate.recipe(rows, {"01-a": executed(result("a", 3.0, interval=[-1.0, 7.0]))})[0]
    assert gate.recipe(rows, {}, whole=False) == [] != gate.recipe(rows, {})
