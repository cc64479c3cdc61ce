"""The notebooks as JupyterLab shows them, opened in a browser: what folds, what is drawn once, what figures say."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.site.browser import SITE
from tools.diagrams import sources

PLAIN = {"windowingMode": "none"}  # every cell is drawn, not those on the screen alone
BROKEN = "broken.ipynb"
PICTURE = ".jp-MarkdownCell img[src^='data:image/png']"
SECONDS = 120  # for a page: several jobs may share the machine


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text("utf-8"))["cells"]


def worsened(path: Path) -> None:
    """Negative control: the notebook as it must not be, a diagram as a fence and nothing folded."""
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        cell["metadata"].pop("jupyter", None)
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and sources(text):
            cell["source"] = text.replace("<!-- mermaid", "```mermaid").replace("\n-->", "\n```").replace("==>", "-->")
    path.with_name(BROKEN).write_text(json.dumps(notebook), "utf-8")


@pytest.fixture(scope="module")
def lab(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab on loopback, with settings and a memory of its own; its folder holds the notebooks of the site."""
    root = tmp_path_factory.mktemp("lab")
    shutil.copytree(SITE / "_sources" / "chapters", root / "work")
    worsened(next((root / "work").glob("02-*.ipynb")))
    settings = root / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps(PLAIN))
    places = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
              "JUPYTER_DATA_DIR": "data", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = os.environ | {name: str(root / folder) for name, folder in places.items()}
    files = [str(path) for path in (root / "work").glob("*.ipynb")]
    subprocess.run([sys.executable, "-m", "jupyter", "trust", *files], env=environment, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--port-retries=0",
               "--ip=127.0.0.1", "--IdentityProvider.token=", f"--ServerApp.root_dir={root / 'work'}",
               "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = (root / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/lab/tree/"
    try:
        end = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, (root / "log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@contextmanager
def opened(browser: Browser, lab: str, name: str, count: int) -> Iterator[Page]:
    """A notebook in JupyterLab once all its cells are there."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    page.goto(f"{lab}{name}?reset")
    page.wait_for_function("count => document.querySelectorAll('.jp-Notebook .jp-Cell').length === count", arg=count)
    yield page
    context.close()


def drawings(page: Page) -> dict[str, int]:
    """What JupyterLab makes of fences, how many pictures show, and how many cells have their code folded."""
    return page.evaluate("""pictures => ({
        fences: document.querySelectorAll(
            ".jp-MarkdownCell :is([class*='mermaid' i], img[src^='data:image/svg'], code.language-mermaid)").length,
        pictures: [...document.querySelectorAll(pictures)]
            .filter(picture => picture.naturalWidth > 100).length,
        words: [...document.querySelectorAll('.jp-MarkdownCell .jp-RenderedMarkdown')]
            .filter(cell => /flowchart|accDescr/.test(cell.innerText)).length,
        folded: document.querySelectorAll('.jp-CodeCell .jp-InputPlaceholder').length })""", PICTURE)


def test_a_diagram_appears_once_and_what_folds_on_the_site_folds(lab: str, browser: Browser) -> None:
    path = next((SITE / "_sources" / "chapters").glob("02-*.ipynb"))
    found = cells(path)
    count = sum(len(sources("".join(cell["source"]))) for cell in found)
    folded = sum(bool(cell["metadata"].get("jupyter", {}).get("source_hidden")) for cell in found)
    assert count > 3 and folded > 10
    with opened(browser, lab, path.name, len(found)) as page:
        page.locator(PICTURE).nth(count - 1).wait_for()  # Markdown is drawn after its cells
        assert drawings(page) == {"fences": 0, "pictures": count, "words": 0, "folded": folded}
        shown = page.locator(".par-slider").first.locator("[data-frame]:visible")
        assert shown.count() == 1, "a slider shows one of its frames"
    with opened(browser, lab, BROKEN, len(found)) as page:
        page.locator(".jp-RenderedMermaid").nth(count - 1).wait_for()
        broken = drawings(page)
        assert broken["fences"] >= count and broken["folded"] == 0


def test_a_figure_that_computes_in_the_page_is_a_picture_with_its_words(lab: str, browser: Browser) -> None:
    path = next((SITE / "_sources" / "chapters").glob("04-*.ipynb"))
    with opened(browser, lab, path.name, len(cells(path))) as page:
        moving = page.locator(".par-moving")
        assert moving.count() > 0
        for figure in moving.all():
            assert figure.locator("svg").is_visible() and figure.locator(".par-said").is_visible()
            assert not figure.locator(".par-axis").first.is_visible(), "there is nothing to move"
