"""Examples of `lib.book.figures`; see `tests/lib/test_examples.py`."""

# %% show
import matplotlib.pyplot as plt

from lib.book.figures import show

fig, axis = plt.subplots()
axis.plot([1, 2, 4], [0.5, 0.7, 0.8])
show(fig, alt="Accuracy rises with the number of labels.", caption="Three runs.")
assert not plt.fignum_exists(fig.number)

# %% slider
import matplotlib.pyplot as plt

from lib.book.figures import slider

frames = {rank: plt.subplots()[0] for rank in (1, 2, 4)}
slider(frames, label="rank", alt="Singular values kept at rank {0}.")
assert not plt.get_fignums()

# %% explore
import matplotlib.pyplot as plt

from lib.book.figures import explore


def draw(rank: int) -> plt.Figure:
    return plt.figure(figsize=(rank, 2))


explore(draw, live=False, alt="A frame {0} inches wide.", rank=[1, 2, 4])
assert not plt.get_fignums()
