"""Examples of `lib.book.exercises`; see `tests/lib/test_examples.py`."""

# %% checker
from lib.book.exercises import checker

mistakes = {"You forgot to square.": lambda x: x}
check = checker([((3,), 9), ((4,), 16)], mistakes, praise="Squares grow fast.")
assert check(lambda x: x * x)
assert check(lambda x: x).message == "You forgot to square."
