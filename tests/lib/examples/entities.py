"""Examples of `lib.tasks.entities`; see `tests/lib/test_examples.py`."""

# %% entities
from lib.tasks.entities import entities

task = entities()
example = task.parts["test"][0]
dull = task.dull["every capital a place"](example)
assert task.score(example.answer, example) == 100 >= task.score(dull, example)
