"""What the tests of `tools` share."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.tiny_book import Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """An empty tiny book."""
    return Book(tmp_path)
