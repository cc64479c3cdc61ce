"""What the style sheet does to text, on a phone and by touch."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.site.browser import visit
from tests.site.test_typeset import page

PRINTED = """<div class="cell_output"><div class="output {} highlight-none"><div class="highlight"><pre>{}</pre></div>
</div></div>"""
WIDE = "() => { const box = document.querySelector('pre'); return box.scrollWidth > box.clientWidth + 1; }"


@pytest.mark.parametrize(("kind", "wide"), [("", False), ("columns", True)])
def test_printed_sentences_wrap_and_columns_do_not(browser: Browser, kind: str, wide: bool) -> None:
    with visit(browser, "about:blank", width=390) as opened:
        opened.page.set_content(page(PRINTED.format(kind, "a sentence that goes on " * 5 + "x" * 80)))
        assert opened.page.evaluate(WIDE) == wide


def test_what_is_to_be_copied_whole_is_seen_whole(browser: Browser) -> None:
    with visit(browser, "about:blank", width=390) as opened:
        opened.page.set_content(page(f'<div class="highlight-bibtex"><pre>{"a word " * 20}</pre></div>'))
        assert not opened.page.evaluate(WIDE)


def test_a_long_title_of_a_small_figure_is_not_cut(browser: Browser) -> None:
    with visit(browser, "about:blank") as opened:
        opened.page.set_content(page('<svg class="par-svg"></svg>'))
        assert opened.page.locator("svg").evaluate("node => getComputedStyle(node).overflow") == "visible"


@pytest.mark.parametrize("part", ["<pre>{}</pre>", '<div class="scroll">{}</div>', '<div class="math">{}</div>'])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_edge_is_shaded_only_where_more_lies(browser: Browser, part: str, theme: str) -> None:
    """The colours at the right edge, as they are on the screen."""
    seen = []
    for width in (2000, 100):
        inner = f'<div style="width:{width}px;min-width:{width}px;height:60px"></div>'
        with visit(browser, "about:blank", width=390, theme=theme) as opened:  # type: ignore[arg-type]
            opened.page.set_content(page(part.format(inner)))
            box = opened.page.locator("pre, .scroll, .math").bounding_box()
            assert box
            edge = {"x": box["x"] + box["width"] - 4, "y": box["y"] + 30, "width": 4.0, "height": 4.0}
            middle = edge | {"x": box["x"] + box["width"] / 2}
            seen.append(opened.page.screenshot(clip=edge) != opened.page.screenshot(clip=middle))  # type: ignore[arg-type]
    assert seen == [True, False]


def test_only_numbers_in_columns_have_even_widths(browser: Browser) -> None:
    with visit(browser, "about:blank") as opened:
        opened.page.set_content(page("<table><td>2026-11-24</td><td class='text-right'>12</td></table>"))
        kinds = [cell.evaluate("node => getComputedStyle(node).fontVariantNumeric")
                 for cell in opened.page.locator("td").all()]
    assert kinds == ["normal", "tabular-nums"]


def test_an_answer_hangs_beside_its_circle(browser: Browser) -> None:
    answer = "<span>an answer of several lines</span> " * 5
    with visit(browser, "about:blank", width=390) as opened:
        opened.page.set_content(page(f'<ol class="par-quiz"><li><details><summary>{answer}</summary></details></ol>'))
        first, *_, last = (part.bounding_box() for part in opened.page.locator("summary span").all())
        lefts = opened.page.evaluate("""() => {
            const range = document.createRange();
            range.selectNodeContents(document.querySelector("summary"));
            return [...range.getClientRects()].map(box => Math.round(box.left));
        }""")
    assert first and last and last["y"] > first["y"]
    assert min(lefts) >= first["x"] - 2


def test_code_can_be_copied_by_touch(browser: Browser) -> None:
    context = browser.new_context(has_touch=True, is_mobile=True)
    opened = context.new_page()
    opened.set_content(page('<div class="highlight"><pre>x</pre><button class="copy">Copy</button></div>'))
    assert opened.locator(".copy").evaluate("node => getComputedStyle(node).opacity") == "1"
    context.close()


RECORD = "tuned accuracy: 79.4 %, 95% interval 78.1 to 80.7, 5 seeds; from stored runs (quick, cpu); chapter 5"
NUMBER = f"""<p>It is <a class="number" href="#x" aria-description="{RECORD}">79 %</a> and
<a class="number" href="#y">a third</a>.</p>"""
TOLD = """() => [...document.querySelectorAll('a.number')].map(link => {
  const after = getComputedStyle(link, '::after');
  return [after.content, after.position, parseFloat(after.width)]; })"""


def test_a_number_tells_its_record_to_whoever_reaches_it_by_keyboard(browser: Browser) -> None:
    """No script is needed, the line of text keeps its height, and a phone is wide enough."""
    with visit(browser, "about:blank", width=390) as opened:
        opened.page.set_content(page(NUMBER))
        height = opened.page.locator("p").bounding_box()["height"]
        assert opened.page.evaluate(TOLD)[0][0] == "none"
        opened.page.keyboard.press("Tab")
        (content, position, width), other = opened.page.evaluate(TOLD)
        assert content == f'"{RECORD}"' and position == "fixed" and 100 < width < 390 and other[0] == "none"
        assert opened.page.locator("p").bounding_box()["height"] == height
        opened.page.keyboard.press("Tab")
        assert [content for content, *_ in opened.page.evaluate(TOLD)] == ["none", "none"]


@pytest.mark.parametrize(("status", "border"), [("undecided", "dashed"), ("holds", "solid")])
def test_what_is_undecided_looks_undecided(browser: Browser, status: str, border: str) -> None:
    with visit(browser, "about:blank") as opened:
        opened.page.set_content(page(f'<div class="par-card par-{status}"><div class="par-gate">x</div></div>'))
        style, colour, good = opened.page.evaluate("""() => {
          const card = document.querySelector('.par-card'), probe = document.createElement('i');
          probe.style.color = 'var(--good)'; document.body.append(probe);
          return [getComputedStyle(card).borderLeftStyle, getComputedStyle(card.firstChild).color,
                  getComputedStyle(probe).color]; }""")
        assert style == border and (colour == good) == (status == "holds")
