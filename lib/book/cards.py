"""A card is a pure function of facts, band and language: drawn in the kernel, and again when the site is staged.

`lib.book.record` writes the facts; the band may come later and from elsewhere. So neither a band that moves nor a card
that looks different runs a chapter again. Every word of a card stands in `WORDS`, by language.
"""
from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lib.book._numerals import decimals, typeset

if TYPE_CHECKING:
    from lib.evidence.verdicts import Verdict

RESULT = "application/vnd.project-and-regularize.result+json"
CLAIM = "application/vnd.project-and-regularize.claim+json"
PROFILES = ("quick", "full")
FIELD_SEEDS = 10  # that a claim of the field needs to be decided
FACTS = {"name", "value", "values", "seeds", "items", "interval", "level", "unit", "digits", "note", "at_least",
         "at_most", "card", "stored", "over", "profile", "device"}
OVER = ("seeds", "splits", "repeats", "sentences")  # the last: of a single run
NOTHING = {"points of accuracy": 2.0, "halvings": 0.32}  # what the claims count as nothing, fixed before the runs
SHARE = re.compile(r"(?P<percent>%) (accuracy|right|of (?!the way))|share |of ([a-z]+ )*(sentences|answers|draws)\b")
GOOD = ("holds", "inside", "undecided")  # where the mean lies where it must
SIGNS = {"inside": "\N{CHECK MARK}", "holds": "\N{CHECK MARK}", "undecided": "\N{WHITE CIRCLE}",
         "outside": "\N{MULTIPLICATION X}", "broken": "\N{MULTIPLICATION X}", "unpublished": "\N{EN DASH}"}
WORDS = {"en": {
    "inside": "inside the published band", "outside": "outside the published band", "holds": "holds",
    "broken": "broken", "undecided": "undecided", "unpublished": "no band published yet",
    "exactly": "exactly {low}", "between": "{low} to {high}", "least": "at least {low}", "most": "at most {high}",
    "mean": "mean {asked}", "crossed": "{asked}, but the interval crosses it",
    "guarded": "{asked}, but the interval contains zero and more than \N{PLUS-MINUS SIGN}{nothing}",
    "spread": "{level}% interval {low} to {high}, {number} {over}", "items": " and {items} test items",
    "seeds": "seeds", "splits": "splits", "repeats": "repeats", "sentences": "sentences",
    "stored": "from stored runs", "live": "from this run",
    "claim": "Claim {id}", "judged": "Claim {id}: {word}",
    "nothing": "unit: {unit}; what counts as nothing: {bound}, fixed before the runs ({where})",
    "supported": "supported", "refuted": "refuted", "mixed": "mixed", "no gain": "no gain",
    "gate": "{found} {asked}", "bounded": "{found}: {asked}", "comma": ", ",
    "told": "{name}: {value}{unit}{spread}; {origin} ({profile}, {device})",
}, "zh": {
    "inside": "在公布的区间带内", "outside": "在公布的区间带外", "holds": "成立",
    "broken": "不成立", "undecided": "未决", "unpublished": "尚未公布区间带",
    "exactly": "恰为 {low}", "between": "{low} 至 {high}", "least": "至少 {low}", "most": "至多 {high}",
    "mean": "均值{asked}", "crossed": "{asked}，但置信区间跨过了界限",
    "guarded": "{asked}，但置信区间含有零，又超出 \N{PLUS-MINUS SIGN}{nothing}",
    "spread": "{level}% 置信区间 {low} 至 {high}，{number} {over}", "items": "、{items} 个测试样例",
    "seeds": "个随机种子", "splits": "次划分", "repeats": "次重复", "sentences": "个句子",
    "stored": "来自存档的运行", "live": "来自本次运行",
    "claim": "论断 {id}", "judged": "论断 {id}：{word}",
    "nothing": "单位：{unit}；小于 {bound} 视为没有效应，运行前已定（{where}）",
    "supported": "得到支持", "refuted": "被否定", "mixed": "结果不一", "no gain": "没有增益",
    "gate": "{found} {asked}", "bounded": "{found}：{asked}", "comma": "，",
    "told": "{name}：{value}{unit}{spread}；{origin}（{profile}，{device}）",
}}

