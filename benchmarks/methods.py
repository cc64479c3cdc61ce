"""What a method costs beyond plain fine-tuning: each is one argument to the loop that all share."""
from __future__ import annotations

from functools import partial

from benchmarks.arms import ARMS, LORA_LAYERS, Arm, ours
from lib.adapters import attach
from lib.names import ends_in
from lib.objectives import cross_entropy, penalized, r_drop, smart
from lib.optimizers import SAM
from lib.projection import tail_penalty
from lib.regularizers import Mixout, l2_sp, snapshot

DENSE = ends_in("query", "key", "value", "dense")
LR = ARMS["full"].lr
METHODS = {
    "r_drop": Arm(partial(ours, objective=lambda model: r_drop(cross_entropy(), alpha=1.0)), LR, 12,
                  "R-Drop: two passes"),
    "smart": Arm(partial(ours, objective=lambda model: smart(cross_entropy(), weight=1.0)), LR, 16,
                 "SMART: three forward and three backward passes"),
    "sam": Arm(partial(ours, optimize=SAM), LR, 12, "SAM: two passes"),
    "mixout": Arm(partial(ours, alter=lambda model, task: attach(model.encoder, DENSE, lambda W: Mixout(W, 0.1))),
                  LR, 6, "mixout on every matrix of the encoder"),
    "l2_sp": Arm(partial(ours, objective=lambda model: penalized(
        cross_entropy(), l2_sp(snapshot(model, lambda name: name.startswith("encoder.")), 0.1, 0.01), "l2_sp")),
        LR, 6, "L2-SP on the whole encoder"),
    "tail": Arm(partial(ours, objective=lambda model: penalized(
        cross_entropy(), tail_penalty(ends_in(*LORA_LAYERS), rank=64, strength=0.01), "tail")),
        LR, 6, "tail penalty, rank 64, on queries and values"),
}
