"""The site on paper: each page printed by Chromium, all of them joined to one book with numbers, bookmarks and links.

What paper cannot do is turned into what it can (`pdf.js`): solutions and quiz answers move to the chapter's end, a
slider shows its first picture, wide formulas shrink, and links lead to the published site or, in the book, to the page.
The Chinese book is printed in the same way from the pages in `zh/`.
"""
from __future__ import annotations

import asyncio
import html
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import yaml
from playwright.async_api import Page, async_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject, TextStringObject

from tools.chromium import FLAGS, executable
from tools.ext.book_site import CODES, paper, said
from tools.notebooks import ROOT, Mistake
from tools.serve import base, serve

SHEET: dict[str, Any] = {"format": "A4", "margin": {"top": "18mm", "right": "18mm", "bottom": "20mm", "left": "18mm"},
                         "outline": True, "tagged": True, "print_background": True}
TOP = 842.0  # points: the height of the sheet
WIDTH = 658  # CSS pixels: the width of its text
HEAD = '<!doctype html><html lang="{}"><link rel="icon" href="data:,"><link rel="stylesheet" href="{}">'
CONTENTS = ("<title>{0}</title><style>table {{ width: 100% }} td + td {{ text-align: right }}</style>"
            "<h1>{0}</h1><table>{1}</table>")
NUMBERS = ("<style>@page, body {{ margin: 0 }} p {{ margin: 0; height: 290mm; padding-top: 281mm; break-after: page; "
           "text-align: center; font: 9pt var(--sans); color: var(--soft) }}</style>{}")
RADICALS = str.maketrans("⺌⺟⺠⺮⺶⻁⻄⻅⻆⻉⻋⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰",
                         "小母民竹羊虎西见角贝车长门青韦页风飞食马骨鬼鱼鸟卤麦黄齐齿龙")
PAPER = ("Solutions", "Solution", "Answers to the quiz", ".", ":",
         "The first of %s pictures; the slider on the site shows the others.")  # what pdf.js says


def pages(toc: Mapping[str, Any]) -> list[str]:
    """The pages of the book in its order, without their endings; the cover is first."""
    return [toc["root"], *(entry["file"] for entry in toc["chapters"])]


async def prepare(page: Page, address: str, home: str, language: str = "en") -> list[str]:
    """Open a page as it goes to paper.

    Args:
        page: a browser's page.
        address: where the site's page is served.
        home: the site's published address, to which links that leave the page will lead.
        language: that of the page.

    Returns:
        Its headings.

    Raises:
        Mistake: there is no such page.
    """
    await page.set_viewport_size({"width": WIDTH, "height": 1000})
    await page.emulate_media(media="print", color_scheme="light")
    answer = await page.goto(address, wait_until="networkidle")
    if not answer or not answer.ok:
        raise Mistake(f"the contents must name pages of the site, got {address}")
    await page.evaluate("() => document.fonts.ready")
    words = {text: said(language, text) for text in PAPER}
    return await page.evaluate(Path(__file__).with_name("pdf.js").read_text("utf-8").partition("\n")[2],
                               {"home": home, "words": words})


async def _print(site: Path, names: Sequence[str], home: str, language: str) -> tuple[dict[str, bytes], bytes, bytes]:
    """Each page by its name, the page of contents, and as many numbers as there are sheets."""
    if not (chromium := executable()):
        raise Mistake("PDF needs a browser: install Chromium (`apt-get install chromium`) or Chrome")
    server, address = serve(site, 0, base())
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page, printed = await browser.new_page(), dict[str, bytes]()
            page.set_default_timeout(300_000)
            for name in names:
                headings = await prepare(page, f"{address}{name}.html", home, language)
                printed[name] = mended(await page.pdf(**SHEET), headings)
            readers = {name: PdfReader(io.BytesIO(content)) for name, content in printed.items()}
            sheets = sum(len(reader.pages) for reader in readers.values()) + 1
            head = HEAD.format(CODES[language], f"{address}_static/book.css")
            rows, numbers = _rows(readers, home), "".join(f"<p>{n + 1}" for n in range(sheets))
            await page.set_content(head + CONTENTS.format(said(language, "Contents"), rows), wait_until="networkidle")
            contents = await page.pdf(**SHEET)
            await page.set_content(head + NUMBERS.format(numbers), wait_until="networkidle")
            numbered = await page.pdf(format="A4")
            await browser.close()
            return printed, contents, numbered
    finally:
        server.stop()


def _rows(readers: Mapping[str, PdfReader], home: str) -> str:
    """Title and number of each page but the cover; the contents stand behind the cover and take one sheet."""
    (_, cover), *others = readers.items()
    rows, number = "", len(cover.pages) + 2
    for name, reader in others:
        rows += f'<tr><td><a href="{home}{name}.html">{html.escape(title(reader))}</a><td>{number}'
        number += len(reader.pages)
    return rows


def title(reader: PdfReader) -> str:
    """The page's own title, without the book's."""
    return (reader.metadata.title or "" if reader.metadata else "").partition(" · ")[0]


