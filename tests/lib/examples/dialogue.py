"""Examples of `lib.tasks.dialogue`; see `tests/lib/test_examples.py`."""

# %% dialogue
from lib.tasks.dialogue import dialogue

task = dialogue()
example = task.parts["test"][0]
assert task.score(example.answer, example) == 100 and task.score(task.dull["most shared words"](example), example) <= 100
