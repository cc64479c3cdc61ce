"""How a page shows itself elsewhere: as a link's preview, as a result of a search, as the page for lost readers."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from playwright.sync_api import Browser

from tests.site.browser import SITE, aside, visit
from tests.site.conftest import pages
from tools import diagrams, preview, serve
from tools.notebooks import ROOT, Mistake

ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["html"]["baseurl"]
NEEDED = ("description", "og:title", "og:description", "og:image", "twitter:card")


def columns(text: str) -> int:
    """How wide a text is: a Chinese sign takes the place of two letters where results are listed, and says as much."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def preview_faults(text: str, site: Path) -> list[str]:
    """What a page lacks that others show of it."""
    page = BeautifulSoup(text.partition("<body")[0], "html.parser")
    found = {str(tag.get("name") or tag.get("property")): str(tag["content"]) for tag in page.select("meta[content]")}
    faults = [f"no {name}" for name in NEEDED if not found.get(name)]
    faults += [f"{name} twice" for name in NEEDED if len(page.select(f'[name="{name}"], [property="{name}"]')) > 1]
    picture = found.get("og:image", "")
    if not picture.startswith(ADDRESS) or not (site / picture.removeprefix(ADDRESS)).is_file():
        faults.append(f"no such picture: {picture}")
    if not 50 <= (wide := columns(found.get("description", ""))) <= 220:
        faults.append(f"a description of {wide} columns")
    return faults


def test_every_page_can_be_previewed(site: str, built: str) -> None:
    text = (SITE / built).read_text("utf-8")
    assert preview_faults(text, SITE) == []
    assert preview_faults(text.replace("og:image", "og:picture"), SITE) != []
    assert preview_faults(text.replace("_static/preview", "_static/gone"), SITE) != []
    assert preview_faults(text.replace('name="description"', 'name="words"'), SITE) != []


def test_no_two_pages_describe_themselves_alike(site: str) -> None:
    covers = ("index.html", "zh/index.html")  # each the same page as its intro.html
    others = [(SITE / page).read_text("utf-8").partition("<body")[0] for page in pages() if page not in covers]
    found = Counter(BeautifulSoup(text, "html.parser").select_one("[name=description]")["content"] for text in others)
    assert [words for words, count in found.items() if count > 1] == []


def test_the_picture_has_the_size_that_previews_ask_for(site: str) -> None:
    content = (SITE / "_static" / "preview.png").read_bytes()
    assert struct.unpack(">II", content[16:24]) == (1200, 630)
    assert len(content) < 150_000


@contextmanager
def host(site: Path) -> Iterator[str]:
    """The site as `make serve` serves it, from a thread; yields the host's address without the site's folder."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def start() -> str:
        return serve.serve(site, 0, serve.base())[1]

    yield asyncio.run_coroutine_threadsafe(start(), loop).result().removesuffix(serve.base())
    loop.call_soon_threadsafe(loop.stop)


@pytest.mark.parametrize("lost", ["gone.html", "chapters/gone.html", "chapters/much/deeper/gone.html"])
def test_a_lost_reader_finds_the_way_from_any_depth(site: str, browser: Browser, lost: str) -> None:
    with host(SITE) as address, visit(browser, address + serve.base() + lost) as opened:
        page = opened.page
        assert [fault for fault in opened.faults if "404" not in fault or "_static" in fault] == []
        assert page.get_by_role("heading", level=1).inner_text() == "No such page"
        assert page.evaluate("getComputedStyle(document.querySelector('.top')).position") == "sticky", "it is styled"
        page.get_by_role("main").get_by_role("link", name="cover").click()
        page.wait_for_url("**/intro.html")
        assert page.locator(".cover").count() == 1


def test_a_page_of_another_depth_would_be_bare(tmp_path: Path, browser: Browser) -> None:
    """Negative control: links that start at the page's own folder find no style sheet from below."""
    (tmp_path / "404.html").write_text((SITE / "search.html").read_text("utf-8"), "utf-8")
    (tmp_path / "_static").symlink_to(SITE / "_static")
    with host(tmp_path) as address, visit(browser, address + serve.base() + "chapters/gone.html") as opened:
        assert any("book.css" in fault for fault in opened.faults)
        assert opened.page.evaluate("getComputedStyle(document.querySelector('.top')).position") == "static"


def illustrated(notebook: Path) -> list[str]:
    """The cells with diagrams, each of which has its picture."""
    texts = [text for text in preview.markdown(notebook) if diagrams.sources(text)]
    assert [fault for text in texts for fault in diagrams.faults(text)] == []
    return texts


def test_one_command_draws_the_pictures_again(site: str, tmp_path: Path) -> None:
    for folder in ("tools/ext/static", "docs", "chapters"):
        (tmp_path / folder).mkdir(parents=True)
    chapter = tmp_path / "chapters" / "05-bert-case-study.ipynb"
    notebook = nbformat.read(ROOT / "chapters" / chapter.name, as_version=4)
    cell = next(cell for cell in notebook.cells if diagrams.sources(cell.source))
    cell.source = diagrams.bare(cell.source)
    nbformat.write(notebook, chapter)
    aside(lambda: asyncio.run(preview.pictures(SITE, tmp_path)))
    sizes = {"tools/ext/static/preview.png": (1200, 630), "docs/page.png": (1200, 840)}
    for name, size in sizes.items():
        picture = Image.open(tmp_path / name)
        assert picture.size == size and len(picture.convert("RGB").getcolors(1 << 20) or []) > 20, "it is not blank"

    drawn = chapter.read_bytes()
    (text,) = illustrated(chapter)
    picture = Image.open(io.BytesIO(base64.b64decode(diagrams.DATA.findall(text)[0][1])))
    assert 800 <= picture.width <= 1000 and len(picture.convert("RGB").getcolors() or []) > 5
    aside(lambda: asyncio.run(preview.pictures(SITE, tmp_path)))
    assert chapter.read_bytes() == drawn, "a second time changes nothing"

    cell.source = cell.source.replace('"tokens"', '"words"')
    nbformat.write(notebook, chapter)
    with pytest.raises(Mistake, match="older than the diagrams"):
        aside(lambda: asyncio.run(preview.pictures(SITE, tmp_path)))
    with pytest.raises(Mistake, match="make book"):
        aside(lambda: asyncio.run(preview.pictures(tmp_path, tmp_path)))


def test_a_page_shows_a_diagram_once_and_its_notebook_keeps_the_picture(site: str) -> None:
    page = (SITE / "chapters" / "05-bert-case-study.html").read_text("utf-8")
    assert 'class="mermaid"' in page and "image/png;base64" not in page.partition('class="mermaid"')[2][:20_000]
    assert len(illustrated(SITE / "_sources" / "chapters" / "05-bert-case-study.ipynb")) == 1
