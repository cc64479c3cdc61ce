"""The page of the library: what it makes of docstrings and signatures, and that it leaves no public name out."""
from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools import api
from tools.notebooks import ROOT

SOURCE = '''
"""Shrinks matrices.

    m  rows, at least 1
"""

Names = tuple[str, ...]
"""Words for the m rows; "a" is one."""
LIMIT = 3


@dataclass(frozen=True)
class Size:
    """A size.

    Args:
        rows: m.
    """

    rows: int
    _seen: int = 0

    def area(self, *, columns: int = 1) -> int:
        """The number of entries."""

def shrink(W: Tensor, rank: int, *more: str, start: Mapping[str, Tensor] | None = None) -> Tensor:
    """W cut to a rank <= m.

        W_r = sum_{i <= r} s_i u_i,   or W where `start` is given        Ada 1843, eq. 1

    It costs a*b < 3 steps, or $s_r / sqrt(m)$ of "them" (Ada, 1843).

    Args:
        W, start: (m, n).
        rank: 1 to
            m.

    Returns:
        A matrix.

    Raises:
        ValueError: rank out of range.
    """

def _hidden() -> None:
    """Not for readers."""
'''

EXAMPLES = '"""All."""\n\n# %% shrink\nx = 1\nassert x\n'


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A repository with a module and one example."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "tests" / "lib" / "examples").mkdir(parents=True)
    (tmp_path / "lib" / "projection.py").write_text(SOURCE)
    (tmp_path / "tests" / "lib" / "examples" / "projection.py").write_text(EXAMPLES)
    (tmp_path / "_config.yml").write_text("repository: {url: https://host/o/n, branch: main}\n")
    return tmp_path


def test_a_type_that_is_described_stands_on_the_page(book: Path) -> None:
    text = api.page(api.library(book / "lib"), {}, "https://code")
    assert '`Names`\n: `tuple[str, ...]`. Words for the m rows; `"a"` is one.' in text
    assert "LIMIT" not in text


def test_a_docstring_comes_apart(book: Path) -> None:
    _, (_, shrink) = api.library(book / "lib")["projection"]
    assert shrink.doc.summary == "W cut to a rank <= m." and len(shrink.doc.body) == 2
    assert shrink.doc.sections == {
        "Args": {"W": "(m, n).", "start": "(m, n).", "rank": "1 to m."},
        "Returns": {"": "A matrix."},
        "Raises": {"ValueError": "rank out of range."},
    }


def test_a_name_has_signature_formula_source_facts_and_example(book: Path) -> None:
    api.write(book, book)
    page = (book / "api.md").read_text()
    lines = ("shrink(", "W: Tensor,", "rank: int,", "*more: str,", "start: Mapping[str, Tensor] | None = None,")
    assert "\n    ".join(lines) + "\n) -> Tensor" in page
    assert "$$\nW_{r} = \\sum_{i \\le  r} s_{i} u_{i}\n$$" in page
    assert ":::{container} source\nAda 1843, eq. 1\n:::" in page
    assert 'of `"them"` (Ada, 1843).' in page and r"$s_{r} / \sqrt{m}$" in page
    assert "`W`\n: `(m, n)`.\n" in page and "`rank`\n: 1 to m.\n" in page
    assert "raises `ValueError`\n: rank out of range.\n" in page
    assert "```python\nx = 1\nassert x\n```" in page
    line = SOURCE[: SOURCE.index("def shrink")].count("\n") + 1
    assert f"[Code of shrink](https://host/o/n/blob/main/lib/projection.py#L{line})" in page
    assert "a\\*b \\< 3" in page and "- **m** rows, at least 1" in page
    assert "Size(rows: int)" in page and "area(*, columns: int = 1) -> int" in page
    assert "_hidden" not in page and "_seen" not in page


SHOWN = re.compile(r'```.*?```|\$\$.*?\$\$|`[^`]*`|(?<!\\)\$[^$]*\$|'
                   r'^\([\w-]+\)=$|^(?::::|#)[^\n]*$|\*\*|"[^"`]*"', re.S | re.M)
NAKED = re.compile(r".{0,40}(?:[_^=<>|{}*]|sqrt\(|\w\(|\+-| [-+/] ).{0,40}")


def naked(page: str) -> list[str]:
    """What looks like a formula or a name of the code in the prose of a page, and is shown as neither."""
    return NAKED.findall(SHOWN.sub("", re.sub(r"\[[\w.]+( \w+)*\]\([^)]*\)", "", page)))


