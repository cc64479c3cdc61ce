"""Examples of `lib.book.cards`; see `tests/lib/test_examples.py`."""

# %% status
from lib.book.cards import status

bounds = {"at_least": 0.0, "at_most": None, "unit": "points"}
decided = status({"value": 2.0, "interval": [1.0, 3.0], **bounds}, None)
assert (decided, status({"value": 2.0, "interval": [-1.0, 5.0], **bounds}, None)) == ("holds", "undecided")

# %% guarded
from lib.book.cards import guarded

facts = {"unit": "points of accuracy", "at_least": -40.0, "at_most": 40.0}
assert guarded(facts | {"interval": [-5.4, 16.5]}) and not guarded(facts | {"interval": [-0.7, 0.6]})

# %% hard
from lib.book.cards import hard

result = {"value": 0.8, "at_least": None, "at_most": None}
assert not hard(result) and hard(result | {"at_most": 1.0})

# %% bounds
from lib.book.cards import bounds

result, band = {"value": 0.8, "at_least": None, "at_most": 1.0}, {"low": 0.7, "high": 0.9}
assert bounds(result, band) == (None, 1.0) and bounds(result | {"at_most": None}, band) == (0.7, 0.9)

# %% possible
from lib.book.cards import possible

ends = possible({"value": 99.2, "values": [98.4, 100.0], "interval": [97.0, 101.4], "unit": "% accuracy"})
assert ends == [97.0, 100.0]

# %% number
from lib.book.cards import number

shown = number({"value": 0.8123, "interval": [0.79, 0.83], "unit": "of them", "digits": 3})
assert shown == {"value": "0.812", "low": "0.790", "high": "0.830", "unit": " of them"}

# %% summary
from lib.book.cards import summary

facts = {"name": "gain", "value": 2.0, "values": [2.0], "seeds": 1, "interval": None, "unit": "points", "digits": 2}
said = summary(facts | {"stored": True, "profile": "quick", "device": "cpu"})
assert said == "gain: 2.0 points; from stored runs (quick, cpu)"

# %% card
from lib.book.cards import card

facts = {"name": "gain", "value": 2.0, "values": [2.0], "seeds": 1, "interval": None, "unit": "points", "digits": 2}
shown = card(facts | {"at_least": 0.0, "at_most": None, "note": "", "profile": "quick", "device": "cpu"}, None)
assert shown["text/plain"] == "gain = 2.0 points | \N{CHECK MARK} holds: at least 0 (quick, cpu)"

# %% judge
from lib.book.cards import judge

row = {"difference": 3.0, "error": 0.5, "dof": 4, "seeds": 5, "level": 0.95}
found = judge({"bound": 1.0, "direction": 1, "effects": {"tuned - frozen": row}})
assert found.word == "supported"

# %% claim_card
from lib.book.cards import claim_card

row = {"difference": 3.0, "error": 0.5, "dof": 4, "seeds": 5, "level": 0.95}
claim = {"id": "C1", "unit": "points", "bound": 1.0, "direction": 1, "effects": {"tuned - frozen": row}}
shown = claim_card(claim | {"profile": "quick", "device": "cpu"})
assert shown["text/plain"].startswith("Claim C1: supported")
