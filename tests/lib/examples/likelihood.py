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

# %% by_sum
import torch

from lib.text.likelihood import by_sum

log_p, tokens, characters = torch.tensor([-2.0, -3.0]), torch.tensor([1, 3]), torch.tensor([4, 15])
assert by_sum(log_p, tokens, characters).argmax() == 0

# %% by_token
import torch

from lib.text.likelihood import by_token

log_p, tokens, characters = torch.tensor([-2.0, -3.0]), torch.tensor([1, 3]), torch.tensor([4, 15])
assert by_token(log_p, tokens, characters).tolist() == [-2.0, -1.0]  # the long option is the likelier one a token

# %% by_character
import torch

from lib.text.likelihood import by_character

log_p, tokens, characters = torch.tensor([-2.0, -3.0]), torch.tensor([1, 3]), torch.tensor([4, 15])
assert torch.allclose(by_character(log_p, tokens, characters), torch.tensor([-0.5, -0.2]))

# %% rank_options
from lib.models import LanguageModel
from lib.text.likelihood import by_sum, by_token, rank_options
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model, options = LanguageModel(tiny_llama(), tiny_tokenizer()), [["good", "not very good"]]
whole, mean = (rank_options(model, ["the film was"], options, normalize=n)[0] for n in (by_sum, by_token))
assert whole[0] == mean[0] and whole[1] < mean[1]  # three tokens are dearer than one, and not so each
