"""Examples of `lib.tasks.task`; see `tests/lib/test_examples.py`."""

# %% Example
from lib.tasks.task import Example

example = Example("Is Rome in Italy?", "yes", group="rome", options=("yes", "no"))
assert example.answer in example.options

# %% Task
from lib.tasks.task import Example, Task, exact, parted

examples = [Example(f"Is {n} even?", "no" if n % 2 else "yes", str(n), ("yes", "no")) for n in range(50)]
task = Task("even", parted(examples), exact, {"always yes": lambda example: "yes"}, metric="accuracy")
assert task.score("yes", examples[4]) == 100

# %% parted
from lib.tasks.task import Example, parted

parts = parted([Example(f"What is {a} + {b}?", str(a + b), f"{a} in it") for a in range(20) for b in range(5)])
groups = [{example.group for example in part} for part in parts.values()]
assert not groups[0] & groups[2] and sum(len(part) for part in parts.values()) == 100

# %% apart
from lib.tasks.task import Example, apart

one, two = (Example(f"Is the {part} text true?", "yes", part, extra="one text") for part in ("first", "second"))
kept = apart({"train": [one], "test": [two]}, lambda example: example.extra)
assert kept == {"train": [], "test": [two]}

# %% exact
from lib.tasks.task import Example, exact

assert [exact(said, Example("1 + 1?", "2", "sums")) for said in ("2", "two")] == [100, 0]

# %% Form
from lib.tasks.task import Example, Form

asked = Form(ask=lambda e: f"{e.prompt} It was", say=lambda _, answer: {"good": " great", "bad": " poor"}[answer])
assert asked.say(Example("A fine film.", "good", "1", ("good", "bad")), "good") == " great"

# %% answers
from lib.models import LanguageModel
from lib.tasks.task import Example, Task, answers, exact
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

films = [Example("the film was fine", "good", "1", ("good", "bad"))]
said = answers(LanguageModel(tiny_llama(), tiny_tokenizer()), Task("films", {}, exact, {}, "accuracy"), films)
assert said[0] in ("good", "bad")

# %% each_way
from lib.models import LanguageModel
from lib.tasks.task import Example, Task, each_way, exact
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

films = [Example("the film was fine", "good", "1", ("good", "bad"))]
said = each_way(LanguageModel(tiny_llama(), tiny_tokenizer()), Task("films", {}, exact, {}, "accuracy"), films)
assert [(way.per_token, way.over_prior) for way in said] == [(False, False), (True, False), (False, True)]

# %% scores
from lib.tasks.task import Example, Task, exact, scores

sums = [Example("1 + 1?", "2", "a"), Example("1 + 2?", "3", "b")]
assert scores(Task("sums", {}, exact, {}, "accuracy"), ["2", "4"], sums) == [100, 0]

# %% tune
from lib.adapters import detach
from lib.models import LanguageModel
from lib.tasks.task import Example, Task, exact, tune
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

films = [Example("the film was fine", "good", "1"), Example("the film was poor", "bad", "2")]
model = LanguageModel(tiny_llama(), tiny_tokenizer())
tune(model, Task("films", {"train": films}, exact, {}, "accuracy"), size=2, epochs=1, seed=0, rank=2)
assert len(detach(model)) == 7 * 3  # all linear layers of three blocks

# %% prompted
from lib.models import LanguageModel
from lib.tasks.task import Example, Form, Task, exact, prompted
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

films = [Example(f"the film was {word}", "good", word, ("good", "bad")) for word in ("fine", "good", "very good")]
forms = (Form(), Form(shots=2))
task = Task("films", dict.fromkeys(("train", "dev", "test"), films), exact, {}, "accuracy", forms=forms)
chosen = prompted(LanguageModel(tiny_llama(), tiny_tokenizer()), task, seed=0, items=3)
assert len(chosen.forms) == 1 and chosen.forms[0].ask(films[0]) == "the film was fine"

# %% cached
from lib.tasks.task import Example, cached

made = cached("task-of-an-example-1", lambda: [Example("1 + 1?", "2", "sums")])
assert made == [Example("1 + 1?", "2", "sums")]

# %% packed
from lib.tasks.task import Example, packed
from tests.lib.tiny_decoder import tiny_tokenizer

films = [Example("the film was fine", "good", "1", ("good", "bad"))] * 2
assert packed(tiny_tokenizer(), ["bad", "good"], films) == [1, 0]

# %% unpacked
from lib.tasks.task import Example, packed, unpacked
from tests.lib.tiny_decoder import tiny_tokenizer

asked = [Example("what is it", "a film", "1"), Example("who is it", "the book", "2")]
numbers = packed(tiny_tokenizer(), ["a good film", "it is a book"], asked)
assert unpacked(tiny_tokenizer(), numbers, asked) == ["a good film", "it is a book"]
