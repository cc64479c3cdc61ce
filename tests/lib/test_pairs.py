"""Any objective with any penalty, map, optimizer and stop rule in the one loop; a pair that means nothing is named."""
from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from lib.adapters import DoRA, LoRA, PiSSA, attach, only_rows
from lib.averages import interpolate, soup
from lib.data import Dataset
from lib.evaluation import evaluator
from lib.models import LanguageModel, freeze
from lib.names import ends_in
from lib.objectives import cross_entropy, penalized, r_drop, smart
from lib.optimizers import SAM
from lib.projection import factorize, tail_penalty
from lib.regularizers import Mixout, l2, l2_sp, nuclear_factors, set_dropout, snapshot
from lib.run.host import Local
from lib.stopping import generalization_loss, never, patience
from lib.text.language import Answers, next_token
from lib.text.likelihood import token_nll
from lib.training import Plan, fit
from tests.lib.tiny import Tiny
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer, tiny_tokens

torch.set_num_threads(1)
HERE, HIDDEN, ROWS = Local("cpu", bf16=False), ends_in("hidden"), 12
IDS = [[1 + (i + j) % 6 for j in range(1 + i % 4)] for i in range(ROWS)]
LABELS = [int(sum(row) % 2) for row in IDS]
Alter = Callable[[Tiny], Any]


def rows(labels: Any = LABELS) -> Dataset:
    return Dataset(IDS, labels)


def on_hidden(make: Callable[[torch.Tensor], nn.Module]) -> Alter:
    return lambda model: attach(model, HIDDEN, make)


