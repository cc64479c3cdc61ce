"""Result cards: what they accept, what they say, and what they leave for the gate."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from scipy.stats import norm
from scipy.stats import t as student

from lib.book import record
from lib.book.cards import CLAIM, FACTS, RESULT
from lib.book.record import interval, start
from lib.evidence.verdicts import Effect, paired_effect

Shown = list[dict[str, Any]]
DEVICE = record.device


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Everything displayed, newest last."""
    displayed: Shown = []
    monkeypatch.setattr(record, "display", lambda data, raw: displayed.append(data))
    monkeypatch.setattr(record, "device", lambda: "cpu")
    return displayed


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: Shown) -> record.Run:
    """A run with one published band, 0.8 to 0.9 for `accuracy`."""
    bands = {"chapters": {"05-case": {"accuracy": {"low": 0.8, "high": 0.9, "runs": [], "unit": "of sentences"}}}}
    (tmp_path / "quick-cpu.json").write_text(json.dumps(bands), "utf-8")
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    return start("05-case", profile="quick", seed=0)


def status(card: dict[str, Any]) -> str:
    """What a reader sees of it, by the card's colour."""
    return BeautifulSoup(card["text/html"], "html.parser").select_one(".par-card")["class"][-1].removeprefix("par-")


@pytest.mark.parametrize(("value", "expected"), [
    (0.8, "inside"), (0.9, "inside"), (0.79, "outside"), (0.91, "outside")])
def test_a_published_band_gates_the_value(run: record.Run, shown: Shown, value: float, expected: str) -> None:
    run.record("accuracy", value, unit="of sentences")
    assert status(shown[0]) == expected


@pytest.mark.parametrize(("bounds", "expected"), [
    ({"at_least": 0.5}, "holds"), ({"at_least": 0.6}, "broken"),
    ({"at_most": 0.5}, "holds"), ({"at_most": 0.4}, "broken"),
    ({"at_least": 0.4, "at_most": 0.6}, "holds"), ({"at_least": 0.0, "at_most": 0.0}, "broken"),
])
def test_hard_gates_come_before_the_band(run: record.Run, shown: Shown, bounds: dict[str, Any], expected: str) -> None:
    run.record("accuracy", 0.5, unit="of sentences", **bounds)
    assert status(shown[0]) == expected


def test_without_band_or_gate_nothing_is_claimed(run: record.Run, shown: Shown) -> None:
    run.record("seconds", 2.0, unit="s")
    assert status(shown[0]) == "unpublished"
    assert "no band published yet" in shown[0]["text/plain"]


def test_other_profiles_and_chapters_have_other_bands(run: record.Run, shown: Shown) -> None:
    for other in (start("05-case", profile="full", seed=0), start("06-case", profile="quick", seed=0)):
        other.record("accuracy", 0.85, unit="of sentences")
    assert [status(card) for card in shown] == ["unpublished"] * 2


def test_seeds_become_a_mean_with_students_interval(run: record.Run, shown: Shown) -> None:
    values = [0.81, 0.86, 0.79, 0.88, 0.84]
    run.record("accuracy", values, unit="of sentences")
    result = shown[0][RESULT]
    expected = student.interval(0.95, 4, loc=np.mean(values), scale=np.std(values, ddof=1) / math.sqrt(5))
    assert result["interval"] == pytest.approx(expected, rel=1e-12)
    assert result["value"] == pytest.approx(np.mean(values), rel=1e-12)
    assert result["values"] == values
    assert "5 seeds" in shown[0]["text/html"]


def test_an_effect_is_recorded_with_its_own_interval(run: record.Run, shown: Shown) -> None:
    effect = Effect(3.0, 1.0, 7.5, 12, level=0.978, items=600)
    run.record("gain", effect, unit="points", at_least=0.0)
    result = shown[0][RESULT]
    half = student.ppf(0.989, 7.5)
    assert result["interval"] == pytest.approx([3 - half, 3 + half], rel=1e-12)
    assert (result["value"], result["values"], result["seeds"], result["items"], result["level"]) == (
        3.0, [], 12, 600, 0.978)
    assert json.loads(json.dumps(result)) == result and status(shown[0]) == "holds"
    text = shown[0]["text/plain"]
    assert "97.8% interval" in text and "12 seeds and 600 test items | ✓ holds: mean at least 0" in text
    with pytest.raises(ValueError, match=r"gain_b must be one or more finite numbers, got \[nan, nan, nan\]"):
        run.record("gain_b", Effect(math.nan, 1.0, 4, 5), unit="points")


