"""The pages that nobody types: claims, recipe, errata, glossary, references, speed, from their entries and the runs.

Pure functions from entries to Markdown; `write` reads the folders and puts the pages into the staged tree.
"""
from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import yaml
from docutils.nodes import make_id
from nbformat import NotebookNode
from pybtex.database import Entry, parse_string

from lib.book._numerals import decimals
from lib.book.cards import CLAIM, judge, possible
from lib.book.figures import COLOURS, INK, _svg
from lib.evidence.verdicts import Effect
from tools import speed, terms
from tools.gate import results, stand, word
from tools.numerals import GAP, number, spread, stacked

Item = dict[str, Any]
SOURCE = ("The source is a Chinese article, 大语言模型原理基础与前沿：基于投影和正则化的方法 (*Large language models, "
          "foundations and frontiers: methods of projection and regularisation*); it came to us without author, date "
          "or address.")
MARK = {"supported": "●", "refuted": "✕", "no gain": "=", "mixed": "◐", "undecided": "○", "not tested yet": "–",
        "not run for this copy": "–"}
MEANS = {
    "supported": "the interval lies wholly on the promised side of zero, and not all of it is too small to count; "
                 "where no difference is promised, all of it is too small to count",
    "refuted": "the interval lies wholly on the other side of zero, and not all of it is too small to count; where no "
               "difference is promised, it lies wholly beyond what counts as nothing",
    "no gain": "the promised effect, if there is one, is smaller than what we said would count: a larger one is "
               "excluded, in our reading of the claim",
    "mixed": "one of the claim's effects is supported and another refuted or without gain, each by an interval widened "
             "for the number of effects",
    "undecided": "none of these: the runs cannot tell, and the interval says which effects they leave possible",
    "not tested yet": "no chapter tests it",
    "not run for this copy": "its chapter was not run when this copy was made",
}
MODELS = ("MiniLM", "SmolLM2")  # the labels of effects that begin so speak of one of them
CROWD = 8  # a claim with more effects than this has a picture of its own

BRYSBAERT = "https://doi.org/10.1016/j.jml.2019.104047"
BESIDES = {BRYSBAERT: "on [the page of the run](run.md)"}  # address -> the page, beside the chapters, that cites it

DESCRIPTIONS = {
    "claims": "Every testable claim of the source, and claims of the field: question and protocol, the effects with "
              "intervals, and the verdict that a fixed rule gives.",
    "recipe": "Which method to take for how many labels, how much time and which shift, each row with the runs it "
              "rests on.",
    "errata": "Where the source is wrong: what it says, what is true, and the cell that shows it.",
    "glossary": "The book's terms in English and Chinese, one sentence each, with the chapters that use them.",
    "references": "The works that the chapters cite, each with its address and the chapters that cite it.",
    "speed": speed.DESCRIPTION,
}


def order(names: Iterable[str]) -> list[str]:
    """C9 before C10, and the source's before those of the field, F1, F2, ..."""
    return sorted(names, key=lambda name: (name[0], int(name[1:])))


def sections(source: str) -> str:
    """4.3 -> section 4.3, and several -> sections."""
    return f"sections {source}" if "," in source else f"section {source}"


def titled(name: str, entry: Item, anchor: str, after: str = "") -> list[str]:
    """The heading of an entry, and the anchor that links lead to, which outlasts a change of the title.

    Raises:
        ValueError: the entry has no title.
    """
    if not entry.get("title"):
        raise ValueError(f"{name} must have a title, a few words that say what it is about")
    return ["", f"({make_id(anchor)})=", f"## {name}. {entry['title']}{after}", ""]


def heading(notebook: NotebookNode) -> str:
    """The title of a chapter: the first heading of its first cell."""
    return re.search(r"^# (.+)$", notebook.cells[0].source, re.M)[1]  # type: ignore[index]


def link(chapter: str, section: str) -> str:
    """A link to the section of a chapter's page."""
    return f'<a href="{chapter}.html#{make_id(section)}">{html.escape(section)}</a>'


def section_of(notebook: NotebookNode, cell: str) -> str:
    """The heading under which a cell stands.

    Raises:
        ValueError: the notebook has no such cell.
    """
    last = ""
    for each in notebook.cells:
        if each.cell_type == "markdown" and (found := re.findall(r"^#+ (.+)$", each.source, re.M)):
            last = found[0] if each.id == cell else found[-1]
        if each.id == cell:
            return last
    raise ValueError(f"cell must be one of the notebook's, got {cell!r}")


