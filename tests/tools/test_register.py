"""The generated pages: what they say of synthetic claims, and that the book's own entries fit its chapters."""
from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pybtex.database import parse_string

from lib.book.cards import CLAIM, NOTHING, RESULT
from tools import register, terms
from tools.notebooks import ROOT, chapters, read, syntax

Item = dict[str, Any]
GAP = "\N{NO-BREAK SPACE}"
ENTRY = {"title": "Help", "source": "1.2", "quote": "微调", "translation": "Tune it.", "chapter": "02-tiny",
         "section": "Does it help?", "asks": "Does it help?", "protocol": "Paired.", "lock": "supported",
         "practice": "Do so."}
WAITING = ENTRY | {"chapter": None, "section": None, "lock": None}
BIB = "@article{a1999, author={Ada, A. and Bo, B.}, title={On {BERT}}, journal={J}, year={1999}, eprint={9901.00001}}"


def notebook(*extra: str) -> NotebookNode:
    """A chapter with a question, a cell and more prose."""
    question, cell = new_markdown_cell("## Does it help?\n\nA logit."), new_code_cell("1", id="shown")
    return new_notebook(cells=[new_markdown_cell("# Tiny"), question, cell, *map(new_markdown_cell, extra)])


def claim(*differences: float, error: float = 0.1) -> Item:
    """What run.claim writes, with an effect for each difference; two points count as nothing, a gain is promised."""
    rows = {f"arm {place}": {"difference": mean, "low": mean - 3 * error, "high": mean + 3 * error, "error": error,
                             "dof": 4, "seeds": 5, "level": 0.95} for place, mean in enumerate(differences)}
    return {"id": "C8", "unit": "points", "bound": 2.0, "direction": 1, "effects": rows}


@pytest.mark.parametrize(("found", "word"), [
    (claim(9.0), "supported"), (claim(-9.0), "refuted"), (claim(0.1), "no gain"), (claim(9.0, -9.0), "mixed"),
    (claim(1.0, error=5.0), "undecided"),
])
def test_a_claim_stands_with_the_word_of_the_rule_whatever_it_is(found: Item, word: str) -> None:
    page = register.claims({"C8": ENTRY}, {"C8": found | {"word": "supported"}}, {"02-tiny": notebook()})
    assert f"(c8-{word.replace(' ', '-')})=\n## C8. Help: {word}\n" in page
    assert f"**{word.replace(' ', GAP)}** |\n" in page
    others = {"supported", "refuted", "no gain", "mixed", "undecided"} - {word}
    assert not any(f"## C8. Help: {other}" in page for other in others)


def test_a_claim_has_its_numbers_and_a_link_to_where_it_is_tested() -> None:
    page = register.claims({"C8": ENTRY}, {"C8": claim(9.0)}, {"02-tiny": notebook()})
    assert f"| arm 0 | +9.00 | +8.72{GAP}to{GAP}+9.28 (95%) | seeds (5) |" in page
    both = claim(9.0)
    both["effects"]["arm 0"]["items"] = 1200
    assert "| seeds (5) and items (1,200) |" in register.claims({"C8": ENTRY}, {"C8": both}, {"02-tiny": notebook()})
    there = '<a href="02-tiny.html#does-it-help">Does it help?</a>'
    assert f'| <a href="#c8-supported">C8</a> | Does it help? | {there} | ●{GAP}**supported** |' in page
    assert re.search(r'<svg[^>]* role="img" aria-label="1 effects[^"]*C8 supported', page)


def test_the_picture_draws_the_interval_that_decided() -> None:
    """Where a gain is excluded, the one at 90 %: that at 95 % ends beyond the bound, 2."""
    found = claim(0.0, 3.0, 1.0)
    for row, error in zip(found["effects"].values(), (0.8, 0.5, 2.0), strict=True):
        row["error"] = error
    drawn = register.scaled({"C8": found})
    assert [word for *_, word in drawn] == ["no gain", "supported", "undecided"]
    for (_, (_, low, high), _), half in zip(drawn, (2.1318 * 0.8, 2.7764 * 0.5, 2.7764 * 2.0), strict=True):  # t table
        assert high - low == pytest.approx(half, rel=1e-4)  # twice the half, in bounds of 2
    assert drawn[0][1][2] < 1 < 2.7764 * 0.8 / 2, "what is drawn lies where the word says"


