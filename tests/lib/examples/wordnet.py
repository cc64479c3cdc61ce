"""Examples of `lib.tasks.wordnet`; see `tests/lib/test_examples.py`."""

# %% relations
from lib.tasks.wordnet import relations

example = relations().parts["test"][0]
assert f"[{example.group}]" in example.prompt and example.answer in example.options

# %% knowledge
from lib.tasks.wordnet import knowledge

example = knowledge().parts["test"][0]
assert len(example.options) == 2 and example.answer in example.options
