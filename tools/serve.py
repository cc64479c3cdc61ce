"""Serve the finished site on this machine, compressed as a web host would."""
from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RedirectHandler, StaticFileHandler

from tools.notebooks import ROOT, Mistake, command


class Pages(StaticFileHandler):
    """Files, and the site's own page where there is none."""

    def write_error(self, status_code: int, **_: Any) -> None:
        page = Path(self.root) / "404.html"
        self.finish(page.read_bytes() if page.exists() else f"{status_code}\n")


def base(root: Path = ROOT) -> str:
    """The folder of its host in which the site is published, such as /book/."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return urlsplit(config["html"]["baseurl"]).path


def serve(site: Path, port: int, folder: str = "/") -> tuple[HTTPServer, str]:
    """Start to serve `site` in `folder` on loopback; port 0 takes any free one. Needs a running event loop.

    Returns:
        The server, and the address to open.
    """
    files = (f"{folder}(.*)", Pages, {"path": str(site), "default_filename": "index.html"})
    home = ("/", RedirectHandler, {"url": folder, "permanent": False})
    sockets = bind_sockets(port, "127.0.0.1")
    server = HTTPServer(Application([files, home], compress_response=True))
    server.add_sockets(sockets)
    return server, f"http://127.0.0.1:{sockets[0].getsockname()[1]}{folder}"


async def forever(site: Path, port: int) -> None:
    """Serve until interrupted; take another port where `port` is taken."""
    try:
        _, address = serve(site, port, base())
    except OSError:
        _, address = serve(site, 0, base())
    print(f"  {address}  (stop with Ctrl-C)", flush=True)
    await asyncio.Event().wait()


def main() -> int:
    """The command line behind `make serve`."""
    given = sys.argv[1] if len(sys.argv) == 2 else ""
    if not given.isascii() or not given.isdigit() or int(given) > 65_535:
        raise Mistake(f"PORT must be a number from 0 to 65535, got {' '.join(sys.argv[1:])!r}")
    site = ROOT / "_build" / "site"
    if not (site / "index.html").is_file():
        raise Mistake("there is no site yet: `make book` builds it")
    try:
        asyncio.run(forever(site, int(given)))
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    command(main)
