"""How likely a language model finds a text, in nats.

Everything is computed in float32, the head at the places where a token is learned alone, and disturbs nothing: no
random number is drawn, and each module goes on in the mode it had.

Shapes: B rows a batch, T tokens.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lib.evaluation import Data, _rows_at_once, _to, judging
from lib.loss import learned_at
from lib.stopping import Record
from lib.text.language import _learned, _speaking

PLACES = 512  # at which logits are held at once where nothing trains: 100 MB of 49,152 words


def row_nll(model: nn.Module, data: Data, *, batch_size: int | None = None) -> tuple[Tensor, Tensor]:
    """What each row's learned tokens cost, in float32: sums (rows,), float64, nats, and counts (rows,), int64.

        sum_t -log p(x_t+1 | x_1 ... x_t) over the learned tokens of a row        Bengio et al. 2003, section 2

    Rows, not tokens, are what an interval resamples: tokens of one text are not independent.

    Args:
        model: a `LanguageModel`.
        data: batches with "labels" (B, T), unshifted.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.

    Raises:
        ValueError: no `LanguageModel`, no row, a batch of none, labels that are no tokens, or a row that learns none.
    """
    decoder = _speaking(model).decoder
    if not len(data):
        raise ValueError("data must hold at least one row, got none")
    device = next(model.parameters()).device
    sums, counts = torch.zeros(len(data), dtype=torch.float64), torch.zeros(len(data), dtype=torch.int64)
    with judging(model), parametrize.cached():
        for rows in data.in_length_order(_rows_at_once(device, batch_size)):
            batch = _to(device, data.collate(rows))
            labels = batch.pop("labels")
            learned, at = _learned(labels), learned_at(labels)
            counts[rows] = at.sum(1).cpu()
            if not counts[rows].all():
                raise ValueError(f"each row must have a token to learn after its first, got none in row "
                                 f"{rows[counts[rows].tolist().index(0)]}")
            hidden = decoder.base_model(**batch, use_cache=False).last_hidden_state[at]
            nll = torch.cat([F.cross_entropy(decoder.get_output_embeddings()(some).float(), tokens, reduction="none")
                             for some, tokens in zip(hidden.split(PLACES), learned.split(PLACES), strict=True)])
            sums[rows] = torch.stack([part.double().sum() for part in nll.split(counts[rows].tolist())]).cpu()
    return sums, counts


def token_nll(data: Data, *, batch_size: int | None = None) -> Callable[[nn.Module], Record]:
    """Function from a language model to its "nll", nats a learned token of `data`, and "perplexity", exp of it.

        nll = sum over rows and tokens of -log p / number of learned tokens;   perplexity = exp(nll)

    Source: Jelinek et al. 1977.

    It draws no random number and leaves each module in its mode. Perplexities compare only between models of one
    vocabulary.

    Args:
        data: batches with "labels" (B, T), unshifted.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.

    Raises:
        ValueError: a batch of no rows; when called: what `row_nll` refuses.
    """
    _rows_at_once(torch.device("cpu"), batch_size)

    def evaluate(model: nn.Module) -> Record:
        sums, counts = row_nll(model, data, batch_size=batch_size)
        nll = sums.sum() / counts.sum()
        return {"nll": nll.item(), "perplexity": nll.exp().item()}

    return evaluate