def test_the_interval_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(size=(2000, 4))
    covered = np.mean([low <= 0 <= high for low, high in (interval(list(row)) or (1.0, 0.0) for row in draws)])
    too_narrow = np.mean([abs(row.mean()) <= norm.ppf(0.975) * row.std(ddof=1) / 2 for row in draws])
    assert covered == pytest.approx(0.95, abs=0.015), "three standard errors of 2000 draws"
    assert too_narrow < 0.92, "a normal interval in place of Student's would be seen"


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), [np.float64(0.5)], (0.5,), np.int64(3), 3])
def test_numbers_of_any_make_become_plain(run: record.Run, shown: Shown, value: Any) -> None:
    run.record("anything", value, unit="1")
    assert json.loads(json.dumps(shown[0][RESULT]))["value"] in (0.5, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, [0.5, math.nan], [], True])
def test_what_is_no_finite_number_is_named(run: record.Run, value: Any) -> None:
    with pytest.raises(ValueError, match="accuracy must be one or more finite numbers"):
        run.record("accuracy", value, unit="of sentences")


@pytest.mark.parametrize("name", ["Accuracy", "two words", "trailing_", "_leading", "a__b", "9lives", ""])
def test_names_are_snake_case(run: record.Run, name: str) -> None:
    with pytest.raises(ValueError, match="name must be snake_case"):
        run.record(name, 1.0, unit="s")


def test_units_and_digits_are_checked(run: record.Run) -> None:
    with pytest.raises(ValueError, match="unit of seconds must say"):
        run.record("seconds", 1.0, unit="")
    with pytest.raises(ValueError, match="digits must be at least 1, got 0"):
        run.record("seconds", 1.0, unit="s", digits=0)
    with pytest.raises(ValueError, match="over must be one of seeds, splits, repeats, sentences, got 'folds'"):
        run.record("seconds", [1.0, 2.0], unit="s", over="folds")


def test_what_is_no_seed_is_not_called_one(run: record.Run, shown: Shown) -> None:
    run.record("agreement", [0.8, 0.9, 0.85], unit="of movie sentences", over="splits")
    assert "3 splits" in shown[0]["text/html"] and "seed" not in shown[0]["text/plain"]


def test_a_name_is_recorded_once_but_a_cell_may_run_again(run: record.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shell:
        execution_count = 1

    run.record("seconds", 1.0, unit="s")
    with pytest.raises(ValueError, match="recorded once, got 'seconds' a second time"):
        run.record("seconds", 1.0, unit="s")
    monkeypatch.setattr(record, "get_ipython", Shell)
    run.record("seconds", 1.0, unit="s")
    with pytest.raises(ValueError, match="recorded once"):
        run.record("seconds", 1.0, unit="s")
    Shell.execution_count = 2
    run.record("seconds", 1.0, unit="s")


@pytest.mark.parametrize("profile", ["", "Quick", "slow"])
def test_unknown_profiles_are_named(profile: str) -> None:
    with pytest.raises(ValueError, match="profile must be one of quick, full, got"):
        start("05-case", profile=profile, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, True, "0"])
