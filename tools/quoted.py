"""Numbers that prose says, each a link to its record: `[79 %](#tuned_accuracy)`, or about [ten times](#speed_up).

A number is read together with the words before it (`about`, `less than`, ...). How it is held to its record:

    stored   from evidence, the same under every seed: equal as rounded in the text, a number word to a twentieth
    live     with "about": inside the published band, which is no wider than 3 points, or 10 % of what counts no share
    bounded  "less than", "at least", ...: a stored value obeys it; of a live one the whole band, or a bound of its own

Per cent and points are hundredths. Where a record counts neither (its unit begins with neither "%" nor "point"), 79 %
is 0.79 of its unit; where it does, a third is 33.3. Any other number is in the record's unit as it stands.
"""
from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from lib.book.cards import number, summary
from tools.notebooks import chapters, read

GAP = "\N{NO-BREAK SPACE}"
IN = {"en": "; chapter {}", "zh": "；第 {} 章"}  # of a record, where it comes from
HERE = {"en": " (here {}{})", "zh": "（此处为 {}{}）"}
LIVE_POINTS, LIVE_SHARE = 3.0, 0.1  # the widest band of a live number, either way: points, or a share of the number
WORD_SHARE = 0.05                   # how near a number word is: a third is said of 0.317 to 0.35
ABOUT = ("about", "roughly", "some")
BELOW = ("less than", "fewer than", "at most", "under", "below", "within", "up to")
ABOVE = ("more than", "at least", "over", "above")
SENSE = "|".join((*ABOUT, *BELOW, *ABOVE))
LINK = re.compile(rf"(?:\b(?P<before>{SENSE})\s+)?\[(?P<text>[^\[\]\n]+)\]\(#(?P<name>[a-z][a-z0-9_]*)\)", re.I)
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = ({word: float(n) for n, word in enumerate(ONES)} | {word: 10.0 * n for n, word in enumerate(TENS, 2)}
         | {f"{ten}-{one}": 10.0 * n + m for n, ten in enumerate(TENS, 2) for m, one in enumerate(ONES[1:10], 1)}
         | {"once": 1.0, "twice": 2.0, "double": 2.0, "thrice": 3.0})
PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
         "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12, "twentieth": 20, "thirtieth": 30, "fiftieth": 50,
         "hundredth": 100, "thousandth": 1000}
SIZES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Quote:
    """What a piece of prose says: a value, how far off its record may lie, its kind and its sense.

    Args:
        kind: "hundredths" for per cent and points, "fraction" for a third, "plain" for the rest.
        sense: "equal", "about", "below" or "above".
    """

    value: float
    slack: float
    kind: str
    sense: str

    def scale(self, unit: str) -> float:
        """What the quoted number is multiplied by to count what the record counts."""
        hundredths = unit.startswith(("%", "percent", "point"))
        if self.kind == "hundredths":
            return 1.0 if hundredths else 0.01
        return 100.0 if self.kind == "fraction" and hundredths else 1.0


def quotes(text: str) -> Iterator[re.Match[str]]:
    """The links to records in Markdown, outside code: `before`, `text` and `name`."""
    for part in CODE.split(text)[::2]:
        yield from LINK.finditer(part)


