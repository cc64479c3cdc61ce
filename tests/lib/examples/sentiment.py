"""Examples of `lib.corpora.sentiment`; see `tests/lib/test_examples.py`."""

# %% Sentence
from lib.corpora.sentiment import Sentence, load_domain

sentence = load_domain("movies")[0]
assert isinstance(sentence, Sentence) and sentence.domain == "movies"
assert sentence.rating == sum(sentence.ratings) / len(sentence.ratings)

# %% load_domain
from lib.corpora.sentiment import DOMAINS, load_domain

for domain in DOMAINS:
    sentences = load_domain(domain)
    assert len(sentences) > 3000 and sentences[0].text

# %% load_hub
from pathlib import Path

from lib.corpora.sentiment import load_hub

Path("mine").mkdir()
Path("mine/train.csv").write_text("text,label\nA fine film.,pos\nDull.,neg\n")
sentences = load_hub("mine")  # a folder, or a name where a hub is reachable
assert [s.category for s in sentences] == [1, 0]
