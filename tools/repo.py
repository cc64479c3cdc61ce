"""The repository's address: one setting, `Repository` in pyproject.toml, and every place that has to repeat it."""
from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.notebooks import ROOT, Mistake, command

PLACES = ("pyproject.toml", "_config.yml", "README.md", "CITATION.cff", "chapters/*.ipynb", "chapters/*.md")
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
# Whoever writes one of these means this repository: where it is cloned or installed from, opened, served.
OURS = (r"""\bREPO(?:SITORY)? *= *\\?["'](?P<url>[^"'\\]+)""",
        r"""git clone (?:-\S+ )*(?P<url>https?://[^\s"'`\\]+)""",
        r"""git\+(?P<url>https://[^\s"'@`\\]+)""",
        r"""(?m)^ *(?:url|repository-code): *["']?(?P<url>https://github[^\s"']+)""",
        r"""colab\.research\.google\.com/github/(?P<slug>[\w.-]+/[\w.-]+)""",
        r"""(?m)^ *baseurl: *["']?https://(?P<pages>[\w-]+\.github\.io/[\w.-]+)""")


def owner_and_name(url: str) -> tuple[str, str]:
    """Split the address of a repository on GitHub (Colab opens notebooks from nowhere else).

    Raises:
        Mistake: another kind of address.
    """
    if not (match := ADDRESS.fullmatch(url)):
        raise Mistake(f"URL must look like https://github.com/OWNER/NAME, got {url!r}")
    return match[1], match[2]


def setting(root: Path) -> str:
    """The address, as pyproject.toml has it."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def places(root: Path) -> Iterator[Path]:
    """The files that may repeat the address."""
    for pattern in PLACES:
        yield from sorted(root.glob(pattern))


def forms(url: str) -> dict[str, str]:
    """How the address is written: whole, as Colab has it, as the pages' host has it."""
    owner, name = owner_and_name(url)
    slug = f"{owner}/{name}"
    return {"url": f"https://github.com/{slug}", "slug": slug, "pages": f"{owner}.github.io/{name}"}


def strangers(root: Path) -> list[str]:
    """Every place that names another repository where it means this one."""
    right, wrong = forms(setting(root)), []
    for path in places(root):
        text = path.read_text(encoding="utf-8")
        for match in (match for pattern in OURS for match in re.finditer(pattern, text)):
            form, found = next(iter(match.groupdict().items()))
            if found.removesuffix("/").removesuffix(".git") != right[form]:
                wrong.append(f"{path.relative_to(root)}: {found} must be {right[form]} (`make repo URL=...` writes it)")
    return wrong


def rename(root: Path, url: str) -> list[Path]:
    """Write `url` in place of the address wherever it stands; all other bytes stay.

    Returns:
        The files that changed.
    """
    old, new = forms(setting(root)), forms(url)
    changed = []
    for path in places(root):
        with path.open(encoding="utf-8", newline="") as file:  # keeps the line ends
            before = text = file.read()
        for form in ("slug", "pages"):
            text = re.sub(rf"(?<![\w.-]){re.escape(old[form])}(?![\w-])", new[form], text)
        for pattern in OURS:
            text = re.sub(pattern, lambda match: _put(match, new), text)
        if text != before:
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
            changed.append(path)
    return changed


def _put(match: re.Match[str], new: dict[str, str]) -> str:
    form, found = next(iter(match.groupdict().items()))
    return match[0].replace(found.removesuffix("/").removesuffix(".git"), new[form])


def main() -> int:
    """The command line behind `make repo`."""
    if len(sys.argv) != 2:
        raise Mistake(f"URL must be given, as in `make repo URL={setting(ROOT)}`")
    for path in rename(ROOT, sys.argv[1]):
        print(f"  {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    command(main)
