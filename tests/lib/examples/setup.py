"""Examples of `lib.book.setup`; see `tests/lib/test_examples.py`."""

# %% on_colab
import sys

from lib.book.setup import on_colab

assert on_colab() == ("google.colab" in sys.modules)

# %% may_install
import sys

from lib.book.setup import may_install

own = sys.prefix != sys.base_prefix  # a virtual environment
assert may_install() or not own

# %% ready
from pathlib import Path

from lib.book.setup import ready

Path("pyproject.toml").write_text('[project]\ndependencies = ["numpy>=1.26"]\n')
assert ready(Path()) == "nothing was missing."