def signs(meanings: str) -> str:
    """A font's list of what its signs mean, in which Chromium names 文 by the radical that looks like it, U+2F42."""
    def sign(code: int) -> str:
        return f"<{ord(unicodedata.normalize('NFKC', chr(code)).translate(RADICALS)):04X}>"

    def several(match: re.Match[str]) -> str:
        start, end, code = (int(part, 16) for part in match.groups())
        every = " ".join(sign(code + place) for place in range(end - start + 1))
        return f"<{match[1]}> <{match[2]}> [{every}]" if 0x2E80 - (end - start) <= code < 0x2FE0 else match[0]

    meanings = re.sub(r"<(\w+)> <(\w+)> <(\w{4})>", several, meanings)
    return re.sub(r"(?<=> )<(2[EF]\w\w)>(?=\s*\n)", lambda match: sign(int(match[1], 16)), meanings)


def fonts(resources: Any) -> Iterator[Any]:
    """The fonts that a sheet uses, and the pictures on it."""
    yield from (font.get_object() for font in resources.get("/Font", {}).values())
    for drawn in resources.get("/XObject", {}).values():
        yield from fonts(drawn.get_object().get("/Resources", {}))


def mended(content: bytes, headings: Sequence[str]) -> bytes:
    """The PDF with its bookmarks named like the headings, of which Chromium loses the space at which one is broken,
    and with Chinese that is found by its signs."""
    writer = PdfWriter(clone_from=io.BytesIO(content))
    lists = {font["/ToUnicode"].indirect_reference.idnum: font["/ToUnicode"] for sheet in writer.pages
             for font in fonts(sheet["/Resources"]) if "/ToUnicode" in font}
    for meanings in lists.values():
        old = meanings.get_data().decode("latin-1")
        if (new := signs(old)) != old:
            meanings.set_data(new.encode("latin-1"))
    names = {re.sub(r"\s", "", heading): heading for heading in headings}
    waiting: list[Any] = [writer.root_object["/Outlines"]]
    while waiting:
        item: Any = waiting.pop().get_object()
        waiting += [item[key] for key in ("/First", "/Next") if key in item]
        if name := names.get(re.sub(r"\s", "", str(item.get("/Title", "")))):
            item[NameObject("/Title")] = TextStringObject(name)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def join(printed: Mapping[str, bytes], *, name: str, home: str, numbers: bytes, language: str = "en") -> bytes:
    """Join printed pages to one file.

    Args:
        printed: page's name -> PDF, in order. One alone keeps its tags, which say what is a heading or a table.
        name: the title of the file.
        home: the site's published address; links to pages that are here are turned to lead inside the file, to the
            place that they name.
        numbers: a PDF with one number a sheet, laid over the sheets in order.
        language: what the pages are written in.

    Returns:
        The file.
    """
    single = len(printed) == 1
    writer = PdfWriter(clone_from=io.BytesIO(*printed.values())) if single else PdfWriter()
    starts, owners, places = dict[str, int](), list[str](), dict[tuple[str, str], tuple[int, float]]()
    for page, content in printed.items():
        reader = PdfReader(io.BytesIO(content))
        starts[page] = 0 if single else len(writer.pages)
        for place, known in reader.named_destinations.items():
            at = starts[page] + (reader.get_destination_page_number(known) or 0)
            places[page, place.removeprefix("/")] = at, float(known.top or TOP)
        owners += [page] * len(reader.pages)
        if not single:
            writer.append(reader, import_outline=True)
    sheets = list(writer.pages)
    for owner, sheet, number in zip(owners, sheets, PdfReader(io.BytesIO(numbers)).pages, strict=False):
        for annotation in sheet.get("/Annots", ()):
            link = annotation.get_object()
            place = str(link.get("/Dest", "")).removeprefix("/")  # of a link within its page, known there by this name
            uri = str(link.get("/A", {}).get("/URI", f"{home}{owner}.html#{place}"))
            page, anchor = urldefrag(uri.removeprefix(home))
            page = page.removesuffix(".html")
            if uri.startswith(home) and page in starts:
                there, top = places.get((page, anchor), (starts[page], TOP))
                link.pop("/A", None)
                link[NameObject("/Dest")] = ArrayObject([sheets[there].indirect_reference, NameObject("/XYZ"),
                                                         NullObject(), FloatObject(top), NullObject()])
        sheet.merge_page(number)
        sheet.compress_content_streams()
    writer.add_metadata({"/Title": name, "/Creator": "Chromium"})
    writer.root_object[NameObject("/Lang")] = TextStringObject(CODES[language])
    writer.compress_identical_objects()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def write(site: Path, toc: Mapping[str, Any], language: str = "en") -> None:
    """Print every page that the contents name, and the book, into the folder `pdf/` of the site in a language."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    folder, book = "" if language == "en" else f"{language}/", said(language, config["title"])
    names = [f"{folder}{name}" for name in pages(toc)]
    printed, contents, numbers = asyncio.run(_print(site, names, config["html"]["baseurl"], language))
    facts: dict[str, Any] = {"home": config["html"]["baseurl"], "numbers": numbers, "language": language}
    (site / folder / "pdf").mkdir()
    for name in names[1:]:
        own = title(PdfReader(io.BytesIO(printed[name])))
        content = join({name: printed[name]}, name=f"{own} · {book}", **facts)
        (site / folder / paper(Path(name).name, language)).write_bytes(content)
    cover, *others = printed.items()
    everything = join(dict([cover, ("contents", contents), *others]), name=book, **facts)
    (site / folder / paper("book", language)).write_bytes(everything)
