"""Examples of `lib.run.adapter_files`; see `tests/lib/test_examples.py`."""

# %% save_adapter
from pathlib import Path

from lib.adapters import LoRA, attach
from lib.models import load_encoder
from lib.names import ends_in
from lib.run.adapter_files import save_adapter

encoder = load_encoder("minilm").model
attach(encoder, ends_in("query", "value"), lambda W: LoRA(W, rank=8, alpha=16))
save_adapter(encoder, "mine")  # peft.PeftModel.from_pretrained(encoder, "mine") reads it too
assert sum(path.stat().st_size for path in Path("mine").iterdir()) < 400_000  # bytes; the model has 90 million

# %% load_adapter
from lib.adapters import DoRA, attach, detach
from lib.models import load_encoder
from lib.names import ends_in
from lib.run.adapter_files import load_adapter, save_adapter

encoder = load_encoder("minilm").model
names = attach(encoder, ends_in("query"), lambda W: DoRA(W, rank=8, alpha=16))
save_adapter(encoder, "mine")
detach(encoder)  # the base again
assert load_adapter(encoder, "mine") == names
