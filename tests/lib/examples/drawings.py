"""Examples of `lib.book.drawings`; see `tests/lib/test_examples.py`."""

# %% low_rank
import matplotlib.pyplot as plt

from lib.book.drawings import low_rank
from lib.book.figures import show

show(low_rank(576, 576, 8), alt="Beside a square matrix its low-rank change is two slivers.")
assert not plt.get_fignums()
