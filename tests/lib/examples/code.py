"""Examples of `lib.tasks.code`; see `tests/lib/test_examples.py`."""

# %% code
from lib.tasks.code import code

plain, primed = code(), code(primed=True)
assert primed.parts["test"][0].prompt == plain.parts["test"][0].prompt + "    return"
