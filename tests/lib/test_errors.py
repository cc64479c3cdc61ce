"""A bad argument ends in an error that says its name, its value and what is allowed, not in one from deeper down."""
from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from lib import (
    adapters,
    averages,
    data,
    evaluation,
    models,
    names,
    objectives,
    optimizers,
    projection,
    regularizers,
    stopping,
    training,
)
from lib.book import figures, record, setup
from lib.corpora import sentiment
from lib.evidence import sweeps
from lib.evidence import verdicts as v
from lib.files import cache
from lib.models import Encoder
from lib.run import checkpoint, host
from lib.serve import predict, service

NAN, INF = float("nan"), float("inf")
W = torch.ones(4, 3)
NET = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
BATCH = {"input": torch.ones(2, 3), "labels": torch.tensor([0, 1])}
SET = data.Dataset([[1], [2, 3]], [0, 1])
SENTENCE = sentiment.Sentence("a", 1.0, (1,), "movies")
EFFECT = v.paired_effect([1.0, 2.0], [0.0, 0.0])


def ce(labels: Any, outputs: int = 2) -> Any:
    """Cross-entropy of two examples with these labels."""
    model = nn.Linear(3, outputs)
    return objectives.cross_entropy()(model, {"input": torch.ones(2, 3), "labels": torch.tensor(labels)})


def fit(**changed: Any) -> Any:
    """A run that would train, but for what is changed."""
    model, objective = Two(), objectives.cross_entropy()
    given = {"model": model, "optimizer": torch.optim.SGD(model.parameters(), 0.1), "objective": objective,
             "data": SET, "plan": training.Plan(), "host": host.Local("cpu"), "show": False}
    return training.fit(**given | changed)


def evaluated(labels: Any) -> Any:
    """A model of two classes, judged on two texts with these labels."""
    return evaluation.evaluator(data.Dataset([[1], [2]], labels), host=host.Local("cpu"))(Two())


class ToHalf(nn.Module):
    """A map that changes the type of a weight."""

    def forward(self, W: torch.Tensor) -> torch.Tensor:
        return W.bfloat16()