def test_formulas_and_code_in_prose_are_shown_as_such(book: Path) -> None:
    examples = api.examples(ROOT / "tests" / "lib" / "examples")
    assert naked(api.page(api.library(ROOT / "lib"), examples, "https://host")) == []
    control = naked(api.page(api.library(book / "lib"), {}, "https://host"))
    assert [re.sub(r"\W+", " ", each)[:12] for each in control] == ["W cut to a r", "It costs a b"]


def test_a_module_in_a_room_has_its_whole_name(book: Path) -> None:
    (book / "lib" / "book").mkdir()
    (book / "lib" / "book" / "cards.py").write_text('"""Cards."""\ndef card() -> None:\n    """Draw."""\n')
    (book / "tests" / "lib" / "examples" / "cards.py").write_text("# %% card\nassert card\n")
    api.write(book, book)
    page = (book / "api.md").read_text()
    assert "## lib.book.cards\n" in page and "## lib.projection\n" in page
    assert "[Code of card](https://host/o/n/blob/main/lib/book/cards.py#L2)" in page


def test_every_link_of_the_index_has_its_place() -> None:
    text = api.page(api.library(ROOT / "lib"), api.examples(ROOT / "tests" / "lib" / "examples"), "https://host")
    links, places = re.findall(r"\]\(#([\w-]+)\)", text), re.findall(r"^\(([\w-]+)\)=$", text, re.M)
    assert len(places) == len(set(places)) > 100
    assert set(links) <= set(places)


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("api-regularizers-class-sam", "SAM"),
        ("api-projection-attach", "attach"),
        ("api-training-never", "never"),
        ("api-regularizers-generalization_loss", "generalization_loss"),
        ("api-lower", "lib.run.frozen"),
        ("api-figures", "lib.book.figures"),
        ("api-store", "lib.evidence.store"),
        ("api-figures-verdict", "feedback"),
        ("api-host-has_bf16", "bf16_pays"),
    ],
)
def test_an_old_place_leads_on(old: str, name: str) -> None:
    text = api.page(api.library(ROOT / "lib"), {}, "https://host")
    after = text.partition(f"\n({old})=\n")[2]
    heading = next(line for line in after.splitlines() if not re.fullmatch(r"\([\w-]+\)=", line))
    assert heading.lstrip("#").strip() == name


def test_every_row_of_the_table_of_moves_is_of_something_on_the_page() -> None:
    modules = api.library(ROOT / "lib")
    labels = {api._label(name, entry) for name, (_, entries) in modules.items() for entry in entries}
    assert api.MOVED.keys() <= modules.keys() and api.RENAMED.keys() <= labels


def test_a_module_without_a_place_on_the_page_is_named(book: Path) -> None:
    """Negative control: a new module must be put into reading order."""
    (book / "lib" / "novel.py").write_text('def f() -> None:\n    """Do."""\n')
    with pytest.raises(ValueError, match="novel stands in none"):
        api.library(book / "lib")


@pytest.mark.parametrize(
    ("formula", "tex"),
    [
        ("theta0_S", r"\theta _{0,S}"),
        ("L_1 + q_nc", "L_{1} + q_{nc}"),
        ("sqrt(d / N)", r"\sqrt{d / N}"),
        ("|s B A|_*", "|s B A|_*"),
        ("weight_decay * theta", r"\text{weight\_decay}\cdot  \theta "),
        ("D = W where `start` is given", r"D = W \text{ where start is given}"),
        ("x <- y", r"x \leftarrow  y"),
        ("decay^(L + 1)", r"\text{decay}^{L + 1}"),
        ("e(t) = R[place(t)]", r"e(t) = R[\text{place}(t)]"),
    ],
)
def test_formulas_become_tex(formula: str, tex: str) -> None:
    assert api.tex(formula).split() == tex.split()


@pytest.mark.parametrize(
    ("text", "fence"), [("f(x, y=1)", "```python"), ("python -m lib f", "```text"), ("f(x) = x", "$$")]
)
def test_a_call_is_code_and_an_equation_is_not(text: str, fence: str) -> None:
    assert api._paragraph(f"    {text}")[0] == fence


def test_a_property_is_shown_as_a_value() -> None:
    node = ast.parse('@property\ndef weight(self) -> Tensor:\n    """W."""').body[0]
    assert isinstance(node, ast.FunctionDef) and api.signature(node) == "weight: Tensor"
