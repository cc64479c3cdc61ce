"""Result cards: the only way a measured number leaves a notebook."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, SupportsFloat, cast

from IPython import get_ipython
from IPython.display import display

from lib.book import cards
from lib.book.languages import speak

if TYPE_CHECKING:
    from lib.evidence.verdicts import Effect

RESULTS = Path(__file__).resolve().parents[2] / "results"


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
        language: of its cards.
    """

    chapter: str
    profile: str
    seed: int
    device: str
    bands: dict[str, dict[str, Any]]
    language: str = "en"
    _seen: dict[str, int | None] = field(default_factory=dict, repr=False)

    def record(
        self,
        name: str,
        value: SupportsFloat | Sequence[SupportsFloat] | Effect,
        *,
        unit: str,
        digits: int = 3,
        at_least: float | None = None,
        at_most: float | None = None,
        note: str = "",
        card: bool = True,
        stored: bool = False,
        over: str = "seeds",
    ) -> None:
        """Write the facts of a result into the cell's output, where the gate reads them, and show them as a card.

        Args:
            name: `snake_case`, unique in the book; prose says the number as a link to `#name`.
            value: a number; one number a seed, shown as the mean with its 95% interval (Student's t); or an effect,
                shown with its interval at its own level.
            over: what there is one number of: "seeds", or "splits" of one sample, or "repeats" of one run.
            unit: what the number counts; "1" for a pure number.
            digits: significant digits on the card, at least 1; what is stored is exact.
            at_least: a hard gate. Without one, the published band of this profile and device is the gate.
            at_most: a hard gate, alone or together with `at_least`.
            note: a few words beside the number.
            card: False records it quietly: the gate and the page of the run have it, the reader's way is free.
            stored: whether it comes from stored evidence alone, so that every seed of a run gives the same.

        Raises:
            ValueError: a name that is not `snake_case` or was recorded before in this cell, a value that is not finite,
                an empty unit, digits below 1, another `over`.
        """
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
            raise ValueError(f"name must be snake_case, got {name!r}")
        if not unit:
            raise ValueError(f'unit of {name} must say what the number counts ("1" for a pure number), got {unit!r}')
        if digits < 1:
            raise ValueError(f"digits must be at least 1, got {digits}")
        if over not in cards.OVER:
            raise ValueError(f"over must be one of {', '.join(cards.OVER)}, got {over!r}")
        if hasattr(value, "dof"):  # an Effect, whose module need not be loaded here
            effect = cast("Effect", value)
            values, seeds, level, items = list[float](), effect.seeds, effect.level, effect.items
            over = effect.over
            mean, *around = _numbers(name, [effect.difference, effect.low, effect.high])
            ends: list[float] | None = around
        else:
            values, level, items = _numbers(name, value), 0.95, 0
            seeds, ends = len(values), interval(values)
            mean = values[0] if seeds == 1 else fmean(values)
        self._once(name)
        facts = {
            "name": name,
            "value": mean,
            "values": values,
            "seeds": seeds,
            "items": items,
            "interval": ends,
            "level": level,
            "unit": unit,
            "digits": digits,
            "note": note,
            "at_least": at_least,
            "at_most": at_most,
            "card": card,
            "stored": stored,
            "over": over,
            "profile": self.profile,
            "device": self.device,
        }
        shown = cards.card(facts, self.bands.get(name), self.language) if card else {"text/plain": "", "text/html": ""}
        display({**shown, cards.RESULT: facts}, raw=True)

    def claim(self, claim: str, effects: Mapping[str, Effect], *, unit: str, bound: float, direction: int,
              stands_in: bool = False) -> None:
        """Show the verdict on a claim of the source or of the field, and write its effects into the cell's output.

        The rule is `lib.evidence.verdicts.verdict`: all effects must bear the claim out. The gate applies it to the
        same facts and holds the word against the claim's entry in `chapters/claims/`.

        Args:
            claim: "C1", "C2", ... of the source, "F1", "F2", ... of the field; each is judged in one cell of the book.
            effects: what was compared -> its effect, all in `unit`.
            unit: what the effects count.
            bound: what counts as nothing, in `unit`, fixed before the runs.
            direction: the sign that the claim promises, 1 or -1, or 0 where it promises no difference.
            stands_in: whether this was tested in place of the claim's own sentence, which then stays undecided.

        Raises:
            ValueError: an id that is not C or F and a number, a claim made twice in one cell, no effect, a bound not
                above 0, another direction.
        """
        if not re.fullmatch(r"[CF][1-9]\d*", claim):
            raise ValueError(f"claim must be C or F and a number, got {claim!r}")
        keys = ("difference", "error", "dof", "seeds", "level", "items", "over", "low", "high")
        rows = {label: {key: getattr(effect, key) for key in keys} for label, effect in effects.items()}
        facts = {"id": claim, "unit": unit, "bound": bound, "direction": direction, "effects": rows,
                 "profile": self.profile, "device": self.device}  # fmt: skip
        if stands_in:
            facts["stands_in"] = True
        shown = cards.claim_card(facts, self.language)
        self._once(claim)
        display({**shown, cards.CLAIM: facts}, raw=True)

    def _once(self, name: str) -> None:
        """Refuse a name twice in one execution; a cell may run again, and the gate counts over the whole notebook."""
        shell = get_ipython()
        execution = shell.execution_count if shell else None
        if name in self._seen and self._seen[name] == execution:
            raise ValueError(f"name must be recorded once, got {name!r} a second time")
        self._seen[name] = execution


def start(chapter: str, *, profile: str, seed: int, live: bool = False, evidence: bool = False) -> Run:
    """Begin a chapter's record: check its parameters, read the bands it is held to, and speak the notebook's LANGUAGE.

    Args:
        chapter: the notebook's name without its ending, such as "05-bert-case-study".
        profile: "quick" or "full".
        seed: the seed of the run, 0 or more.
        live: whether figures compute while their sliders move.
        evidence: whether sweeps run what the committed evidence lacks.

    Raises:
        ValueError: an unknown profile or language, a seed that is no whole number from 0 up, `live` or `evidence`
            neither True nor False (papermill hands on `false` and `no` as words, and every word counts as true).
    """
    if profile not in cards.PROFILES:
        raise ValueError(f"profile must be one of {', '.join(cards.PROFILES)}, got {profile!r}")
    for name, value in {"live": live, "evidence": evidence}.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, got {value!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0 up, got {seed!r}")
    kind = device()
    path = RESULTS / f"{profile}-{kind}.json"
    chapters = json.loads(path.read_text("utf-8"))["chapters"] if path.exists() else {}
    return Run(chapter, profile, seed, kind, chapters.get(chapter, {}), speak(chapter))


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
