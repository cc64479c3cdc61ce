"""Examples of `lib.text.doctor`; see `tests/lib/test_examples.py`."""

# %% BadBatch
from lib.text.doctor import BadBatch

error = BadBatch("nothing learned", 3, "shorten the prompt")
assert isinstance(error, ValueError) and (error.fault, error.row) == ("nothing learned", 3)

# %% Diagnosis
from lib.text.conversations import encode_pairs
from lib.text.doctor import diagnose
from tests.lib.tiny_decoder import tiny_tokenizer

data = encode_pairs(tiny_tokenizer(), [("good film", "yes"), ("film", "very " * 9)], max_length=16)
found = diagnose(data, tiny_tokenizer())
assert (found.rows, found.cut) == (2, 0.5)  # the second answer was cut off

# %% diagnose
from lib.text.conversations import encode_pairs
from lib.text.doctor import diagnose
from tests.lib.tiny_decoder import tiny_tokenizer

data = encode_pairs(tiny_tokenizer(), [("good film", "yes"), ("bad film", "no")], max_length=64)
found = diagnose(data.collate([0, 1]), tiny_tokenizer())  # BadBatch, where something would ruin the run
assert found.cut == 0 and found.learned == 4 / found.tokens  # two answers of a word, and their ends
