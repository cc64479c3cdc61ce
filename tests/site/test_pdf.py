"""The book on paper: what a reader of the PDF sees, and that the site links to it only where it was printed.

In Chinese the same is asked of the pages in `zh/`.
"""
from __future__ import annotations

import asyncio
import io
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup
from playwright.async_api import async_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import NameObject

from tests.site.browser import SITE, aside, missing
from tests.site.test_reading import page_with
from tools import pdf
from tools.chromium import FLAGS, executable
from tools.ext import book_site
from tools.ext.book_site import said
from tools.notebooks import ROOT, Mistake
from tools.serve import base, serve

WORDS = {"en": ("Solutions", "Answers to the quiz", "Contents"), "zh": ("解答", "小测验答案", "目录")}
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
HOME = CONFIG["html"]["baseurl"]
HEIGHT = 978  # CSS pixels of text on a sheet


@pytest.fixture(scope="module", params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    if request.param == "zh" and not (SITE / "zh").exists():
        pytest.skip("the Chinese pages are shown once each page of the book is Chinese")
    return str(request.param)


@pytest.fixture(scope="module")
def chapter() -> str:
    """A chapter with a slider, without its ending."""
    return page_with("par-slider").removesuffix(".html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, chapter: str, language: str) -> Path:
    """A small book, printed: the cover, a chapter and the glossary of the built site."""
    if not executable():
        missing("no Chromium here: `apt-get install chromium`, or install Chrome, and run again")
    site = shutil.copytree(SITE, tmp_path_factory.mktemp("built") / "site", ignore=shutil.ignore_patterns("pdf"))
    toc = {"root": "chapters/intro", "chapters": [{"file": chapter}, {"file": "chapters/glossary"}]}
    aside(lambda: pdf.write(site, toc, language))
    return site / "pdf" if language == "en" else site / "zh" / "pdf"


def printed(folder: Path, name: str, language: str) -> PdfReader:
    """A file of the small book."""
    return PdfReader(folder / f"{Path(name).name}{'' if language == 'en' else '-zh'}.pdf")


def placed(page: str, language: str) -> str:
    """The page in a language, as a path within the site."""
    return page if language == "en" else f"zh/{page}"


def text_of(reader: PdfReader) -> str:
    return "\n".join(page.extract_text() for page in reader.pages)


def bookmarks(outline: Any, depth: int = 0) -> list[tuple[int, str]]:
    return [row for item in outline for row in (bookmarks(item, depth + 1) if isinstance(item, list)
                                                else [(depth, str(item.title))])]


def soup(page: str) -> BeautifulSoup:
    found = BeautifulSoup((SITE / f"{page}.html").read_text("utf-8"), "html.parser")
    for mark in found.select(".headerlink"):
        mark.decompose()
    return found


def targets(reader: PdfReader) -> list[Any]:
    """Where the links of a file lead: an address, or the index of a sheet."""
    numbers = {page.indirect_reference.idnum: index for index, page in enumerate(reader.pages)}
    links = [annotation.get_object() for page in reader.pages for annotation in page.get("/Annots", ())]
    return [str(link["/A"]["/URI"]) if "/URI" in link.get("/A", {}) else numbers[link["/Dest"][0].idnum]
            for link in links if "/URI" in link.get("/A", {}) or isinstance(link.get("/Dest"), list)]


def plain(text: str) -> str:
    """Letters and signs alone."""
    return re.sub(r"\W", "", text)


def test_paper_has_the_text_and_no_navigation(folder: Path, chapter: str, language: str) -> None:
    reader = printed(folder, chapter, language)
    text, words = text_of(reader), soup(placed(chapter, language))
    for paragraph in words.select("article > section > p")[:3]:
        assert plain(paragraph.text)[:60] in plain(text)
    buttons = ("Skip to the text", "On this page", "Download notebook", "Edit this page", "Show the code")
    for button in (said(language, words) for words in buttons):
        assert button in words.text, "the site has it"
        assert button not in text
    assert "Hide the" not in text and "收起" not in text
    assert "/StructTreeRoot" in reader.trailer["/Root"], "headings and tables are tagged"


def test_a_file_says_what_it_is_and_in_which_language(folder: Path, chapter: str, language: str) -> None:
    book, own = said(language, CONFIG["title"]), soup(placed(chapter, language)).h1
    for name, title in (("book", book), (chapter, f"{own.text} · {book}" if own else "")):
        reader = printed(folder, name, language)
        assert reader.metadata and reader.metadata.title == title
        assert reader.trailer["/Root"]["/Lang"] == {"en": "en", "zh": "zh-CN"}[language]
    assert language == "en" or (re.search("[\u4e00-\u9fff]", book) and "Project" not in book)


def test_what_paper_says_of_itself_is_said_in_each_language() -> None:
    spoken = [words for words in (*pdf.PAPER, "Contents") if re.search("[a-z]", words)]
    assert len(spoken) > 4 and [words for words in spoken if said("zh", words) == words] == []
    assert said("zh", "Never said") == "Never said", "negative control"


def test_solutions_and_answers_stand_at_the_end(folder: Path, chapter: str, language: str) -> None:
    text, words = text_of(printed(folder, chapter, language)), soup(placed(chapter, language))
    titles = WORDS[language]
    exercises, _, end = text.rpartition(f"{titles[0]}\n")
    solutions = [cell.select_one("pre").text for cell in words.select(".tag_solution")]
    assert len(solutions) >= 5
    for solution in solutions:
        line = max(solution.splitlines(), key=len).strip()[:60]
        assert line in end and line not in exercises
    assert "Not yet" not in text and "还不对" not in text
    answers = end.rpartition(titles[1])[2]
    assert [f"{number}. " in answers for number in range(1, 6)] == [True] * 5


def test_chinese_is_drawn_with_an_embedded_font(folder: Path, language: str) -> None:
    reader, shown = printed(folder, "glossary", language), soup(placed("chapters/glossary", language)).article
    signs = "[\u3400-\u9fff]"
    wanted, drawn = (len(re.findall(signs, text)) for text in (shown.text if shown else "", text_of(reader)))
    assert drawn == wanted > 50
    assert re.findall("[\u2e80-\u2fdf\ufffd]", text_of(reader)) == [], "who looks for 文 does not find its radical"
    used: list[str] = []
    for page in reader.pages:
        page.extract_text(visitor_text=lambda text, _, __, font, ___: used.append(str(font.get("/BaseFont", "drawn")))
                          if re.search(signs, text) else None)
    assert used and not [name for name in used if re.search("Inter|Source|JetBrains", name)], "not an empty box of ours"
    for font in (font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()):
        inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        descriptor = inner.get("/FontDescriptor", {})
        assert font["/Subtype"] == "/Type3" or {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor)


def test_the_book_has_bookmarks_numbers_and_links_that_lead_inside(folder: Path, chapter: str, language: str) -> None:
    book, single = printed(folder, "book", language), printed(folder, chapter, language)
    names, page = bookmarks(book.outline), placed(chapter, language)
    cover, title, last = (heading.text for name in ("chapters/intro", chapter, "chapters/glossary")
                          if (heading := soup(placed(name, language)).h1))
    assert [name for depth, name in names if depth == 0] == [cover, WORDS[language][2], title, last]
    inside = [name for depth, name in names if depth == 1]
    assert {heading.text for heading in soup(page).select("h2")} <= set(inside)
    numbers = [page.extract_text().rsplit("\n", 1)[-1] for page in book.pages]
    assert numbers == [str(number) for number in range(1, len(book.pages) + 1)]
    start = next(book.get_destination_page_number(item) for item in book.outline if getattr(item, "title", "") == title)
    assert plain(title)[:30] in plain(book.pages[start].extract_text())
    assert plain(f"{title}{start + 1}") in plain(book.pages[start - 1].extract_text())
    assert start in targets(book), "the page of contents leads to the chapter"
    away = [target for target in targets(single) if str(target).startswith(HOME)]
    assert away and all("127.0.0.1" not in str(target) for target in targets(single) + targets(book))
    assert HOME + f"{page}.html" not in targets(book), "what is in the book is not looked for on the site"
    terms = {str(link["href"]).partition("#")[2] for link in soup(page).select("a.term")}
    glossary = next(book.get_destination_page_number(item) for item in book.outline
                    if getattr(item, "title", "") == last)
    there = {target for target in targets(book) if isinstance(target, int) and target >= glossary}
    assert len(terms) > 5 and len(there) > 1, "each to its entry"


def test_a_bookmark_gets_its_spaces_back() -> None:
    writer, broken = PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    parent = writer.add_outline_item(title="A modelthat reads", page_number=0)
    writer.add_outline_item(title="Nothingknown", page_number=0, parent=parent)
    writer.write(broken)
    mended = pdf.mended(broken.getvalue(), ["A model that reads", "Others"])
    assert bookmarks(PdfReader(io.BytesIO(mended)).outline) == [(0, "A model that reads"), (1, "Nothingknown")]


def test_signs_are_named_by_themselves_and_not_by_radicals() -> None:
    before = "2 beginbfchar\n<C1> <2F42>\n<F9> <73B0>\nendbfchar\n1 beginbfrange\n<01> <03> <2ED3>\nendbfrange\n"
    assert pdf.signs(before) == ("2 beginbfchar\n<C1> <6587>\n<F9> <73B0>\nendbfchar\n1 beginbfrange\n"
                                 "<01> <03> [<957F> <95E8> <2ED5>]\nendbfrange\n")
    kept = "1 beginbfchar\n<2F42> <0041>\nendbfchar\n1 beginbfrange\n<01> <20> <4E00>\nendbfrange\n"
    assert pdf.signs(kept) == kept


def cut(site: Path, name: str, *, ready: bool = True) -> list[str]:
    return aside(lambda: asyncio.run(_cut(site, name, ready)))


async def _cut(site: Path, name: str, ready: bool) -> list[str]:
    """What sticks out of the sheet's text, or is a figure higher than a sheet, in a page as it goes to paper."""
    server, address = serve(site, 0, base())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        page = await browser.new_page()
        if ready:
            await pdf.prepare(page, address + name, HOME)
        else:
            await page.set_viewport_size({"width": pdf.WIDTH, "height": 1000})
            await page.goto(address + name)
        found = await page.evaluate("""([width, height]) => [...document.querySelectorAll(
            "main :is(svg, img, pre, table, p, figure, .katex-html)")].filter(node => {
                const box = node.getBoundingClientRect();
                return node.checkVisibility() && (box.right > width + 2
                    || (box.height > height && node.matches("svg, img, figure")));
            }).map(node => node.outerHTML.slice(0, 80))""", [pdf.WIDTH, HEIGHT])
        await browser.close()
    server.stop()
    return found


@pytest.mark.parametrize("page", sorted(path.name for path in (SITE / "chapters").glob("*.html")))
def test_nothing_is_cut_off(folder: Path, page: str, language: str) -> None:
    assert cut(SITE, placed(f"chapters/{page}", language)) == []


def test_what_is_cut_off_is_seen(folder: Path, tmp_path: Path) -> None:
    wide = '<div class="scroll" style="overflow-x:auto"><table style="width:3000px"><tr><td>x</td></tr></table></div>'
    tall = '<figure><svg width="10" height="2000"></svg></figure>'
    (tmp_path / "page.html").write_text(f'<!doctype html><html data-content_root="./"><main><article>{wide}', "utf-8")
    (tmp_path / "tall.html").write_text(f'<!doctype html><html data-content_root="./"><main><article>{tall}', "utf-8")
    assert len(cut(tmp_path, "page.html", ready=False)) == 1
    assert cut(tmp_path, "page.html") == [], "it shrinks"
    assert len(cut(tmp_path, "tall.html")) == 2


def test_a_page_that_is_not_there_is_not_printed(folder: Path) -> None:
    with pytest.raises(Mistake, match="gone.html"):
        aside(lambda: pdf.write(folder.parent, {"root": "chapters/gone", "chapters": []}))


@pytest.mark.parametrize(("paper", "spoken"), [(True, "en"), (True, "zh_CN"), (False, "en"), (False, "zh_CN")])
def test_pages_link_to_their_pdf_only_where_it_was_printed(tmp_path: Path, paper: bool, spoken: str) -> None:
    (tmp_path / "site.json").write_text(f'{{"pdf": {str(paper).lower()}}}', "utf-8")
    config = SimpleNamespace(root_doc="chapters/intro", language=spoken, html_baseurl="")
    app: Any = SimpleNamespace(srcdir=tmp_path, config=config)
    found = {}
    for page in ("chapters/intro", "chapters/01-background", "search"):
        context: dict[str, Any] = {"page_links": [], "pathto": str}
        book_site.tell_facts(app, page, "", context, None)
        found[page] = [url for _, url in context["page_links"]]
    end = "" if spoken == "en" else "-zh"
    expected = {"chapters/intro": [f"../pdf/book{end}.pdf"], "chapters/01-background": [
        f"../pdf/01-background{end}.pdf"], "search": []}
    assert found == (expected if paper else dict.fromkeys(expected, []))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_this_site_links_to_what_it_has(site: str, language: str) -> None:
    own = SITE / placed("", language)
    linked = {Path(str(link["href"])).name for path in (own / "chapters").glob("*.html")
              for link in soup(placed(f"chapters/{path.stem}", language)).select('.actions a[href$=".pdf"]')}
    assert linked == {path.name for path in (own / "pdf").glob("*.pdf")}


def test_a_link_finds_its_place_in_the_book_whatever_stands_there() -> None:
    def paper(*places: str, link: str = "", within: str = "") -> bytes:
        writer, out = PdfWriter(), io.BytesIO()
        for number, place in enumerate(places):
            writer.add_blank_page(100, 100)
            writer.add_named_destination(f"/{place}", number)
        if link:
            writer.add_annotation(0, Link(rect=(0, 0, 9, 9), url=f"https://book/{link}"))
        if within:
            writer.add_annotation(0, Link(rect=(0, 0, 9, 9), target_page_index=0))[NameObject("/Dest")] = NameObject(
                f"/{within}")
        writer.write(out)
        return out.getvalue()

    for link, sheet in [("claims.html#c5-mixed", 2), ("claims.html#c15-mixed", 0), ("claims.html#c1", 1)]:
        pages = {"claims": paper("the-claims", "c1", "c5-mixed"), "recipe": paper("recipe", "c1", link=link)}
        joined = pdf.join(pages, name="Book", home="https://book/", numbers=paper(*"12345"))
        assert targets(PdfReader(io.BytesIO(joined))) == [sheet]
    pages["recipe"] = paper("recipe", "c1", within="c1")
    joined = pdf.join(pages, name="Book", home="https://book/", numbers=paper(*"12345"))
    assert targets(PdfReader(io.BytesIO(joined))) == [4], "of two places with one name, that of its own page"
