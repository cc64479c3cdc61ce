"""Examples of `lib.tasks.classification`; see `tests/lib/test_examples.py`."""

# %% classification
from lib.tasks.classification import classification

task = classification()
example = task.parts["test"][0]
assert task.score(example.answer, example) == 100 and task.score(task.dull["most frequent"](example), example) <= 100
