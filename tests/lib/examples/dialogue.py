"""Examples of `lib.tasks.dialogue`; see `tests/lib/test_examples.py`."""

# %% dialogue
from lib.tasks.dialogue import dialogue

task = dialogue()
example = task.parts["test"][0]
dull = task.dull["most shared words"](example)
assert task.score(example.answer, example) == 100 >= task.score(dull, example)