class Two(nn.Module):
    """Two logits for any batch."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.bias.expand(len(input_ids), 2)


# what is called, the name that the error must say, the value that it must show
CASES: list[tuple[Callable[[], Any], str, str]] = [
    # projection
    (lambda: names.ends_in(), "suffixes", "()"),
    (lambda: names.ends_in("a", ""), "suffixes", "('a', '')"),
    (lambda: names.ends_in(3), "suffixes", "3"),
    (lambda: projection.truncate(W, 4), "rank", "4"),
    (lambda: projection.truncate(W, -1), "rank", "-1"),
    (lambda: projection.truncate(W, 1.5), "rank", "1.5"),
    (lambda: projection.truncate(W, True), "rank", "True"),
    (lambda: projection.truncate(W.long(), 1), "W", "int64"),
    (lambda: projection.truncate([[1.0, 2.0]], 1), "W", "list"),
    (lambda: projection.truncate(W, "2"), "rank", "'2'"),
    (lambda: projection.truncate(W[0], 1), "W", "(3,)"),
    (lambda: projection.truncate(W * NAN, 1), "W", "nan"),
    (lambda: projection.tail_energy(W, 9), "rank", "9"),
    (lambda: projection.tail_energy(W * NAN, 1), "W", "nan"),
    (lambda: projection.tail_prox(W, 1, -0.5, 1), "step", "-0.5"),
    (lambda: projection.tail_prox(W, 1, 0.5, NAN), "strength", "nan"),
    (lambda: projection.tail_penalty(lambda name: True, 1, -1), "strength", "-1"),
    (lambda: projection.tail_penalty(lambda name: True, 1, "much"), "strength", "'much'"),
    (lambda: projection.tail_penalty(lambda name: True, 3, 1)(NET), "rank", "3"),
    (lambda: projection.tail_penalty(lambda name: False, 1, 1)(NET), "where", "'0'"),
    (lambda: projection.tail_penalty(lambda name: True, 1, 1, {})(NET), "start", "0.weight"),
    (lambda: projection.Thin(nn.Linear(3, 3), 0), "rank", "0"),
    (lambda: projection.factorize(NET, lambda name: False, 1), "where", "'0'"),
    (lambda: adapters.LoRA(W, 0, 1), "rank", "0"),
    (lambda: adapters.LoRA(W, 1, 0), "alpha", "0"),
    (lambda: adapters.LoRA(W, 1, NAN), "alpha", "nan"),
    (lambda: adapters.LoRA(W, 1, INF), "alpha", "inf"),
    (lambda: adapters.LoRA(W, 2.0, 1), "whole number", "2.0"),
    (lambda: adapters.LoRA(W, 1, "16"), "alpha", "'16'"),
    (lambda: adapters.DoRA(W, 9, 1), "rank", "9"),
    (lambda: adapters.Rows(nn.Embedding(5, 2), [[1, 2], [3]]), "tokens", "[[1, 2], [3]]"),
    (lambda: adapters.Rows(nn.Embedding(5, 2), [0.5]), "tokens", "[0.5]"),
    (lambda: adapters.attach(NET, lambda name: True, lambda W: ToHalf()), "make", "bfloat16"),
    (lambda: adapters.PiSSA(W, 9, 1), "rank", "9"),
    (lambda: adapters.attach(NET, lambda name: True, lambda W: W), "make", "Parameter"),
    (lambda: adapters.attach(NET, lambda name: False, lambda W: adapters.LoRA(W, 1, 1)), "where", "'0'"),
    (lambda: adapters.attach(NET, "query", lambda W: adapters.LoRA(W, 1, 1)), "where", "'query'"),
    # regularizers
    (lambda: objectives.log_probabilities(torch.ones(3)), "logits", "(3,)"),
    (lambda: objectives.targets(torch.tensor([0, 3]), 3), "labels", "3"),
    (lambda: objectives.targets(torch.tensor([[0, 1]]), 3), "labels", "(1, 2)"),
    (lambda: objectives.targets(torch.tensor([0.5, 1.5]), 2), "labels", "1.5"),
    (lambda: objectives.targets(torch.tensor([NAN]), 2), "labels", "nan"),
    (lambda: ce([0, 2]), "labels", "2"),
    (lambda: ce([0.5, 0.5, 0.5]), "labels", "(3,)"),
    (lambda: ce([0, 1, 1]), "labels", "(3,)"),
    (lambda: objectives.cross_entropy(1.0), "smoothing", "1.0"),
    (lambda: objectives.cross_entropy(NAN), "smoothing", "nan"),
    (lambda: objectives.cross_entropy("high"), "smoothing", "'high'"),
    (lambda: objectives.cross_entropy(weights=[1.0, 0.0]), "weights", "0.0"),
    (lambda: objectives.cross_entropy(weights=2.0), "weights", "2.0"),
    (lambda: objectives.cross_entropy(weights=[1.0, 1.0, 1.0])(NET, BATCH), "weights", "3"),
    (lambda: objectives.any_of([]), "groups", "[]"),
    (lambda: objectives.any_of([[0], []]), "groups", "[[0], []]"),
    (lambda: objectives.any_of([0, 1]), "groups", "0"),
    (lambda: objectives.any_of([[0], [-1]]), "groups", "-1"),
    (lambda: objectives.any_of([[0], [3]])(NET, BATCH), "groups", "3"),
    (lambda: objectives.any_of([[0]])(NET, BATCH), "labels", "1"),
    (lambda: objectives.symmetric_kl(torch.ones(2, 3), torch.ones(2, 2)), "log_q", "(2, 2)"),
    (lambda: objectives.r_drop(objectives.cross_entropy(), -1), "alpha", "-1"),
    (lambda: objectives.smart(objectives.cross_entropy(), -1), "weight", "-1"),
    (lambda: objectives.smart(objectives.cross_entropy(), 1, radius=0), "radius", "0"),
    (lambda: objectives.smart(objectives.cross_entropy(), 1, init=NAN), "init", "nan"),
    (lambda: objectives.smart(objectives.cross_entropy(), 1)(NET, BATCH), "get_input_embeddings", "Sequential"),
    (lambda: regularizers.snapshot(NET, lambda name: False), "where", "0.weight"),
    (lambda: regularizers.l2(-0.1), "strength", "-0.1"),
    (lambda: regularizers.l2(INF), "strength", "inf"),
    (lambda: regularizers.l2_sp({}, 1, -1), "beta", "-1"),
    (lambda: regularizers.l2_sp({}, 1, 1)(NET), "start", "[]"),
    (lambda: regularizers.l2_sp({"0.weight": W}, 1, 1)(NET), "start", "(4, 3)"),
    (lambda: regularizers.l2_sp(NET, 1, 1), "start", "Sequential"),
    (lambda: regularizers.nuclear_factors(-1), "strength", "-1"),
    (lambda: regularizers.set_dropout(nn.Dropout(0.1), 1), "p", "1"),
    (lambda: regularizers.set_dropout(nn.Linear(2, 2), 0.1), "model", "none"),
    (lambda: regularizers.Mixout(W, 1.0), "p", "1.0"),
    (lambda: optimizers.SAM(torch.optim.SGD(NET.parameters(), 1), -1), "rho", "-1"),
    (lambda: optimizers.SAM(NET), "inner", "Sequential"),
    (lambda: averages.interpolate({}, {}, 1.5), "alpha", "1.5"),
    (lambda: averages.interpolate({}, {}, "0.5"), "alpha", "'0.5'"),
    (lambda: averages.interpolate({"a": W}, {"b": W}, 0.5), "states", "'a'"),
    (lambda: averages.soup([]), "states", "none"),
    (lambda: averages.soup([NET, NET]), "states", "Sequential"),
    (lambda: averages.interpolate(NET.state_dict(), NET, 0.5), "states", "Sequential"),
    (lambda: stopping.generalization_loss("nll", -1), "threshold", "-1"),
    (lambda: stopping.generalization_loss("nll", 1)([{"nll": -2.0}]), "nll", "-2.0"),
    # data
    (lambda: data.soft_label(sentiment.Sentence("a", 0, (), "x")), "ratings", "'a'"),
    (lambda: data.without_neutral([SENTENCE], 5), "band", "5"),
    (lambda: data.split([SENTENCE], dev=0.6, test=0.6), "dev and test", "0.6"),
    (lambda: data.split([SENTENCE], dev=NAN), "dev", "nan"),
    (lambda: data.split([SENTENCE], test="30%"), "test", "'30%'"),
    (lambda: data.without_neutral([SENTENCE], "wide"), "band", "'wide'"),
    (lambda: data.split([]), "sentences", "empty"),
    (lambda: data.index_labels(["a", "a"]), "labels", "['a']"),
    (lambda: data.index_labels(["a", None]), "labels", "None"),
    (lambda: data.index_labels([0.5, 1.5]), "labels", "0.5"),
    (lambda: data.index_labels("spam"), "labels", "'spam'"),
    (lambda: data.Dataset([[1], []], [0, 1]), "ids", "row 1"),
    (lambda: data.Dataset([[1]], [0, 1]), "labels", "2"),
    (lambda: data.Dataset([[1], [2]], [0, -1]), "labels", "-1"),
    (lambda: data.Dataset([[1], [2]], [0.5, NAN]), "labels", "nan"),
    (lambda: data.Dataset([[1], [2]], ["a", "b"]), "labels", "'a'"),
    (lambda: data.Dataset([[1], [2]], ["a", "b"]), "index_labels", "'a'"),
    (lambda: SET.batches(0, 0), "size", "0"),
    (lambda: SET.batches(2, -1), "key", "-1"),
    (lambda: SET.batches(2, (0, 0.5)), "key", "0.5"),
    (lambda: SET.batches(1.5, 0), "size", "1.5"),
    (lambda: SET.in_length_order(0), "size", "0"),
    (lambda: SET.collate([]), "rows", "empty"),
    (lambda: SET.collate([5]), "rows", "5"),
    (lambda: SET.subset([5]), "rows", "5"),
    (lambda: SET.subset([-1]), "rows", "-1"),
    (lambda: SET.subset([False, True]), "rows", "False"),
    (lambda: sentiment.load_domain("books"), "name", "'books'"),
    # training
    (lambda: training.Plan(epochs=0), "epochs", "0"),
    (lambda: training.Plan(epochs=1.5), "epochs", "1.5"),
    (lambda: training.Plan(lr=0), "lr", "0"),
    (lambda: training.Plan(lr=NAN), "lr", "nan"),
    (lambda: training.Plan(lr=INF), "lr", "inf"),
    (lambda: training.Plan(lr="fast"), "lr", "'fast'"),
    (lambda: training.Plan(warmup=1), "warmup", "1"),
    (lambda: training.Plan(clip=0), "clip", "0"),
    (lambda: training.Plan(seed=-1), "seed", "-1"),
    (lambda: training.warmup_linear(1.5, 0.1), "t", "1.5"),
    (lambda: training.warmup_linear(0.5, 1), "warmup", "1"),
    (lambda: stopping.patience("accuracy", 0), "evaluations", "0"),
    (lambda: stopping.patience("accuracy", 1.5), "evaluations", "1.5"),
    (lambda: stopping.patience("acuracy", 1)([{"loss": 1.0}]), "metric", "'acuracy'"),
    (lambda: stopping.patience("nll", 2), "metric", "'nll'"),
    (lambda: fit(metric="loss"), "metric", "'loss'"),
    (lambda: evaluation.predict_logits(Two(), data.Dataset([], [])), "data", "none"),
    (lambda: evaluation.predict_logits(Two(), SET, batch_size=0), "batch_size", "0"),
    (lambda: evaluation.evaluator(SET, batch_size=-1), "batch_size", "-1"),
    (lambda: evaluated([0.5, 1.0]), "data", "0.5"),
    (lambda: evaluated([0, 2]), "labels", "2"),
    (lambda: fit(model="minilm"), "model", "'minilm'"),
    (lambda: fit(model=nn.Linear(3, 2).requires_grad_(False)), "model", "none"),
    (lambda: fit(model=nn.Linear(3, 2)), "optimizer", "weight"),
    (lambda: fit(optimizer=torch.optim.SGD), "optimizer", "SGD"),
    (lambda: fit(objective="cross_entropy"), "objective", "'cross_entropy'"),
    (lambda: fit(objective=lambda model, batch: torch.ones(())), "objective", "Tensor"),
    (lambda: fit(objective=objectives.cross_entropy), "objective", "cross_entropy"),
    (lambda: fit(objective=nn.CrossEntropyLoss()), "objective", "CrossEntropyLoss()"),
    (lambda: fit(objective=objectives.penalized(objectives.cross_entropy(), regularizers.l2, "l2")),
     "strength", "Two()"),
    (lambda: fit(objective=objectives.penalized(objectives.cross_entropy(), lambda model: 0.1, "l2")),
     "penalty", "0.1"),
    (lambda: adapters.attach(NET, lambda name: name == "0", lambda W: nn.Flatten(0)), "make", "(9,)"),
    (lambda: fit(data=[("a text", 1)]), "data", "'a text'"),
    (lambda: fit(data=data.Dataset([], [])), "data", "none"),
    (lambda: fit(plan={"epochs": 3}), "plan", "{'epochs': 3}"),
    (lambda: fit(stop=3), "stop", "3"),
    (lambda: fit(evaluate=SET), "evaluate", "Dataset"),
    (lambda: fit(evaluate=lambda model: 0.75), "evaluate", "0.75"),
    (lambda: fit(evaluate=lambda model: {"nll": 1.0}), "metric", "'accuracy'"),
    (lambda: fit(evaluate=lambda model: {"accuracy": 1.0}, metric="loss"), "metric", "'loss'"),
    (lambda: fit(evaluate=lambda model: {"loss": 1.0}, metric=None), "evaluate", "['loss']"),
    (lambda: fit(host="cuda"), "host", "'cuda'"),
    (lambda: objectives.penalized(objectives.cross_entropy(), regularizers.l2(1), "loss"), "name", "'loss'"),
    (lambda: fit(checkpoint=Path(__file__).parent), "checkpoint", str(Path(__file__).parent)),
    (lambda: host.Local("gpu"), "device", "'gpu'"),
    (lambda: host.Local("cuda:99"), "device", "'cuda:99'"),
    (lambda: host.Local("cpu", bf16="no"), "bf16", "'no'"),
    (lambda: host.seed_step(0, -1), "key", "-1"),
    (lambda: checkpoint.save_checkpoint(Path(__file__).parent, {"run": {}}), "checkpoint", str(Path(__file__).parent)),
    (lambda: checkpoint.save_checkpoint("c.pt", {"model": {}}), "state", "['model']"),
    (lambda: checkpoint.load_checkpoint("nothing.pt", {}), "path", "nothing.pt"),
    # use
    (lambda: service.Limits(texts=0), "texts", "0"),
    (lambda: service.Limits(characters="many"), "characters", "'many'"),
    (lambda: service.service("my-model"), "model", "'my-model'"),
    (lambda: service.service(NET), "model", "Sequential"),
    (lambda: setup.ready("nowhere"), "book", "nowhere"),
    (lambda: setup.ready(Path(__file__).parent), "book", str(Path(__file__).parent)),
    # experiments and verdicts
    (lambda: sweeps.product(seed=[]), "seed", "[]"),
    (lambda: sweeps.product(arm="l2"), "arm", "'l2'"),
    (lambda: sweeps.product(seed=5), "seed", "5"),
    (lambda: sweeps.sweep(dict, [{"a": 1}, {"a": 1}], question="q"), "grid", "1 of 2"),
    (lambda: sweeps.sweep(dict, [], question="q"), "grid", "[]"),
    (lambda: sweeps.sweep(dict, [{"a": 1}], question=" "), "question", "' '"),
    (lambda: sweeps.sweep(lambda a: 0.5, [{"a": 1}], question="q"), "run", "0.5"),
    (lambda: sweeps.sweep(lambda a: {"x": NAN}, [{"a": 1}], question="q"), "x", "nan"),
    (lambda: sweeps.per_seed([], "x"), "seed", "[]"),
    (lambda: sweeps.per_seed([sweeps.Row({"arm": "l2"}, {"x": 1}, 0)], "x", arm="l1"), "where", "'l2'"),
    (lambda: cache.digest({"a": NAN}), "a", "nan"),
    (lambda: v.paired_effect([1], [1]), "a", "(1,)"),
    (lambda: v.paired_effect([1, 2], [1, 2, 3]), "b", "(3,)"),
    (lambda: v.paired_effect([1, NAN], [1, 2]), "a", "nan"),
    (lambda: v.paired_effect([1, 2], [1, 2], level=95), "level", "95"),
    (lambda: v.crossed_effect([1, 2], [1, 2]), "a", "(2,)"),
    (lambda: v.crossed_effect(np.ones((2, 2)), [1, 1, 1]), "b", "(2, 3)"),
    (lambda: v.sequential(lambda n: EFFECT, bound=1, direction=1, looks=(5, 2)), "looks", "(5, 2)"),
    (lambda: v.prediction_interval([1]), "values", "(1,)"),
    (lambda: v.prediction_interval(["a", "b"]), "values", "'a'"),
    (lambda: v.minimum_detectable(0, 5), "sd", "0"),
    (lambda: v.minimum_detectable(1, 1), "seeds", "1"),
    (lambda: v.minimum_detectable("1", 5), "sd", "'1'"),
    (lambda: v.reachable_bound(1, 5.5), "seeds", "5.5"),
    (lambda: v.paired_effect([1, 2], [1, 2], level="95%"), "level", "'95%'"),
    (lambda: v.reachable_bound(1, 5, power=1), "power", "1"),
    (lambda: v.equivalent(EFFECT, 0), "bound", "0"),
    (lambda: v.verdict([], bound=1, direction=1), "effects", "none"),
    (lambda: v.verdict(EFFECT, bound=1, direction=2), "direction", "2"),
    # pages
    (lambda: record.start("a", profile="fast", seed=0), "profile", "'fast'"),
    (lambda: record.start("a", profile="quick", seed=-1), "seed", "-1"),
    (lambda: record.start("a", profile="quick", seed=0, live="no"), "live", "'no'"),
    (lambda: record.start("a", profile="quick", seed=0).record("A b", 1, unit="1"), "name", "'A b'"),
    (lambda: record.start("a", profile="quick", seed=0).record("a", NAN, unit="1"), "a", "nan"),
    (lambda: record.start("a", profile="quick", seed=0).record("a", "x", unit="1"), "a", "'x'"),
    (lambda: record.start("a", profile="quick", seed=0).record("a", 1, unit=""), "unit", "''"),
    (lambda: figures.slider({}, label="rank", alt="A"), "frames", "0"),
    (lambda: figures.explore(lambda rank: plt.figure(), live=False, alt="A", rank=[]), "rank", "[]"),
]  # fmt: skip


def said(call: Callable[[], Any]) -> str:
    """The error of a call."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(("call", "name", "value"), CASES, ids=[f"{i}-{case[1]}" for i, case in enumerate(CASES)])
