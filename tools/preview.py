"""Draw again the two pictures of the site that are committed: the link preview and the README's page."""
from __future__ import annotations

import asyncio
import io
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, async_playwright

from tools.chromium import FLAGS, executable
from tools.notebooks import ROOT, Mistake, command
from tools.serve import base, serve

COLOURS = 128  # of the pictures' palettes: they are small, and nobody sees a difference


def save(picture: bytes, path: Path) -> None:
    """Write a picture with a palette."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


async def draw(page: Page, address: str, target: Path) -> None:
    """Photograph the built site.

    Args:
        page: a browser's page.
        address: where the site is served.
        target: the folder that the pictures are written into, as in the repository.
    """
    await page.set_viewport_size({"width": 1200, "height": 630})
    await page.goto(f"{address}index.html", wait_until="networkidle")
    save(await page.screenshot(), target / "tools" / "ext" / "static" / "preview.png")
    await page.set_viewport_size({"width": 1200, "height": 840})
    await page.goto(f"{address}chapters/05-bert-case-study.html", wait_until="networkidle")
    figure = page.locator(".par-figure:not(.par-slider)").last
    await figure.evaluate("node => scrollBy({ top: node.getBoundingClientRect().top - 100, behavior: 'instant' })")
    save(await page.screenshot(), target / "docs" / "page.png")


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
            await draw(await browser.new_page(color_scheme="light", reduced_motion="reduce"), address, target)
            await browser.close()
    finally:
        server.stop()


def main() -> int:
    """The command line behind `make preview`."""
    asyncio.run(pictures(ROOT / "_build" / "site", ROOT))
    return 0


if __name__ == "__main__":
    command(main)
