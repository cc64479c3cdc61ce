"""Examples of `lib.tasks.code`; see `tests/lib/test_examples.py`."""

# %% code
from lib.tasks.code import code
from lib.tasks.task import with_prime

plain, primed = code(), with_prime(code())
assert primed.parts["test"][0].prompt == plain.parts["test"][0].prompt + "\n    return"
