"""What a language model writes: greedy or by chance, many prompts at once or piece by piece.

Chance is a function of (seed, row, step): a row's draws do not depend on what else is written beside it. At a
temperature of 0 the likeliest token is taken; two tokens that are equal up to rounding may then change places with the
other rows of a batch.

    max_new_tokens  tokens that are written at most, the end of the turn included, at least 1
    temperature     at least 0; 1 draws from the model's own distribution, all of it: no top-k, no nucleus
    seed            chooses what is drawn, from 0
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize
from transformers import DynamicCache, PreTrainedTokenizerBase

from lib import _check
from lib.evaluation import judging
from lib.models import LanguageModel
from lib.text.conversations import _check_turns
from lib.text.language import _ids, _speaking
from lib.text.templates import render, special_tokens


def chat_prompt(tokenizer: PreTrainedTokenizerBase, text: str, system: str | None = None) -> str:
    """What a chat model expects before its answer: `text` as the user's turn, in the tokenizer's template.

    Args:
        tokenizer: with a chat template.
        text: not blank.
        system: what stands before it as the system's turn; None leaves that to the template.

    Raises:
        ValueError: a blank text or one with a special token, or a tokenizer without a template.
    """
    return _chat_prompts(tokenizer, [text], system)[0]


def _chat_prompts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], system: str | None) -> list[str]:
    """What `chat_prompt` makes of each text; an error says the number of the text, from 0."""
    if not texts:
        raise ValueError("prompts must be one or more, got none")
    before = [] if system is None else [{"role": "system", "content": system}]
    asked, special = [[*before, {"role": "user", "content": text}] for text in texts], special_tokens(tokenizer)
    for row, messages in enumerate(asked):
        _check_turns(messages, row, special)
    return [render(tokenizer, messages, prompt=True) for messages in asked]


def generate(model: LanguageModel, prompts: Sequence[str], *, max_new_tokens: int, temperature: float = 0.0,
             seed: int = 0, batch_size: int = 16) -> list[str]:
    """What the model writes after each prompt, up to the end of its turn.

        x_{t+1} = argmax_v p(v | x_1 ... x_t), or drawn from softmax(logits / temperature)

    Args:
        prompts: none empty; `chat_prompt` makes them for a chat model.
        batch_size: prompts at a time, at least 1.

    Raises:
        ValueError: no `LanguageModel`, an empty prompt, a number out of range, or more tokens than there are places.
    """
    if isinstance(prompts, str):
        raise ValueError(f"prompts must be a list of texts, got {prompts!r}")
    _speaking(model)
    rows = [_ids(model.tokenizer, prompt) for prompt in prompts]
    written = generate_ids(model, rows, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed,
                           batch_size=batch_size)
    return [_text(model, ids) for ids in written]


def stream(model: LanguageModel, prompt: str, *, max_new_tokens: int, temperature: float = 0.0,
           seed: int = 0) -> Iterator[str]:
    """The pieces of what `generate` writes after one prompt, each as soon as it is certain.

    Merge an adapter first: between two pieces the model may change, so that its weights are computed for each token.

    Args:
        prompt: not empty.

    Raises:
        ValueError: as in `generate`, when the first piece is asked for.
    """
    _speaking(model)
    ids, told = list[int](), ""
    for (token,) in _steps(model, [_ids(model.tokenizer, prompt)], [0], max_new_tokens, temperature, seed):
        ids.append(token)
        text = _text(model, ids)
        if text != told and not text.endswith("\ufffd"):  # else part of a character that further tokens complete
            yield text.removeprefix(told)
            told = text
    if text != told:
        yield text.removeprefix(told)


def generate_ids(model: LanguageModel, rows: Sequence[Sequence[int]], *, max_new_tokens: int, temperature: float = 0.0,
                 seed: int = 0, batch_size: int = 16) -> list[list[int]]:
    """The tokens that the model writes after each row of tokens, the end of the turn included where it is reached.

        x_{t+1} = argmax_v p(v | x_1 ... x_t), or drawn from softmax(logits / temperature)

    Rows of similar length are computed together; the model is left in its modes, and no random number is drawn that
    anything else sees.

    Args:
        rows: token ids, none empty.
        batch_size: rows at a time, at least 1.

    Raises:
        ValueError: no `LanguageModel`, an empty row, a number out of range, or more tokens than there are places.
    """
    _speaking(model)
    _check.whole(1, batch_size=batch_size)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    written: list[list[int]] = [[] for _ in rows]
    with parametrize.cached():  # a weight with LoRA is computed once, and not for every token
        for begin in range(0, len(rows), batch_size):
            places = order[begin : begin + batch_size]
            for tokens in _steps(model, [rows[i] for i in places], places, max_new_tokens, temperature, seed):
                for i, token in zip(places, tokens, strict=True):
                    if model.tokenizer.eos_token_id not in written[i][-1:]:
                        written[i].append(token)
    return written


def own_samples(model: LanguageModel, n: int, *, length: int, seed: int = 0, batch_size: int = 16) -> list[list[int]]:
    """Texts that the model itself makes up, as tokens: the data on which forgetting is a Kullback-Leibler divergence.

        E_{x ~ base} [log base(x) - log tuned(x)] = KL(base | tuned)

    Each begins with the tokenizer's first token and is drawn at temperature 1 from all words, up to the end of a turn.
    Drawn in any other way, they would measure another divergence.

    Args:
        model: before it is tuned.
        n: number of texts, at least 1.
        length: tokens a text at most, the first one included, at least 2.
        batch_size: texts at a time, at least 1.

    Raises:
        ValueError: no `LanguageModel`, a number out of range, or a tokenizer without a first token.
    """
    _speaking(model)
    _check.whole(1, n=n)
    _check.whole(2, length=length)
    first = model.tokenizer.bos_token_id
    if first is None:
        raise ValueError("tokenizer must have a bos_token, with which texts begin, got none")
    written = generate_ids(model, [[first]] * n, max_new_tokens=length - 1, temperature=1.0, seed=seed,
                           batch_size=batch_size)
    return [[first, *ids] for ids in written]


def _steps(model: LanguageModel, rows: Sequence[Sequence[int]], places: Sequence[int], max_new_tokens: int,
           temperature: float, seed: int) -> Iterator[list[int]]:
    """The next token of every row, step by step, until each has ended; `places` say which draws are a row's own."""
    _check_asked(model, rows, max_new_tokens, temperature, seed)
    width = max(map(len, rows))
    device = next(model.parameters()).device
    filled = [[0] * (width - len(row)) + [*row] for row in rows]  # on the left, so that all go on at one place
    ids = torch.tensor(filled, device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    at = (mask.cumsum(1) - 1).clamp_min(0)
    draws = torch.tensor(np.array([np.random.default_rng((seed, i)).random(max_new_tokens) for i in places]))
    body, head = model.decoder.base_model, model.decoder.get_output_embeddings()
    cache, end = DynamicCache(), model.tokenizer.eos_token_id
    ended = torch.zeros(len(rows), dtype=torch.bool)
    for step in range(max_new_tokens):
        with judging(model):
            hidden = body(input_ids=ids, attention_mask=mask, position_ids=at, past_key_values=cache,
                          use_cache=True).last_hidden_state
            token = _choose(head(hidden[:, -1]).float().cpu(), temperature, draws[:, step])
        yield token.tolist()
        ended |= token == (-1 if end is None else end)
        if ended.all():
            return
        ids, at = token[:, None].to(device), at[:, -1:] + 1
        mask = torch.cat((mask, mask.new_ones(len(rows), 1)), 1)


def _check_asked(model: LanguageModel, rows: Sequence[Sequence[int]], max_new_tokens: int, temperature: float,
                 seed: int) -> None:
    """Raise ValueError for an empty row, a number out of range, or more tokens than there are places."""
    _check.whole(1, max_new_tokens=max_new_tokens)
    _check.whole(0, seed=seed)
    _check.at_least(0, temperature=temperature)
    width = max(map(len, rows))
    if not all(rows):
        raise ValueError("rows must each hold a token, got an empty one")
    room = model.decoder.config.max_position_embeddings
    if width + max_new_tokens > room:
        raise ValueError(f"a prompt and max_new_tokens must fit into {room} places together, got {width} and "
                         f"{max_new_tokens}")


def _choose(logits: Tensor, temperature: float, u: Tensor) -> Tensor:
    """One token a row: the likeliest, or the one at which the sum of probabilities passes u, in [0, 1)."""
    if temperature == 0:
        return logits.argmax(1)
    reached = (logits.double() / temperature).softmax(1).cumsum(1)
    return torch.searchsorted(reached, u[:, None] * reached[:, -1:], right=True)[:, 0]


def _text(model: LanguageModel, ids: Sequence[int]) -> str:
    """The text of tokens without the end of the turn."""
    said = [token for token in ids if token != model.tokenizer.eos_token_id]
    return str(model.tokenizer.decode(said, clean_up_tokenization_spaces=False))
