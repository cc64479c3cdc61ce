"""Examples of `lib.text.likelihood`; see `tests/lib/test_examples.py`."""

# %% row_nll
from lib.models import LanguageModel
from lib.text.likelihood import row_nll
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

data = tiny_tokens([[8, 9, 12, 4], [8, 5]], [2, 1], pad=2)  # the first two tokens are read, then the first one
sums, counts = row_nll(LanguageModel(tiny_llama(), tiny_tokenizer()), data)
assert counts.tolist() == [2, 1] and (sums > 0).all()

# %% token_nll
from lib.models import LanguageModel
from lib.text.likelihood import token_nll
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

evaluate = token_nll(tiny_tokens([[8, 9, 12, 4], [8, 5]], [2, 1], pad=2))
found = evaluate(LanguageModel(tiny_llama(), tiny_tokenizer()))
assert found.keys() == {"nll", "perplexity"} and found["perplexity"] < 27 * 5
