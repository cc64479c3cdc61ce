"""What a language model learns: to write the next token, or to give one of several answers.

A prompt and what follows are tokenized apart, without special tokens, so the words of an answer keep the space that
they are given with. What is likely is always $log P(tokens | what stands before)$, in nats, over all V words.

Shapes: B prompts a batch, T tokens, V words of the vocabulary, C answers, K places where a token is learned, D width.
"""
from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from lib import _check
from lib.evaluation import Data, predict_logits
from lib.loss import Batch, Loss, Objective, learned_at, model_inputs
from lib.models import LanguageModel
from lib.objectives import log_probabilities
from lib.run.host import Local


def next_token(smoothing: float = 0.0) -> Objective:
    """Mean negative log-likelihood of the tokens that are learned, each from what stands before it.

        -1/K sum_{i,t} sum_v q_v log p(v | x_{i,1} ... x_{i,t}),   q <- (1 - e) onehot(x_{i,t+1}) + e / V

    Tuning on it teaches a model to write what the learned tokens say: the answers of a chat, with the prompts only
    read. Logits are computed at the K places alone; each of the K tokens counts the same, so a long answer weighs more
    than a short one, and several processes share one mean over all tokens of the batch.

    Source: Bengio et al. 2003, section 2; smoothing, over all V words: Szegedy et al. 2016, section 7.

    Args:
        smoothing: e, at least 0 and below 1; the share of the uniform distribution over the vocabulary. At .1 and
            49,152 words a perfect model still pays 1.41 nats.

    Returns:
        Objective with part "ce" and logits (K, V); the batch holds "labels" (B, T), unshifted: the token at its own
        place, or `UNLEARNED`.

    Raises:
        ValueError: smoothing out of range; when called: another model than a `LanguageModel`, labels that are no
            tokens, or a batch in which none is learned.
    """
    _check.rate(smoothing=smoothing)

    def objective(model: nn.Module, batch: Batch) -> Loss:
        _speaking(getattr(model, "module", model))
        learned, logits = _learned(batch["labels"]), model(**model_inputs(batch))
        z = logits.to(torch.promote_types(logits.dtype, torch.float32))  # under autocast too
        ce = F.cross_entropy(z, learned, label_smoothing=smoothing)
        return Loss(ce, logits, {"ce": ce.detach()})

    return objective


class Answers(nn.Module):
    """A language model as a classifier: its classes are what it may say right after the prompt.

        z_c = log P(word c | prompt);   softmax(z) = P(word c | prompt, one of the words)

    Without any training this is a zero-shot classifier; trained, it starts from what the model knows of the words, so
    it needs fewer labels than a new head. Every objective, penalty and evaluation of classifiers then works on prompts.
    Such a loss asks only which of the words is likelier, not that one of them is said: $-log P(word)$ is the
    cross-entropy among the words less $log mass$, and `answer_mass` gives the mass.

    Where each word is one token, z leaves out the log-sum over V, the same for all, and costs C rows of the head; words
    of several tokens cost a pass over the prompts for each different beginning.

    Source: Schick and Schuetze 2021, section 3.1, for one token a class.

    Args:
        model: its decoder is trained in place, as `language`.
        words: at least two answers, with the space that each begins with, e.g. `[" negative", " positive"]`; class i is
            `words[i]`. None may begin another, which would then count in both.

    Raises:
        ValueError: no `LanguageModel`, words that are fewer than two, empty or the beginning of one another; when
            called: a prompt without a token.
    """

    tokenizer: PreTrainedTokenizerBase

    def __init__(self, model: LanguageModel, words: Sequence[str]) -> None:
        super().__init__()
        self.language, self.tokenizer = _speaking(model), model.tokenizer
        self.labels = [] if isinstance(words, str) else list(words)
        if len(self.labels) < 2 or not all(isinstance(word, str) and word.strip() for word in self.labels):
            raise ValueError(f"words must hold at least two answers, none of them blank, got {words!r}")
        self.tokens = [_ids(model.tokenizer, word) for word in self.labels]
        for (first, begins), (second, ids) in itertools.permutations(zip(self.labels, self.tokens, strict=True), 2):
            if ids[: len(begins)] == begins:
                raise ValueError(f"words must not begin one another, got {first!r} at the beginning of {second!r}")

    def get_input_embeddings(self) -> nn.Module:
        return self.language.get_input_embeddings()

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                inputs_embeds: Tensor | None = None) -> Tensor:
        """Scores (B, C) at the last real token: z, up to a constant a row."""
        if max(map(len, self.tokens)) > 1:
            return self.log_probabilities(input_ids, attention_mask, inputs_embeds)
        x, mask = _given(input_ids, attention_mask, inputs_embeds)
        at = F.one_hot(_last(mask), mask.shape[1]).bool()
        hidden = self.language.hidden(**x, attention_mask=mask)[at]
        return F.linear(hidden, self.language.decoder.get_output_embeddings().weight[[ids[0] for ids in self.tokens]])

    def log_probabilities(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                          inputs_embeds: Tensor | None = None) -> Tensor:
        """Log-probability (B, C) of each word over the whole vocabulary, nats, at least float32.

            log P(word | prompt) = sum_t log p(token t | prompt, tokens before t)

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 where a token is real, on the right or on the left; all are if not given.
            inputs_embeds: (B, T, D) in place of ids.
        """
        x, mask = _given(input_ids, attention_mask, inputs_embeds)
        found = dict[tuple[int, ...], Tensor]()  # beginning of a word -> log p(next token), (B, V)
        for beginning in sorted({tuple(ids[:-1]) for ids in self.tokens}, key=len, reverse=True):
            if beginning not in found:
                log_p = self._after(x, mask, beginning)
                found |= {beginning[:t]: log_p[:, t] for t in range(len(beginning) + 1)}
        return torch.stack([sum(found[tuple(ids[:t])][:, token] for t, token in enumerate(ids))  # type: ignore[misc]
                            for ids in self.tokens], 1)

    def _after(self, x: Batch, mask: Tensor, beginning: tuple[int, ...]) -> Tensor:
        """Log-probabilities (B, 1 + tokens of the beginning, V) after the prompt and after each of these tokens."""
        extra, places = len(beginning), torch.arange(len(beginning) + 1, device=mask.device)
        last = _last(mask)[:, None]
        where = last + places[1:]  # (B, extra): right after the prompt, over its padding
        if extra:
            said = torch.tensor(beginning, device=mask.device).expand(len(mask), -1)
            mask = F.pad(mask, (0, extra)).scatter(1, where, 1)
            if "input_ids" in x:
                x = {"input_ids": F.pad(x["input_ids"], (0, extra)).scatter(1, where, said)}
            else:
                said = self.get_input_embeddings()(said).to(x["inputs_embeds"])
                wide = F.pad(x["inputs_embeds"], (0, 0, 0, extra))
                x = {"inputs_embeds": wide.scatter(1, where[..., None].expand_as(said), said)}
        at = torch.zeros_like(mask, dtype=torch.bool).scatter(1, last + places, True)
        logits = self.language(**x, attention_mask=mask, at=at)
        return log_probabilities(logits).view(len(mask), extra + 1, -1)


