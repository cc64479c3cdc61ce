"""Examples of `lib.tasks.translation`; see `tests/lib/test_examples.py`."""

# %% translation
from lib.tasks.translation import translation

task = translation()
example = task.parts["test"][0]
dull = task.dull["copy the source"](example)
assert task.score(example.answer, example) == 100 >= task.score(dull, example)
