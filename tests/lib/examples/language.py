"""Examples of `lib.text.language`; see `tests/lib/test_examples.py`."""

# %% next_token
import torch

from lib.models import LanguageModel
from lib.text.language import next_token
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model = LanguageModel(tiny_llama(), tiny_tokenizer())
ids = torch.tensor([[8, 9, 12, 4]])  # "film book was good"
labels = torch.tensor([[-100, -100, -100, 4]])  # the last word is learned, the others are read
loss = next_token()(model, {"input_ids": ids, "labels": labels})
assert torch.isclose(loss.total, -model(ids)[0, 2].log_softmax(0)[4])

# %% Answers
from lib.data import encode
from lib.evaluation import evaluator
from lib.models import LanguageModel
from lib.text.language import Answers
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model = Answers(LanguageModel(tiny_llama(), tiny_tokenizer()), ["bad", "good"])  # SmolLM2: " bad", with its space
prompts = ["the film was", "the book is"]
found = evaluator(encode(model.tokenizer, prompts, [1, 0], max_length=32))(model)
assert found.keys() == {"accuracy", "macro_f1", "nll"}

# %% answer_mass
from lib.data import encode
from lib.models import LanguageModel
from lib.text.language import Answers, answer_mass
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model = Answers(LanguageModel(tiny_llama(), tiny_tokenizer()), ["bad", "good"])
mass = answer_mass(model, encode(model.tokenizer, ["the film was"], [1], max_length=32))
assert 0 < mass[0] < 1  # the rest lies on words that are no answer
