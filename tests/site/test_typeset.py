"""How lines break, and how a table is read on a phone: the HTML, and what a browser makes of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.site.browser import visit
from tools.ext import typeset
from tools.notebooks import ROOT

CSS = (ROOT / "tools" / "ext" / "static" / "book.css").read_text("utf-8")
TABLE = """<div class="scroll"><table class="docutils stack"><thead><tr><th><p>Name</p></th><th>Value</th>
<th>Must be</th><th>Check</th></tr></thead><tbody><tr><td><p>gain</p></td><td>12.3 <span class="part beside">11 to 13.7
</span></td><td>≥ 2</td><td>holds</td></tr><tr><td>share</td><td><p></p></td><td>≥ 0</td><td>holds</td></tr></tbody>
</table></div>"""


def page(body: str) -> str:
    return f'<!doctype html><html lang="en"><title>x</title><style>{CSS}</style><main><h1>x</h1>{body}</main>'


def code(text: str) -> str:
    return f'<code class="docutils literal notranslate"><span class="pre">{text}</span></code>'


@pytest.mark.parametrize(("before", "after"), [
    (f"({code('quick')}), x", f'<span class="whole">({code("quick")}),</span> x'),
    (f"{code('a = 1')}: it", f'<span class="whole">{code("a = 1")}:</span> it'),
    (f"in {code('right_strength_minus_weakest')}.", f"in {code('right_<wbr>strength_<wbr>minus_<wbr>weakest')}."),
    (f"{code('chapters/01-background.ipynb')}", code("chapters/<wbr>01-background.<wbr>ipynb")),
    (code("0.123456789012345678901234567"), code("0.123456789012345678901234567")),
    (typeset.formula("<b>x</b>", "x") + ", y", '<span class="whole"><span class="math"><b>x</b></span>,</span> y'),
    (typeset.formula("<b>x</b>", "x" * 30) + ", y", '<span class="math"><b>x</b></span>, y'),
])
def test_short_code_and_formulas_stay_whole_and_long_names_may_break(before: str, after: str) -> None:
    assert typeset.whole(before).replace("math short", "math") == after


def test_commands_are_short_in_print() -> None:
    assert "short" in typeset.formula("", r"\operatorname{rank}\bigl(\Delta W\bigr) \le r")
    assert "short" not in typeset.formula("", r"\operatorname{rank}(W + \Delta W) \le \min(d_1, d_2, d_3, d_4)")


@pytest.mark.parametrize("kept", [True, False])
def test_no_line_begins_with_a_comma(browser: Browser, kept: bool) -> None:
    text = "".join(f'<span class="math short"><span style="display:inline-block;width:{n}px">x</span>{typeset.MATH}'
                   "</span>, and<br>" for n in range(380, 391))
    with visit(browser, "about:blank", width=390) as opened:
        opened.page.set_content(page(f"<p>{typeset.whole(text) if kept else text}</p>"))
        stranded = opened.page.evaluate("""() => [...document.querySelectorAll(".math")].filter(node => {
            const range = document.createRange(), comma = node.nextSibling;
            range.setStart(comma, 0); range.setEnd(comma, 1);
            return range.getBoundingClientRect().left < node.getBoundingClientRect().right - 1;
        }).length""")
    assert bool(stranded) == (not kept)


@pytest.mark.parametrize(("width", "columns"), [(390, False), (1440, True)])
def test_a_table_is_a_list_on_a_phone(browser: Browser, width: int, columns: bool) -> None:
    with visit(browser, "about:blank", width=width) as opened:
        opened.page.set_content(page(typeset.stacked(TABLE)))
        name, value, bound, check = (cell.bounding_box() for cell in opened.page.locator("td").all()[:4])
        assert name and value and bound and check
        assert (name["y"] == value["y"]) == columns
        assert name["y"] == check["y"] and check["x"] > name["x"], "the check stands beside the name"
        labels = opened.page.evaluate("""() => [...document.querySelectorAll("td")].map(
            cell => getComputedStyle(cell, "::before").content)""")
        assert labels[:4] == ["none"] * 4 if columns else labels[2] == '"Must be: "'
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.page.get_by_role("columnheader", name="Must be").count() == 1, "it is heard as a table"
        assert opened.page.get_by_role("cell", name="holds").count() == 2


def test_other_tables_stay_as_they_are() -> None:
    plain = TABLE.replace(" stack", "")
    assert typeset.stacked(plain) == plain
    assert '<td data-label="Value" role="cell"></td>' in typeset.stacked(TABLE), "an empty cell takes no line"
