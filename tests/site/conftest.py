"""The browser and the built site, shared by all site tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.site.browser import SITE, chromium, missing, serve
from tools.chromium import executable
from tools.serve import base

CHINESE = {f"zh/{page}.html" for page in (
    "index", "search", "404", "chapters/02-concepts", "chapters/claims", "chapters/recipe", "chapters/run")}


def pages() -> list[str]:
    """Return the built pages, as paths within the site."""
    return sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))


def seen() -> list[str]:
    """The pages that a browser opens: in English all, in Chinese one of each kind, since each costs seconds."""
    return [page for page in pages() if not page.startswith("zh/") or page in CHINESE]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, chosen in (("built", pages), ("opened_page", seen)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, chosen() or [""])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not executable():
        missing("no Chromium here: `apt-get install chromium`, or install Chrome, and run again")
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    if not (SITE / "index.html").exists():
        missing("no built site here: run `make book` and run again")
    with serve(SITE, base()) as address:
        yield address