Facts = Mapping[str, Any]
Card = dict[str, str]


def status(facts: Facts, band: Facts | None) -> str:
    """What a result is, by its own bounds or else by its published band.

        holds         the mean lies within the bounds, and no bound lies inside its interval
        undecided     the mean lies within the bounds, and its interval crosses one, or they only guard
        broken        the mean lies beyond a bound, or is no number
        inside        within the published band
        outside       beyond it, or no number
        unpublished   no bounds and no band

    Args:
        facts: what `record` wrote.
        band: its published "low" and "high"; None where there is none.
    """
    value, ends = facts["value"], possible(facts)
    number = isinstance(value, int | float) and math.isfinite(value)
    low, high = bounds(facts, band)
    fits = number and (low is None or low <= value) and (high is None or value <= high)
    if hard(facts):
        crossed = ends and any(bound is not None and ends[0] < bound < ends[1] for bound in (low, high))
        return "broken" if not fits else "undecided" if crossed or guarded(facts) else "holds"
    return "unpublished" if band is None else "inside" if fits else "outside"


def hard(facts: Facts) -> bool:
    """Whether a result has bounds of its own, which then judge it in place of the published band.

    Args:
        facts: what `record` wrote.
    """
    return facts["at_least"] is not None or facts["at_most"] is not None


def guarded(facts: Facts) -> bool:
    """Whether the bounds of a result say nothing of the sign that its interval leaves open.

    A bound wider than `NOTHING` of its unit only guards against a slip: if the interval contains zero, and more than
    counts as nothing, lying within such a bound is no finding.

    Args:
        facts: what `record` wrote.
    """
    nothing, ends = NOTHING.get(facts["unit"], math.inf), facts["interval"]
    if not ends or not ends[0] < 0 < ends[1] or max(map(abs, ends)) <= nothing:
        return False
    return any(bound is not None and abs(bound) > nothing for bound in (facts["at_least"], facts["at_most"]))


def bounds(facts: Facts, band: Facts | None) -> tuple[float | None, float | None]:
    """The lowest and the highest value that pass; None where nothing bounds that side.

    Args:
        facts: what `record` wrote.
        band: its published "low" and "high"; None where there is none.
    """
    return (facts["at_least"], facts["at_most"]) if hard(facts) or not band else (band["low"], band["high"])


def possible(facts: Facts) -> list[float] | None:
    """The interval of a result as it is shown and judged: cut off where what it measures must end.

    Student's interval knows no such limits. A share ends at 0 and at 1 or 100 %; a loss or a divergence, in nats, at 0.
    What is bounded on both sides, from 0 up, is one of these; a difference that should be positive has one bound.

    Args:
        facts: what `record` wrote.
    """
    ends, share = facts["interval"], SHARE.match(facts["unit"])
    least, most = facts.get("at_least"), facts.get("at_most")
    amount = facts["unit"].startswith("nats") and least is not None and most is not None
    if ends and amount and facts["values"] and min(least, *facts["values"]) >= 0:
        return [max(end, 0.0) for end in ends]
    whole = 100.0 if share and share["percent"] else 1.0
    if not ends or not share or not all(0 <= x <= whole for x in (facts["value"], *facts["values"])):
        return ends  # a difference of shares may be negative
    return [min(max(end, 0.0), whole) for end in ends]


def number(facts: Facts) -> Card:
    """A result in print: "value" with the decimals that its interval tells apart, "unit", "low" and "high".

    Args:
        facts: what `record` wrote.
    """
    ends, value = possible(facts), facts["value"]
    shown = [_format(value, facts["digits"])]
    if ends and (places := decimals(*ends)) is not None:
        shown = [typeset(f"{x:z,.{places}f}") for x in (value, *ends)]
    unit = "" if facts["unit"] == "1" else f" {facts['unit']}"
    return dict(zip(("value", "low", "high"), shown, strict=False)) | {"unit": unit}


