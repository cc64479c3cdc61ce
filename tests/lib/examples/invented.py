"""Examples of `lib.corpora.invented`; see `tests/lib/test_examples.py`."""

# %% load_invented
from lib.corpora.invented import load_invented

praise, complaint = load_invented()[:2]
assert praise.group == complaint.group == "Ossivar kettle"
assert (praise.category, complaint.category) == (1, 0)