def test_seeds_are_whole_numbers_from_zero(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number from 0 up, got"):
        start("05-case", profile="quick", seed=seed)


@pytest.mark.parametrize("value", ["false", "no", "True", 0, 1, None])
@pytest.mark.parametrize("name", ["live", "evidence"])
def test_what_is_no_boolean_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be True or False, got {value!r}"):
        start("05-case", profile="quick", seed=0, **{name: value})


@pytest.mark.parametrize(("value", "digits", "text"), [
    (0.82, 3, "0.820"), (0.000123, 3, "0.000123"), (-0.5, 1, "\N{MINUS SIGN}0.5"), (1234, 3, "1,234"),
    (12345.6, 3, "1.23\N{MULTIPLICATION SIGN}10\N{SUPERSCRIPT FOUR}"), (100.0, 3, "100"),
    (-3e-8, 2, "\N{MINUS SIGN}3.0\N{MULTIPLICATION SIGN}10\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT EIGHT}"),
])
def test_digits_are_significant(run: record.Run, shown: Shown, value: float, digits: int, text: str) -> None:
    run.record("anything", value, unit="1", digits=digits)
    assert f">{text}<" in shown[0]["text/html"]
    assert shown[0]["text/plain"].startswith(f"anything = {text} ")


@pytest.mark.parametrize(("values", "gate", "text"), [
    ([0.1, 0.2, 0.15], {"at_least": 0.0}, "0.15, 95% interval 0.03 to 0.27, 3 seeds | ✓ holds: mean at least 0 ("),
    ([0.1, -0.1, 0.15], {"at_least": 0.0},
     "0.05, 95% interval −0.28 to 0.38, 3 seeds | ○ undecided: mean at least 0, but the interval crosses it ("),
    (2.0, {"at_least": 2, "at_most": 2}, "2.00 | ✓ holds: exactly 2 ("),
    (0.0, {"at_most": 1e-12}, "0 | ✓ holds: at most 10⁻¹² ("),
    (0.5, {"at_most": 0.99}, "0.500 | ✓ holds: at most 0.99 ("),
])
def test_a_card_claims_no_more_digits_than_it_has(run: record.Run, shown: Shown, values: Any, gate: dict[str, float],
                                                  text: str) -> None:
    run.record("anything", values, unit="1", **gate)
    assert shown[0]["text/plain"].startswith(f"anything = {text}")


def test_words_on_the_card_are_escaped(run: record.Run, shown: Shown) -> None:
    run.record("seconds", 1.0, unit="<b>", note="a & b")
    assert "&lt;b&gt;" in shown[0]["text/html"] and "a &amp; b" in shown[0]["text/html"]
    assert "a & b" in shown[0]["text/plain"]


def test_the_gauge_puts_the_value_where_it_is(run: record.Run, shown: Shown) -> None:
    for value in (0.85, 0.95):
        run.record("accuracy" if value == 0.85 else "other", value, unit="1", at_least=0.8, at_most=0.9)
    drawings = [BeautifulSoup(card["text/html"], "html.parser") for card in shown]
    centres = [float(str(drawing.select("circle")[-1]["cx"])) for drawing in drawings]
    ends = [[float(str(bar["x"])), float(str(bar["x"])) + float(str(bar["width"]))]
            for bar in (drawing.select("rect")[0] for drawing in drawings)]
    assert ends[0][0] < centres[0] < ends[0][1]
    assert centres[1] > ends[1][1]


def test_importing_record_imports_no_torch() -> None:
    code = "import sys, lib.book.record; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(record.__file__).parents[1]).returncode == 0


def test_a_claim_shows_its_verdict_and_every_effect(run: record.Run, shown: Shown) -> None:
    """The interval is SciPy's, the word the rule's; a claim that half of its effects contradict is mixed."""
    differences = np.array([2.5, 3.5, 3.0, 2.0, 4.0])
    effects = {"a - b": paired_effect(differences, np.zeros(5)), "a - <c>": paired_effect(-differences, np.zeros(5))}
    run.claim("C3", effects, unit="points", bound=1.0, direction=1)
    found = shown[0][CLAIM]
    low, high = student.interval(0.95, 4, loc=3.0, scale=differences.std(ddof=1) / math.sqrt(5))
    assert status(shown[0]) == "mixed" and set(found) == {
        "id", "unit", "bound", "direction", "effects", "profile", "device"}, "facts, and no word"
    assert (found["effects"]["a - b"]["low"], found["effects"]["a - b"]["high"]) == pytest.approx((low, high))
    assert "Claim C3: mixed" in shown[0]["text/plain"] and "a - &lt;c&gt;" in shown[0]["text/html"]


@pytest.mark.parametrize(("claim", "effects", "words"), [
    ("c3", 1, "claim must be C or F and a number, got 'c3'"), ("C3", 0, "effects must hold at least one effect"),
])
def test_a_claim_without_name_or_effect_is_refused(run: record.Run, claim: str, effects: int, words: str) -> None:
    given = {"a - b": paired_effect([1, 2], [0, 0])} if effects else {}
    with pytest.raises(ValueError, match=words):
        run.claim(claim, given, unit="points", bound=1.0, direction=1)


@pytest.mark.parametrize(
    "gpu, value, words",
    [
        (False, 0.85, "inside the published band 0.800 to 0.900 (quick, cpu)"),
        (False, 0.95, "outside the published band 0.800 to 0.900 (quick, cpu)"),
        (True, 0.85, "no band published yet (quick, cuda)"),
    ],
)
def test_a_card_speaks_of_this_kind_of_device(
    run: record.Run, shown: Shown, monkeypatch: pytest.MonkeyPatch, gpu: bool, value: float, words: str
) -> None:
    """A CPU's band says nothing about a GPU."""
    monkeypatch.setattr(record, "device", DEVICE)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    start("05-case", profile="quick", seed=0).record("accuracy", value, unit="of sentences")
    assert words in shown[-1]["text/plain"]


def test_a_result_recorded_quietly_leaves_its_facts_and_no_card(run: record.Run, shown: Shown) -> None:
    run.record("accuracy", 0.85, unit="of sentences", digits=2, note="a note", card=False, stored=True)
    run.record("other", 0.85, unit="of sentences", digits=2, note="a note")
    quiet, loud = shown
    assert quiet["text/html"] == quiet["text/plain"] == "" and "par-card" in loud["text/html"]
    assert set(quiet[RESULT]) == set(loud[RESULT]) == FACTS
    assert quiet[RESULT] | {"name": "other", "card": True, "stored": False} == loud[RESULT]
    assert (quiet[RESULT]["digits"], quiet[RESULT]["note"]) == (2, "a note")


def test_the_results_are_those_of_the_repository() -> None:
    assert (record.RESULTS / "evidence").is_dir() and (record.RESULTS.parent / "chapters").is_dir()
