"""Examples of `lib.tasks.augmentation`; see `tests/lib/test_examples.py`."""

# %% synonyms
from lib.tasks.augmentation import synonyms

assert "automobile" in synonyms()["car"]

# %% reworded
from lib.tasks.augmentation import reworded

assert reworded(["a good film"], 2, {"film": ["picture"]}, seed=0, share=1.0) == ["a good picture"] * 2

# %% written
from lib.models import LanguageModel
from lib.tasks.augmentation import written
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model = LanguageModel(tiny_llama(), tiny_tokenizer())
assert len(written(model, ["a good film", "fine"], "film", 3, seed=0, max_new_tokens=5)) <= 3