def params(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


BASE = cross_entropy(0.1)
AXES: dict[str, dict[str, Any]] = {
    "objective": {
        "cross_entropy": BASE, "r_drop": r_drop(BASE, 0.5), "smart": smart(BASE, 0.5, 0.01),
        "r_drop(smart)": r_drop(smart(BASE, 0.5, 0.01), 0.5), "smart(r_drop)": smart(r_drop(BASE, 0.5), 0.5, 0.01)},
    "targets": {
        "hard": rows(), "P(class 1)": rows([0.9 * y + 0.05 for y in LABELS]),
        "distribution": rows([[0.8 - 0.6 * y, 0.2 + 0.6 * y] for y in LABELS])},
    "outputs": {"two logits": 2, "one logit": 1},
    "penalty": {
        "none": None, "l2": lambda start: l2(1e-3), "l2_sp": lambda start: l2_sp(start, 1e-2, 1e-3),
        "tail": lambda start: tail_penalty(HIDDEN, 1, 0.01),
        "tail of the change": lambda start: tail_penalty(HIDDEN, 1, 0.01, start),
        "nuclear": lambda start: nuclear_factors(1e-3)},
    "map": {
        "none": lambda model: None, "thin": lambda model: factorize(model, HIDDEN, 2),
        "lora": on_hidden(lambda W: LoRA(W, 2, 4)), "rslora": on_hidden(lambda W: LoRA(W, 2, 4, stabilized=True)),
        "dora": on_hidden(lambda W: DoRA(W, 2, 4)), "pissa": on_hidden(lambda W: PiSSA(W, 2, 4)),
        "mixout": on_hidden(lambda W: Mixout(W, 0.3)),
        "no dropout": lambda model: set_dropout(model, 0)},
    "optimizer": {
        "sgd": lambda model, start: torch.optim.SGD(params(model), lr=0.1),
        "adam": lambda model, start: torch.optim.Adam(params(model), lr=0.1),
        "adamw": lambda model, start: torch.optim.AdamW(params(model), weight_decay=0.01),
        "sam(sgd)": lambda model, start: SAM(torch.optim.SGD(params(model), lr=0.1), 0.05),
        "sam(adamw)": lambda model, start: SAM(torch.optim.AdamW(params(model)), 0.05),
        "lbfgs": lambda model, start: torch.optim.LBFGS(params(model), max_iter=3)},
    "stop": {
        "never": never, "patience": patience("accuracy", 1), "generalization_loss": generalization_loss("nll", 1.0)},
}
DEFAULT = {axis: next(iter(values)) for axis, values in AXES.items()}
MAPS = ("lora", "rslora", "dora", "pissa")
NOISE, FACTORS = "r_drop needs a model with noise", "nuclear_factors needs LoRA or thin layers"
REFUSED: dict[tuple[str, str], str] = {
    **{(x, "no dropout"): NOISE for x in ("r_drop", "r_drop(smart)", "smart(r_drop)")},
    **{("nuclear", x): FACTORS for x in ("none", "mixout", "no dropout")},
    **{("l2_sp", x): "start must hold parameters that train" for x in MAPS},  # what it leashes is frozen
    **{(x, "thin"): r"where must match an nn\.Linear" for x in ("tail", "tail of the change")},
}


def run(chosen: dict[str, str]) -> None:
    """Two epochs with these values; what trains moves, what is frozen stays, and the history says what was charged."""
    value = {axis: AXES[axis][name] for axis, name in chosen.items()}
    model = Tiny(value["outputs"], 0.2)
    start = snapshot(model)
    value["map"](model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    objective, parts = value["objective"], {"ce", *(x for x in ("r_drop", "smart") if x in chosen["objective"])}
    if value["penalty"]:
        objective, parts = penalized(objective, value["penalty"](start), "penalty"), {*parts, "penalty"}
    history = fit(model, value["optimizer"](model, start), objective, value["targets"],
                  Plan(epochs=2, batch_size=4, lr=0.05, eval_every=2), evaluate=evaluator(rows(), host=HERE),
                  metric=None, stop=value["stop"], host=HERE, show=False)
    assert len(history) == 6 or chosen["stop"] != "never"
    assert history[0].keys() == {"step", "lr", "loss", "grad_norm", *parts}
    for name, p in model.named_parameters():
        assert p.isfinite().all() and torch.equal(p, before[name]) is not p.requires_grad, name


PAIRS = [(a, x, b, y) for a, b in itertools.combinations(AXES, 2) for x in AXES[a] for y in AXES[b]]


@pytest.mark.parametrize("a, x, b, y", PAIRS, ids=lambda value: value)
def test_a_pair_trains_or_is_refused_by_name(a: str, x: str, b: str, y: str) -> None:
    chosen = DEFAULT | ({"map": "lora"} if "nuclear" in (x, y) else {}) | {a: x, b: y}
    message = REFUSED.get((x, y)) or REFUSED.get((y, x))
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        run(chosen)


@pytest.mark.parametrize("action, error, message", [
    (lambda: SAM(SAM(torch.optim.SGD(Tiny().parameters()))), TypeError, "inner must be .* got SAM"),
    (lambda: SAM(torch.optim.LBFGS(Tiny().parameters())), TypeError, "inner must be .* got LBFGS"),
    (lambda: SAM(torch.optim.SGD(Tiny().parameters())).step(), TypeError, "needs a closure"),
    *((lambda twice=twice: twice(Tiny(2, 0.2), rows().collate(range(4))), ValueError, "already; it would count twice")
      for twice in (r_drop(r_drop(BASE, 1), 1), smart(smart(BASE, 1), 1),
                    penalized(penalized(BASE, l2(1), "l2"), l2(1), "l2"), penalized(BASE, l2(1), "ce"))),
    *((lambda first=first, second=second: both(first, second), ValueError, message) for first, second, message in (
        ("lora", "mixout", "hidden already carries a map"), ("mixout", "thin", "hidden already carries a map"),
        ("thin", "lora", r"where must match an nn\.Linear"))),
])
def test_two_of_a_kind_that_mean_nothing_are_refused_by_name(action, error, message) -> None:
    with pytest.raises(error, match=message):
        action()


def both(first: str, second: str) -> None:
    model = Tiny()
    AXES["map"][first](model)
    AXES["map"][second](model)


# A language model: the same axes on a tiny Llama, once for what it writes next and once for its answers as classes

PROJECTIONS = ends_in("q_proj", "v_proj")
SPOKEN = [[4 + (i + j) % 12 for j in range(3 + i % 3)] for i in range(ROWS)]
WORDS = "good", "bad"


def speaking(kind: str) -> Any:
    language = LanguageModel(tiny_llama(2), tiny_tokenizer())
    set_dropout(language, 0.2)
    return language if kind == "next_token" else Answers(language, WORDS)


def on_projections(make: Callable[[torch.Tensor], nn.Module]) -> Callable[[nn.Module], Any]:
    return lambda model: attach(model, PROJECTIONS, make)


BASES = {"next_token": next_token(0.1), "answers": cross_entropy(0.1)}
DATA = {"next_token": tiny_tokens(SPOKEN, [1] * ROWS, pad=2), "answers": Dataset(SPOKEN, LABELS, pad=2)}
JUDGES = {"next_token": token_nll(DATA["next_token"]), "answers": evaluator(DATA["answers"], host=HERE)}
SPEECH: dict[str, dict[str, Any]] = {
    "kind": dict.fromkeys(BASES),
    "objective": {
        "plain": lambda base: base,
        "r_drop": lambda base: r_drop(base, 0.5), "smart": lambda base: smart(base, 0.5, 0.01),
        "r_drop(smart)": lambda base: r_drop(smart(base, 0.5, 0.01), 0.5),
        "smart(r_drop)": lambda base: smart(r_drop(base, 0.5), 0.5, 0.01)},
    "penalty": {
        "none": None, "l2": lambda start: l2(1e-3), "l2_sp": lambda start: l2_sp(start, 1e-2, 1e-3),
        "tail": lambda start: tail_penalty(PROJECTIONS, 1, 0.01),
        "tail of the change": lambda start: tail_penalty(PROJECTIONS, 1, 0.01, start),
        "nuclear": lambda start: nuclear_factors(1e-3)},
    "map": {
        "none": lambda model: None, "thin": lambda model: factorize(model, PROJECTIONS, 2),
        "lora": on_projections(lambda W: LoRA(W, 2, 4)),
        "rslora": on_projections(lambda W: LoRA(W, 2, 4, stabilized=True)),
        "dora": on_projections(lambda W: DoRA(W, 2, 4)), "pissa": on_projections(lambda W: PiSSA(W, 2, 4)),
        "mixout": on_projections(lambda W: Mixout(W, 0.3)),
        "top layer": lambda model: freeze(model, top=1),
        "rows": lambda model: only_rows(model, [4, 5, 6]),
        "no dropout": lambda model: set_dropout(model, 0)},
    "optimizer": {
        "sgd": lambda model, start: torch.optim.SGD(params(model), lr=0.1),
        "adamw": lambda model, start: torch.optim.AdamW(params(model), weight_decay=0.01),
        "sam(adamw)": lambda model, start: SAM(torch.optim.AdamW(params(model)), 0.05),
        "lbfgs": lambda model, start: torch.optim.LBFGS(params(model), max_iter=3)},
    "stop": {
        "never": never, "patience": patience("perplexity", 1), "generalization_loss": generalization_loss("nll", 1.0)},
}
QUIET = ("none", "mixout", "top layer", "no dropout")
NOT_SPOKEN: dict[tuple[str, str], str] = {
    **{(x, "no dropout"): NOISE for x in ("r_drop", "r_drop(smart)", "smart(r_drop)")},
    **{("nuclear", x): FACTORS for x in QUIET},
    **{("l2_sp", x): "start must hold parameters that train" for x in MAPS},
    **{(x, "thin"): r"where must match an nn\.Linear" for x in ("tail", "tail of the change")},
    ("answers", "patience"): "metric must be one of .* got 'perplexity'",
}
ALWAYS = {"rows": "embed_tokens must have a weight of its own, and shares it with .*lm_head"}
SPOKEN_PAIRS = [(a, x, b, y) for a, b in itertools.combinations(SPEECH, 2) for x in SPEECH[a] for y in SPEECH[b]]


def speak(chosen: dict[str, str]) -> None:
    """Two epochs of a language model with these values, which ends as `run` does."""
    value = {axis: SPEECH[axis][name] for axis, name in chosen.items()}
    kind = chosen["kind"]
    model = speaking(kind)
    start = snapshot(model)
    value["map"](model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    objective = value["objective"](BASES[kind])
    parts = {"ce", *(x for x in ("r_drop", "smart") if x in chosen["objective"])}
    if value["penalty"]:
        objective, parts = penalized(objective, value["penalty"](start), "penalty"), {*parts, "penalty"}
    history = fit(model, value["optimizer"](model, start), objective, DATA[kind],
                  Plan(epochs=2, batch_size=4, lr=0.02, eval_every=2), evaluate=JUDGES[kind], metric=None,
                  stop=value["stop"], host=HERE, show=False)
    assert len(history) == 6 or chosen["stop"] != "never"
    assert history[0].keys() == {"step", "lr", "loss", "grad_norm", *parts}
    for name, p in model.named_parameters():
        assert p.isfinite().all() and torch.equal(p, before[name]) is not p.requires_grad, name


@pytest.mark.parametrize("a, x, b, y", SPOKEN_PAIRS, ids=lambda value: value)
def test_a_pair_on_a_language_model_trains_or_is_refused_by_name(a: str, x: str, b: str, y: str) -> None:
    first = {axis: next(iter(values)) for axis, values in SPEECH.items()}
    chosen = first | ({"map": "lora"} if "nuclear" in (x, y) else {}) | {a: x, b: y}
    message = ALWAYS.get(chosen["map"]) or NOT_SPOKEN.get((x, y)) or NOT_SPOKEN.get((y, x))
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        speak(chosen)


@pytest.mark.parametrize("kind", BASES)
def test_tied_words_are_one_weight_in_averages(kind: str) -> None:
    model = speaking(kind)
    words = model.get_input_embeddings().weight
    start = snapshot(model)
    assert sum(value.shape == words.shape for value in start.values()) == 1
    fit(model, torch.optim.SGD(params(model), 0.1), BASES[kind], DATA[kind], Plan(epochs=1, batch_size=4, lr=0.1),
        host=HERE, show=False)
    tuned = snapshot(model)
    for state, expected in ((soup([start, tuned]), 0.5), (interpolate(start, tuned, 0.25), 0.25)):
        model.load_state_dict(state, strict=False)
        head = next(module for module in model.modules() if isinstance(module, LanguageModel)).decoder.lm_head
        assert head.weight is words
        name = next(name for name in start if start[name].shape == words.shape)
        torch.testing.assert_close(words.detach(), torch.lerp(start[name], tuned[name], expected))


def test_the_head_that_is_the_words_takes_no_map() -> None:
    with pytest.raises(ValueError, match="lm_head must have a weight of its own, and shares it with .*embed_tokens"):
        attach(speaking("next_token"), ends_in("lm_head"), lambda W: LoRA(W, 2, 4))
