"""Examples of `lib.tasks.options`; see `tests/lib/test_examples.py`."""

# %% option_scores
from lib.models import LanguageModel
from lib.tasks.options import option_scores
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model = LanguageModel(tiny_llama(), tiny_tokenizer())
(scored,) = option_scores(model, ["the film was"], [[" good", " very bad"]])
assert scored.shape == (2,) and (scored < 0).all()
