"""The pages beside the chapters: their code runs as it stands, and says what stands below it."""
from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHAPTERS = Path(__file__).resolve().parents[2] / "chapters"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.S)


def differences(page: str) -> Iterator[str]:
    """Run the blocks of Python in one namespace; where one does not say what stands below it, what it says."""
    names: dict[str, object] = {}
    for code, expected in BLOCK.findall(page):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            try:
                exec(compile(code, "page", "exec"), names)
            except Exception as error:  # a page may show one
                print(f"{type(error).__name__}: {error}")
                if not expected:
                    raise
        pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
        if expected and not re.fullmatch(pattern, said.getvalue().strip()):
            yield f"{code}says {said.getvalue()}"


@pytest.mark.parametrize("name", ["how-to-run", "how-this-book-decides", "when-a-run-goes-wrong"])
def test_the_code_of_a_page_says_what_stands_below_it(name: str) -> None:
    page = (CHAPTERS / f"{name}.md").read_text("utf-8")
    assert BLOCK.search(page) and list(differences(page)) == []


@pytest.mark.parametrize(("code", "below", "sound"), [
    ("print(2)", "2", True),
    ("print(2)", "3", False),
    ("print('a 7 b')", "a ... b", True),
    ("[][1]", "IndexError: list index out of range", True),
    ("print(2)", "IndexError: list index out of range", False),
])  # fmt: skip
def test_what_a_page_says_wrongly_is_seen(code: str, below: str, sound: bool) -> None:
    assert (list(differences(f"```python\n{code}\n```\n\n```text\n{below}\n```\n")) == []) is sound
