"""The loop: repeatable, blind to evaluation, the same under Accelerate, and loud about bad input."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from lib.adapters import LoRA, attach
from lib.data import Dataset
from lib.evaluation import correct, evaluator, predict_logits
from lib.loss import Loss
from lib.models import LanguageModel
from lib.names import ends_in
from lib.objectives import cross_entropy
from lib.optimizers import SAM
from lib.regularizers import l2, set_dropout
from lib.run.checkpoint import describe, load_checkpoint
from lib.run.host import Local, seed_step
from lib.stopping import generalization_loss, never, patience
from lib.text.language import next_token
from lib.text.likelihood import token_nll
from lib.training import Plan, fit, warmup_linear
from tests.lib.resume_run import Toy, toy_data, toy_tokens
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

CPU = Local("cpu", bf16=False)  # the same bits on a processor with bfloat16 and on one without


@dataclass(frozen=True)
class Road:
    """What is trained: a classifier on an encoder, or a decoder."""

    model: Callable[[], nn.Module]
    data: Callable[[int], Any]
    objective: Callable[..., Any]
    judge: Callable[[Any], Callable[[nn.Module], dict[str, float]]]
    layer: str


def speech() -> LanguageModel:
    return LanguageModel(tiny_llama(2, attention_dropout=0.2), tiny_tokenizer())


def likelihood(data: Any) -> Callable[[nn.Module], dict[str, float]]:
    judge = token_nll(data)
    return lambda model: {"accuracy": -judge(model)["nll"]}


ENCODER = Road(Toy, toy_data, cross_entropy, functools.partial(evaluator, host=CPU), "query")
DECODER = Road(speech, toy_tokens, next_token, likelihood, "q_proj")
on_both = pytest.mark.parametrize("road", [ENCODER, DECODER], ids=["encoder", "decoder"])


def train(plan: Plan, road: Road = ENCODER,
          **settings: Any) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    seed_step(0, 1)
    model = road.model()
    optimizer = torch.optim.AdamW(model.parameters())
    settings = {"objective": road.objective(), "data": road.data(60), "host": CPU, "show": False} | settings
    history = fit(model, optimizer, settings.pop("objective"), settings.pop("data"), plan, **settings)
    return model.state_dict(), history


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@on_both
def test_two_runs_have_the_same_bits_and_another_seed_has_not(road: Road) -> None:
    (a, history_a), (b, history_b), (c, _) = (train(Plan(epochs=1, batch_size=8, seed=s), road) for s in (0, 0, 1))
    assert same(a, b) and history_a == history_b
    assert not same(a, c)


@on_both
def test_how_often_one_evaluates_does_not_change_the_weights(road: Road) -> None:
    evaluate = road.judge(road.data(20))
    ends = [train(Plan(epochs=2, batch_size=8, eval_every=every), road, evaluate=evaluate, metric=None)[0]
            for every in (1, 3, 99)]
    assert same(ends[0], ends[1]) and same(ends[0], ends[2])


@on_both
def test_an_evaluation_that_draws_random_numbers_does_not_change_the_weights(road: Road) -> None:
    def noisy(model: nn.Module) -> dict[str, float]:
        return {"accuracy": torch.rand(7).mean().item()}

    plan = Plan(epochs=1, batch_size=8, eval_every=1)
    assert same(train(plan, road, evaluate=noisy, metric=None)[0], train(plan, road)[0])


def test_the_weights_of_the_best_evaluation_are_left() -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def second_is_best(model: nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"accuracy": float(len(seen) == 2)}

    left, history = train(Plan(epochs=1, batch_size=8, eval_every=2), evaluate=second_is_best)
    assert same(left, seen[1]) and not same(left, seen[-1])
    assert [r["step"] for r in history if "accuracy" in r] == [1, 3, 5, 7]


def test_the_first_of_equal_evaluations_is_left() -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def always_half(model: nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"accuracy": 0.5}

    left, _ = train(Plan(epochs=1, batch_size=8, eval_every=2), evaluate=always_half)
    assert same(left, seen[0]) and not same(left, seen[1])


def test_the_last_step_is_evaluated() -> None:
    _, history = train(Plan(epochs=1, batch_size=8, eval_every=5), evaluate=lambda model: {"accuracy": 0.5})
    assert [r["step"] for r in history if "accuracy" in r] == [4, 7] and len(history) == 8


def test_an_evaluation_sees_the_model_in_evaluation_mode() -> None:
    modes: list[bool] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        modes.append(model.training)
        return {"accuracy": 0.0}

    train(Plan(epochs=1, batch_size=8, eval_every=2), evaluate=evaluate)
    assert modes == [False] * 4


@pytest.mark.parametrize("training", [True, False])
def test_a_prediction_leaves_the_mode_alone(training: bool) -> None:
    model = Toy().train(training)
    first = predict_logits(model, toy_data(8), host=CPU)
    assert model.training is training and torch.equal(predict_logits(model, toy_data(8), host=CPU), first)


def test_rows_are_right_or_wrong_only_where_labels_are_classes_of_the_model() -> None:
    ids = [[1], [2, 3]]
    with pytest.raises(ValueError, match=r"data must hold one class a row, .* got labels such as 0.5"):
        correct(Toy(), Dataset(ids, [0.5, 1.0]), host=CPU)
    with pytest.raises(ValueError, match="labels must be between 0 and 1, got 2"):
        correct(Toy(), Dataset(ids, [0, 2]), host=CPU)


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_evaluator_is_sklearns(outputs: int) -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    model, data = Toy(), toy_data(30)
    model.head = nn.Linear(16, outputs)
    nn.init.normal_(model.head.weight)
    logits = predict_logits(model, data, host=CPU)
    p = logits.sigmoid() if outputs == 1 else logits.softmax(1)[:, 1:]
    found = evaluator(data, host=CPU)(model)
    assert found["accuracy"] == pytest.approx(accuracy_score(data.labels, p[:, 0] > 0.5))
    assert (correct(model, data, host=CPU) == (np.array(data.labels) == (p[:, 0] > 0.5).numpy())).all()
    assert found["nll"] == pytest.approx(log_loss(data.labels, p.double().numpy()[:, 0]), rel=1e-5)
    assert found["macro_f1"] == pytest.approx(f1_score(data.labels, p[:, 0] > 0.5, average="macro"))


def test_macro_f1_weighs_each_class_that_is_there_or_called_the_same() -> None:
    from sklearn.metrics import f1_score

    for labels, called in (([0, 0, 0, 1, 2], [0, 0, 0, 0, 0]), ([0, 0, 1], [0, 2, 1]), ([1, 1], [1, 1])):
        logits = nn.functional.one_hot(torch.tensor(called), 3).float()
        data = Dataset([[1]] * len(labels), labels)
        found = evaluator(data, batch_size=64)(_Says(logits))["macro_f1"]
        assert found == pytest.approx(f1_score(labels, called, average="macro", zero_division=0))


class _Says(nn.Module):
    """These logits, whatever is asked."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_each_epoch_and_each_seed_has_an_order_of_its_own() -> None:
    class Watched(Dataset):
        def batches(self, size: int, key: Any, pool: int = 50) -> list[list[int]]:
            keys.append(key)
            orders.append(super().batches(size, key, pool))
            return orders[-1]

    keys: list[Any] = []
    orders: list[list[list[int]]] = []
    toy = toy_data(60)
    for seed in (0, 1):
        train(Plan(epochs=3, batch_size=8, seed=seed), data=Watched(toy.ids, toy.labels))
    assert keys == [(seed, epoch) for seed in (0, 1) for epoch in range(3)]
    assert len({str(order) for order in orders}) == 6


