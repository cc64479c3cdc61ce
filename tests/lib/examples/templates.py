"""Examples of `lib.text.templates`; see `tests/lib/test_examples.py`."""

# %% special_tokens
from lib.text.templates import special_tokens
from tests.lib.tiny_decoder import tiny_tokenizer

assert special_tokens(tiny_tokenizer()) == ["<|im_end|>", "<|im_start|>", "<|unk|>"]

# %% render
from lib.text.templates import render
from tests.lib.tiny_decoder import tiny_tokenizer

text = render(tiny_tokenizer(), [{"role": "user", "content": "good film"}], prompt=True)
assert text == "<|im_start|>user\ngood film<|im_end|>\n<|im_start|>assistant\n"

# %% answers
from lib.text.templates import answers
from tests.lib.tiny_decoder import tiny_tokenizer

talk = [{"role": "user", "content": "good film"}, {"role": "assistant", "content": "yes"}]
text, [(start, stop)] = answers(tiny_tokenizer(), talk)
assert text[start:stop] == "yes<|im_end|>"

# %% Marks
from lib.text.templates import marks
from tests.lib.tiny_decoder import tiny_tokenizer

tokenizer = tiny_tokenizer()
found = marks(tokenizer)
assert found.read(tokenizer, tokenizer("<|im_start|>user \n good")["input_ids"]) == found.user + "good"

# %% marks
from lib.text.templates import marks
from tests.lib.tiny_decoder import tiny_tokenizer

found = marks(tiny_tokenizer())
assert (found.answer, found.end) == ("<|im_start|>assistant", "<|im_end|>")