def test_a_bad_argument_is_named_with_its_value(call: Callable[[], Any], name: str, value: str) -> None:
    text = said(call)
    assert re.search(rf"\b{re.escape(name)}\b", text) and value in text, text
    assert re.search(r"\bmust\b|\bmatches no\b|\bneeds\b|differ", text), f"it does not say what is allowed: {text}"


def test_the_rule_sees_an_error_from_deeper_down() -> None:
    """Negative control: torch's own error for a rank that is text says neither name nor range."""
    text = said(lambda: torch.ones(2)["1":])
    assert "rank" not in text


MODELS: list[tuple[Callable[[Encoder, Path], Any], str, str]] = [
    (lambda e, _: models.Classifier(e, ["a"]), "labels", "['a']"),
    (lambda e, _: models.Classifier(e, ["a", "a"]), "labels", "['a', 'a']"),
    (lambda e, _: models.Classifier(e, [0.5, 1.5]), "labels", "[0.5, 1.5]"),
    (lambda e, _: models.Classifier(e, 2), "labels", "2"),
    (lambda e, _: models.Classifier("minilm", ["a", "b"]), "load_encoder", "str"),
    (lambda e, _: models.Classifier(e, ["a", "b"], seed=-1), "seed", "-1"),
    (lambda e, _: models.Classifier(e, ["a", "b"], seed=1.5), "seed", "1.5"),
    (lambda e, _: models.Classifier(e, "ab"), "labels", "'ab'"),
    (lambda e, _: models.Classifier(e, ["a", "b", "c"], one_logit=True), "one_logit", "3"),
    (lambda e, _: models.Classifier(e, ["a", "b"], projection=33), "projection", "33"),
    (lambda e, _: models.Classifier(e, ["a", "b"], projection=0), "projection", "0"),
    (lambda e, _: models.Classifier(e, ["a", "b"], projection=2.5), "projection", "2.5"),
    (lambda e, _: models.Classifier(e, ["a", "b"], seed=-1), "seed", "-1"),
    (lambda e, _: models.Classifier(e, ["a", "b"], dropout="low"), "dropout", "'low'"),
    (lambda e, _: models.freeze(models.Classifier(e, ["a", "b"]), top=1.5), "top", "1.5"),
    (lambda e, _: models.layers(nn.Linear(2, 2)), "model", "Linear"),
    (lambda e, _: models.Classifier(e, ["a", "b"], dropout=1), "dropout", "1"),
    (lambda e, _: models.freeze(models.Classifier(e, ["a", "b"]), top=3), "top", "3"),
    (lambda e, _: models.freeze(e.model, top=1), "Classifier", "BertModel"),
    (lambda e, _: models.Classifier(e, ["a", "b"]).predict("one text"), "texts", "'one text'"),
    (lambda e, _: models.Classifier(e, ["a", "b"]).predict([]), "texts", "[]"),
    (lambda e, _: models.Classifier(e, ["a", "b"]).predict(["good", " "]), "texts", "' '"),
    (lambda e, _: models.Classifier(e, ["a", "b"]).predict(["good"], batch_size=0), "batch_size", "0"),
    (lambda e, _: models.embed(e.model, SET), "load_encoder", "BertModel"),
    (lambda e, _: models.embed(e, SET, batch_size=0), "batch_size", "0"),
    (lambda e, p: models.save(models.Classifier(e, ["a", "b"]), p), "folder", "other content"),
    (lambda e, _: service.service(models.Classifier(e, ["a", "b"]), limits={"texts": 1}), "limits", "{'texts': 1}"),
    (lambda e, _: data.encode(e.tokenizer, ["good"], [0], max_length=4), "max_length", "4"),
    (lambda e, _: data.encode(e.tokenizer, ["good"], [0], max_length=16.5), "max_length", "16.5"),
    (lambda e, _: data.encode(e, ["good"], [0]), "encoder.tokenizer", "Encoder"),
    (lambda e, _: data.encode(e.tokenizer, ["good"], [0, 1]), "labels", "2"),
    (lambda e, _: data.encode(e.tokenizer, ["good", None], [0, 1]), "texts", "None"),
    (lambda _, p: models.load_encoder(p / "nothing"), "encoder", "nothing"),
    (lambda _, p: models.load(p / "nothing"), "classifier", "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "name", "value"), MODELS, ids=[f"{i}-{case[1]}" for i, case in enumerate(MODELS)])
def test_a_bad_argument_of_a_model_is_named_with_its_value(
    call: Callable[[Encoder, Path], Any], name: str, value: str, toy_encoder: Encoder, tmp_path: Path
) -> None:
    text = said(lambda: call(toy_encoder, tmp_path))
    assert re.search(rf"\b{name}\b", text) and value in text, text


# what stands on the command line, the name that the error must say, the value that it must show
COMMANDS: list[tuple[Callable[[list[str]], Any], list[str], str, str]] = [
    (predict.main, ["{none}", "a text"], "classifier", "nothing"),
    (predict.main, ["{kept}", " "], "texts", "' '"),
    (predict.main, [], "folder", ""),
    (service.main, ["{none}"], "classifier", "nothing"),
    (service.main, ["{kept}", "--port", "65536"], "port", "65536"),
    (service.main, ["{kept}", "--port", "http"], "port", "'http'"),
    (service.main, ["{kept}", "--host", "203.0.113.1", "--port", "0"], "host", "203.0.113.1"),
    (service.main, ["{kept}", "--texts", "0"], "texts", "0"),
    (service.main, ["{kept}", "--body", "-1"], "body", "-1"),
]


@pytest.mark.parametrize(("command", "arguments", "name", "value"), COMMANDS)
def test_a_bad_argument_of_a_command_is_named_with_its_value(
    command: Callable[[list[str]], Any], arguments: list[str], name: str, value: str, toy_encoder: Encoder,
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models.save(models.Classifier(toy_encoder, ["a", "b"]), tmp_path / "kept")
    with pytest.raises(SystemExit) as ended:
        sys.exit(command([each.format(none=tmp_path / "nothing", kept=tmp_path / "kept") for each in arguments]))
    text = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2 and re.search(rf"\b{name}\b", text) and value in text, text