def answer_mass(model: Answers, data: Data, *, batch_size: int | None = None) -> Tensor:
    """Probability that the model says one of its words at all: (rows,), float32.

        mass = sum_c P(word c | prompt);   -log P(word) = cross-entropy among the words - log mass

    A low mass says that the model has not understood the format yet; among the words it may still know the answer.

    Source: the chain rule, from one of the words to the word; Holtzman et al. 2021, section 2.

    Args:
        data: prompts, from `encode(model.tokenizer, ...)`.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.

    Raises:
        ValueError: no row, or a batch of none.
    """
    device = next(model.parameters()).device
    return predict_logits(_WholeVocabulary(model), data, batch_size=batch_size,
                          host=Local(device.type, bf16=False)).exp().sum(1)


class _WholeVocabulary(nn.Module):
    """`Answers` that say log-probabilities over all words."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.answers.log_probabilities(**inputs)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of a text and nothing else."""
    if not isinstance(text, str) or not text:
        raise ValueError(f"prompts and answers must be texts that are not empty, got {text!r}")
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _learned(labels: Tensor) -> Tensor:
    """The tokens (K,) that are learned, row by row; none is an error."""
    if labels.ndim != 2 or labels.is_floating_point():
        raise ValueError(f"labels must be tokens (batch, places), whole numbers, got shape {tuple(labels.shape)}, "
                         f"{labels.dtype}")
    at = learned_at(labels)
    if not at.any():
        raise ValueError("labels must hold a token to learn after the first of a row, got none in a batch of "
                         f"{len(labels)} rows")
    return labels[:, 1:][at[:, :-1]]


def _speaking(model: nn.Module) -> LanguageModel:
    """The model, if it gives logits of next tokens."""
    if not isinstance(model, LanguageModel):
        raise ValueError(f"model must be a LanguageModel, as load_decoder gives, got {type(model).__name__}")
    return model


def _given(input_ids: Tensor | None, attention_mask: Tensor | None,
           inputs_embeds: Tensor | None) -> tuple[Batch, Tensor]:
    """Ids or embeddings, whichever is given, and the mask (B, T)."""
    x = {"input_ids": input_ids} if inputs_embeds is None else {"inputs_embeds": inputs_embeds}
    (value,) = x.values()
    if value is None:
        raise ValueError("input_ids or inputs_embeds must be given, got neither")
    mask = torch.ones(value.shape[:2], dtype=torch.int64, device=value.device) if attention_mask is None \
        else attention_mask
    return x, mask  # type: ignore[return-value]


def _last(mask: Tensor) -> Tensor:
    """Place (B,) of the last real token, by the mask: the padding may be on either side, and be a word of the text."""
    if not mask.any(1).all():
        raise ValueError("each prompt must have a token, got one that is padding alone")
    return (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(1)
