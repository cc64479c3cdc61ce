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

from tools.notebooks import ROOT


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


async def main(port: int) -> None:
    """Serve until interrupted; take another port where `port` is taken."""
    try:
        _, address = serve(ROOT / "_build" / "site", port, base())
    except OSError:
        _, address = serve(ROOT / "_build" / "site", 0, base())
    print(f"  {address}  (stop with Ctrl-C)", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1])))
    except KeyboardInterrupt:
        print()
