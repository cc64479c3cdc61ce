"""Examples of `lib.tasks.classification`; see `tests/lib/test_examples.py`."""

# %% classification
from lib.tasks.classification import classification

task = classification()
example = task.parts["test"][0]
dull = task.dull["most frequent"](example)
assert task.score(example.answer, example) == 100 >= task.score(dull, example)
