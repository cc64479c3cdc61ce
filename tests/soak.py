"""What only time shows: `python -m tests.soak` runs each part for its share of the time, at random moments.

`make soak` takes ten minutes, as continuous integration does once a week; each of its other runs takes thirty seconds.
"""
from __future__ import annotations

import argparse
import hashlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.soak_service import service
from tests.tools.tiny_book import Book
from tools.notebooks import ROOT

LIMIT = 120  # seconds that a build of the tiny book may take on a slow machine, waiting for another one included
BUILD = """import signal
from pathlib import Path
from tools.book import run
from tools.execute import Settings
from tools.notebooks import command
signal.signal(signal.SIGINT, signal.default_int_handler)
command(lambda: run(Path({!r}), Settings()))"""
HOW = (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
TIMES = r"\d{4}-\d\d-\d\d|\d\d:\d\d|[\d.,]+ (?:s|seconds|MB|min)\b"  # what a page may say otherwise the next time


def tiny(folder: Path) -> Book:
    """A book of two chapters and a cover."""
    folder.mkdir()
    book = Book(folder)
    for name in ("01-a", "02-b"):
        book.chapter(name, f"run.record('{name[-1]}', 0.8, at_least=0.5)", prose=f"# {name}\n\nA $x$.")
    book.pages()
    return book


def build(root: Path) -> subprocess.Popen[str]:
    """Begin a build of the book in `root`."""
    return subprocess.Popen([sys.executable, "-c", BUILD.format(str(root))], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def site(root: Path) -> dict[str, str]:
    """What the site holds: file -> digest; of the page of the run, and of its words in the search, only the name."""
    folder, found = root / "_build" / "site", {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix in (".html", ".ipynb"):
            content = re.sub(TIMES, "", content.decode()).encode()
        told = path.stem in ("run", "searchindex")
        found[path.relative_to(folder).as_posix()] = "" if told else hashlib.sha256(content).hexdigest()
    return found


def halves(root: Path) -> list[str]:
    """Files and processes that a build should not have left."""
    files = [str(path.relative_to(root)) for path in root.rglob("*.partial*") if "node_modules" not in path.parts]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != psutil.Process().pid and str(root) in " ".join(process.cmdline()):
                files.append(" ".join(process.cmdline())[:200])
    return files


def builds(seconds: float, chance: random.Random) -> list[str]:
    """Interrupt and kill builds at random moments; what comes next must be the book, whole, with nothing left behind.

    One build in three begins while another one is at work, one in two finds no cache, one in six nothing at all.
    """
    wrong, end, least = [], time.monotonic() + seconds, len(HOW) * max(1, round(seconds / 30))  # ten each in 300 s
    with tempfile.TemporaryDirectory() as folder:
        root = tiny(Path(folder) / "a book 书").root
        began = time.monotonic()
        first = build(root)
        said, _ = first.communicate(timeout=LIMIT)
        if first.returncode:
            return [f"the first build must succeed, got {first.returncode}:\n{said}"]
        whole, lasts, count = site(root), time.monotonic() - began, 0
        while time.monotonic() < end or count < least:
            how, moment = HOW[count % len(HOW)], chance.uniform(0.3, lasts)  # before, Python itself starts
            if count % 2:
                remove(root / "_build" / ("cache" if count % 6 != 5 else ""))
            second = [build(root)] if count % 3 == 1 else []
            victim = build(root)
            time.sleep(moment)
            victim.send_signal(how)
            told, _ = victim.communicate(timeout=LIMIT)
            where = f"build {count}, {how.name} after {moment:.2f} s"
            if "Traceback" in told:
                wrong.append(f"{where}: a traceback:\n{told}")
            for process in [*second, build(root)]:
                said, _ = process.communicate(timeout=LIMIT)
                if process.returncode or "Traceback" in said:
                    wrong.append(f"{where}: the next build must succeed, got {process.returncode}:\n{said}")
            if (now := site(root)) != whole:
                changed = sorted(name for name in whole | now if whole.get(name) != now.get(name))
                wrong.append(f"{where}: the site differs in {', '.join(changed[:9])}")
            if left := halves(root):
                wrong.append(f"{where}: left behind: {', '.join(left)}")
            count += 1
    print(f"  {count} builds were stopped, {len(wrong)} things went wrong", flush=True)
    return wrong


def remove(path: Path) -> None:
    """Delete a file or a folder, as a reader would."""
    subprocess.run(["rm", "-rf", str(path)], check=True)


PARTS: dict[str, Callable[[float, random.Random], list[str]]] = {"builds": builds, "service": service}


def main() -> int:
    """The command line behind `make soak`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for all parts together")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; without one, all")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"PART must be one of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    print(f"seed {asked.seed}", flush=True)
    names = asked.parts or list(PARTS)
    wrong = []
    for name in names:
        print(f"{name}: {asked.seconds / len(names):.0f} s", flush=True)
        wrong += [f"{name}: {words}" for words in PARTS[name](asked.seconds / len(names), random.Random(asked.seed))]
    print("\n".join(wrong), file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
