"""The record of a run, and rules that stop it: pure functions of the record so far."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lib import _check

Record = dict[str, float]
"""What one step gave, by name, the same in every process; `fit` says which names. An evaluation gives one too."""
History = list[Record]
"""The records of a run, one a step, in order."""
Stop = Callable[[Sequence[Record]], bool]
"""Whether to stop, from the records so far; `never` and `patience("accuracy", 3)` are two."""


def never(history: Sequence[Record]) -> bool:
    """Stop rule that does not stop."""
    return False


def patience(metric: str, evaluations: int) -> Stop:
    """Stop once `metric`, where higher is better, has not improved for `evaluations` evaluations in a row.

    Fewer steps from the pretrained weights are a regulariser in themselves: what fits noise is mostly learned late. One
    wants it where development data can say when that begins; `fit` then returns to the best evaluation. A run of fewer
    than `evaluations + 1` evaluations never stops: `Plan.eval_every` says how often there is one.

    Source: akin to class UP of Prechelt 1998, "Early stopping - but when?", which asks for so many rises in a row.

    Args:
        metric: its name in the history.
        evaluations: at least 1.

    Raises:
        ValueError: `evaluations` below 1, `metric` "nll" or "loss"; when called: no record of the history has `metric`.
    """
    _check.rises(metric)
    _check.whole(1, evaluations=evaluations)

    def stop(history: Sequence[Record]) -> bool:
        seen = _check.recorded(metric, history)
        return len(seen) > evaluations and max(seen[-evaluations:]) <= max(seen[:-evaluations])

    return stop


def generalization_loss(metric: str, threshold: float) -> Callable[[Sequence[Mapping[str, float]]], bool]:
    """Stop rule: stop once the error has risen too far above its lowest value so far.

        GL(t) = 100 * (E(t) / min_{s <= t} E(s) - 1) > threshold        Prechelt 1998, class GL

    Args:
        metric: name of an error in the history: not negative, lower is better, e.g. the validation loss in nats.
        threshold: percent, at least 0; Prechelt's values are 1 to 5.

    Returns:
        `stop(history) -> bool`, a pure function of the records so far.

    Raises:
        ValueError: negative threshold; when called: a negative error, or no record of the history has `metric`.
    """
    _check.at_least(0, threshold=threshold)

    def stop(history: Sequence[Mapping[str, float]]) -> bool:
        seen = _check.recorded(metric, history)
        if seen and not min(seen) >= 0:
            raise ValueError(f"{metric} must be an error of at least 0, got {min(seen)}")
        return bool(seen) and seen[-1] > min(seen) * (1 + threshold / 100)

    return stop