def claims(entries: Mapping[str, Item], judged: Mapping[str, Item], chapters: Mapping[str, NotebookNode],
           full: bool = False) -> str:
    """The page of claims.

    Args:
        entries: id -> entry of `chapters/claims/`.
        judged: id -> what `run.claim` wrote, from the executed chapters; a claim without it is not tested yet.
        chapters: stem -> notebook, for the titles.
        full: whether the `full` profile's evidence is stored.
    """
    names = order(entries)
    missing = {name: "not run for this copy" if entries[name]["chapter"] in chapters else "not tested yet"
               for name in names}
    words = {name: word(judged[name]) if name in judged else missing[name] for name in names}
    legend = [name for name in MEANS if name in words.values() or not name.startswith("not ")]
    quick = ["The verdicts are those of the `quick` profile: few sentences and few seeds. The `full` profile, with "
             "more of each, has not been run yet.", ""]

    def rows(kind: str) -> list[str]:
        found = ["| Claim | What is asked | Tested in | Verdict |", "|---|---|---|---|"]
        for name in names:
            entry = entries[name]
            where = link(entry["chapter"], entry["section"]) if entry["chapter"] in chapters else "no chapter yet"
            here = f'<a href="#{make_id(f"{name}: {words[name]}")}">{name}</a>'
            found += [f"| {here} | {entry['asks']} | {where} | {marked(words[name])} |"] * (name[0] == kind)
        return stacked(*found)

    field = ["", "## Claims of the field", "", "What papers and practitioners say of newer methods, judged on our "
             "small models by the same rule. Each names the model for which it was claimed.", "", *rows("F")]
    field *= any(name[0] == "F" for name in names)
    lines = ["# The claims, judged", "",
             "Each testable claim of the source, what our runs say about it, and the rule by which they say it. "
             f"A claim that failed stands as large as one that held. All effects of a claim must bear it out. {SOURCE}",
             "", "Each effect stands with the interval that decided it: at 95% where a sign is claimed, at 90%, which "
             "leaves 5% on either side, where a larger effect is excluded. It speaks of other seeds, or of other seeds "
             "and other test items (sentences). Why some are at 97.8% and 95.6% says [how this book "
             "decides](how-this-book-decides.md).", "",
             *(f"- {marked(name)}: {MEANS[name]}." for name in legend), "",
             *(quick if judged and not full else []), *rows("C"), *field]
    if drawn := {name: judged[name] for name in names if name in judged}:
        lines += ["", "## All effects on one axis", "", picture(drawn), "",
                  "The grey band is what counts as nothing, fixed before the runs; the line is the interval that "
                  "decides. Blue effects support their claim, red ones refute it, green ones exclude a gain "
                  "that counts, and the hollow orange ones are undecided. *Mixed* also asked for wider intervals than "
                  "the ones drawn."]
    for name in names:
        others = [make_id(f"{name}: {other}") for other in (*MEANS, "inconclusive") if other != words[name]]
        lines += ["", "".join(f'<div id="{other}"></div>' for other in others),  # links to another verdict lead on
                  *titled(name, entries[name], f"{name}: {words[name]}", f": {words[name]}"),
                  *_claim(name, entries[name], judged.get(name), words[name], chapters)]
    return "\n".join(lines) + "\n"


def verdicts(entries: Mapping[str, Item], judged: Mapping[str, Item]) -> list[tuple[str, str, str]]:
    """Of each claim that the runs judged: id, what is asked, verdict."""
    return [(name, entries[name]["asks"], word(judged[name])) for name in order(entries) if name in judged]


def judgements(executed: Mapping[str, NotebookNode]) -> dict[str, Item]:
    """Id -> what `run.claim` wrote, from the executed chapters."""
    return {claim["id"]: claim for book in executed.values() for claim in results(book, CLAIM)}


def marked(judged: str) -> str:
    """A verdict's sign and words, on one line."""
    return f"{MARK[judged]}{GAP}**{judged.replace(' ', GAP)}**"


def by_model(claim: Item) -> dict[str, str]:
    """The verdict on each model's own effects, by the rule for the whole; empty where labels name fewer than two."""
    own = {model: {label: row for label, row in claim["effects"].items() if label.startswith(f"{model}: ")}
           for model in MODELS}
    return {model: word(claim | {"effects": rows}) for model, rows in own.items()} if all(own.values()) else {}


