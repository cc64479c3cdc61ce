"""Result cards: the only way a measured number leaves a notebook."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, SupportsFloat

from IPython import get_ipython
from IPython.display import display

from lib._numerals import decimals, typeset

if TYPE_CHECKING:
    from lib.verdicts import Effect

MIME = "application/vnd.project-and-regularize.result+json"
CLAIM = "application/vnd.project-and-regularize.claim+json"
PROFILES = ("quick", "full")
RESULTS = Path(__file__).resolve().parents[1] / "results"


def device() -> str:
    """Return "cuda" where torch sees a GPU, otherwise "cpu"."""
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Run:
    """One run of one chapter, as `start` makes it.

    Args:
        chapter: the notebook's name without its ending.
        profile: "quick" or "full".
        seed: from 0.
        device: "cpu" or "cuda".
        bands: name of a result -> its published "low" and "high".
    """

    chapter: str
    profile: str
    seed: int
    device: str
    bands: dict[str, dict[str, Any]]
    _seen: dict[str, int | None] = field(default_factory=dict, repr=False)

    def record(
        self,
        name: str,
        value: SupportsFloat | Sequence[SupportsFloat],
        *,
        unit: str,
        digits: int = 3,
        at_least: float | None = None,
        at_most: float | None = None,
        note: str = "",
    ) -> None:
        """Show a result card and write the same facts into the cell's output, where the gate reads them.

        Args:
            name: `snake_case`, unique in the book.
            value: a number, or one number a seed, shown as the mean with its 95% interval (Student's t).
            unit: what the number counts; "1" for a pure number.
            digits: significant digits on the card; what is stored is exact.
            at_least: a hard gate. Without one, the published band of this profile and device is the gate.
            at_most: a hard gate, alone or together with `at_least`.
            note: a few words beside the number.

        Raises:
            ValueError: a name that is not `snake_case` or was recorded before in this cell, a value that is not finite,
                an empty unit, digits below 1.
        """
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
            raise ValueError(f"name must be snake_case, got {name!r}")
        if not unit:
            raise ValueError(f'unit of {name} must say what the number counts ("1" for a pure number), got {unit!r}')
        if digits < 1:
            raise ValueError(f"digits must be at least 1, got {digits}")
        values = _numbers(name, value)
        self._once(name)
        centre = values[0] if len(values) == 1 else fmean(values)
        band = self.bands.get(name)
        hard = at_least is not None or at_most is not None
        low, high = (at_least, at_most) if hard or not band else (band["low"], band["high"])
        fits = (low is None or low <= centre) and (high is None or centre <= high)
        if hard:
            status = "holds" if fits else "broken"
        else:
            status = "unpublished" if not band else "inside" if fits else "outside"
        result = {
            "name": name,
            "value": centre,
            "values": values,
            "interval": interval(values),
            "unit": unit,
            "at_least": at_least,
            "at_most": at_most,
            "band": [band["low"], band["high"]] if band else None,
            "status": status,
        }
        words = _words(result, (low, high), digits, note) | {"where": f"{self.profile}, {self.device}"}
        escaped = {key: html.escape(word) for key, word in words.items()}
        card = _CARD.format(status=status, gauge=_gauge(result, low, high), **escaped)
        plain = _PLAIN.format(**words | {"name": name})
        display({"text/plain": plain, "text/html": card, MIME: result}, raw=True)

    def claim(self, claim: str, effects: Mapping[str, Effect], *, unit: str, bound: float, direction: int) -> None:
        """Show the verdict on a claim of the source, and write it with its effects into the cell's output.

        The rule is `lib.verdicts.verdict`: all effects must bear the claim out. The gate applies it again and holds
        the word against the claim's entry in `chapters/claims/`.

        Args:
            claim: "C1", "C2", ...; each is judged in one cell of the book.
            effects: what was compared -> its effect, all in `unit`.
            unit: what the effects count.
            bound: what counts as nothing, in `unit`, fixed before the runs.
            direction: the sign that the claim promises, 1 or -1, or 0 where it promises no difference.

        Raises:
            ValueError: an id that is not C and a number, a claim made twice in one cell, no effect, a bound not above
                0, another direction.
        """
        from lib.verdicts import verdict

        if not re.fullmatch(r"C[1-9]\d*", claim):
            raise ValueError(f"claim must be C and a number, got {claim!r}")
        found = verdict(list(effects.values()), bound=bound, direction=direction)
        self._once(claim)
        facts = ("difference", "error", "dof", "seeds", "level", "low", "high")
        rows = {
            label: {key: getattr(effect, key) for key in facts} | {"word": word}
            for (label, effect), word in zip(effects.items(), found.words, strict=True)
        }
        result = {"id": claim, "unit": unit, "bound": bound, "direction": direction, "effects": rows,
                  "word": found.word}  # fmt: skip
        lines = [f"{label}: {reason}" for label, reason in zip(rows, found.reasons, strict=True)]
        body = "".join(f'<div class="par-note">{html.escape(line)}</div>' for line in lines)
        note = f"unit: {unit}; what counts as nothing: {bound:g}, fixed before the runs ({self.profile}, {self.device})"
        card = _CLAIM.format(id=claim, word=found.word, body=body, note=html.escape(note))
        plain = "\n".join([f"Claim {claim} is {found.word}", *(f"  {line}" for line in lines), f"  {note}"])
        display({"text/plain": plain, "text/html": card, CLAIM: result}, raw=True)

    def _once(self, name: str) -> None:
        """Refuse a name twice in one execution; a cell may run again, and the gate counts over the whole notebook."""
        shell = get_ipython()
        execution = shell.execution_count if shell else None
        if name in self._seen and self._seen[name] == execution:
            raise ValueError(f"name must be recorded once, got {name!r} a second time")
        self._seen[name] = execution


def start(chapter: str, *, profile: str, seed: int, live: bool = False, evidence: bool = False) -> Run:
    """Begin a chapter's record: check its parameters and read the bands it is held to.

    Args:
        chapter: the notebook's name without its ending, such as "05-bert-case-study".
        profile: "quick" or "full".
        seed: the seed of the run, 0 or more.
        live: whether figures compute while their sliders move.
        evidence: whether sweeps run what the committed evidence lacks.

    Raises:
        ValueError: an unknown profile, a seed that is no whole number from 0 up, `live` or `evidence` neither True nor
            False (papermill hands on `false` and `no` as words, and every word counts as true).
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    for name, value in {"live": live, "evidence": evidence}.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, got {value!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0 up, got {seed!r}")
    kind = device()
    path = RESULTS / f"{profile}-{kind}.json"
    chapters = json.loads(path.read_text("utf-8"))["chapters"] if path.exists() else {}
    return Run(chapter, profile, seed, kind, chapters.get(chapter, {}))


def interval(values: Sequence[float]) -> list[float] | None:
    """Return the 95% interval of the mean of `values`, $mean +- t_{n-1} s / sqrt(n)$; None for a single value."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return [fmean(values) - half, fmean(values) + half]


def _numbers(name: str, value: Any) -> list[float]:
    """Return plain Python numbers for a number or a sequence, of Python's, numpy's or torch's making."""
    try:
        values = [int(value) if isinstance(value, Integral) else float(value)]
    except (TypeError, ValueError):
        values = [] if isinstance(value, str) else [float(v) for v in value]
    if not values or isinstance(value, bool) or not all(map(math.isfinite, values)):
        raise ValueError(f"{name} must be one or more finite numbers, got {value!r}")
    return values


_PLAIN = "{name} = {number}{unit}{between}{spread} | {sign} {gate} ({where}){note}"
_CARD = (
    '<div class="par-card par-{status}" style="border:1px solid color-mix(in srgb,currentColor 25%,transparent);'
    'border-left-width:4px;border-radius:6px;padding:.6em 1em;margin:.4em 0;max-width:46em">'
    '<div class="par-name">{name}</div>'
    '<div class="par-value"><strong style="font-size:1.5em">{number}</strong>{unit}{between}'
    ' <span class="par-spread">{spread}</span></div>'
    '<div class="par-note">{note}</div>{gauge}'
    '<div class="par-gate">{sign} {gate} <span class="par-where">({where})</span></div></div>'
)
_CLAIM = (
    '<div class="par-card par-claim par-{word}" style="border:1px solid color-mix(in srgb,currentColor 25%,transparent'
    ');border-left-width:4px;border-radius:6px;padding:.6em 1em;margin:.4em 0;max-width:46em">'
    '<div class="par-name">Claim {id}</div>'
    '<div class="par-value"><strong style="font-size:1.5em">{word}</strong></div>{body}'
    '<div class="par-gate">{note}</div></div>'
)
_SIGNS = {"inside": "\N{CHECK MARK}", "holds": "\N{CHECK MARK}", "outside": "\N{MULTIPLICATION SIGN}",
          "broken": "\N{MULTIPLICATION SIGN}", "unpublished": "\N{EN DASH}"}
_STATUS = {"inside": "inside the published band", "outside": "outside the published band", "holds": "holds:",
           "broken": "broken:", "unpublished": "no band published yet"}

def _format(value: float, digits: int) -> str:
    """`value` with so many significant digits."""
    return typeset(f"{value:,}" if isinstance(value, int) else f"{value:#.{digits}g}".rstrip(".") if value else "0")


def _words(result: dict[str, Any], gate: tuple[float | None, float | None], digits: int, note: str) -> dict[str, str]:
    """Return the card's words: number, unit, spread, and what its gate says."""
    ends, value, several = result["interval"], result["value"], len(result["values"]) > 1
    hard = result["status"] in ("holds", "broken")
    shown = [_format(value, digits)]
    if ends and (places := decimals(*ends)) is not None:
        shown = [typeset(f"{x:z,.{places}f}") for x in (value, *ends)]
    low, high = (None if end is None else typeset(f"{end:g}") if hard else _format(end, digits) for end in gate)
    asked = (f"exactly {low}" if low and low == high else f"{low} to {high}" if low and high else
             f"at least {low}" if low else f"at most {high}" if high else "")
    crossed = ends and any(end is not None and ends[0] < end < ends[1] for end in gate)
    return {
        "name": result["name"].replace("_", " "),
        "number": shown[0],
        "unit": "" if result["unit"] == "1" else f" {result['unit']}",
        "spread": f"95% interval {shown[1]} to {shown[2]}, {len(result['values'])} seeds" if len(shown) > 1 else "",
        "between": ", " * (len(shown) > 1),
        "sign": _SIGNS[result["status"]],
        "gate": f"{_STATUS[result['status']]} {'mean ' * (hard and several)}{asked}".strip()
                + (", but the interval crosses it" if hard and crossed else ""),
        "note": note,
    }


def _gauge(result: dict[str, Any], low: float | None, high: float | None) -> str:
    """Draw the gate as a bar, the interval as a line, seeds as dots and the value as a disc, on one axis."""
    if (low is None and high is None) or low == high:
        return ""
    marks = [mark for mark in (low, high, *result["values"], *(result["interval"] or [])) if mark is not None]
    margin = 0.25 * (max(marks) - min(marks)) or 1.0
    left, right = min(marks) - margin, max(marks) + margin

    def x(value: float | None, missing: float) -> float:
        return round(missing if value is None else 200 * (value - left) / (right - left), 1)

    def bar(start: float, end: float, height: int, opacity: float) -> str:
        shape = f'x="{start}" y="{10 - height / 2}" width="{max(end - start, 1):.1f}" height="{height}"'
        return f'<rect {shape} rx="2" fill="currentColor" opacity="{opacity}"/>'

    spread = bar(x(result["interval"][0], 0), x(result["interval"][1], 0), 2, 0.6) if result["interval"] else ""
    seeds = [f'<circle cx="{x(v, 0)}" cy="10" r="2" fill="currentColor" opacity=".6"/>' for v in result["values"]]
    return (
        '<svg class="par-gauge" viewBox="0 0 200 20" width="200" height="20" aria-hidden="true" focusable="false">'
        f'{bar(x(low, 0), x(high, 200), 12, 0.18)}{spread}{"".join(seeds)}'
        f'<circle cx="{x(result["value"], 0)}" cy="10" r="4" fill="currentColor"/></svg>'
    )