def parse(text: str) -> Quote | None:
    """What a text says, the words before the link and the link's own; None where it says no number, or two."""
    plain = " ".join(text.replace("\N{MINUS SIGN}", "-").replace("*", "").casefold().split())
    plain = re.sub(r"(?:([\d.]+) ?× ?)?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"{m[1] or 1}e{m[2].translate(RAISED)}", plain)
    said = re.match(rf"({SENSE})\b ?", plain)
    sense = "equal" if not said else ("about" if said[1] in ABOUT else "below" if said[1] in BELOW else "above")
    plain = plain[said.end():] if said else plain
    digits = re.match(r"([-+]?\d[\d,]*(?:\.(\d+))?)(?:e(-?\d+))? ?(.*)", plain)
    if digits:
        power = 10.0 ** int(digits[3] or 0)
        value, slack = float(digits[1].replace(",", "")) * power, 0.5 * 10.0 ** -len(digits[2] or "") * power
        rest, kind = digits[4], "plain"
    else:
        article = re.match(r"an? (?=\w)", plain)
        plain = plain[article.end():] if article else plain
        first, _, rest = plain.partition(" ")
        second = rest.partition(" ")[0].removesuffix("s")
        value, slack, kind = WORDS.get(first, 1.0), 0.0, "plain"
        if part := PARTS.get(first) or (first in WORDS and PARTS.get(second)):
            value, rest, kind = value / part, rest if first in PARTS else rest.partition(" ")[2], "fraction"
        elif first in SIZES:
            rest = plain
        elif article or first not in WORDS:
            return None
        elif rest.startswith("and a half"):
            value += 0.5
    if size := SIZES.get(rest.partition(" ")[0]):
        value, slack, rest = value * size, slack * size, rest.partition(" ")[2]
    if re.search(r"\d", rest):
        return None
    if re.match(r"%|per ?cent|(?:percentage )?points?\b", rest):
        kind = "hundredths"
    return Quote(value, slack or WORD_SHARE * abs(value), kind, sense)


def fault(said: str, facts: Facts, band: Facts | None) -> str:
    """What is wrong with a number in prose beside its record; "" where nothing is.

    Args:
        said: the words before the link and the link's own.
        facts: what `record` wrote.
        band: the published band of the result, whether or not a bound of its own judges it.
    """
    quote = parse(said)
    if quote is None:
        return "which is no number, or two"
    scale = quote.scale(facts["unit"])
    value, slack = quote.value * scale, quote.slack * scale
    slack += 1e-9 * abs(value)
    if facts["stored"]:
        low = high = facts["value"]
    else:
        ends = (("low", "at_least", max), ("high", "at_most", min))
        known = [[end for end in ((band or {}).get(key), facts[own]) if end is not None] for key, own, _ in ends]
        low, high = (pick(some) if some else None for (*_, pick), some in zip(ends, known, strict=True))
    if quote.sense in ("below", "above"):
        end = high if quote.sense == "below" else low
        kept = end is not None and (end <= value + 1e-9 if quote.sense == "below" else end >= value - 1e-9)
        return "" if kept else f"and {'its value is' if facts['stored'] else 'its gate allows'} {_shown(end)}"
    if facts["stored"]:
        return "" if abs(value - low) <= slack else f"and the record is {_shown(low)}"
    if quote.sense == "equal":
        return 'and a live number is written with "about"'
    if band is None:
        return "and no band is published for it (`make bands`)"
    if not band["low"] - slack <= value <= band["high"] + slack:
        return f"and the published band is {band['low']:g} to {band['high']:g}"
    widest = LIVE_POINTS * scale if quote.kind == "hundredths" else LIVE_SHARE * abs(value)
    if (half := (band["high"] - band["low"]) / 2) > widest:
        return f"and the band is too wide to say so: {half:.3g} either way, at most {widest:.3g} may be"
    return ""


def _shown(value: float | None) -> str:
    return "anything" if value is None else f"{value:.6g}"


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """All prose that may say a number, as (where, text): cells, pages, and the entries that pages are made of.

    The Chinese is held to the English, number by number (`tools/zh/`).
    """
    for path in chapters(root):
        yield from ((path.stem, cell.source) for cell in read(path).cells if cell.cell_type == "markdown")
    for kind in ("*.md", "*.yml", "*/*.yml"):
        yield from ((str(path.relative_to(root)), path.read_text("utf-8")) for path in
                    sorted((root / "chapters").glob(kind)) if path.parent.name != "zh")


def said(match: re.Match[str]) -> str:
    """The words before a link, and the link's own."""
    return f"{match['before'] or ''} {match['text']}".strip()


def names(prose: Sequence[tuple[str, str]]) -> set[str]:
    """The names of the records that prose quotes."""
    return {match["name"] for _, text in prose for match in quotes(text)}


def faults(prose: Sequence[tuple[str, str]], records: Mapping[str, Facts],
           bands: Mapping[str, Facts]) -> list[str]:
    """What is wrong with the numbers in prose; of a record that is not there (its chapter did not run) nothing is.

    Args:
        prose: (where, text).
        records: name -> what `record` wrote.
        bands: name -> published band.
    """
    return [f"{where}: prose says {said(match)!r} of {match['name']}, {words}" for where, text in prose
            for match in quotes(text) if match["name"] in records
            if (words := fault(said(match), records[match["name"]], bands.get(match["name"])))]


def linked(text: str, here: str, owner: Mapping[str, str], records: Mapping[str, Facts], language: str = "en",
           say: Callable[[str], str] = str) -> str:
    """Markdown with each number as the site has it: a quiet link to the card, which tells its record when pointed at.

    A record without a card is linked to its row on the page of the run. In another profile than the quick one, of which
    the text speaks, that profile's own number stands beside it.

    Args:
        here: the page that holds the text.
        owner: name of a record -> chapter.
        records: name -> what `record` wrote, of the chapters that ran.
        language: of the page.
        say: puts a record's name and unit into the language.
    """
    def link(match: re.Match[str]) -> str:
        name, facts = match["name"], records.get(match["name"])
        if name not in owner:
            return match[0]
        page = owner[name] if facts is None or facts["card"] else "run"
        place = ("" if page == here else f"{page}.html") + (f"#{name}" if facts else "")
        told = html.escape(summary(facts, language, say) + IN[language].format(int(owner[name][:2]))) if facts else ""
        whole = re.sub(r"(?<=\d) (?=\S)", GAP, match["text"])
        other = number(facts) if facts and facts["profile"] != "quick" else None
        beside = HERE[language].format(other["value"], say(other["unit"])) if other else ""
        before = f"{match['before']}{GAP}" if match["before"] else ""
        description = f' aria-description="{told}"'.replace("|", "&#124;") if told else ""
        return f'{before}<a class="number" href="{place or "#"}"{description}>{whole}</a>{beside}'

    return "".join(part if index % 2 else LINK.sub(link, part) for index, part in enumerate(CODE.split(text)))


def page(notebook: NotebookNode, here: str, owner: Mapping[str, str], records: Mapping[str, Facts],
         language: str = "en", say: Callable[[str], str] = str) -> NotebookNode:
    """A staged chapter with the numbers of its prose linked, in place; the last two as in `linked`."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, here, owner, records, language, say)
    return notebook
