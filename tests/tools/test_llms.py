"""`llms.txt` lists what the table of contents holds, in its order, and the claims that were judged."""
from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
import yaml

from tests.tools.tiny_book import Book
from tools import llms
from tools.notebooks import ROOT
from tools.zh import lines

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


def test_it_says_the_same_in_chinese_and_each_names_the_other(folder: Path) -> None:
    words = lines.catalogue(ROOT, "claims")
    claims = yaml.safe_load((ROOT / "chapters" / "claims" / "C2.yml").read_text("utf-8"))
    judged = [("C2", claims["asks"], "no gain"), ("F1", claims["asks"], "undecided")]
    said = llms.text(CONTENTS, folder, judged, "https://x.y/zh/", ("English", "https://x.y/llms.txt"), words.say)
    assert words.missing == {}
    for line in ("> Learn it.\n\nEnglish: https://x.y/llms.txt\n\n## 各章\n\n- [One](https://x.y/zh/chapters/01-a.html)",
                 "## 由本书自己的运行判定的论断：https://x.y/zh/chapters/claims.html\n\n- C2，没有增益：",
                 "\n- F1，未决：", "## 各章之外的页面\n"):
        assert line in said
    english = llms.text(CONTENTS, folder, judged, "https://x.y/", ("In Chinese", "https://x.y/zh/llms.txt"))
    assert "> Learn it.\n\nIn Chinese: https://x.y/zh/llms.txt\n\n## Chapters" in english
    words.say("C2, doubtful: Does it?")
    assert list(words.missing) == ["doubtful", "Does it?"], "a question without Chinese is seen"


def test_a_page_without_a_title_is_named(folder: Path) -> None:
    (folder / "chapters" / "how.md").write_text("So.")
    with pytest.raises(ValueError, match=r"how\.md must have a title"):
        llms.text(CONTENTS, folder, [], "https://x.y/")
