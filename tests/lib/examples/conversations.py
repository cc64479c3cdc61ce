"""Examples of `lib.text.conversations`; see `tests/lib/test_examples.py`."""

# %% Tokens
from lib.text.conversations import Tokens

data = Tokens([[5, 6, 7], [8, 9]], learned=[[False, True, True], [False, True]], pad=0)
batch = data.collate([0, 1])
assert batch["labels"].tolist() == [[-100, 6, 7], [-100, 9, -100]]  # the objective shifts

# %% encode_pairs
from lib.text.conversations import encode_pairs
from tests.lib.tiny_decoder import tiny_tokenizer

tokenizer = tiny_tokenizer()  # or load_decoder("smollm2").tokenizer
data = encode_pairs(tokenizer, [("what film", "the good one")], max_length=64)
learned = [token for token, mark in zip(data.ids[0], data.learned[0], strict=True) if mark]
assert tokenizer.decode(learned) == "the good one <|im_end|>"

# %% encode_conversations
from lib.text.conversations import encode_conversations
from tests.lib.tiny_decoder import tiny_tokenizer

turns = [("user", "what film"), ("assistant", "the book"), ("user", "no"), ("assistant", "yes")]
talk = [{"role": role, "content": content} for role, content in turns]
data = encode_conversations(tiny_tokenizer(), [talk], max_length=64)
assert sum(data.learned[0]) == 5  # two answers and their ends

# %% load_conversations
import json
from pathlib import Path

from lib.text.conversations import load_conversations

talk = [{"role": "user", "content": "A film?"}, {"role": "assistant", "content": "Yes."}]
Path("mine").mkdir()
Path("mine/train.json").write_text(json.dumps([{"messages": talk}]))
assert load_conversations("mine") == [talk]  # a folder, or a name where a hub is reachable
