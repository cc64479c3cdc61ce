"""Examples of `lib.text.generation`; see `tests/lib/test_examples.py`."""

# %% chat_prompt
from lib.text.generation import chat_prompt
from tests.lib.tiny_decoder import tiny_tokenizer

assert chat_prompt(tiny_tokenizer(), "who") == "<|im_start|>user\nwho<|im_end|>\n<|im_start|>assistant\n"

# %% generate
from lib.models import LanguageModel
from lib.text.generation import generate
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model = LanguageModel(tiny_llama(), tiny_tokenizer())
assert generate(model, ["the film was"], max_new_tokens=3) == ["was was was"]  # untrained, it repeats itself
drawn = generate(model, ["the film was"] * 2, max_new_tokens=3, temperature=1.0, seed=1)
assert drawn[0] != drawn[1]  # each row has its own draws

# %% stream
from lib.models import LanguageModel
from lib.text.generation import stream
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

pieces = stream(LanguageModel(tiny_llama(), tiny_tokenizer()), "the film was", max_new_tokens=3)
assert list(pieces) == ["was", " was", " was"]

# %% generate_ids
from lib.models import LanguageModel
from lib.text.generation import generate_ids
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

written = generate_ids(LanguageModel(tiny_llama(), tiny_tokenizer()), [[10, 8, 12], [4]], max_new_tokens=3)
assert written == [[12, 12, 12], [4, 4, 4]]

# %% own_samples
from lib.models import LanguageModel
from lib.text.generation import own_samples
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

texts = own_samples(LanguageModel(tiny_llama(), tiny_tokenizer()), 4, length=6)
assert all(text[0] == 1 and len(text) <= 6 for text in texts)  # each begins with <|im_start|>