def summary(facts: Facts, language: str = "en", say: Callable[[str], str] = str) -> str:
    """A result in one line, for whoever points at its number in the text: name, value, interval, seeds, origin.

    Args:
        facts: what `record` wrote.
        language: one of `WORDS`.
        say: puts the name and the unit, which the chapter wrote in English, into the language.
    """
    words, shown = WORDS[language], number(facts)
    spread = words["comma"] + _spread(facts, words) if "low" in shown else ""
    return words["told"].format(
        name=say(facts["name"].replace("_", " ")), value=shown["value"], unit=say(shown["unit"]), spread=spread,
        origin=words["stored" if facts["stored"] else "live"], profile=facts["profile"], device=facts["device"])


def card(facts: Facts, band: Facts | None, language: str = "en") -> Card:
    """The card of a result, as "text/plain" and "text/html".

    Args:
        facts: what `record` wrote.
        band: its published "low" and "high"; None where there is none.
        language: one of `WORDS`.
    """
    found, (low, high) = status(facts, band), bounds(facts, band)
    words = _words(facts, found, (low, high), WORDS[language])
    escaped = {key: html.escape(word) for key, word in words.items()}
    drawn = _CARD.format(status=found, id=facts["name"], gauge=_gauge(facts, low, high), **escaped)
    return {"text/plain": _PLAIN.format(**words | {"name": facts["name"]}), "text/html": drawn}


def judge(claim: Facts) -> Verdict:
    """The verdict that the rule gives on a claim's effects; one of the field stays undecided on fewer than ten seeds.

    So does a claim of which something else was tested in its place (`stands_in`); its effects keep their words.

    Args:
        claim: what `Run.claim` wrote.

    Raises:
        ValueError: no effect, or a bound or a direction that the rule does not know.
    """
    from lib.evidence.verdicts import Effect, verdict

    keys = ("difference", "error", "dof", "seeds", "level", "items", "over")
    effects = [Effect(**{key: row[key] for key in keys if key in row}) for row in claim["effects"].values()]
    found = verdict(effects, bound=claim["bound"], direction=claim["direction"])
    if str(claim.get("id")).startswith("F") and min(effect.seeds for effect in effects) < FIELD_SEEDS:
        few = f"; undecided on fewer than {FIELD_SEEDS} seeds"
        undecided = ("undecided",) * len(effects)
        found = replace(found, word="undecided", words=undecided, reasons=tuple(r + few for r in found.reasons))
    if claim.get("stands_in"):
        aside = "; tested in place of the claim's own sentence"
        found = replace(found, word="undecided", reasons=tuple(reason + aside for reason in found.reasons))
    return found


def claim_card(claim: Facts, language: str = "en") -> Card:
    """The card of a claim, as "text/plain" and "text/html": its verdict, and each effect with its reason.

    Args:
        claim: what `Run.claim` wrote.
        language: one of `WORDS`.

    Raises:
        ValueError: as `judge`.
    """
    words, found = WORDS[language], judge(claim)
    lines = [f"{label}: {reason}" for label, reason in zip(claim["effects"], found.reasons, strict=True)]
    told = {"id": claim["id"], "word": words[found.word]}
    note = words["nothing"].format(unit=claim["unit"], bound=f"{claim['bound']:g}",
                                   where=f"{claim['profile']}, {claim['device']}")
    drawn = _CLAIM.format(status=found.word.replace(" ", "-"), name=words["claim"].format(**told), word=told["word"],
                          note=html.escape(note),
                          body="".join(f'<div class="par-note">{html.escape(line)}</div>' for line in lines))
    plain = "\n".join([words["judged"].format(**told), *(f"  {line}" for line in lines), f"  {note}"])
    return {"text/plain": plain, "text/html": drawn}


_FRAME = ('style="border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-left-width:4px;'
          'border-radius:6px;padding:.6em 1em;margin:.4em 0;max-width:46em"')
