"""Examples of `lib.tasks.tagging`; see `tests/lib/test_examples.py`."""

# %% Tagger
from lib.models import load_encoder
from lib.tasks.tagging import Tagger

tagger = Tagger(load_encoder("minilm"), ("place", "person"))
batch, first = tagger.tokens([["to", "Rome"]])
assert tagger(batch).shape[2] == 3 and first == [[1, 2]]  # no name, place, person

# %% words_of
from lib.tasks.tagging import words_of

assert words_of("Rome, a city") == ["Rome", ",", "a", "city"]

# %% tune_tagger
from lib.models import load_encoder
from lib.tasks.tagging import Tagger, tune_tagger
from lib.tasks.task import Example

tagger = Tagger(load_encoder("minilm"), ("place",))
before = tagger.head.weight.clone()
tune_tagger(tagger, [Example("names?", "place: Rome", "1", extra="the roads to Rome")], epochs=1, lr=3e-4, seed=0)
assert not tagger.head.weight.equal(before)

# %% tagged
from lib.models import load_encoder
from lib.tasks.tagging import Tagger, tagged
from lib.tasks.task import Example

tagger = Tagger(load_encoder("minilm"), ("place",))
(said,) = tagged(tagger, [Example("names?", "place: Rome", "1", extra="the roads to Rome")])
assert set(said.replace("place: ", "").split("; ")) <= {"the roads to Rome", "the", "roads", "to", "Rome"} or said
