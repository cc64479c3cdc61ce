"""Address and version are one setting each, and `make repo` writes them everywhere, touching nothing else."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.tiny_book import Book
from tools.notebooks import ROOT, read
from tools.repo import fit_setup, odd_ones, reference, rename, setting, strangers

OLD, NEW = "https://github.com/project-and-regularize/book", "https://github.com/some-one/other.name"
FILES = {
    "pyproject.toml": '[project]\nname = "x"\n[project.urls]\nRepository = "{url}"\n[tool.book]\nref = "{ref}"\n',
    "_config.yml": "repository:\n  url: {url}\n  branch: {ref}\nhtml:\n  baseurl: https://{owner}.github.io/{name}/\n",
    "README.md": "git clone {url}.git\npip install \"x @ git+{url}\"\nSee {url}/issues and https://github.com/karpathy/nanoGPT.\n",
    "chapters/intro.md": "[Colab](https://colab.research.google.com/github/{owner}/{name}/blob/{ref}/chapters/05.ipynb)\n",
    "chapters/05.ipynb": ' {{"source": ["REPO = \\"{url}\\"\\n", "VERSION = \\"{ref}\\""]}}\r\n\r\n',
    "tools/setup_cell.txt": 'REPOSITORY = "{url}"\nVERSION = "{ref}"\n',
}


def fill(root: Path, url: str, ref: str = "main") -> dict[str, bytes]:
    owner, name = url.split("/")[-2:]
    files = {path: text.format(url=url, owner=owner, name=name, ref=ref).encode() for path, text in FILES.items()}
    for path, content in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
    return files


def test_every_place_is_rewritten_and_no_other_byte(tmp_path: Path) -> None:
    expected = fill(tmp_path, NEW, "v1.2.0")
    fill(tmp_path, OLD)
    assert strangers(tmp_path) == []
    assert len(rename(tmp_path, NEW, "v1.2.0")) == len(FILES)
    assert {path: (tmp_path / path).read_bytes() for path in FILES} == expected
    assert (setting(tmp_path), reference(tmp_path), strangers(tmp_path)) == (NEW, "v1.2.0", [])


@pytest.mark.parametrize("path", sorted(set(FILES) - {"pyproject.toml"}))
def test_a_place_that_was_forgotten_is_named_and_then_mended(tmp_path: Path, path: str) -> None:
    fill(tmp_path, OLD)
    place = tmp_path / path
    place.write_text(place.read_text().replace("project-and-regularize", "stranger"))
    assert strangers(tmp_path)
    assert all(line.startswith(f"{path}: ") for line in strangers(tmp_path))
    rename(tmp_path, NEW, "main")
    assert strangers(tmp_path) == []


@pytest.mark.parametrize("path", ["_config.yml", "chapters/intro.md", "chapters/05.ipynb", "tools/setup_cell.txt"])
def test_another_version_is_named(tmp_path: Path, path: str) -> None:
    fill(tmp_path, OLD)
    place = tmp_path / path
    place.write_text(place.read_text().replace("main", "v0.0.9"))
    assert strangers(tmp_path) == [f"{path}: v0.0.9 must be main (`make repo` writes it)"]


def test_one_set_up_cell_for_all_chapters(tmp_path: Path) -> None:
    book = Book(tmp_path)
    path = book.chapter("01-a", "1").chapter
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "setup_cell.txt").write_text("a = 1\nb = 2\n")
    assert odd_ones(tmp_path) == [path] == fit_setup(tmp_path)
    assert odd_ones(tmp_path) == [] == fit_setup(tmp_path)
    cells = [cell.source for cell in read(path).cells]
    assert cells[1] == "a = 1\nb = 2" and cells[0] == "A page." and cells[3] == "1"


@pytest.mark.parametrize("url", ["github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a", ""])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    fill(tmp_path, OLD)
    with pytest.raises(ValueError, match="URL must look like https://github.com/OWNER/NAME, got"):
        rename(tmp_path, url, "main")
    with pytest.raises(ValueError, match="REF must be a branch or a tag, such as main or v1.0.0, got '--x y'"):
        rename(tmp_path, NEW, "--x y")


def test_a_machine_without_git_is_told_so_by_the_setup_cell(tmp_path: Path) -> None:
    cell = (ROOT / "tools" / "setup_cell.txt").read_text("utf-8")
    command = [sys.executable, "-I", "-S", "-c", cell]  # sees no installed book
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert "RuntimeError: git is missing: install it (https://git-scm.com) and run" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