def test_a_claim_on_two_models_has_a_word_for_each() -> None:
    """By the rule for the whole: of one model's two effects, one that shows no gain makes its word mixed."""
    found = claim(9.0, 9.0, 0.1, 9.0)
    names = ("MiniLM: far", "MiniLM: near", "SmolLM2: far", "SmolLM2: near")
    both = found | {"effects": dict(zip(names, found["effects"].values(), strict=True))}
    page = register.claims({"C8": ENTRY}, {"C8": both}, {"02-tiny": notebook()})
    assert "**Verdict.** ◐ Mixed. MiniLM: supported; SmolLM2: mixed.\n" in page
    for labels in (("MiniLM: far", "MiniLM: near", "a", "b"), ("one: far", "one: near", "two: far", "two: near")):
        page = register.claims({"C8": ENTRY}, {"C8": found | {"effects": dict(zip(
            labels, found["effects"].values(), strict=True))}}, {"02-tiny": notebook()})
        assert "**Verdict.** ◐ Mixed.\n" in page


@pytest.mark.parametrize("effects", [1, 8, 9, 11])
def test_a_claim_with_many_effects_has_a_picture_of_its_own(effects: int) -> None:
    page = register.claims({"C8": ENTRY}, {"C8": claim(*[9.0] * effects)}, {"02-tiny": notebook()})
    pictures = [place.start() for place in re.finditer(f'aria-label="{effects} effects', page)]
    own = page.index("## C8. ")
    assert [place > own for place in pictures] == [False, True][:1 + (effects > 8)]


def test_a_claim_without_a_chapter_is_not_tested_yet_and_links_nowhere() -> None:
    page = register.claims({"C20": WAITING}, {}, {"02-tiny": notebook()})
    assert "## C20. Help: not tested yet" in page and ".html" not in page and "<svg" not in page
    assert f"–{GAP}**not{GAP}tested{GAP}yet**: no chapter tests it." in page, "the legend has every mark of the page"


def test_a_claim_whose_chapter_was_not_run_says_so_and_gives_no_advice() -> None:
    page = register.claims({"C8": ENTRY, "C20": ENTRY}, {"C8": claim(9.0)}, {"02-tiny": notebook()})
    judged, unjudged = page[page.index("## C8"):page.index("## C20")], page[page.index("## C20"):]
    assert "## C20. Help: not run for this copy" in page and "not tested yet" not in page
    assert "In practice" in judged and "In practice" not in unjudged and ".html" in unjudged
    assert "profile" in page and "profile" not in register.claims({"C8": ENTRY}, {}, {"02-tiny": notebook()})


@pytest.mark.parametrize("title", [{}, {"title": ""}])
def test_an_entry_without_a_title_is_an_error(title: Item) -> None:
    entry = {key: value for key, value in ENTRY.items() if key != "title"} | title
    with pytest.raises(ValueError, match="C8 must have a title"):
        register.claims({"C8": entry}, {}, {"02-tiny": notebook()})
    with pytest.raises(ValueError, match="E1 must have a title"):
        register.errata({"E1": entry | {"cell": "shown"}}, {"02-tiny": notebook()})


def test_the_page_says_that_the_full_profile_has_not_run_until_it_has() -> None:
    pages = [register.claims({"C8": ENTRY}, {"C8": claim(9.0)}, {"02-tiny": notebook()}, full)
             for full in (False, True)]
    assert ["`full` profile, with more of each, has not been run yet" in page for page in pages] == [True, False]


def test_claims_are_in_the_order_of_their_numbers_and_effects_too() -> None:
    page = register.claims({"C10": WAITING, "C9": WAITING}, {}, {})
    assert page.index("## C9") < page.index("## C10")
    effect = claim(1.0)["effects"]["arm 0"]
    ranks = claim() | {"effects": {"rank 16": effect, "rank 4": effect, "a": effect}}
    labels = [label for label, *_ in register.ranked(ranks)]
    assert labels.index("rank 4") < labels.index("rank 16")


FIELD = {key: value for key, value in ENTRY.items() if key not in ("source", "quote", "translation")} | {
    "says": "It always helps.", "cites": "Ada (2024).", "model": "7 billion parameters."}


def test_a_claim_of_the_field_has_a_citation_in_place_of_a_quotation_and_a_table_of_its_own() -> None:
    page = register.claims({"F1": FIELD, "C10": WAITING, "C9": ENTRY}, {"F1": claim(9.0) | {"id": "F1"}},
                           {"02-tiny": notebook()})
    table = page.index("## Claims of the field")
    assert page.index("C10</a>") < table < page.index("F1</a>") and page.index("## C10") < page.index("## F1. Help")
    mine = page[page.index("## F1. "):]
    assert "> It always helps." in mine and "(Source" not in mine
    assert "**Who says so.** Ada (2024)." in mine and "**Of which model.** 7 billion parameters." in mine
    assert "Claims of the field" not in register.claims({"C9": ENTRY}, {}, {})


