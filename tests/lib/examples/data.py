"""Examples of `lib.data`; see `tests/lib/test_examples.py`."""

# %% Split
from lib.corpora.sentiment import load_domain
from lib.data import split

parts = split(load_domain("amazon"))
reviews = {s.group for s in parts.train} & {s.group for s in parts.test}
assert not reviews  # no review lies on both sides

# %% label
from lib.corpora.sentiment import Sentence
from lib.data import label

sentence = Sentence("A fine film.", rating=2.5, ratings=(2, 3), domain="movies")
assert label(sentence) == 1

# %% soft_label
from lib.corpora.sentiment import Sentence
from lib.data import soft_label

sentence = Sentence("A film.", rating=0.25, ratings=(2, 0, -2, 1), domain="movies")
assert soft_label(sentence) == 0.625  # two raters above 0, one at 0, one below

# %% without_neutral
from lib.corpora.sentiment import load_domain
from lib.data import without_neutral

tweets = load_domain("tweets")
clear = without_neutral(tweets, band=1.0)
assert 0 < len(clear) < len(tweets)
assert min(abs(s.rating) for s in clear) >= 1.0

# %% hold_out
from lib.data import hold_out

assert hold_out(["A fine film.", "Too long.", "a fine film", "Dull."], share=0.3) == ([0, 1, 2], [3])

# %% split
from lib.corpora.sentiment import load_domain
from lib.data import split

tweets = load_domain("tweets")
parts = split(tweets, dev=0.1, test=0.3)
assert len(parts.train) + len(parts.dev) + len(parts.test) == len(tweets)
assert parts.test == split(tweets[::-1], dev=0.1, test=0.3).test[::-1]  # whatever their order

# %% shuffled
from lib.data import shuffled

ten = shuffled(range(100), seed=0)[:10]
assert ten == shuffled(range(100), seed=0)[:20][:10] != sorted(ten)  # ten of a hundred, the same ones every time

# %% index_labels
from lib.data import index_labels

classes, y = index_labels(["sport", "food", "sport"])
assert classes == ["food", "sport"] and y == [1, 0, 1]

# %% class_weights
from lib.data import class_weights

y = [1] * 190 + [0] * 10  # praise, and ten complaints
assert class_weights(y) == [10, 100 / 190]
assert round(sum(class_weights(y)[i] for i in y) / len(y), 9) == 1

# %% bucketed
from lib.data import bucketed

lengths = [3, 9, 2, 8, 4, 7]
batches = bucketed(lengths, 2, key=(0, 1))  # seed 0, epoch 1
assert sorted(row for batch in batches for row in batch) == [0, 1, 2, 3, 4, 5]
assert all(abs(lengths[a] - lengths[b]) <= 3 for a, b in batches)

# %% by_length
from lib.data import by_length

batches = by_length([3, 9, 2], 2)
assert batches == [[2, 0], [1]]

# %% padded
from lib.data import padded

ids, mask = padded([[5, 6], [7]], pad=0)
assert ids.tolist() == [[5, 6], [7, 0]] and mask.tolist() == [[True, True], [True, False]]

# %% Dataset
from lib.data import Dataset

data = Dataset([[5, 6], [7], [8, 9, 4]], labels=[0, 1, 1])
batches = data.batches(2, key=(0, 1))  # seed 0, epoch 1
assert sorted(row for batch in batches for row in batch) == [0, 1, 2]
assert data.collate([0, 2])["attention_mask"].sum(1).tolist() == [2, 3]

# %% encode
from lib.data import encode
from lib.models import load_encoder

data = encode(load_encoder("minilm").tokenizer, ["A fine film.", "Dull."], [1, 0])
assert len(data) == 2 and data.labels == [1, 0]
assert [len(row) for row in data.ids] == [6, 4]  # [CLS] and [SEP] count

# %% has_unknown
from lib.data import has_unknown
from lib.models import load_encoder

tokenizer = load_encoder("minilm").tokenizer
rows = tokenizer(["A fine film.", "A fine film \N{GRINNING FACE}"])["input_ids"]
assert list(map(has_unknown(tokenizer), rows)) == [False, True]

# %% labelled
from lib.corpora.sentiment import load_domain
from lib.data import labelled, shuffled, soft_label
from lib.models import load_encoder

sentences = shuffled(load_domain("movies"), seed=0)[:4]
data = labelled(load_encoder("minilm").tokenizer, sentences)
assert len(data) == 4 and set(data.labels) <= {0, 1}
shares = labelled(load_encoder("minilm").tokenizer, sentences, labels=soft_label)
assert shares.ids == data.ids and shares.labels[0] == soft_label(sentences[0])
