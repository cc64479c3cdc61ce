"""The repository's address and the branch or tag that readers fetch, and every place that has to repeat them.

Both are settings in pyproject.toml: `Repository`, and `ref` of `[tool.book]`. The set-up cell that opens each chapter
stands once, in `tools/setup_cell.txt`.
"""
from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.notebooks import ROOT, Mistake, chapters, command, read, tags, write

PLACES = ("pyproject.toml", "_config.yml", "README.md", "CITATION.cff", "chapters/*.ipynb", "chapters/*.md",
          "chapters/zh/*.ipynb", "chapters/zh/*.yml",
          "tools/setup_cell.txt")
TEMPLATE = "tools/setup_cell.txt"
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
# Whoever writes one of these means this repository: where it is cloned or installed from, opened, served.
OURS = (r"""\bREPO(?:SITORY)? *= *\\?["'](?P<url>[^"'\\]+)""",
        r"""git clone (?:-\S+ )*(?P<url>https?://[^\s"'`\\]+)""",
        r"""git\+(?P<url>https://[^\s"'@`\\]+)""",
        r"""(?m)^ *(?:url|repository-code): *["']?(?P<url>https://github[^\s"']+)""",
        r"""colab\.research\.google\.com/github/(?P<slug>[\w.-]+/[\w.-]+)""",
        r"""(?m)^ *baseurl: *["']?https://(?P<pages>[\w-]+\.github\.io/[\w.-]+)""",
        r"""mybinder\.org/v2/gh/(?P<slug>[\w.-]+/[\w.-]+)""",
        r"""mybinder\.org/v2/gh/[\w.-]+/[\w.-]+/(?P<ref>[\w.-]+)""",
        r"""colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/(?P<ref>[\w.-]+)/""",
        r"""\bVERSION *= *\\?["'](?P<ref>[^"'\\]+)""",
        r"""(?m)^ *branch: *["']?(?P<ref>[\w.-]+)""",
        r"""(?m)^ref *= *["'](?P<ref>[\w.-]+)""")


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


def reference(root: Path) -> str:
    """The branch or tag that readers fetch, as pyproject.toml has it."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["book"]["ref"]


def places(root: Path) -> Iterator[Path]:
    """The files that may repeat the address."""
    for pattern in PLACES:
        yield from sorted(root.glob(pattern))


def forms(url: str, ref: str) -> dict[str, str]:
    """How address and version are written: whole, as Colab has it, as the pages' host has it; a branch or a tag.

    Raises:
        Mistake: a reference that is no plain branch or tag.
    """
    owner, name = owner_and_name(url)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", ref):
        raise Mistake(f"REF must be a branch or a tag, such as main or v1.0.0, got {ref!r}")
    slug = f"{owner}/{name}"
    return {"url": f"https://github.com/{slug}", "slug": slug, "pages": f"{owner}.github.io/{name}", "ref": ref}


def strangers(root: Path) -> list[str]:
    """Every place that names another repository, or another version, where it means this one."""
    right, wrong = forms(setting(root), reference(root)), []
    for path in places(root):
        text = path.read_text(encoding="utf-8")
        for match in (match for pattern in OURS for match in re.finditer(pattern, text)):
            form, found = next(iter(match.groupdict().items()))
            if found.removesuffix("/").removesuffix(".git") != right[form]:
                wrong.append(f"{path.relative_to(root)}: {found} must be {right[form]} (`make repo` writes it)")
    return wrong


def odd_ones(root: Path) -> list[Path]:
    """The chapters whose set-up cell is not the one in `tools/setup_cell.txt`."""
    right = (root / TEMPLATE).read_text(encoding="utf-8").rstrip("\n")
    return [path for path in chapters(root)
            if [cell.source for cell in read(path).cells if "setup" in tags(cell)] != [right]]


def fit_setup(root: Path) -> list[Path]:
    """Put the set-up cell of `tools/setup_cell.txt` into every chapter; its other cells stay.

    Returns:
        The files that changed.
    """
    lines = (root / TEMPLATE).read_text(encoding="utf-8").rstrip("\n").splitlines(keepends=True)
    changed = odd_ones(root)
    for path in changed:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if "setup" in cell["metadata"].get("tags", []):
                cell["source"] = lines
        write(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return changed


def rename(root: Path, url: str, ref: str) -> list[Path]:
    """Write `url` and `ref` in place of the address and the version wherever they stand; all other bytes stay.

    Returns:
        The files that changed.
    """
    old, new = forms(setting(root), reference(root)), forms(url, ref)
    changed = []
    for path in places(root):
        with path.open(encoding="utf-8", newline="") as file:  # keeps the line ends
            before = text = file.read()
        for form in ("slug", "pages"):
            text = re.sub(rf"(?<![\w.-]){re.escape(old[form])}(?![\w-])", new[form], text)
        for pattern in OURS:
            text = re.sub(pattern, lambda match: _put(match, new), text)
        if text != before:
            write(path, text)
            changed.append(path)
    return changed


def _put(match: re.Match[str], new: dict[str, str]) -> str:
    form, found = next(iter(match.groupdict().items()))
    return match[0].replace(found.removesuffix("/").removesuffix(".git"), new[form])


def main() -> int:
    """The command line behind `make repo`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=setting(ROOT), help="https://github.com/OWNER/NAME")
    parser.add_argument("--ref", default=reference(ROOT), help="the branch or the tag that readers fetch")
    asked = parser.parse_args()
    for path in sorted({*rename(ROOT, asked.url, asked.ref), *fit_setup(ROOT)}):
        print(f"  {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    command(main)