def test_an_erratum_names_the_cell_and_a_cell_that_is_gone_is_an_error() -> None:
    entry = {"title": "It is gone", "source": "4.3, 5.2",
             "says": "One.", "truth": "Two.", "chapter": "02-tiny", "cell": "shown"}
    page = register.errata({"E1": entry}, {"02-tiny": notebook()})
    assert "(e1-section-4-3-5-2)=\n## E1. It is gone\n\n*Source, sections 4.3, 5.2.*" in page
    assert "#does-it-help" in page and "`shown`" not in page and "大语言模型原理基础与前沿" in page
    with pytest.raises(ValueError, match="'gone'"):
        register.errata({"E1": entry | {"cell": "gone"}}, {"02-tiny": notebook()})


def test_a_term_is_shown_once_in_order_with_the_chapters_that_use_it() -> None:
    entries = [{"term": name, "chinese": "词", "sentence": f"It is {name}."} for name in ("rank", "logit", "Logit")]
    page = register.glossary(entries, {"02-tiny": notebook("`rank` and $rank$")})
    assert page.lower().count("[logit]{#term-logit} (词)") == 1 and page.index("ogit]{") < page.index("[rank]{")
    assert page.count(f"[chapter{GAP}2](02-tiny.ipynb)") == 1, "code and formulas use no term"


def test_a_chapter_in_which_a_word_means_something_else_is_not_named() -> None:
    head = {"term": "head", "chinese": "头", "sentence": "On top.", "elsewhere": ["02-tiny"]}
    arrow = notebook("The head of an arrow.")
    assert "chapter" not in register.glossary([head], {"02-tiny": arrow})
    assert f"chapter{GAP}2" in register.glossary([head | {"elsewhere": []}], {"02-tiny": arrow})


@pytest.mark.parametrize(("text", "found"), [
    ("The Rank", "Rank"), ("two ranks", "ranks"), ("low-rank", None), ("ranking", None), ("`rank`", "rank")])
def test_a_term_is_found_as_a_word_in_one_way(text: str, found: str | None) -> None:
    match = terms.used("rank", text)
    assert (match and match[0]) == found
    assert terms.used("weight decay", "with weight\n  decay")
    for user in ("tools/register.py", "tools/ext/book_site.py"):
        assert "terms" in (ROOT / user).read_text() and "(?:s|es)" not in (ROOT / user).read_text(), user


def idle(entries: list[Item]) -> list[str]:
    """The terms that no chapter uses."""
    return [term["term"] for term in entries if not any(register.used(term["term"], book) for book in BOOKS.values())]


def test_the_glossary_has_what_the_chapters_use_and_nothing_else() -> None:
    entries = [term for some in register.entries(ROOT / "chapters" / "glossary").values() for term in some]
    assert len(entries) > 60 and all(term["chinese"] and term["sentence"].endswith(".") for term in entries)
    assert idle(entries) == []
    assert idle([{"term": "phlogiston"}]) == ["phlogiston"]


def test_a_row_of_the_recipe_shows_what_the_run_found_and_links_to_it() -> None:
    book = notebook()
    book.cells[2].outputs = [new_output("display_data", data={kind: found}) for kind, found in (
        (RESULT, {"name": "a_minus_b", "value": 3.0, "interval": [2.0, 4.0], "unit": "points", "seeds": 7}),
        (CLAIM, claim(9.0)))]
    grounds: list[Item] = [{"record": "a_minus_b", "sign": 1}, {"claim": "C8", "verdict": "supported"},
                           {"claim": "C8", "effect": "arm 0", "verdict": "supported"}]
    row = dict.fromkeys(("labels", "time", "shift", "take", "because"), "few") | {"rests_on": grounds}
    page = register.recipe([row], {"02-tiny": book}, {"02-tiny": notebook()})
    there = f'<a href="02-tiny.html#does-it-help">chapter{GAP}2</a>'
    assert f"a minus b: +3.0 [+2.0,{GAP}+4.0] points, 7 seeds ({there})</span>" in page
    assert f'<a href="claims.html#c8-supported">C8</a>, ● supported, 5 seeds ({there})</span>' in page
    assert f"arm 0: supported, 5 seeds ({there})</span> |" in page
    assert ">3 of 3 grounds not run<" in register.recipe([row], {}, {"02-tiny": notebook()})
    told = claim(9.0, 9.0)
    told["effects"]["arm 1"]["seeds"] = 20
    book.cells[2].outputs[1].data[CLAIM] = told
    page = register.recipe([row], {"02-tiny": book}, {"02-tiny": notebook()})
    assert "supported, 5 to 20 seeds (" in page and "arm 0: supported, 5 seeds (" in page
    book.cells[2].outputs.pop()
    assert ">2 of 3 grounds not run<" in register.recipe([row], {"02-tiny": book}, {"02-tiny": notebook()})


