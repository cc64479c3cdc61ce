"""A headless Chromium that reports what goes wrong on a page, and a plain static server for it."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from tools.chromium import FLAGS, executable

SITE = Path(__file__).resolve().parents[2] / "_build" / "site"
Theme = Literal["light", "dark"]


def missing(what: str) -> NoReturn:
    """Skip where something is missing; fail instead under CI, where nothing may be."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's own browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        yield browser
        browser.close()


def aside(function: Callable[[], Any]) -> Any:
    """Call in a thread of its own what starts an event loop, since the tests' browser runs one here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, prefix: str, **settings: Any) -> None:
        self.prefix = prefix
        super().__init__(*arguments, **settings)

    def translate_path(self, path: str) -> str:
        """Find nothing outside the folder in which the site is published."""
        inside = path.startswith(self.prefix)
        return super().translate_path(f"/{path.removeprefix(self.prefix)}") if inside else "/nothing/here"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path, prefix: str = "/") -> Iterator[str]:
    """Serve a folder on loopback, as `prefix` of the host; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder, prefix=prefix))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{prefix}"
    server.shutdown()


@dataclass
class Visit:
    """An open page, what went wrong while it loaded, and what it took, in bytes after compression."""

    page: Page
    faults: list[str] = field(default_factory=list)
    weight: int = 0


@contextmanager
def visit(browser: Browser, url: str, *, width: int = 1440, theme: Theme = "light") -> Iterator[Visit]:
    """Open a page in a fresh context; every request to another host is a fault, and goes nowhere."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    opened = Visit(context.new_page())
    host = urlsplit(url).netloc

    def asked(request: Request) -> None:
        if urlsplit(request.url).netloc != host and not request.url.startswith("data:"):
            opened.faults.append(f"request to another host: {request.url}")

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            opened.faults.append(f"console {message.type}: {message.text}")

    bodies: list[Response] = []

    def answered(response: Response) -> None:
        if response.status >= 400:
            opened.faults.append(f"{response.status}: {response.url}")
        else:
            bodies.append(response)

    context.set_default_timeout(120_000)  # several jobs may share the machine
    page = opened.page
    page.on("request", asked)
    page.on("console", heard)
    page.on("pageerror", lambda error: opened.faults.append(f"script error: {error}"))
    page.on("response", answered)
    page.goto(url, wait_until="networkidle")
    opened.weight = sum(len(gzip.compress(response.body())) for response in bodies if response.ok)
    yield opened
    context.close()
