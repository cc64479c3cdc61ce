"""Examples of `lib.tasks.papers`; see `tests/lib/test_examples.py`."""

# %% summaries
from lib.tasks.papers import summaries

task = summaries()
example = task.parts["test"][0]
assert 0 < task.score(task.dull["last sentence"](example), example) <= 100

# %% control
from lib.tasks.papers import control

task = control()
assert task.score(task.parts["test"][0].answer, task.parts["test"][0]) == 100

# %% questions
from lib.tasks.papers import questions

example = questions().parts["test"][0]
assert example.answer in example.options  # a sentence of the abstract
