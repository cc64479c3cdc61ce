"""Examples of `lib.run.precision`; see `tests/lib/test_examples.py`."""

# %% bf16_pays
import torch

from lib.run.host import Local
from lib.run.precision import bf16_pays

assert Local("cpu").bf16 == bf16_pays(torch.device("cpu"))

# %% speed_up
import torch

from lib.run.precision import speed_up

assert speed_up(torch.device("cpu")) >= 0  # 0 where bfloat16 would be emulated
