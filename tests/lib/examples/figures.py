"""Examples of `lib.figures`; see `tests/lib/test_examples.py`."""

# %% show
import matplotlib.pyplot as plt

from lib.figures import show

fig, axis = plt.subplots()
axis.plot([1, 2, 4], [0.5, 0.7, 0.8])
show(fig, alt="Accuracy rises with the number of labels.", caption="Three runs.")
assert not plt.fignum_exists(fig.number)

# %% slider
import matplotlib.pyplot as plt

from lib.figures import slider

frames = {rank: plt.subplots()[0] for rank in (1, 2, 4)}
slider(frames, label="rank", alt="Singular values kept at rank {0}.")
assert not plt.get_fignums()

# %% explore
import matplotlib.pyplot as plt

from lib.figures import explore


def draw(rank: int) -> plt.Figure:
    return plt.figure(figsize=(rank, 2))


explore(draw, live=False, alt="A frame {0} inches wide.", rank=[1, 2, 4])
assert not plt.get_fignums()

# %% Question
from lib.figures import Question, quiz

question = Question("Is a projection linear?", answer="Yes", why="Ours are.", wrong={"No": "Look at P(ax)."})
quiz([question])
assert question.answer not in question.wrong

# %% quiz
from lib.figures import Question, quiz

try:
    quiz([Question("Which?", answer="This", why="So.", wrong={})])
except ValueError as error:
    refused = str(error)
assert "wrong must hold answers" in refused

# %% Verdict
from lib.figures import verdict

said = verdict(False, "`rank` is too high.")
assert not said and said.message == "`rank` is too high."

# %% verdict
from lib.figures import verdict

assert verdict(1 + 1 == 2, "It adds up.")
