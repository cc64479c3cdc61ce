"""Examples of `lib.files.folders`; see `tests/lib/test_examples.py`."""

# %% kept
from pathlib import Path

from lib.files.folders import kept

for _ in range(2):  # the second time it is there
    text = kept("a-1", lambda folder: (folder / "a").write_text("A"), lambda folder: (folder / "a").read_text(),
                cache=Path("cache"))
assert text == Path("cache/a-1/a").read_text() == "A"
