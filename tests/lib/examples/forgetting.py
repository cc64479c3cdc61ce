"""Examples of `lib.text.forgetting`; see `tests/lib/test_examples.py`."""

# %% forgetting
from lib.models import LanguageModel
from lib.text.forgetting import forgetting
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

model = LanguageModel(tiny_llama(), tiny_tokenizer())
lost = forgetting(model, tiny_tokens([[1, 9, 12, 4], [1, 5]], [0, 0], pad=2))
model.decoder.model.layers[0].mlp.down_proj.weight.data *= 2
assert lost(model)["kl"] > 0

# %% kl_to
from lib.models import LanguageModel
from lib.text.forgetting import kl_to
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

model = LanguageModel(tiny_llama(), tiny_tokenizer())
penalty = kl_to(model, tiny_tokens([[1, 9, 12, 4], [1, 5]], [0, 0], pad=2), strength=0.5)
assert penalty(model).abs() < 1e-6  # tuning begins at the base

# %% replay
from lib.models import LanguageModel
from lib.text.forgetting import replay
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

penalty = replay(tiny_tokens([[1, 9, 12, 4], [1, 5]], [0, 0], pad=2), strength=0.5)
assert penalty(LanguageModel(tiny_llama(), tiny_tokenizer())) > 0