def _claim(name: str, entry: Item, found: Item | None, judged: str,
           chapters: Mapping[str, NotebookNode]) -> list[str]:
    if "says" in entry:  # a claim of the field
        said = [f"> {entry['says']}", "", f"**Who says so.** {entry['cites']}", "",
                f"**Of which model.** {entry['model']}"]
    else:
        said = [f"> {entry['quote']}", ">", f"> {entry['translation']} (Source, {sections(entry['source'])})"]
    lines = [*said, "", f"**The question.** {entry['asks']}", ""]
    if entry["chapter"] in chapters:
        lines += [f"**Where.** {heading(chapters[entry['chapter']])}: {link(entry['chapter'], entry['section'])}", ""]
    lines += [f"**Protocol.** {entry['protocol']}", ""]
    if found:
        rows = [f"| Effect, {found['unit']} | Estimate | Interval | For other |", "|---|---:|---:|---:|"]
        for label, effect, level, _ in ranked(found):
            ends = effect.interval(level)
            over = f"{effect.over} ({effect.seeds})" + (f" and items ({effect.items:,})" if effect.items else "")
            rows.append(f"| {label} | {number(effect.difference, decimals(*ends), sign=True)} | "
                        f"{spread(ends, sign=True)} ({100 * level:.3g}%) | {over} |")
        lines += [*rows, "", *([picture({name: found}), ""] if len(found["effects"]) > CROWD else []),
                  f"What counts as nothing: {found['bound']:g} {found['unit']}.", ""]
    practice = ["", f"**In practice.** {entry['practice']}"] if found else []
    each = "; ".join(f"{model}: {one}" for model, one in by_model(found).items()) if found else ""
    return [*lines, f"**Verdict.** {MARK[judged]} {judged.capitalize()}.{f' {each}.' if each else ''}", *practice]


def ranked(claim: Item) -> list[tuple[str, Effect, float, str]]:
    """Each effect as (label, effect, level of the interval that decided it, word), rank 4 before rank 16.

    What the notebook's file stores has lost its order.
    """
    def key(label: str) -> list[Any]:
        return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", label)]
    found = judge(claim)
    rows = zip(claim["effects"], found.effects, found.levels, found.words, strict=True)
    return sorted(rows, key=lambda row: key(row[0]))


def scaled(judged: Mapping[str, Item]) -> list[tuple[str, list[float], str]]:
    """Each effect's label, its estimate with the ends of the interval that decided it, and its word.

    The numbers are divided by the claim's bound: -1 to 1 is nothing.
    """
    return [(f"{name}: {label}", [x / claim["bound"] for x in (effect.difference, *effect.interval(level))], judged_so)
            for name, claim in judged.items() for label, effect, level, judged_so in ranked(claim)]


def picture(judged: Mapping[str, Item]) -> str:
    """All effects with the intervals that decided them, on one axis."""
    rows = scaled(judged)
    fig, axis = plt.subplots(figsize=(5.0, 0.9 + 0.48 * len(rows)))
    axis.axvspan(-1, 1, color=COLOURS[4], alpha=0.2, linewidth=0)
    axis.axvline(0, color=INK, linewidth=0.7)
    for height, (label, (middle, low, high), judged_so) in enumerate(reversed(rows)):
        colour = COLOURS[{"supported": 0, "refuted": 5, "no gain": 2}.get(judged_so, 1)]
        axis.plot([low, high], [height, height], color=colour)
        axis.plot(middle, height, "o", color=colour, markerfacecolor="none" if judged_so == "undecided" else colour)
        axis.annotate(label, (0, height), (2, 6), xycoords=axis.get_yaxis_transform(), textcoords="offset points",
                      fontsize=9)
    axis.set(yticks=[], ylim=(-0.5, len(rows) - 0.2), xlabel="effect, in units of what counts as nothing")
    if any(max(map(abs, values)) > 20 for _, values, _ in rows):
        axis.set_xscale("symlog", linthresh=1)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", alpha=0.14)
    counted = ", ".join(f"{name} {word(claim)}" for name, claim in judged.items())
    alt = (f"{len(rows)} effects with the intervals that decide, in units of what counts as nothing. "
           f"Verdicts: {counted}.")
    return f'<figure class="par-figure">{_svg(fig, alt)}</figure>'


def errata(entries: Mapping[str, Item], chapters: Mapping[str, NotebookNode]) -> str:
    """The page of errata: what the source says, what is true, where a cell shows it."""
    lines = ["# Where the source is wrong", "",
             f"Each error is shown by a cell that runs: follow the link and change it. {SOURCE}"]
    for name in order(entries):
        entry = entries[name]
        if entry["chapter"] not in chapters:
            continue
        section = section_of(chapters[entry["chapter"]], entry["cell"])
        lines += [*titled(name, entry, f"{name}, section {entry['source']}"),
                  f"*Source, {sections(entry['source'])}.*", "", f"**The source says.** {entry['says']}", "",
                  f"**What is true.** {entry['truth']}", "",
                  f"**Shown in.** {heading(chapters[entry['chapter']])}: {link(entry['chapter'], section)}"
                  f"{'' if section.endswith('?') else '.'}"]
    return "\n".join(lines) + "\n"


