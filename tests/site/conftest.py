"""The browser and the built site, shared by all site tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.site.browser import SITE, chromium, missing, serve
from tools.chromium import executable
from tools.serve import base


def pages() -> list[str]:
    """Return the built pages, as paths within the site."""
    return sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "built" in metafunc.fixturenames:
        metafunc.parametrize("built", pages() or [""])


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
