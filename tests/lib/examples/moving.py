"""Examples of `lib.book.moving`; see `tests/lib/test_examples.py`."""

# %% Control
from lib.book.moving import Control

assert Control("strength", [0.01, 0.1]).said() == ["0.01", "0.1"]

# %% moving
import matplotlib.pyplot as plt

from lib.book.moving import Control, moving

fig, ax = plt.subplots()
ax.fill([0, 1, 1, 0], [0, 0, 1, 1], gid="moving-kept")
ax.fill([1, 2, 2, 1], [0, 0, 0.5, 0.5], gid="moving-lost")
moving(
    fig,
    kind="rank",
    data={"spectra": [[1.0, 0.5]], "shapes": [[3, 2]], "names": ["matrix"]},
    controls=[Control("rank", [1, 2])],
    words="Rank {rank} keeps {kept}.",
    said={"rank": "1", "kept": "80.0 %"},
    alt="Two singular values; the first is kept.",
)
assert not plt.get_fignums()

# %% ranks
import numpy as np

from lib.book.moving import ranks

ranks({"diagonal matrix": np.diag([5.0, 3.0, 1.0])}, tried=[1, 2, 3], start=2, alt="Two of three values are kept.")

# %% shrinkage
from lib.book.moving import shrinkage

shrinkage(
    curvature=[1.0, 0.1],
    turn=30,
    target=[1.0, 2.0],
    rate=0.5,
    strengths=[0.0, 0.1, 1.0],
    steps=[0, 10, 100],
    start=(1, 1),
    alt="Two paths from zero to the lowest loss.",
)
