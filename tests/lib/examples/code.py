"""Examples of `lib.tasks.code`; see `tests/lib/test_examples.py`."""

# %% code
from lib.tasks.code import code

task = code()
assert task.parts["test"][0].prompt.count("def ") and "\n    return" in [form.begin for form in task.forms]