def prose(notebook: NotebookNode) -> str:
    """All the text of a chapter, without its code and formulas."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.sub(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$", "", text, flags=re.S)


def used(term: str, notebook: NotebookNode) -> bool:
    """Whether the chapter's prose has the term."""
    return bool(terms.used(term, prose(notebook)))


def glossary(terms: list[Item], chapters: Mapping[str, NotebookNode]) -> str:
    """The page of terms in alphabetical order; a term that two chapters define is shown once.

    The links to the chapters that use a term are what the site's links from first use go by: an entry's `elsewhere`
    lists the chapters in which the word means something else.
    """
    merged = {term["term"].casefold(): term for term in reversed(terms)}
    lines = ["# Glossary", "", "Each term in English and Chinese, in one sentence."]
    for key in sorted(merged):
        term = merged[key]
        pages = [f"[chapter{GAP}{int(stem[:2])}]({stem}.ipynb)" for stem, book in chapters.items()
                 if stem not in term.get("elsewhere", ()) and used(term["term"], book)]
        lines += ["", f"[{term['term']}]{{#{make_id('term-' + term['term'])}}} ({term['chinese']})",
                  f": {term['sentence']}" + (f" In: {', '.join(pages)}." if pages else "")]
    return "\n".join(lines) + "\n"


def references(entries: Mapping[str, Entry], chapters: Mapping[str, NotebookNode]) -> str:
    """The bibliography, by first author; an entry names the chapters that cite it."""
    lines = ["# References", ""]
    for entry in sorted(entries.values(), key=lambda entry: (surnames(entry), entry.fields["year"])):
        pages = [f"[{int(stem[:2])}]({stem}.ipynb)" for stem, book in chapters.items() if cites(book, entry)]
        places = [f"in {'chapters' if len(pages) > 1 else 'chapter'}{GAP}{', '.join(pages)}"] if pages else []
        places += [BESIDES[address(entry)]] if address(entry) in BESIDES else []
        lines.append(f"- {reference(entry)}" + (f" Cited {' and '.join(places)}." if places else ""))
    return "\n".join(lines) + "\n"


def surnames(entry: Entry) -> list[str]:
    """The authors' family names, without TeX's braces."""
    return [re.sub(r"[{}]", "", " ".join(person.prelast_names + person.last_names))
            for person in entry.persons["author"]]


def address(entry: Entry) -> str:
    """Where to read the work, or "" where the entry does not say."""
    if "eprint" in entry.fields:
        return f"https://arxiv.org/abs/{entry.fields['eprint']}"
    return f"https://doi.org/{entry.fields['doi']}" if "doi" in entry.fields else entry.fields.get("url", "")


def reference(entry: Entry) -> str:
    """One work: authors (year), title, where it appeared, address, and whether we know more of it than its abstract."""
    names, where = surnames(entry), entry.fields.get("journal") or entry.fields.get("booktitle") or ""
    authors = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    place = f" {where}{' ' + entry.fields['volume'] if 'volume' in entry.fields else ''}." if where else ""
    found = f" <{address(entry)}>." if address(entry) else ""
    found += " Known to us from its abstract alone." if entry.fields.get("read") == "abstract" else ""
    title = re.sub(r"[{}]", "", entry.fields["title"])
    return f"{authors} ({entry.fields['year']}). *{title}*{'' if title.endswith(('?', '!')) else '.'}{place}{found}"


def cites(notebook: NotebookNode, entry: Entry) -> bool:
    """Whether the chapter has the work's title, or its address."""
    def plain(text: str) -> str:
        return re.sub(r"\W+", " ", text.replace("{", "").replace("}", "")).casefold()
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return plain(entry.fields["title"]) in plain(text) or bool(address(entry) and address(entry) in text)


