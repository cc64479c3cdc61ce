"""Examples of `lib.models`; see `tests/lib/test_examples.py`."""

# %% Encoder
from lib.models import load_encoder

encoder = load_encoder("minilm")
assert encoder.source == "minilm" and encoder.sha256.startswith("53aa5117")
assert encoder.model.config.hidden_size == 384
assert encoder.tokenizer.tokenize("regularise")

# %% load_encoder
from lib.models import load_encoder

encoder = load_encoder("minilm")
encoder.model.save_pretrained("mine")
encoder.tokenizer.save_pretrained("mine")
assert load_encoder("mine").sha256  # a folder of your own

# %% LanguageModel
import torch

from lib.models import load_decoder

model = load_decoder()
batch = model.tokenizer(["The film was", "The capital of France is"], return_tensors="pt", padding=True)
last = batch.attention_mask.cumsum(1) == batch.attention_mask.sum(1, keepdim=True)  # true from the last word on
words = model(**batch, at=last & (batch.attention_mask == 1)).argmax(-1)
assert model.tokenizer.decode(words[1]) == " Paris"

# %% load_decoder
from lib.models import load_decoder

model = load_decoder()  # SmolLM2-135M-Instruct; a folder or the name on a hub for another
assert model.source == "smollm2" and model.decoder.config.vocab_size == 49152
assert model.tokenizer.pad_token == model.tokenizer.eos_token  # so never mask by the token

# %% model_folder
from lib.models import model_folder

assert (model_folder("minilm") / "config.json").exists()

# %% sha256
from pathlib import Path

from lib.models import sha256

Path("empty").touch()
assert sha256(Path("empty")).startswith("e3b0c442")

# %% mean_pool
import torch

from lib.models import mean_pool

hidden, mask = torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])
assert mean_pool(hidden, mask).tolist() == [[2.0]]  # padding does not count

# %% Pooled
from lib.data import encode
from lib.evaluation import predict_logits
from lib.models import Pooled, load_encoder

encoder = load_encoder("minilm")
data = encode(encoder.tokenizer, ["A fine film.", "Dull."], [1, 0])
assert predict_logits(Pooled(encoder.model), data).shape == (2, 384)

# %% Classifier
from lib.models import Classifier, load_encoder

model = Classifier(load_encoder("minilm"), ["sport", "food", "weather"], projection=32)
p = model.probabilities(["Stir the soup.", "Rain is expected."])
assert p.shape == (2, 3) and abs(p.sum(1) - 1).max() < 1e-9
assert set(model.predict(["Stir the soup."])) <= {"sport", "food", "weather"}

# %% LanguageModel
import torch

from lib.models import LanguageModel
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

model, ids = LanguageModel(tiny_llama(), tiny_tokenizer()), torch.tensor([[8, 9, 12]])
assert torch.allclose(model(ids, at=torch.tensor([[False, False, True]])), model(ids)[:, 2])  # what comes next, alone

# %% embed
from sklearn.linear_model import LogisticRegression

from lib.data import encode
from lib.models import embed, load_encoder

texts, y = ["a fine film", "a dull film", "a great plot", "an awful plot"], [1, 0, 1, 0]
encoder = load_encoder("minilm")
x = embed(encoder, encode(encoder.tokenizer, texts, y))
assert x.shape == (4, 384) and LogisticRegression().fit(x, y).score(x, y) == 1.0

# %% layers
from lib.models import layers, load_encoder

stack = layers(load_encoder("minilm").model)
assert len(stack) == 6
assert hasattr(stack[0], "attention")

# %% freeze
from lib.models import Classifier, freeze, load_encoder

model = Classifier(load_encoder("minilm"), ["bad", "good"])
assert freeze(model, top=0) == ["norm.weight", "norm.bias", "classifier.weight", "classifier.bias"]
assert any("layer.5." in name for name in freeze(model, top=1))

# %% save
from pathlib import Path

from lib.models import Classifier, load_encoder, save

save(Classifier(load_encoder("minilm"), ["bad", "good"]), "my-model")
assert {"model.safetensors", "head.json", "config.json"} <= {p.name for p in Path("my-model").iterdir()}

# %% load
from lib.models import Classifier, load, load_encoder, save

model, texts = Classifier(load_encoder("minilm"), ["bad", "good"]), ["A fine film.", "Dull."]
save(model, "my-model")
assert (load("my-model").probabilities(texts) == model.probabilities(texts)).all()
