"""Examples of `lib.book.moving`; see `tests/lib/test_examples.py`."""

# %% Control
from lib.book.moving import Control

assert Control("strength", [0.01, 0.1]).said() == ["0.01", "0.1"]

# %% moving
import matplotlib.pyplot as plt

from lib.book.moving import Control, moving

fig, axis = plt.subplots()
axis.fill([0, 1, 1, 0], [0, 0, 2, 2], gid="moving-kept")
data, rank = {"spectra": [[2.0]], "shapes": [[1, 1]], "names": ["number"]}, Control("rank", [0, 1], start=1)
moving(fig, kind="rank", data=data, controls=[rank], words="{kept} kept.", said={"kept": "100.0 %"}, alt="A square.")
assert not plt.get_fignums()

# %% ranks
import matplotlib.pyplot as plt
import numpy as np

from lib.book.moving import ranks

ranks({"diagonal matrix": np.diag([5.0, 3.0, 1.0])}, tried=[1, 2, 3], start=2, alt="Two of three values are kept.")
assert not plt.get_fignums()

# %% shrinkage
import matplotlib.pyplot as plt

from lib.book.moving import shrinkage

bowl = {"curvature": [1.0, 0.1], "turn": 30, "target": [1.0, 2.0], "rate": 0.5}
shrinkage(**bowl, strengths=[0.0, 0.1], steps=[0, 10], start=(1, 1), alt="Two paths from zero to the lowest loss.")
assert not plt.get_fignums()
