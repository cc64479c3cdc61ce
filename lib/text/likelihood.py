"""How likely a language model finds a text: nats a token, and options ranked by it.

Everything is computed in float32, the head at the places where a token is learned alone, and disturbs nothing: no
random number is drawn, and each module goes on in the mode it had.

Shapes: B rows a batch, T tokens, V words of the vocabulary, C options.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lib.evaluation import Data, _rows_at_once, _to, judging
from lib.loss import learned_at
from lib.models import LanguageModel
from lib.stopping import Record
from lib.text.conversations import Tokens
from lib.text.language import _ids, _learned, _speaking

PLACES = 512  # at which logits are held at once where nothing trains: 100 MB of 49,152 words
Normalize = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Score from log-probability (nats), number of tokens and of characters, (C,) each: `by_sum`, `by_token`, ..."""


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


def by_sum(log_p: Tensor, tokens: Tensor, characters: Tensor) -> Tensor:
    """Log-probability as it is, (C,): what the model would say, and so in favour of short options.

    Args:
        log_p: (C,), nats.
        tokens, characters: (C,), of each option.
    """
    return log_p


def by_token(log_p: Tensor, tokens: Tensor, characters: Tensor) -> Tensor:
    """Log-probability a token, (C,): the geometric mean of its tokens' probabilities; depends on the tokenizer.

    Args:
        log_p: (C,), nats.
        tokens, characters: (C,), of each option.
    """
    return log_p / tokens


def by_character(log_p: Tensor, tokens: Tensor, characters: Tensor) -> Tensor:
    """Log-probability a character, (C,), the space at its beginning included; the same for every tokenizer.

    Args:
        log_p: (C,), nats.
        tokens, characters: (C,), of each option.
    """
    return log_p / characters


def rank_options(model: LanguageModel, prompts: Sequence[str], options: Sequence[Sequence[str]], *,
                 normalize: Normalize, batch_size: int | None = None) -> list[Tensor]:
    """Scores by which options rank after their prompt, the likeliest highest: one tensor (C,) a prompt.

        score_c = normalize(log P(option c | prompt), its tokens, its characters)

    Choose the normalisation on development data and state it: the best option often differs between the three.

    Source: Brown et al. 2020, section 2.4.

    Args:
        prompts: none empty.
        options: for each prompt its options, with the space that each begins with; `[words] * len(prompts)` if they
            are the same.
        normalize: `by_sum`, `by_token`, `by_character`, or a function like these.
        batch_size: options at a time, at least 1; if not given, 64, on a GPU 512.

    Raises:
        ValueError: another number of lists than of prompts, or an empty prompt or option; what `row_nll` refuses.
    """
    if isinstance(prompts, str) or len(prompts) != len(options) or any(isinstance(each, str) for each in options):
        raise ValueError(f"options must hold a list of texts for each prompt, got {options!r} for {prompts!r}")
    pairs = [(prompt, option) for prompt, some in zip(prompts, options, strict=True) for option in some]
    ids = [(_ids(model.tokenizer, prompt), _ids(model.tokenizer, option)) for prompt, option in pairs]
    learned = [[False] * len(prompt) + [True] * len(option) for prompt, option in ids]
    data = Tokens([prompt + option for prompt, option in ids], learned, model.tokenizer.pad_token_id or 0)
    sums, counts = row_nll(model, data, batch_size=batch_size)
    sizes = [len(some) for some in options]
    characters = torch.tensor([len(option) for _, option in pairs])
    parts = zip(*(values.split(sizes) for values in (-sums, counts, characters)), strict=True)
    return [normalize(*part) for part in parts]
