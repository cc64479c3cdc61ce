"""Examples of `lib.names`; see `tests/lib/test_examples.py`."""

# %% ends_in
from lib.names import ends_in

where = ends_in("query", "value")
assert where("encoder.layer.0.attention.self.query")
assert not where("encoder.layer.0.attention.self.key")