def test_the_best_weights_survive_a_kill(tmp_path: Path) -> None:
    """The best evaluation comes first, the process ends after the second, another goes on."""

    def falling(ends_at: int) -> Callable[[nn.Module], dict[str, float]]:
        calls: list[int] = []

        def evaluate(model: nn.Module) -> dict[str, float]:
            calls.append(1)
            if len(calls) > ends_at:
                raise KeyboardInterrupt
            return {"accuracy": -torch.linalg.vector_norm(model.head.weight).item()}  # the head grows
        return evaluate

    plan = Plan(epochs=2, batch_size=8, lr=1e-2, eval_every=4)
    whole, history = train(plan, evaluate=falling(99))
    values = [r["accuracy"] for r in history if "accuracy" in r]
    assert values.index(max(values)) < 2
    with pytest.raises(KeyboardInterrupt):
        train(plan, evaluate=falling(2), checkpoint=tmp_path / "c.pt")
    resumed, again = train(plan, evaluate=falling(99), checkpoint=tmp_path / "c.pt")
    assert same(resumed, whole) and again == history


def test_eight_examples_are_learned_by_heart() -> None:
    data = toy_data(8)
    _, history = train(
        Plan(epochs=60, batch_size=8, lr=1e-2, eval_every=60), data=data, evaluate=evaluator(data, host=CPU)
    )
    assert history[0]["loss"] > 0.5 and history[-1]["accuracy"] == 1.0


