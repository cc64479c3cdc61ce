"""Examples of `lib.evidence.verdicts`; see `tests/lib/test_examples.py`."""

# %% Effect
from lib.evidence.verdicts import paired_effect

effect = paired_effect([0.81, 0.83, 0.82], [0.80, 0.80, 0.81])
assert effect.low < effect.difference < effect.high
low, high = effect.interval(0.9)
assert effect.low < low and high < effect.high  # less sure, so narrower

# %% paired_effect
from lib.evidence.verdicts import paired_effect

effect = paired_effect([0.84, 0.86, 0.85], [0.80, 0.81, 0.82])
assert round(effect.difference, 3) == 0.04 and effect.seeds == 3
assert effect.low > 0  # better, whatever the seed

# %% crossed_effect
import numpy as np

from lib.evidence.verdicts import crossed_effect

rng = np.random.default_rng(0)
tuned, zero_shot = rng.random((5, 400)) < 0.9, rng.random(400) < 0.7  # 5 seeds, 400 test sentences
effect = crossed_effect(100 * tuned, 100 * zero_shot)  # in points
assert effect.low < 20 < effect.high

# %% prediction_interval
from lib.evidence.verdicts import prediction_interval

low, high = prediction_interval([0.80, 0.82, 0.81, 0.83])
assert low < 0.80 and high > 0.83  # a fifth run may be worse than the worst of four

# %% minimum_detectable
from lib.evidence.verdicts import minimum_detectable

few, many = (minimum_detectable(sd=0.02, seeds=n) for n in (5, 20))
assert few > many > 0

# %% reachable_bound
from lib.evidence.verdicts import reachable_bound

five, twenty = (reachable_bound(sd=0.01, seeds=n) for n in (5, 20))
assert 0.01 < five < 0.02 and twenty < 0.01  # "within one point" needs more than 5 seeds

# %% equivalent
from lib.evidence.verdicts import equivalent, paired_effect

effect = paired_effect([0.81, 0.80, 0.82, 0.81], [0.80, 0.81, 0.81, 0.82])
assert equivalent(effect, bound=0.02)
assert not equivalent(effect, bound=0.005)

# %% Verdict
from lib.evidence.verdicts import paired_effect, verdict

effects = [paired_effect([9, 9, 8], [1, 2, 1]), paired_effect([1, 2, 1], [9, 9, 8])]
found = verdict(effects, bound=0.5, direction=1)
assert found.word == "mixed" and found.words == ("supported", "refuted")
print(*found.reasons, sep="\n")
assert found.seeds == 3 and "over 3 seeds" in found.reasons[0]

# %% verdict
from lib.evidence.verdicts import paired_effect, verdict

effect = paired_effect([0.84, 0.86, 0.85], [0.80, 0.81, 0.82])
assert verdict(effect, bound=0.01, direction=1).word == "supported"
assert verdict(effect, bound=0.01, direction=-1).word == "refuted"

# %% sequential
import numpy as np

from lib.evidence.verdicts import paired_effect, sequential

gains = np.random.default_rng(0).normal(0.3, 2.0, size=30)  # points, one a seed
found = sequential(lambda n: paired_effect(gains[:n], np.zeros(n)), bound=2.0, direction=1)
assert found.word == "no gain" and found.seeds < 30  # a gain of two points is excluded