_PLAIN = "{name} = {number}{unit}{between}{spread} | {sign} {gate} ({where}){note}"
_CARD = (
    f'<div class="par-card par-{{status}}" id="{{id}}" {_FRAME}>'
    '<div class="par-name">{name}</div>'
    '<div class="par-value"><strong style="font-size:1.5em">{number}</strong><span>{unit}</span>{between}'
    ' <span class="par-spread">{spread}</span></div>'
    '<div class="par-note">{note}</div>{gauge}'
    '<div class="par-gate">{sign} {gate} <span class="par-where">({where})</span></div></div>'
)
_CLAIM = (
    f'<div class="par-card par-claim par-{{status}}" {_FRAME}>'
    '<div class="par-name">{name}</div>'
    '<div class="par-value"><strong style="font-size:1.5em">{word}</strong></div>{body}'
    '<div class="par-gate">{note}</div></div>'
)


def _format(value: float, digits: int) -> str:
    """`value` with so many significant digits."""
    return typeset(f"{value:,}" if isinstance(value, int) else f"{value:#.{digits}g}".rstrip(".") if value else "0")


def _spread(facts: Facts, words: Card) -> str:
    """The interval and the number of seeds, in words."""
    items = words["items"].format(items=facts["items"]) if facts["items"] else ""
    return words["spread"].format(**number(facts), level=f"{100 * facts['level']:.3g}",
                                  number=facts["seeds"], over=words[facts["over"]]) + items


def _words(facts: Facts, found: str, ends: tuple[float | None, float | None], words: Card) -> Card:
    """The card's words: number, unit, spread, and what its gate says."""
    shown, bounded = number(facts), hard(facts)
    low, high = (None if end is None else typeset(f"{end:g}") if bounded else _format(end, facts["digits"])
                 for end in ends)
    kind = ("exactly" if low and low == high else "between" if low and high else "least" if low else
            "most" if high else "")
    asked = words[kind].format(low=low, high=high) if kind else ""
    asked = words["mean"].format(asked=asked) if bounded and facts["seeds"] > 1 else asked
    if found == "undecided":
        nothing = f"{NOTHING.get(facts['unit'], 0):g}"
        asked = words["guarded" if guarded(facts) else "crossed"].format(asked=asked, nothing=nothing)
    spread = _spread(facts, words) if "low" in shown else ""
    return {
        "name": facts["name"].replace("_", " "), "number": shown["value"], "unit": shown["unit"], "spread": spread,
        "between": words["comma"] if spread else "", "sign": SIGNS[found],
        "gate": words["bounded" if bounded else "gate"].format(found=words[found], asked=asked).strip(),
        "note": facts["note"], "where": f"{facts['profile']}, {facts['device']}",
    }


def _gauge(facts: Facts, low: float | None, high: float | None) -> str:
    """Draw the gate as a bar, the interval as a line, seeds as dots and the value as a disc, on one axis."""
    if (low is None and high is None) or low == high:
        return ""
    ends = possible(facts)
    marks = [mark for mark in (low, high, *facts["values"], *(ends or [])) if mark is not None]
    margin = 0.25 * (max(marks) - min(marks)) or 1.0
    left, right = min(marks) - margin, max(marks) + margin

    def x(value: float | None, missing: float) -> float:
        return round(missing if value is None else 200 * (value - left) / (right - left), 1)

    def bar(start: float, end: float, height: int, opacity: float) -> str:
        shape = f'x="{start}" y="{10 - height / 2}" width="{max(end - start, 1):.1f}" height="{height}"'
        return f'<rect {shape} rx="2" fill="currentColor" opacity="{opacity}"/>'

    spread = bar(x(ends[0], 0), x(ends[1], 0), 2, 0.6) if ends else ""
    seeds = [f'<circle cx="{x(v, 0)}" cy="10" r="2" fill="currentColor" opacity=".6"/>' for v in facts["values"]]
    return (
        '<svg class="par-gauge" viewBox="0 0 200 20" width="200" height="20" aria-hidden="true" focusable="false">'
        f'{bar(x(low, 0), x(high, 200), 12, 0.18)}{spread}{"".join(seeds)}'
        f'<circle cx="{x(facts["value"], 0)}" cy="10" r="4" fill="currentColor"/></svg>'
    )