def test_gradient_is_clipped() -> None:
    """After one plain SGD step the weights moved by exactly lr * clip where the gradient was longer."""

    def moved(clip: float) -> float:
        seed_step(0, 1)
        model = Toy()
        before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        fit(
            model,
            torch.optim.SGD(model.parameters(), lr=1.0),
            cross_entropy(),
            toy_data(8),
            Plan(epochs=1, batch_size=8, lr=1.0, warmup=0.0, clip=clip),
            host=CPU,
            show=False,
        )
        return (nn.utils.parameters_to_vector(model.parameters()).detach() - before).norm().item()

    rate = warmup_linear(1 / 2, 0.0)
    assert moved(1e-3) == pytest.approx(rate * 1e-3, rel=1e-3)
    assert moved(float("inf")) > 10 * rate * 1e-3


@given(st.integers(1, 400), st.floats(0, 0.9))
def test_learning_rate_rises_then_falls_and_is_never_zero(steps: int, warmup: float) -> None:
    rates = [warmup_linear((step + 1) / (steps + 1), warmup) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)


def test_the_learning_rate_is_that_of_transformers_linear_schedule() -> None:
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=20, num_training_steps=100)
    for step in range(100):
        assert warmup_linear(step / 100, 0.2) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        schedule.step()


HISTORIES = st.lists(st.fixed_dictionaries({}, optional={"accuracy": st.integers(0, 5)}), max_size=30)


@given(HISTORIES, st.integers(1, 4))
@example([{"accuracy": 5}, {"accuracy": 1}, {"accuracy": 2}], 1)  # better than the last, not than the best
def test_patience_agrees_with_a_counter(history: list[dict[str, float]], evaluations: int) -> None:
    if history and not any(history):
        with pytest.raises(ValueError, match=r"metric must be one of \[\], got 'accuracy'"):
            patience("accuracy", evaluations)(history)
        return
    best, waited = float("-inf"), 0
    for record in history:
        if "accuracy" in record:
            best, waited = (record["accuracy"], 0) if record["accuracy"] > best else (best, waited + 1)
    if patience("accuracy", evaluations)(history):
        assert waited >= evaluations
    elif history:
        assert waited < evaluations


@given(HISTORIES, st.integers(1, 4))
def test_patience_does_not_take_back_a_stop_while_nothing_improves(history: list[dict[str, float]], k: int) -> None:
    """Prefix property: a stop at some length holds as long as no later evaluation beats the best."""
    stop = patience("accuracy", k)
    if any(history) and stop(history):
        best = max(r["accuracy"] for r in history if "accuracy" in r)
        assert stop([*history, {}]) and stop([*history, {"accuracy": best}])
        assert not stop([*history, {"accuracy": best + 1}])


def test_early_stopping_shortens_the_run_along_the_same_path() -> None:
    def falling(model: nn.Module, seen: list[int] = []) -> dict[str, float]:  # noqa: B006 - counts its calls
        seen.append(1)
        return {"accuracy": -float(len(seen))}

    plan = Plan(epochs=3, batch_size=8, eval_every=2)
    _, stopped = train(plan, evaluate=falling, stop=patience("accuracy", 2))
    _, whole = train(plan)
    assert len(stopped) == 6 < len(whole)
    assert [r["loss"] for r in stopped] == [r["loss"] for r in whole[:6]]