def test_a_row_of_the_recipe_names_a_shift_only_where_there_is_one() -> None:
    row = {"labels": "few", "time": "minutes", "take": "Tune.", "because": "It helps.", "rests_on": []}
    some, none = (register.recipe([row | {"shift": shift}], {}, {}) for shift in ("a new domain", "none"))
    assert ">Labels: few<" in none and ">Time: minutes<" in none and ">Shift" not in none
    assert ">Shift: a new domain<" in some


def test_a_reference_is_formatted_and_names_who_cites_it() -> None:
    works = dict(parse_string(BIB, "bibtex").entries)
    book = notebook("Ada and Bo (1999), *On BERT*.")
    cited = register.references(works, {"02-tiny": book})
    assert f"Ada and Bo (1999). *On BERT*. J. <https://arxiv.org/abs/9901.00001>. Cited in chapter{GAP}[2]" in cited
    both = register.references(works, {"02-tiny": book, "03-too": book})
    assert f"Cited in chapters{GAP}[2](02-tiny.ipynb), [3](03-too.ipynb)." in both
    assert "Cited" not in register.references(works, {"02-tiny": notebook()})
    besides = BIB.replace("eprint={9901.00001}", "doi={10.1016/j.jml.2019.104047}")
    page = register.references(dict(parse_string(besides, "bibtex").entries), {})
    assert "Cited on [the page of the run](run.md)." in page
    assert "abstract" not in cited
    skimmed = dict(parse_string(BIB.replace("eprint=", "read={abstract}, eprint="), "bibtex").entries)
    assert "9901.00001>. Known to us from its abstract alone." in register.references(skimmed, {})
    asked = dict(parse_string(BIB.replace("{BERT}", "what?"), "bibtex").entries)
    assert "*On what?* J. <" in register.references(asked, {})


BOOKS = {path.stem: read(path) for path in chapters(ROOT)}
WORKS = register.bibliography(ROOT / "chapters" / "bibliography")


def unlisted(books: dict[str, NotebookNode]) -> set[str]:
    """The arXiv and DOI links of the chapters that no entry has."""
    text = "\n".join(cell.source for book in books.values() for cell in book.cells if cell.cell_type == "markdown")
    links = set(re.findall(r"https://(?:arxiv\.org/abs|doi\.org)/[^\s)>]+", text))
    return links - {register.address(entry) for entry in WORKS.values()}


def test_every_reference_of_the_book_is_cited_and_every_link_has_one() -> None:
    uncited = [key for key, entry in WORKS.items() if register.address(entry) not in register.BESIDES
               and not any(register.cites(book, entry) for book in BOOKS.values())]
    assert WORKS and not uncited and not unlisted(BOOKS)
    stray = "https://arxiv.org/abs/0000.00000"
    assert unlisted({"02-tiny": notebook(f"[x]({stray})")}) == {stray}


def bounded(books: dict[str, NotebookNode]) -> dict[str, set[float]]:
    """Unit -> what the chapters say counts as nothing in it: of every call and dictionary with a unit and a bound."""
    found = dict[str, set[float]]()
    for book in books.values():
        trees = [syntax(cell) for cell in book.cells if cell.cell_type == "code"]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        known: Item = {node.targets[0].id: node.value.value for node in nodes
                       if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
                       and isinstance(node.value, ast.Constant)}
        for node in nodes:
            given = {key.arg: key.value for key in node.keywords} if isinstance(node, ast.Call) else {
                getattr(key, "value", None): value for key, value in zip(node.keys, node.values, strict=True)
            } if isinstance(node, ast.Dict) else {}
            unit, bound = given.get("unit"), given.get("bound")
            if isinstance(unit, ast.Constant) and bound is not None:
                number = known[bound.id] if isinstance(bound, ast.Name) else ast.literal_eval(bound)
                found.setdefault(str(unit.value), set()).add(number)
    return found


def test_what_the_cards_count_as_nothing_is_what_the_claims_do() -> None:
    found = bounded(BOOKS)
    assert {unit: found[unit] for unit in NOTHING} == {unit: {bound} for unit, bound in NOTHING.items()}
    other = notebook()
    other.cells[1:1] = [new_code_cell('TOO_MUCH = 3.0\nrun.claim("C8", {}, unit="halvings", bound=TOO_MUCH)')]
    assert bounded({"02-tiny": other}) == {"halvings": {3.0}}


def test_every_section_and_cell_that_the_entries_name_is_there() -> None:
    for name, entry in register.entries(ROOT / "chapters" / "claims").items():
        if entry["chapter"] is not None:
            assert f"## {entry['section']}" in register.prose(BOOKS[entry["chapter"]]), name
    assert "## E1. " in register.errata(register.entries(ROOT / "chapters" / "errata"), BOOKS)
