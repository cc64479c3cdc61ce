"""The page that says what stands behind the numbers: when, on what, how long, which versions, bands and results.

Pure functions from the ledger and the chapters to Markdown; nothing on the page is typed.
"""
from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nbformat import NotebookNode

from lib.book import cards
from lib.book._numerals import decimals
from tools import budget, diagrams
from tools.fold import folds
from tools.gate import results
from tools.notebooks import cells
from tools.numerals import GAP, bounds, number, spread, stacked
from tools.register import BRYSBAERT, heading

Item = dict[str, Any]
DESCRIPTION = ("The run behind this copy of the book: when and on what machine it ran, how long it took, which "
               "versions, every result beside the bounds it is held to.")
# Seconds of a reader's time. Words: 238 a minute, the mean of silent reading of English prose (Brysbaert, 2019,
# https://doi.org/10.1016/j.jml.2019.104047). Nobody has measured the others on this book: they are round guesses.
PACE = {"words": 60 / 238, "formulas in a line": 2, "formulas on their own": 15, "lines of code shown": 3,
        "figures": 20, "result cards": 6}
EACH = {"formulas in a line": "formula in a line", "formulas on their own": "formula on its own",
        "lines of code shown": "line of code", "figures": "figure", "result cards": "result card"}


def counts(source: NotebookNode, executed: NotebookNode | None) -> dict[str, int]:
    """What there is to read in a chapter, by the kinds of PACE; folded code is not counted.

    Args:
        source: the chapter, for its prose and code.
        executed: its run, for figures and cards; None where it did not run.
    """
    prose = "\n\n".join(cell.source for cell in source.cells if cell.cell_type == "markdown")
    prose = diagrams.COMMENT.sub("", diagrams.bare(prose))
    prose, own = re.subn(r"\$\$.*?\$\$", " ", prose, flags=re.S)
    prose, inline = re.subn(r"\$[^$\n]+\$", " formula ", prose)
    prose = re.sub(r"\]\([^)]*\)|<[^>]*>", " ", prose)
    code = [cell.source for cell in source.cells if cell.cell_type == "code" and not folds(cell)]
    outputs = [output for cell in cells(executed) for output in cell.get("outputs", [])] if executed else []
    drawn = sum("par-figure" in "".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    flowcharts = sum(len(diagrams.sources(cell.source)) for cell in source.cells)
    kinds = (cards.RESULT, cards.CLAIM)
    shown = [facts for kind in kinds for facts in results(executed, kind)] if executed else []
    return {"words": len(re.findall(r"\w[\w'’-]*", prose)), "formulas in a line": inline, "formulas on their own": own,
            "lines of code shown": sum(bool(line.strip()) for text in code for line in text.splitlines()),
            "figures": drawn + flowcharts, "result cards": sum(facts.get("card", True) for facts in shown)}


def minutes(found: Mapping[str, int]) -> int:
    """Minutes to read so much at the paces above, at least one; exercises take as long as they take."""
    return max(1, round(sum(PACE[kind] * number for kind, number in found.items()) / 60))


def times(entries: Item, chapters: Mapping[str, NotebookNode], executed: Mapping[str, NotebookNode]) -> dict[str, Item]:
    """Chapter -> minutes to read, and seconds of its run (None where it did not run)."""
    return {stem: {"minutes": minutes(counts(source, executed.get(stem))),
                   "seconds": entries["chapters"].get(stem, {}).get("seconds")} for stem, source in chapters.items()}


def precision(speed_ups: Mapping[str, float]) -> str:
    """What was measured of bfloat16 on this machine, in words.

    Args:
        speed_ups: processor and torch -> how many times as fast bfloat16 trained there as float32.
    """
    said = [f"{key}: a step in bfloat16 was measured to be {ratio:.1f} times as fast as in float32"
            for key, ratio in speed_ups.items()]
    return "; ".join(said) or "float32: no processor here multiplies bfloat16, or nothing was trained"


def page(entries: Mapping[str, Any], chapters: Mapping[str, NotebookNode], executed: Mapping[str, NotebookNode], *,
         repository: str, evidence: Sequence[budget.Took] = ()) -> str:
    """The page of the run.

    Args:
        entries: the ledger; its `bands`, where the published ones come from, and its `lighthouse`, what
            `tools.lighthouse` measured on this site, are there where they are known.
        chapters: stem -> source of every chapter.
        executed: stem -> executed notebook.
        repository: its address, for the link to the commit.
        evidence: what the stored runs took.
    """
    ran, bands, lighthouse = entries["chapters"], entries.get("bands"), entries.get("lighthouse")
    found = [result for entry in ran.values() for result in entry["results"].values()]
    good, undecided = (sum(result["status"] in kinds for result in found) for kinds in (cards.GOOD, ("undecided",)))
    head = entries["commit"].partition("-")[0]
    commit = f"[`{entries['commit'][:12]}`]({repository}/commit/{head})" if len(head) == 40 else entries["commit"]
    commit += ", with changes since" if entries["commit"].endswith("-changed") else ""
    versions = ", ".join(f"{name} {version}" for name, version in entries["versions"].items())
    facts = {"Built": when(entries["when"]), "Source": commit, "Machine": f"{entries['machine']}, {entries['device']}",
             "Precision": precision(entries["speed_ups"]),
             "Settings": f"`PROFILE={entries['profile']}`, `SEED={entries['seed']}`", "Versions": versions,
             "Bands": "none is published for this profile and device" if not bands else
             f"from seeds {', '.join(map(str, bands['seeds']))}, published {when(bands['when'])}: "
             f"{printed(bands['rule'])}"}
    crossing = (f", and {undecided} results are *undecided*: the interval crosses a bound, or contains zero and more "
                "than counts as nothing where the bound is only a guard" if undecided else "")
    lines = ["# The run behind these pages", "",
             f"The run that made this copy of the book also checked it: **{good} of {len(found)} results**"
             f"{partly(list(chapters), ran)}. Of several seeds only the mean is held to the bound; the interval is the "
             f"95% one unless its card says otherwise{crossing}. All that follows "
             "comes from the run's own records.", "",
             "| What | Value |", "|---|---|", *(f"| **{name}** | {value} |" for name, value in facts.items()), "",
             "## How long it took", ""]
    rows = ["| Chapter | Results | Time | Peak memory | To read | Ran |", "|---|---:|---:|---:|---:|---|"]
    for stem, source in chapters.items():
        entry = ran.get(stem)
        took = f"{len(entry['results'])}{_phone(' results')} | {entry['seconds']:.0f}{GAP}s | " \
               f"{number(entry['peak_mb'])}{GAP}MB" if entry else " | | "
        read = f"{minutes(counts(source, executed.get(stem)))}{GAP}min{_phone(' to read')}"
        rows.append(f"| [{heading(source)}]({stem}.ipynb) | {took} | {read} | "
                    f"{when(entry['when']) if entry else 'not run'} |")
    each = ", ".join(f"{PACE[kind]} s for each {name}" for kind, name in EACH.items())
    lines += [*stacked(*rows, kind="line"), "",
              "A chapter whose code, data and packages have not changed is not run again; the time is that of the "
              "run whose results stand here. Reading time assumes 238 words a minute "
              f"([Brysbaert, 2019]({BRYSBAERT})), plus {each}. Only the first of "
              "these paces has been measured on people. Folded code and the work on exercises are not counted."]
    if evidence:
        runs, spent = sum(row.runs for row in evidence), sum(row.minutes for row in evidence)
        lines += ["", "## How long the stored evidence took", "",
                  f"The chapters load {number(runs)} runs that were made once, in {number(spent / 60, 1)} hours of two "
                  "cores all together. Each keeps its own seconds; a run on one thread counts half, since another went "
                  "on beside it. `make evidence` says before it starts what the missing ones will take, goes on where "
                  "it was stopped, and says at its end what it has added.", "", *budget.table(evidence)]
    if lighthouse:
        lines += ["", "## How the site does in a browser", "",
                  f"Lighthouse {lighthouse['version']} on this site, served compressed on the machine that built it, "
                  "as a mid-range phone on a slow network. Each figure is out of 100.", "",
                  "| Page | Performance | Accessibility | Best practices | Search | KB |",
                  "|---|---:|---:|---:|---:|---:|"]
        for name, scored in lighthouse["pages"].items():
            figures = [*scored["scores"].values(), scored["kilobytes"]]
            where = f'<a href="../{name}">{html.escape(scored["title"])}</a>'
            lines.append(f"| {where} | {' | '.join(map(str, figures))} |")
    for stem, source in chapters.items():
        if stem in ran:
            rows = ["| Result | Value | Must be | Check |", "|---|---|---|---|"]
            lines += ["", f"## {heading(source)}", "",
                      *stacked(*rows, *(row(result) for result in ran[stem]["results"].values()))]
            judged = [f"{name} {claim['word']}" for name, claim in ran[stem]["claims"].items()]
            lines += ["", f"Claims judged here: {', '.join(judged)} ([why](claims.md))."] if judged else []
    return "\n".join(lines) + "\n"


def row(result: Item) -> str:
    """One result beside the bounds that hold for it."""
    ends, several = cards.possible(result), result["seeds"] > 1
    bound = bounds(*cards.bounds(result, result["band"]))
    bound = f"mean {bound}" if several and bound else bound
    bound = f"{bound} (published)" if result["band"] else bound
    between = f' <span class="part beside">{spread(ends)}</span>' if ends else ""
    unit = "" if result["unit"] == "1" else f" {html.escape(result['unit'], quote=False)}"
    sign = f"{cards.SIGNS[result['status']]}{GAP}{result['status']}"
    value = number(result["value"], decimals(*ends) if ends else None)
    name = f'<span id="{result["name"]}">{result["name"].replace("_", " ")}</span>'
    return f"| {name} | {value}{unit}{between} | {bound} | {sign} |"


def partly(stems: Sequence[str], ran: Mapping[str, Any]) -> str:
    """What the count of results speaks of: of a copy for which some chapters were not run, which ones were."""
    some, others = ([int(stem[:2]) for stem in stems if (stem in ran) == wanted] for wanted in (True, False))
    if not others or not some:
        return " lie where they must"
    verb = "were" if len(others) > 1 else "was"
    return f" of {_chapters(some)} lie where they must; {_chapters(others)} {verb} not run"


def _chapters(numbers: Sequence[int]) -> str:
    """chapter 6, chapters 1–5, or chapters 1, 3, 6."""
    if len(numbers) == 1:
        return f"chapter{GAP}{numbers[0]}"
    row = len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"chapters{GAP}" + (f"{numbers[0]}–{numbers[-1]}" if row else ", ".join(map(str, numbers)))


def printed(rule: str) -> str:
    """The rule of the bands as it was stored, with its formula and its numbers in print."""
    rule = rule.replace("mean -+ t(n - 1) s sqrt(1 + 1/n)", r"$\bar x \pm t_{n-1}\, s\, \sqrt{1 + 1/n}$")
    return re.sub(r"\b\d+e-\d+\b", lambda found: number(float(found[0])), rule)


def _phone(words: str) -> str:
    """Words that a table needs only where its columns have no headings."""
    return f'<span class="phone">{words}</span>'


def when(moment: str | None) -> str:
    """2026-11-24T09:22:57.11+00:00 -> 2026-11-24 09:22 UTC."""
    return f"{moment[:10]} {moment[11:16]} UTC" if moment else "at a time not noted"
