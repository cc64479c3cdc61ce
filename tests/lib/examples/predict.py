"""Examples of `lib.serve.predict`; see `tests/lib/test_examples.py`."""

# %% main
from lib.models import Classifier, load_encoder, save
from lib.serve.predict import main

save(Classifier(load_encoder("minilm"), ["bad", "good"]), "my-model")
assert main(["my-model", "A fine film.", "Dull."]) == 0  # prints label, probability and text
