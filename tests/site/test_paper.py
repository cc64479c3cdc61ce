"""Pages of a tiny book on paper, their code in the clipboard, and their accents in the search."""
from __future__ import annotations

import io
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, Page
from pypdf import PdfReader

from tests.site.browser import serve, visit
from tests.tools.tiny_book import Book
from tools import frontend
from tools.book import run
from tools.execute import Settings
from tools.notebooks import read

PROSE = "# One\n\nA naïve word, and a café.\n\n```pycon\n>>> 1 + 1\n2\n>>> 3\n```\n"
FOLDED = {"folded_code = 1": ["hide-input"], "closed_solution = 2": ["solution"], "open_solution = 3": ["solution"]}
LONG = f"long_line = '{'many words ' * 20}the_end'"
WIDTH = "node => [node.scrollWidth, node.clientWidth]"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    book = Book(tmp_path_factory.mktemp("tiny"))
    job = book.chapter("01-one", "run.record('a', 0.8, at_least=0.5)", *FOLDED, LONG,
                       "x" * 84 + " = 1", "print('out' * 99)", prose=PROSE)
    notebook = read(job.chapter)
    for cell in notebook.cells:
        cell.metadata["tags"] = FOLDED.get(cell.source, cell.metadata.get("tags", []))
    nbformat.write(notebook, job.chapter)
    book.chapter("02-two", "run.record('b', 0.8, at_least=0.5)", prose="# Two\n\nA naive word.")
    book.pages()
    (book.root / "_build").mkdir()
    (book.root / "_build" / "node").symlink_to(frontend.install().parents[1])
    assert run(book.root, Settings()) == 0
    with serve(book.root / "_build" / "site", "/book/") as address:
        yield address


@pytest.fixture
def opened(tiny: str, browser: Browser) -> Iterator[Page]:
    with visit(browser, f"{tiny}chapters/01-one.html") as page:
        yield page.page
        assert page.faults == []


def printed(page: Page) -> str:
    """What Ctrl-P puts on paper, without spaces and line ends."""
    text = "".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(page.pdf(format="A4"))).pages)
    return "".join(text.split())


def test_paper_shows_folded_code_and_the_solutions_that_the_reader_opened(opened: Page) -> None:
    opened.locator(".tag_solution details").last.evaluate("node => { node.open = true; }")
    paper = printed(opened)
    assert "folded_code=1" in paper and "open_solution=3" in paper and "the_end" in paper
    assert not [words for words in ("Showthe", "Hidethe", "closed_solution", "Copy") if words in paper]


def test_a_browser_without_that_style_opens_the_code_while_it_prints(tiny: str, browser: Browser) -> None:
    with visit(browser, "about:blank") as page:
        page.page.add_init_script("CSS.supports = () => false")
        page.page.goto(f"{tiny}chapters/01-one.html", wait_until="networkidle")
        count = "() => [...document.querySelectorAll('details')].map(node => node.open)"
        page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.page.evaluate(count) == [True, False, False]
        page.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.page.evaluate(count) == [False, False, False]


def test_a_page_that_was_dark_is_dark_on_light_on_paper(opened: Page) -> None:
    opened.evaluate("document.documentElement.dataset.theme = 'dark'")
    opened.emulate_media(media="print")
    ink = opened.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(35, 39, 44)", "the ink of the light page"


@pytest.mark.parametrize("width", [1440, 900, 390])
def test_no_line_of_code_is_cut_off_and_88_characters_stay_one_line(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 900})
    blocks = opened.locator("div.highlight pre:visible").all()
    assert len(blocks) > 5
    assert all(inside <= outside for inside, outside in (block.evaluate(WIDTH) for block in blocks))
    heights = [block.bounding_box()["height"] for block in opened.get_by_text("x" * 84).all()]  # type: ignore[index]
    assert width < 1440 or max(heights) < 60


def test_code_is_copied_by_keyboard_without_prompts_and_outputs_have_no_button(opened: Page) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    assert opened.locator(".cell_output .copy").count() == 0
    wide = "x" * 84
    for block, text in (("div.highlight-pycon", "1 + 1\n3"), (f"div.highlight:has-text('{wide}')", f"{wide} = 1")):
        button = opened.locator(block).get_by_role("button", name="Copy the code")
        button.focus()
        opened.keyboard.press("Enter")
        opened.locator(block).get_by_role("button", name="Copied").wait_for()
        assert opened.evaluate("navigator.clipboard.readText()") == text


def test_where_the_clipboard_is_refused_the_code_is_selected(opened: Page) -> None:
    opened.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    opened.locator("div.highlight-pycon").get_by_role("button").click()
    opened.get_by_role("button", name="press Ctrl-C").wait_for()
    assert opened.evaluate("getSelection().toString().includes('1 + 1')")


@pytest.mark.parametrize("words", ["naive", "naïve", "NAÏVE", "nai\u0308ve"])
def test_accents_make_no_difference_to_the_search(tiny: str, browser: Browser, words: str) -> None:
    with visit(browser, f"{tiny}search.html") as page:
        ask = "words => Search._performSearch(...Search._parseQuery(words)).map(row => row[0])"
        assert sorted(page.page.evaluate(ask, words)) == ["chapters/01-one", "chapters/02-two"]
        assert page.page.evaluate(ask, "cafe") == page.page.evaluate(ask, "café") == ["chapters/01-one"]
        assert page.page.evaluate(ask, "caf") and page.page.evaluate(ask, "xylophone") == []