@pytest.mark.parametrize("rule", [patience("acuracy", 1), generalization_loss("acuracy", 1)])
@pytest.mark.parametrize("evaluate", [lambda model: {"accuracy": 1.0}, None])
@pytest.mark.parametrize("every", [2, 99])  # 99: only the last step is evaluated, and then there is nothing to stop
def test_a_rule_whose_metric_nobody_records_is_an_error(rule: Any, evaluate: Any, every: int) -> None:
    with pytest.raises(ValueError, match=r"metric must be one of \[.*'grad_norm', 'loss'.*\], got 'acuracy'"):
        train(Plan(epochs=1, batch_size=8, eval_every=every), evaluate=evaluate, stop=rule)


def test_a_run_that_had_stopped_is_not_taken_up_again(tmp_path: Path) -> None:
    """A kill between the last checkpoint and the end: the rule is asked before the next step."""
    plan, file = Plan(epochs=1, batch_size=8, eval_every=2), tmp_path / "c.pt"
    one, two = (
        train(plan, evaluate=lambda model: {"accuracy": 0.5}, stop=patience("accuracy", 1), checkpoint=file)[1]
        for _ in range(2)
    )
    assert len(one) == 4 and one == two


def test_accelerate_on_one_process_gives_the_bits_of_local() -> None:
    accelerate = pytest.importorskip("accelerate")
    plan = Plan(epochs=1, batch_size=8)
    host = accelerate.Accelerator(cpu=True, mixed_precision="no")
    assert host.num_processes == 1
    assert same(train(plan)[0], train(plan, host=host)[0])


