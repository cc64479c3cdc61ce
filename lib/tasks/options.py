"""Which of several answers a language model finds likeliest, computed without reading anything twice.

Prompts of one task begin alike (the chat template, solved examples), and the options of a question share all of its
prompt. A decoder's states of a beginning do not depend on what follows, so each beginning is computed once and kept.

Shapes: C options of a prompt, T tokens, V words of the vocabulary.
"""
from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import parametrize
from transformers import DynamicCache

from lib.evaluation import judging
from lib.models import LanguageModel
from lib.text.language import _ids


def option_scores(model: LanguageModel, prompts: Sequence[str], options: Sequence[Sequence[str]]) -> list[Tensor]:
    """Log-probability of each option after its prompt, nats: one tensor (C,) a prompt, float32.

        score_c = sum_t log p(o_ct | prompt, o_c1 ... o_c,t-1)

    What is alike is read once: it pays where prompts are long or options many. The sum favours short options. The model
    computes in its own precision.

    Source: Brown et al. 2020, section 2.4.

    Args:
        prompts: at least one, none empty.
        options: for each prompt its options, at least one, none empty.

    Raises:
        ValueError: another number of lists than of prompts, no prompt, or an empty prompt or option.
    """
    if len(prompts) != len(options) or not prompts or not all(options):
        raise ValueError(f"options must hold a list of texts for each prompt, got {len(options)} for {len(prompts)}")
    rows = [_ids(model.tokenizer, prompt) for prompt in prompts]
    short = min(map(len, rows)) - 1  # the last token is always left to read
    begin = next((t for t in range(short) if len({row[t] for row in rows}) > 1), short)
    scored = []
    with judging(model), parametrize.cached():
        shared = DynamicCache()
        if begin:
            _read(model, torch.tensor([rows[0][:begin]]), shared)
        for row, some in zip(rows, options, strict=True):
            said = [_ids(model.tokenizer, option) for option in some]
            cache = copy.deepcopy(shared)
            first = _read(model, torch.tensor([row[begin:]]), cache)[:, -1:]
            scored.append(_score(model, first, said, cache))
    return scored


def _read(model: LanguageModel, ids: Tensor, cache: DynamicCache) -> Tensor:
    """Hidden states of what comes next; the cache then holds it too."""
    found = model.decoder.base_model(input_ids=ids.to(next(model.parameters()).device), past_key_values=cache,
                                     use_cache=True)
    return found.last_hidden_state  # type: ignore[no-any-return]


def _score(model: LanguageModel, first: Tensor, said: list[list[int]], cache: DynamicCache) -> Tensor:
    """Sums (C,) of log-probabilities; `first` (1, 1, D) is the state at the prompt's last token."""
    width = max(map(len, said))
    hidden = first.expand(len(said), -1, -1)
    if width > 1:  # each token but the last one is read, to see what follows it; padding is on the right, unseen
        cache.batch_repeat_interleave(len(said))
        ids = torch.tensor([[*row[:-1], *[0] * (width - len(row))] for row in said])
        hidden = torch.cat((hidden, _read(model, ids, cache)), 1)
    at = torch.tensor([[t < len(row) for t in range(width)] for row in said])
    log_p = model.decoder.get_output_embeddings()(hidden[at.to(hidden.device)]).float().log_softmax(1).cpu()
    tokens = torch.tensor([token for row in said for token in row])
    each = log_p.gather(1, tokens[:, None])[:, 0]
    return torch.stack([part.sum() for part in each.split([len(row) for row in said])])
