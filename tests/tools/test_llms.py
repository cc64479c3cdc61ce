"""`llms.txt` lists what the table of contents holds, in its order, and the claims that were judged."""
from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.tools.tiny_book import Book
from tools import llms

CONTENTS = {"root": "chapters/intro", "chapters": [{"file": "chapters/how"}, {"file": "chapters/01-a"}]}
FRONT = '---\nmyst:\n  html_meta:\n    "description lang=en": "{}"\n---\n\n# {}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "intro.md").write_text(FRONT.format("Learn it.", "The book"))
    (tmp_path / "chapters" / "how.md").write_text("# How\n\nSo.")
    notebook = Book.notebook(prose="# One\n\nText.")
    notebook.metadata["myst"] = {"html_meta": {"description lang=en": "Where it begins."}}
    nbformat.write(notebook, tmp_path / "chapters" / "01-a.ipynb")
    return tmp_path


def test_it_says_what_there_is(folder: Path) -> None:
    said = llms.text(CONTENTS, folder, [("C2", "Does it help?", "no gain")], "https://x.y/")
    assert said == """# The book

> Learn it.

## Chapters

- [One](https://x.y/chapters/01-a.html): Where it begins.

## Claims, judged by the book's own runs: https://x.y/chapters/claims.html

- C2, no gain: Does it help?

## Pages beside the chapters

- [How](https://x.y/chapters/how.html)
"""
    assert "## Claims" not in llms.text(CONTENTS, folder, [], "https://x.y/"), "none was judged"


def test_a_page_without_a_title_is_named(folder: Path) -> None:
    (folder / "chapters" / "how.md").write_text("So.")
    with pytest.raises(ValueError, match=r"how\.md must have a title"):
        llms.text(CONTENTS, folder, [], "https://x.y/")