def recipe(rows: list[Item], executed: Mapping[str, NotebookNode], chapters: Mapping[str, NotebookNode]) -> str:
    """The page that says what to take: each row with the results that it rests on, and links to where they are shown.

    Args:
        rows: of `chapters/recipe.yml`.
        executed: stem -> executed notebook.
        chapters: stem -> notebook, for the headings.
    """
    shown = {}
    for stem, book in executed.items():
        for cell in book.cells:
            alone = NotebookNode(cells=[cell])
            for name, found in [(result["name"], result) for result in results(alone)] + [
                    (claim["id"], claim) for claim in results(alone, CLAIM)]:
                place = f"{stem}.html#{make_id(section_of(chapters[stem], cell.id))}"
                shown[name] = (found, f'<a href="{place}">chapter{GAP}{int(stem[:2])}</a>')
    table = ["| When | Take | What it rests on |", "|---|---|---|"]
    for row in rows:
        named = [(ground, ground.get("claim") or ground["record"]) for ground in row["rests_on"]]
        grounds = [_ground(ground, *shown[name]) for ground, name in named if name in shown]
        if lost := len(named) - len(grounds):
            grounds.append(f"{lost} of {len(named)} grounds not run")
        when = [f"{kind.capitalize()}: {row[kind]}" for kind in ("labels", "time", "shift")
                if kind != "shift" or row[kind] != "none"]
        table.append(f"| {_parts(when, 'part beside')} | **{row['take']}** {row['because']} | "
                     f"{_parts(grounds, 'part')} |")
    return "\n".join([
        "# What to take", "",
        "Find your labels, your time and your shift; each advice says what it rests on. Where nothing was shown, it "
        "says so. The book is not published while an advice says more than its runs.", "",
        *stacked(*table, kind="recipe"), "",
        "Unless a row says otherwise, all of this was shown for one small encoder and English sentences. With another "
        "model or another language, run the chapter that the row links to."]) + "\n"


def _parts(texts: Iterable[str], kind: str) -> str:
    return " ".join(f'<span class="{kind}">{text}</span>' for text in texts)


def _ground(ground: Item, shown: Item, where: str) -> str:
    if "claim" in ground:
        judged = word(shown)
        anchor = make_id(f"{shown['id']}: {judged}")
        told = f"{ground['effect']}: {stand(shown, ground)}" if "effect" in ground else f"{MARK[judged]} {judged}"
        behind = sorted({effect["seeds"] for label, effect in shown["effects"].items()
                         if ground.get("effect", label) == label})
        seeds = f"{behind[0]} seeds" if len(behind) == 1 else f"{behind[0]} to {behind[-1]} seeds"
        return f'<a href="claims.html#{anchor}">{shown["id"]}</a>, {told}, {seeds} ({where})'
    ends = possible(shown)
    places = decimals(*ends) if ends else None
    between = f" [{f',{GAP}'.join(number(end, places, sign=True) for end in ends)}]" if ends else ""
    unit = "" if shown["unit"] == "1" else f" {shown['unit']}"
    seeds = f", {shown['seeds']} {shown.get('over', 'seeds')}" if shown["seeds"] > 1 else ""
    said = f"{number(shown['value'], places, sign=True)}{between}{unit}{seeds}"
    return f"{ground['record'].replace('_', ' ')}: {said} ({where})"


def entries(folder: Path) -> dict[str, Any]:
    """Stem -> content of each .yml file."""
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yml"))}


def bibliography(folder: Path) -> dict[str, Entry]:
    """Key -> work; a key that several chapters have is one work."""
    found: dict[str, Entry] = {}
    for path in sorted(folder.glob("*.bib")):
        found |= parse_string(path.read_text(encoding="utf-8"), "bibtex").entries
    return found


def write(source: Path, target: Path, chapters: Mapping[str, NotebookNode],
          executed: Mapping[str, NotebookNode]) -> None:
    """Write the pages whose entries exist.

    Args:
        source: the folder `chapters/` with claims/, errata/, glossary/ and bibliography/.
        target: the staged `chapters/`.
        chapters: stem -> source of every chapter.
        executed: stem -> executed notebook.
    """
    judged = judgements(executed)
    full = any((source.parent / "results" / "evidence").glob("*-full.json"))
    pages = {"claims": claims(entries(source / "claims"), judged, chapters, full),
             "errata": errata(entries(source / "errata"), chapters),
             "glossary": glossary([term for some in entries(source / "glossary").values() for term in some], chapters),
             "references": references(bibliography(source / "bibliography"), chapters),
             "speed": speed.page(speed.stored(source.parent / "results" / "bench.json"))}
    if (rows := source / "recipe.yml").exists():
        pages["recipe"] = recipe(yaml.safe_load(rows.read_text(encoding="utf-8")), executed, chapters)
    for name, text in pages.items():
        meta = yaml.safe_dump({"myst": {"html_meta": {"description lang=en": DESCRIPTIONS[name]}}}, width=1000)
        (target / f"{name}.md").write_text(f"---\n{meta}---\n\n{text}", encoding="utf-8")
