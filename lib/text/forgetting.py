"""What tuning takes from a language model, in nats a token, and two penalties that keep it from taking it.

Everything here compares next-token distributions with those of the base, in float32, at each place of a text where a
token is learned. On texts that the base wrote itself, `own_samples`, forgetting is a Kullback-Leibler divergence.

Shapes: B rows a batch, T tokens, V words of the vocabulary, K places where a token is learned, D width.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lib import _check
from lib.evaluation import Data, _rows_at_once, _to, judging
from lib.loss import Penalty, learned_at
from lib.models import LanguageModel
from lib.stopping import Record
from lib.text.language import Answers, _learned, _speaking
from lib.text.likelihood import PLACES


def forgetting(base: nn.Module, data: Data, *, batch_size: int | None = None) -> Callable[[nn.Module], Record]:
    """Function from a tuned model to what it lost of `base` on `data`, nats a token: "kl" and "rise".

        kl   = mean over places t of KL(base(. | x_<=t) | tuned(. | x_<=t))
        rise = mean over places t of log base(x_t+1 | x_<=t) - log tuned(x_t+1 | x_<=t)

    Both have the same expectation where the base wrote the texts; "kl" looks at all V words of each place and so
    scatters less. On other texts "rise" is by how much their loss rose, and "kl" how far the two models are apart.

    Source: the chain rule of the divergence, Cover and Thomas 2006, theorem 2.5.3.

    Args:
        base: `LanguageModel` or `Answers`, as it is now: what is needed of it is kept, D numbers a place and its head.
        data: batches with "labels" (B, T), unshifted, all tokens learned; or what `read` made of them, for models that
            are `above`.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.

    Raises:
        ValueError: no language model, no row, a batch of no rows, or labels that are no tokens; the same when called.
    """
    known, head = _kept(base, data, batch_size)

    def evaluate(model: nn.Module) -> Record:
        tuned, kl, rise, count = _language(model), 0.0, 0.0, 0
        with judging(tuned), parametrize.cached():
            for rows in data.in_length_order(_rows_at_once(head.device, batch_size)):
                after, tokens = _states(tuned, data, rows)
                parts = (x.split(PLACES) for x in (torch.cat([known[i] for i in rows]), after, tokens))
                for p_state, q_state, some in zip(*parts, strict=True):
                    log_p, log_q = _log_p(p_state, head), _log_p(q_state, _head(tuned))
                    kl += F.kl_div(log_q, log_p, reduction="sum", log_target=True).item()
                    rise += (log_p - log_q).gather(1, some[:, None]).sum().item()
                    count += len(some)
        return {"kl": kl / count, "rise": rise / count}

    return evaluate


def kl_to(base: nn.Module, data: Data, strength: float, *, rows: int = 4) -> Penalty:
    """Divergence from the base on texts of the base: forgetting itself as a penalty, for `penalized`.

        strength * mean over places t of KL(base(. | x_<=t) | model(. | x_<=t))        Li and Hoiem 2016, eq. 2

    At each step the model is asked to continue a few texts as the base would, all V words of each place. One wants it
    where a tuned model has to stay the base's equal elsewhere; a step costs these texts more. Computed in float32, so
    that it is zero where tuning begins.

    Args:
        base: as in `forgetting`.
        data: as in `forgetting`; other texts than those that will judge.
        strength: at least 0.
        rows: texts a step, at least 1, drawn anew.

    Raises:
        ValueError: a number out of range, what `forgetting` refuses.
    """
    _check.at_least(0, strength=strength)
    _check.whole(1, rows=rows)
    known, head = _kept(base, data, None)

    def penalty(model: nn.Module) -> Tensor:
        some = torch.randperm(len(data))[:rows].tolist()
        with torch.autocast(head.device.type, enabled=False):
            after, _ = _states(_language(model), data, some)
            log_p = _log_p(torch.cat([known[i] for i in some]), head)
            log_q = _log_p(after, _head(_language(model)))
            return strength * F.kl_div(log_q, log_p, reduction="sum", log_target=True) / len(log_q)

    return penalty


def replay(data: Data, strength: float, *, rows: int = 4) -> Penalty:
    """Loss on old texts beside that on the new task, for `penalized`; on the base's own texts `kl_to` in the mean.

        strength * mean over places t of -log model(x_t+1 | x_<=t)        Robins 1995

    The mean over what the base may write next of this gradient is that of `kl_to`: the base's whole distribution is
    replaced by one word drawn from it. One wants it where texts are at hand and the base is not; on few texts it learns
    them by heart.

    Args:
        data: as in `forgetting`; any old texts.
        strength: at least 0.
        rows: texts a step, at least 1, drawn anew.

    Raises:
        ValueError: a number out of range; when called: no language model, or labels that are no tokens.
    """
    _check.at_least(0, strength=strength)
    _check.whole(1, rows=rows)

    def penalty(model: nn.Module) -> Tensor:
        after, tokens = _states(_language(model), data, torch.randperm(len(data))[:rows].tolist())
        return strength * F.nll_loss(_log_p(after, _head(_language(model))), tokens)

    return penalty


def _kept(base: nn.Module, data: Data, batch_size: int | None) -> tuple[list[Tensor], Tensor]:
    """The base's hidden states (K, D) of each row, and its head (V, D), which training may change afterwards."""
    speaks = _language(base)
    if not len(data):
        raise ValueError("data must hold at least one row, got none")
    head, known = _head(speaks).detach(), [torch.empty(0)] * len(data)
    with judging(speaks), parametrize.cached():
        for rows in data.in_length_order(_rows_at_once(head.device, batch_size)):
            counts = learned_at(data.collate(rows)["labels"]).sum(1).tolist()
            for i, states in zip(rows, _states(speaks, data, rows)[0].split(counts), strict=True):
                known[i] = states
    return [states.clone() for states in known], head.clone() if _head(speaks).requires_grad else head


def _states(speaks: LanguageModel, data: Data, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Hidden states (K, D) where a token is learned, and these tokens (K,), row by row."""
    batch = _to(_head(speaks).device, data.collate(list(rows)))
    labels = batch.pop("labels")
    tokens = _learned(labels)
    return speaks.hidden(**batch)[learned_at(labels)], tokens


def _log_p(states: Tensor, head: Tensor) -> Tensor:
    """Log-probabilities (K, V) of the next token, float32."""
    return F.linear(states, head).float().log_softmax(1)


def _head(speaks: LanguageModel) -> Tensor:
    """The weight (V, D) of the head."""
    return speaks.decoder.get_output_embeddings().weight  # type: ignore[no-any-return]


def _language(model: nn.Module) -> LanguageModel:
    """The language model, also inside `Answers`."""
    return _speaking(model.language if isinstance(model, Answers) else model)
