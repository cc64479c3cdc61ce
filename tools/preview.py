"""Draw the pictures that are committed, from the site: the link preview, the README's page, the chapters' diagrams."""
from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Error, Page, async_playwright

from lib.files.atomic import write_atomically
from tools.chromium import FLAGS, executable
from tools.diagrams import DATA, illustrated, name, sources
from tools.notebooks import ROOT, Mistake, chapters, command, write
from tools.serve import base, serve
from tools.zh import notebook as zh

COLOURS = 128  # of the pictures' palettes: they are small, and nobody sees a difference
ALONE = """.top { display: none } .mermaid { margin: 0 !important; padding: 1rem }"""  # a diagram without its page


def small(picture: bytes, colours: int = COLOURS) -> bytes:
    """A PNG with a palette."""
    packed = io.BytesIO()
    plain = Image.open(io.BytesIO(picture)).convert("RGB")
    plain.quantize(colours, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue()


async def draw(page: Page, address: str, target: Path) -> None:
    """Photograph the built site.

    Args:
        page: a browser's page.
        address: where the site is served.
        target: the folder that the pictures are written into, as in the repository.
    """
    await page.set_viewport_size({"width": 1200, "height": 630})
    await page.goto(f"{address}index.html", wait_until="networkidle")
    _keep(target / "tools" / "ext" / "static" / "preview.png", await page.screenshot())
    await page.set_viewport_size({"width": 1200, "height": 840})
    await page.goto(f"{address}chapters/05-bert-case-study.html", wait_until="networkidle")
    figure = page.locator(".par-figure:not(.par-slider)").last
    await figure.evaluate("node => scrollBy({ top: node.getBoundingClientRect().top - 100, behavior: 'instant' })")
    _keep(target / "docs" / "page.png", await page.screenshot())


def _keep(path: Path, picture: bytes) -> None:
    """Write a picture, made small, whole or not at all."""
    write_atomically(path, lambda file: file.write(small(picture)))


def markdown(path: Path) -> list[str]:
    """The texts of a notebook's Markdown cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


async def diagrams(page: Page, address: str, site: Path, target: Path) -> None:
    """Put a picture beside each diagram of the chapters in `target` that has none of its present source.

    Raises:
        Mistake: the site shows other diagrams than the chapters hold.
    """
    for path in chapters(target):
        pictures = await drawn(page, address, site, path)
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            before = "".join(cell["source"])
            if cell["cell_type"] == "markdown" and (text := illustrated(before, pictures)) != before:
                cell["source"] = text.splitlines(keepends=True)
        write(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
        if (site / "zh").is_dir() and (chinese := zh.place(target, path.stem)).is_file():
            pictures = await drawn(page, f"{address}zh/", site / "zh", chinese)
            write(chinese, zh.made(target, path.stem, pictures))


async def drawn(page: Page, address: str, site: Path, path: Path) -> dict[str, str]:
    """The pictures of a notebook's diagrams: those that it has, and the others as the site draws them.

    Raises:
        Mistake: the site shows other diagrams than the notebook holds.
    """
    fences = [source for text in markdown(path) for source in sources(text)]
    pictures = {key: picture for text in markdown(path) for key, picture in DATA.findall(text)}
    if {name(source) for source in fences} - set(pictures):
        shown = site / "_sources" / "chapters" / path.name
        if fences != [source for text in markdown(shown) for source in sources(text)]:
            raise Mistake(f"the site is older than the diagrams of {path.name}: `make book`")
        await page.goto(f"{address}chapters/{path.stem}.html", wait_until="networkidle")
        await page.add_style_tag(content=ALONE)
        for source, drawing in zip(fences, await page.locator(".mermaid").all(), strict=True):
            if name(source) not in pictures:
                pictures[name(source)] = base64.b64encode(small(await drawing.screenshot(), 16)).decode()
    return pictures


async def pictures(site: Path, target: Path) -> None:
    """Serve a built site and photograph it into `target`.

    Raises:
        Mistake: no browser, or no built site.
    """
    if not (chromium := executable()) or not (site / "index.html").is_file():
        raise Mistake("pictures need Chromium (`apt-get install chromium`) and a built site (`make book`)")
    server, address = serve(site, 0, base())
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            plain: Any = {"color_scheme": "light", "reduced_motion": "reduce"}
            await draw(await browser.new_page(**plain), address, target)
            screen: Any = {"width": 832, "height": 1600}  # at this scale a diagram's column is about 1000 pixels wide
            await diagrams(await browser.new_page(**plain, viewport=screen, device_scale_factor=1.25), address, site,
                           target)
            await browser.close()
    finally:
        server.stop()


def main() -> int:
    """The command line behind `make preview`."""
    try:
        asyncio.run(pictures(ROOT / "_build" / "site", ROOT))
    except Error as error:
        raise Mistake(f"the browser must find what the pictures show (`make book` builds it), got: {error}") from None
    return 0


if __name__ == "__main__":
    command(main)
