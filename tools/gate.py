"""The gate between an executed notebook and the page: pure functions that name everything that is wrong.

The gate reads facts and no card. It takes the value from the cell's output, the band from `results/`, the expected
names from the source, and the status from the function that the cards are drawn by.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

from nbformat import NotebookNode

from lib.book.cards import CLAIM, FACTS, RESULT, hard, judge, status
from tools.notebooks import NAMELESS, cells, record_calls

Result = dict[str, Any]


def results(notebook: NotebookNode, kind: str = RESULT) -> list[Result]:
    """Every result, or claim, that the notebook's outputs hold, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def sound(notebook: NotebookNode, chapter: str) -> list[str]:
    """What is wrong with a run, whatever its numbers: failures, stderr, widgets, and names that do not add up."""
    problems = []
    if failure := notebook.metadata.get("book", {}).get("failure"):
        problems.append(f"{chapter}: {failure}")
    if notebook.metadata.get("widgets"):
        problems.append(f"{chapter}: holds widget state, which no page can use; draw it with lib.book.figures")
    for number, cell in enumerate(cells(notebook), start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                problems.append(f"{chapter}, cell {number}: raised {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                problems.append(f"{chapter}, cell {number}: wrote to stderr: {output.text.strip()[:200]!r}")
    calls = list(record_calls(notebook))
    expected = {name for name in calls if name}
    recorded = Counter(str(result.get("name")) for result in results(notebook))
    if None in calls:
        problems.append(f"{chapter}: {NAMELESS}")
    if not calls:
        problems.append(f"{chapter}: records no result, so nothing of it can be checked")
    problems += [f"{chapter}: {name} is never recorded" for name in sorted(expected - set(recorded))]
    problems += [f"{chapter}: {name} is recorded {n} times" for name, n in sorted(recorded.items()) if n > 1]
    problems += [f"{chapter}: {name} is recorded, but no record({name!r}, ...) stands in the source"
                 for name in sorted(set(recorded) - expected)]
    problems += [f"{chapter}: {result.get('name')} is no result: it lacks {', '.join(sorted(FACTS - set(result)))}"
                 for result in results(notebook) if FACTS - set(result)]
    return problems


def fault(result: Result, band: Mapping[str, Any] | None, chapter: str) -> list[str]:
    """What is wrong with a number: at most one thing."""
    found, value, values = status(result, band), result["value"], result["values"] or [result["value"]]
    mean = sum(values) / len(values)
    if found == "broken":
        bounds = [f"{side.replace('_', ' ')} {result[side]:g}" for side in ("at_least", "at_most")
                  if result[side] is not None]
        words = f"is broken: it is {value} and must be {' and '.join(bounds)}"
    elif found == "outside" and band:
        words = f"is out of band: it is {value}, the published band is {band['low']:g} to {band['high']:g}"
    elif found == "unpublished":
        words = "is unpublished: `make bands` has to publish a band for it"
    elif not math.isclose(mean, value, rel_tol=1e-9, abs_tol=1e-12):
        words = f"has {value} for its value, the mean over its seeds is {mean}"
    else:
        return []
    return [f"{chapter}: {result['name']} {words}"]


def word(claim: Result) -> str:
    """The verdict that the rule gives on a claim's effects."""
    return judge(claim).word


def claims(executed: Mapping[str, NotebookNode], register: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the claims: each entry of the register is judged once, in its chapter, as its advice expects.

    Nobody types a verdict: an entry's `lock` is the one that its advice was written for.

    Args:
        executed: chapter -> executed notebook.
        register: id -> entry of `chapters/claims/`; one without a chapter waits for a chapter to come.
    """
    problems, owner = [], dict[str, str]()
    for chapter, notebook in executed.items():
        calls = list(record_calls(notebook, "claim"))
        found = results(notebook, CLAIM)
        if sorted(map(str, calls)) != sorted(claim["id"] for claim in found):
            problems.append(f"{chapter}: claims {[claim['id'] for claim in found]} are shown, the source has {calls}")
        for claim in found:
            name, judged = claim["id"], word(claim)
            entry = register.get(name, {})
            if owner.setdefault(name, chapter) != chapter or calls.count(name) > 1:
                problems.append(f"{chapter}: claim {name} is judged in {owner[name]} as well")
            if entry.get("chapter") != chapter:
                problems.append(f"{chapter}: claim {name} is judged here, its entry in chapters/claims names "
                                f"{entry.get('chapter')}")
            if entry.get("lock") != judged:
                problems.append(f"{chapter}: claim {name} is {judged}, its advice in chapters/claims is locked to "
                                f"{entry.get('lock')}: read it again, then move the lock")
    return problems + [f"{entry['chapter']}: claim {name} is never judged, and chapters/claims says that it is"
                       for name, entry in register.items() if entry["chapter"] in executed and name not in owner]


def recipe(rows: Sequence[Mapping[str, Any]], executed: Mapping[str, NotebookNode], whole: bool = True) -> list[str]:
    """What is wrong with the recipe: each row's advice rests on verdicts and signs, and each must be what the runs say.

    Args:
        rows: of `chapters/recipe.yml`. A row `rests_on` {claim, verdict}, with `effect` for the word on one effect of
            the claim, or on {record, sign}: the mean, and its interval where there is one, lie on that side of zero.
        executed: chapter -> executed notebook.
        whole: whether these are all chapters, so that what is not there is missing.
    """
    found = {claim["id"]: claim for book in executed.values() for claim in results(book, CLAIM)}
    found |= {result["name"]: result for book in executed.values() for result in results(book)}
    problems = []
    for row in rows:
        for ground in row["rests_on"]:
            name = ground.get("claim") or ground["record"]
            if name not in found:
                problems += [f"recipe: {row['take']!r} rests on {name}, which no chapter shows"] * whole
            elif (says := stand(found[name], ground)) != (wanted := ground.get("verdict") or side(ground["sign"])):
                problems.append(f"recipe: {row['take']!r} rests on {name} being {wanted}, and it is {says}")
    return problems


def stand(shown: Result, ground: Mapping[str, Any]) -> str:
    """What a claim, one of its effects or a record says, in the words of a row's ground."""
    if "claim" in ground:
        effects = shown["effects"]
        chosen = {ground["effect"]: effects.get(ground["effect"])} if "effect" in ground else effects
        return word(shown | {"effects": chosen}) if all(chosen.values()) else "without that effect"
    ends = [shown["value"], *(shown["interval"] or [])]
    return next((side(sign) for sign in (1, -1) if all(sign * end > 0 for end in ends)), "of no sign")


def side(sign: int) -> str:
    """The sign of a number, in words."""
    return "above zero" if sign > 0 else "below zero"


def check(executed: Mapping[str, NotebookNode], bands: Mapping[str, Mapping[str, Any]],
          register: Mapping[str, Mapping[str, Any]] | None = None, said: Set[str] = frozenset()) -> list[str]:
    """Everything that is wrong with these chapters.

    Args:
        executed: chapter -> executed notebook.
        bands: chapter -> name -> band, as published for the profile and device they ran on.
        register: id -> the claim's entry in `chapters/claims/`, whose locks hold for the quick profile; None for
            another profile, whose verdicts are shown beside them.
        said: the results that prose quotes, which may have a band beside a bound of their own.

    Returns:
        One line for each problem, naming chapter and result; empty where the book may be published.
    """
    problems = []
    owner: dict[str, str] = {}
    for chapter, notebook in executed.items():
        problems += sound(notebook, chapter)
        banded = set()
        for result in results(notebook):
            if FACTS - set(result):
                continue
            name = result["name"]
            if owner.setdefault(name, chapter) != chapter:
                problems.append(f"{chapter}: {name} is recorded in {owner[name]} as well")
            if not hard(result) or name in said:
                banded.add(name)
            problems += fault(result, bands.get(chapter, {}).get(name), chapter)
        problems += [f"{chapter}: {name} has a published band, but no result is recorded for it"
                     for name in sorted(set(bands.get(chapter, {})) - banded)]
    return problems + (claims(executed, register) if register is not None else [])
