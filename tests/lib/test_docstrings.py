"""Every public name of `lib` says what it takes, what it raises and where it comes from."""
from __future__ import annotations

import pytest

from tests.lib.docstrings import LIB, faults

MODULES = sorted(".".join(path.relative_to(LIB).with_suffix("").parts) for path in LIB.rglob("[!_]*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_say_all(module: str) -> None:
    found = faults(module, (LIB / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    assert not found, "\n".join(found)


GOOD = '''"""Shapes: W is (m, n).

    level  coverage, between 0 and 1
"""
from lib.loss import Loss


def shrink(W: Tensor, rank: int, level: float) -> Tensor:
    """What is left, (m, n), of a rank.

        W_r = U V        Ada 1843, eq. 1

    Args:
        W: (m, n).
        rank: at least 1.

    Raises:
        ValueError: rank out of range.
    """
    def inner() -> None:
        _check(rank)
    return inner


def _check(rank: int) -> None:
    if rank < 1:
        raise ValueError(rank)
'''


def test_a_docstring_that_says_all_has_no_fault() -> None:
    assert faults("projection", GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("        W: (m, n).\n        rank: at least 1.\n", "        W: (m, n).\n", "rank has no range or unit"),
        ("    Args:\n        W: (m, n).\n        rank: at least 1.\n", "", "argument W is not described"),
        ("        rank: at least 1.\n", "        rank: at least 1.\n        size: 2.\n", "size is described, but"),
        ("        rank: at least 1.\n", "        rank: how much stays.\n", "rank has no range or unit"),
        ("    level  coverage, between 0 and 1\n", "", "argument level is not described"),
        ("(m, n)", "m n", "argument W has no shape"),
        ("    Raises:\n        ValueError: rank out of range.\n", "", "raises ValueError, and Raises does not say so"),
        ("        ValueError: rank", "        TypeError: rank", "Raises says TypeError, and nothing raises it"),
        ("        _check(rank)\n", "        pass\n", "Raises says ValueError, and nothing raises it"),
        ("        Ada 1843, eq. 1", "", "no source"),
        ("        W_r = U V        Ada 1843, eq. 1\n", "    Source: Ada 1843.\n", "no equation"),
        ("of a rank.\n", "of a rank. It is small.\n", "its first paragraph must be one sentence"),
        ("        _check(rank)\n", "        raise Loss.Gone()\n", "raises Loss.Gone, and Raises does not say so"),
    ],
)  # fmt: skip
def test_what_a_docstring_leaves_out_is_named(old: str, new: str, fault: str) -> None:
    """Negative controls: one thing taken away, one fault named."""
    assert old in GOOD
    found = faults("projection", GOOD.replace(old, new))
    assert any(fault in line for line in found), found


def test_errors_are_followed_through_other_modules_but_not_into_what_is_caught() -> None:
    through = ('from lib.files.cache import digest\n'
               'def name(x: dict) -> str:\n    """Name of `x`."""\n    return digest(x)\n')
    assert faults("none", through) == ["none.name: raises ValueError, and Raises does not say so"]
    caught = through.replace("return", "try:\n        return") + "    except ValueError:\n        return ''\n"
    assert faults("none", caught) == []
