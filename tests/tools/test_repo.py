"""The repository's address is one setting, and `make repo` writes it everywhere, touching nothing else."""
from __future__ import annotations

from pathlib import Path

import pytest

from tools.repo import rename, setting, strangers

OLD, NEW = "https://github.com/project-and-regularize/book", "https://github.com/some-one/other.name"
FILES = {
    "pyproject.toml": '[project]\nname = "x"\n[project.urls]\nRepository = "{url}"\n',
    "_config.yml": "repository:\n  url: {url}\nhtml:\n  baseurl: https://{owner}.github.io/{name}/\n",
    "README.md": "git clone {url}.git\npip install \"x @ git+{url}\"\nSee {url}/issues and https://github.com/karpathy/nanoGPT.\n",
    "chapters/intro.md": "[Colab](https://colab.research.google.com/github/{owner}/{name}/blob/main/chapters/05.ipynb)\n",
    "chapters/05.ipynb": ' {{"source": ["REPO = \\"{url}\\"\\n"]}}\r\n\r\n',
}


def fill(root: Path, url: str) -> dict[str, bytes]:
    owner, name = url.split("/")[-2:]
    files = {path: text.format(url=url, owner=owner, name=name).encode() for path, text in FILES.items()}
    for path, content in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
    return files


def test_every_place_is_rewritten_and_no_other_byte(tmp_path: Path) -> None:
    expected = fill(tmp_path, NEW)
    fill(tmp_path, OLD)
    assert strangers(tmp_path) == []
    assert len(rename(tmp_path, NEW)) == len(FILES)
    assert {path: (tmp_path / path).read_bytes() for path in FILES} == expected
    assert (setting(tmp_path), strangers(tmp_path)) == (NEW, [])


@pytest.mark.parametrize("path", sorted(set(FILES) - {"pyproject.toml"}))
def test_a_place_that_was_forgotten_is_named_and_then_mended(tmp_path: Path, path: str) -> None:
    fill(tmp_path, OLD)
    place = tmp_path / path
    place.write_text(place.read_text().replace("project-and-regularize", "stranger"))
    assert strangers(tmp_path)
    assert all(line.startswith(f"{path}: ") for line in strangers(tmp_path))
    rename(tmp_path, NEW)
    assert strangers(tmp_path) == []


@pytest.mark.parametrize("url", ["github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a", ""])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    fill(tmp_path, OLD)
    with pytest.raises(ValueError, match="URL must look like https://github.com/OWNER/NAME, got"):
        rename(tmp_path, url)
