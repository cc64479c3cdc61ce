"""Serve the finished site on this machine, compressed as a web host would."""
from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, StaticFileHandler

from tools.notebooks import ROOT


def serve(site: Path, port: int) -> tuple[HTTPServer, str]:
    """Start to serve `site` on loopback; port 0 takes any free one. Needs a running event loop.

    Returns:
        The server, and the address to open.
    """
    files = [("/(.*)", StaticFileHandler, {"path": str(site), "default_filename": "index.html"})]
    sockets = bind_sockets(port, "127.0.0.1")
    server = HTTPServer(Application(files, compress_response=True))
    server.add_sockets(sockets)
    return server, f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"


async def main(port: int) -> None:
    """Serve until interrupted; take another port where `port` is taken."""
    try:
        _, address = serve(ROOT / "_build" / "site", port)
    except OSError:
        _, address = serve(ROOT / "_build" / "site", 0)
    print(f"  {address}  (stop with Ctrl-C)", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1])))
    except KeyboardInterrupt:
        print()
