"""The site as a browser gets it from `make serve`."""
from __future__ import annotations

import asyncio
import gzip
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.serve import serve

PAGE = "<p>a page</p>" * 500


def test_pages_come_compressed_from_loopback_and_others_are_not_found(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text(PAGE)
    (tmp_path / "secret").write_text("outside")

    async def visit() -> None:
        server, address = serve(tmp_path / "site", 0)
        assert address.startswith("http://127.0.0.1:")
        request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
        with await asyncio.to_thread(urllib.request.urlopen, request) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            body = answer.read()
        assert gzip.decompress(body).decode() == PAGE
        assert len(body) < len(PAGE) / 10
        for missing in ("nothing.html", "../secret", "%2e%2e/secret"):
            with pytest.raises(urllib.error.HTTPError, match="40[34]"):
                await asyncio.to_thread(urllib.request.urlopen, address + missing)
        server.stop()

    with ThreadPoolExecutor(1) as thread:  # the site's browser keeps an event loop in the main thread
        thread.submit(asyncio.run, visit()).result()