def test_a_checkpoint_knows_sams_radius_inside_accelerates_wrapper(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")

    def run(rho: float) -> None:
        model = Toy()
        optimizer = SAM(torch.optim.AdamW(model.parameters()), rho)
        host = accelerate.Accelerator(cpu=True, mixed_precision="no")
        plan = Plan(epochs=1, batch_size=8)
        fit(model, optimizer, cross_entropy(), toy_data(8), plan, checkpoint=tmp_path / "c.pt", host=host, show=False)

    run(0.05)
    run(0.05)
    with pytest.raises(ValueError, match=r"of another run: optimizer was SAM \{rho: 0.05\}"):
        run(0.1)


def test_logits_come_in_the_order_of_the_rows_and_do_not_depend_on_padding() -> None:
    model, data = Toy(), toy_data(30)
    together = predict_logits(model, data, batch_size=7, host=CPU)
    alone = torch.cat([predict_logits(model, data.subset([i]), host=CPU) for i in range(30)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)  # float32 sums in another order
    assert not torch.allclose(together, alone.flip(0), atol=1e-3)


@pytest.mark.parametrize(("device", "size", "rows"), [("cpu", None, 64), ("meta", None, 512), ("meta", 7, 7)])
def test_what_does_not_train_goes_through_a_gpu_in_larger_batches(
    monkeypatch: pytest.MonkeyPatch, device: str, size: int | None, rows: int
) -> None:
    """Torch's device without memory stands for a GPU: the run ends where it asks for its batches."""

    def order(data: Dataset, size: int) -> None:
        raise InterruptedError(f"{size} rows")

    monkeypatch.setattr(Dataset, "in_length_order", order)
    with pytest.raises(InterruptedError, match=f"^{rows} rows$"):
        predict_logits(Toy().to(device), toy_data(8), batch_size=size)


def broken_at(step: int, base: Any) -> Callable[..., Loss]:
    """Objective whose part "broken" is NaN from its n-th call."""
    calls = []

    def objective(model: nn.Module, batch: dict[str, torch.Tensor]) -> Loss:
        calls.append(1)
        loss = base(model, batch)
        bad = torch.tensor(float("nan") if len(calls) > step else 0.0)
        return Loss(loss.total + bad, loss.logits, {**loss.parts, "broken": bad})

    return objective


@on_both
def test_a_loss_that_is_not_a_number_stops_names_the_part_and_keeps_the_checkpoint(road: Road, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    with pytest.raises(FloatingPointError, match=r"nan at step 5.*'broken': nan"):
        train(Plan(epochs=2, batch_size=8, eval_every=2), road, objective=broken_at(5, road.objective()),
              checkpoint=path, evaluate=road.judge(road.data(20)))
    state = torch.load(path, weights_only=True)
    assert len(state["history"]) == 4
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_an_infinite_gradient_stops_before_it_reaches_the_weights() -> None:
    def objective(model: nn.Module, batch: dict[str, torch.Tensor]) -> Loss:
        loss = cross_entropy()(model, batch)
        root = (model.head.weight * 0).sum().sqrt()  # finite value, infinite derivative
        return Loss(loss.total + root, loss.logits, {"root": root.detach()})

    with pytest.raises(FloatingPointError, match=r"gradient norm is (nan|inf) at step 0"):
        train(Plan(epochs=1, batch_size=8), objective=objective)


@pytest.mark.parametrize(
    "name, value",
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("eval_every", -1),
        ("seed", -1),
        ("epochs", 1.5),
        ("lr", 0.0),
        ("clip", -1.0),
        ("warmup", 1.0),
        ("lr", float("nan")),
    ],
)
def test_a_number_outside_its_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*got {value}"):
        Plan(**{name: value})


def test_empty_data_is_named() -> None:
    with pytest.raises(ValueError, match="at least one example"):
        train(Plan(), data=Dataset([], []))


def test_nothing_to_train_is_named() -> None:
    model = Toy().requires_grad_(False)
    with pytest.raises(ValueError, match="requires a gradient"):
        fit(
            model,
            torch.optim.SGD(model.parameters(), lr=1.0),
            cross_entropy(),
            toy_data(8),
            Plan(),
            host=CPU,
            show=False,
        )


def test_an_optimizer_made_before_the_model_was_altered_is_named() -> None:
    model = Toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    attach(model, ends_in("query"), lambda W: LoRA(W, 2, 4), train=ends_in("head.weight"))
    with pytest.raises(ValueError, match=r"must hold .* lacks query\.parametrizations\.weight\.0\.A; make it"):
        fit(model, optimizer, cross_entropy(), toy_data(8), Plan(), host=CPU, show=False)


def test_groups_train_at_their_own_rate() -> None:
    """One step of plain SGD: the layer moves by lr_scale times what it moves without."""

    def moved(scale: float) -> list[torch.Tensor]:
        seed_step(0, 1)
        model = Toy()
        before = [p.detach().clone() for p in (model.query.weight, model.head.weight)]
        slow = {"params": model.query.parameters(), "lr_scale": scale}
        rest = {"params": [p for name, p in model.named_parameters() if not name.startswith("query")]}
        plan = Plan(epochs=1, batch_size=8, lr=1.0)
        fit(model, torch.optim.SGD([slow, rest]), cross_entropy(), toy_data(8), plan, host=CPU, show=False)
        return [p.detach() - w for p, w in zip((model.query.weight, model.head.weight), before, strict=True)]

    (query, head), (slow, same) = moved(1.0), moved(0.25)
    torch.testing.assert_close(slow, query / 4, rtol=1e-3, atol=1e-7)  # float32 differences of weights near 0.2
    assert torch.equal(head, same)


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(ValueError, match="metric must be one of.*'f1'"):
        train(Plan(epochs=1), evaluate=evaluator(toy_data(8), host=CPU), metric="f1")


@on_both
def test_a_checkpoint_of_another_run_is_refused(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, evaluate = tmp_path / "c.pt", road.judge(road.data(20))
    train(Plan(epochs=1, batch_size=8), road, evaluate=evaluate, checkpoint=path)
    for change in (
        {"plan": Plan(epochs=1, batch_size=8, lr=1.0)},
        {"objective": road.objective(0.2)},
        {"data": road.data(61)},
    ):
        settings = {"plan": Plan(epochs=1, batch_size=8), "evaluate": evaluate, "checkpoint": path} | change
        with pytest.raises(ValueError, match="of another run"):
            train(settings.pop("plan"), road, **settings)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # sums in another order have other bits
    with pytest.raises(ValueError, match="of another run: threads was 1, is 3"):
        train(Plan(epochs=1, batch_size=8), road, evaluate=evaluate, checkpoint=path)


@on_both
def test_a_checkpoint_on_another_base_is_refused(road: Road, tmp_path: Path) -> None:
    """What is frozen is not in the file, so the file must say on what it rests."""

    def go(base: int) -> int:
        torch.manual_seed(0)
        model = road.model()
        with torch.no_grad():
            next(model.parameters()).add_(0.01 * base)
        attach(model, ends_in(road.layer), lambda W: LoRA(W, 2, 4.0, generator=torch.Generator().manual_seed(0)))
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
        plan, path = Plan(epochs=1, batch_size=8), tmp_path / "c.pt"
        fit(model, optimizer, road.objective(), road.data(16), plan, checkpoint=path, host=CPU, show=False)
        return path.stat().st_size

    size = go(0)
    assert size < sum(4 * p.numel() for p in road.model().parameters())  # a thin run has a thin checkpoint
    go(0)
    with pytest.raises(ValueError, match="of another run: frozen weights"):
        go(1)


@pytest.mark.parametrize("first, second", [
    ({"alpha": 4.0}, {"alpha": 64.0}), ({"stabilized": False}, {"stabilized": True}), ({"p": 0.1}, {"p": 0.5}),
    ({"host": CPU}, {"host": Local("cpu", bf16=True)}),
])
def test_a_checkpoint_of_another_scale_rate_or_precision_is_refused(
    first: dict[str, Any], second: dict[str, Any], tmp_path: Path
) -> None:
    def go(alpha: float = 4.0, stabilized: bool = False, p: float = 0.1, host: Any = CPU) -> None:
        torch.manual_seed(0)
        model = Toy()
        set_dropout(model, p)
        attach(model, ends_in("query"), lambda W: LoRA(W, 2, alpha, stabilized=stabilized), train=ends_in("head.bias"))
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
        plan = Plan(epochs=1, batch_size=8)
        fit(model, optimizer, cross_entropy(), toy_data(16), plan, checkpoint=tmp_path / "c.pt", host=host, show=False)

    go(**first)
    go(**first)
    with pytest.raises(ValueError, match="of another run"):
        go(**second)


@pytest.mark.parametrize("a, b", [
    (l2(np.float32(0.1)), l2(np.float32(0.2))), (lambda x, s=1: x, lambda x, s=2: x),
    (functools.partial(l2, 0.1), functools.partial(l2, 0.2)),
])
def test_functions_that_hold_other_numbers_have_other_names(a: Any, b: Any) -> None:
    assert describe(a) != describe(b) and describe(a) == describe(a)


def test_a_run_with_numbers_of_numpy_is_taken_up_again(tmp_path: Path) -> None:
    plan = Plan(epochs=np.int64(2), batch_size=8, lr=np.float64(1e-3), seed=np.int64(3), eval_every=2)
    settings = {"evaluate": lambda model: {"accuracy": np.float32(0.5)}, "checkpoint": tmp_path / "c.pt"}
    state, history = train(plan, **settings)
    again, told = train(plan, **settings)
    assert same(state, again) and told == history


def test_a_byte_that_changed_in_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    path, noticed = tmp_path / "c.pt", 0
    train(Plan(epochs=1, batch_size=8), checkpoint=path)
    whole, run = path.read_bytes(), torch.load(path, weights_only=True)["run"]
    before = load_checkpoint(path, run)
    for place in range(0, len(whole), len(whole) // 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            after = load_checkpoint(path, run)
        except ValueError as error:
            assert "is damaged" in str(error)
            noticed += 1
        else:  # the byte is one between the parts of the file, which nobody reads
            assert describe(after) == describe(before)
    assert noticed > 50


def test_a_metric_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(FloatingPointError, match="the metric accuracy is nan at step 1"):
        train(Plan(epochs=1, batch_size=8, eval_every=2), evaluate=lambda model: {"accuracy": float("nan")})
    for rule in (patience("score", 1), generalization_loss("score", 5.0)):
        for values in ([float("nan"), 0.5], [0.5, float("nan")]):
            with pytest.raises(ValueError, match="score must be a number in each record"):
                rule([{"score": value} for value in values])


def test_patience_below_one_is_named() -> None:
    with pytest.raises(ValueError, match="evaluations must be a whole number of at least 1, got 0"):
        patience("accuracy", 0)
    assert not never([{"accuracy": 0.0}] * 100)
