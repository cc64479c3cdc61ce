"""Adapters in files. Oracle: peft itself reads what we write and writes what we read.

Tolerances: 1e-4 in float32, as the book promises; 1e-9 in float64, where only the order of sums differs.
"""
from __future__ import annotations

import json
import os
import random
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib.adapters import DoRA, LoRA, PiSSA, attach, detach, merge, only_rows
from lib.models import Classifier, Encoder
from lib.names import ends_in
from lib.projection import factorize
from lib.regularizers import Mixout
from lib.run import adapter_files
from lib.run.adapter_files import load_adapter, save_adapter
from lib.run.content import content_hash, tensors_hash, transformers_module
from tests.lib.tiny import TinyBert, bert_batch
from tests.lib.tiny_decoder import tiny_llama

QV, ATTENTION = ends_in("q_proj", "v_proj"), ends_in("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ends_in("gate_proj", "up_proj", "down_proj")
ALL = ends_in("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PROMPTS = [torch.randint(3, 27, (1, 3 + i), generator=torch.Generator().manual_seed(i)) for i in range(10)]
Put = Callable[[nn.Module], Any]


@pytest.fixture(autouse=True)
def offline_and_quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="peft|transformers")
        yield


def learn(model: nn.Module, seed: int = 7) -> None:
    """Stand-in for training: every number of every map moves."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if ".parametrizations." in name and value.requires_grad or "lora_" in name:
                value.add_(0.2 * torch.randn(value.shape, generator=generator, dtype=value.dtype))


def through_peft(base: nn.Module, folder: Path) -> nn.Module:
    """The base with the adapter as peft reads it; none of its names may be left over or missing."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[mM]issing|.*[uU]nexpected")
        return PeftModel.from_pretrained(base, folder, autocast_adapter_dtype=False).eval()


def from_peft(base: nn.Module, folder: Path, *, seed: int = 7, **config: Any) -> nn.Module:
    """An adapter of peft with random values, saved to `folder`; the model that peft has."""
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(base, LoraConfig(**config), autocast_adapter_dtype=False).eval()
    learn(wrapped, seed)
    wrapped.save_pretrained(folder)
    return wrapped


@torch.no_grad()
def logits(model: nn.Module) -> list[Tensor]:
    return [model(input_ids=ids).logits[0] for ids in PROMPTS]


def differ(ours: list[Tensor], theirs: list[Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


@torch.no_grad()
def greedy(model: nn.Module, ids: Tensor, steps: int = 6) -> tuple[Tensor, Tensor]:
    """The continuation word by word, and whether each choice was closer than 1e-4."""
    close = []
    for _ in range(steps):
        top = model(input_ids=ids).logits[0, -1].topk(2)
        close.append(top.values[0] - top.values[1] < 1e-4)
        ids = torch.cat([ids, top.indices[:1][None]], 1)
    return ids[0, -steps:], torch.stack(close)


def same_words(ours: nn.Module, theirs: nn.Module) -> bool:
    """Greedy continuations of the ten prompts are equal up to the first choice that was too close to call."""
    for ids in PROMPTS:
        (a, close), (b, _) = greedy(ours, ids), greedy(theirs, ids)
        apart = (a != b).nonzero()
        if len(apart) and not close[apart[0]].item():
            return False
    return True


def mixed(model: nn.Module) -> None:
    attach(model, ends_in("q_proj"), lambda W: LoRA(W, 1, 5))
    attach(model, ends_in("v_proj"), lambda W: PiSSA(W, 3, 2))
    attach(model, lambda name: name.endswith("0.mlp.up_proj"), lambda W: LoRA(W, 7, 3, stabilized=True))


def mixed_with_dora(model: nn.Module) -> None:
    mixed(model)
    attach(model, ends_in("o_proj"), lambda W: DoRA(W, 2, 8))


def by_layer(model: nn.Module) -> None:
    for i in range(3):
        attach(model, lambda name, i=i: f"layers.{i}." in name and ALL(name), lambda W, i=i: LoRA(W, 1 + 3 * i, 4 + i))


PUTS: dict[str, Put] = {
    "one layer": lambda m: attach(m, lambda n: n == "model.layers.1.self_attn.k_proj", lambda W: LoRA(W, 2, 8)),
    "rank 1": lambda m: attach(m, QV, lambda W: LoRA(W, 1, 1)),
    "rank 8 everywhere": lambda m: attach(m, ALL, lambda W: LoRA(W, 8, 16)),
    "full rank": lambda m: attach(m, ATTENTION, lambda W: LoRA(W, min(W.shape), 3.7)),
    "rank by shape": lambda m: attach(m, ALL, lambda W: LoRA(W, W.shape[0] // 16, W.shape[1] / 8)),
    "rank and alpha by layer": by_layer,
    "stabilized": lambda m: attach(m, MLP, lambda W: LoRA(W, 6, 10, stabilized=True)),
    "dora": lambda m: attach(m, ALL, lambda W: DoRA(W, 4, 8)),
    "dora stabilized": lambda m: attach(m, QV, lambda W: DoRA(W, 3, 2, stabilized=True)),
    "pissa": lambda m: attach(m, ALL, lambda W: PiSSA(W, 4, 8)),
    "pissa stabilized": lambda m: attach(m, MLP, lambda W: PiSSA(W, 5, 2, stabilized=True)),
    "mixed": mixed,
    "mixed with dora": mixed_with_dora,
}


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS.keys())
def test_attached_is_merged_is_reloaded_is_pefts(put: Put, tmp_path: Path) -> None:
    model = tiny_llama()
    put(model)
    learn(model)
    save_adapter(model, tmp_path / "kept")
    wanted, reloaded = logits(model), tiny_llama()
    load_adapter(reloaded, tmp_path / "kept")
    theirs = through_peft(tiny_llama(), tmp_path / "kept")
    assert differ(wanted, logits(tiny_llama())) > 1e-2  # it does something
    assert differ(wanted, logits(reloaded)) < 1e-4 and differ(wanted, logits(theirs)) < 1e-4
    assert same_words(model, reloaded) and same_words(model, theirs)
    merge(model)
    assert differ(wanted, logits(model)) == 0


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS.keys())
def test_in_float64_peft_agrees_to_rounding(put: Put, tmp_path: Path) -> None:
    model, plain, reloaded = (tiny_llama().double() for _ in range(3))
    put(model)
    learn(model)
    save_adapter(model, tmp_path / "kept")
    load_adapter(reloaded, tmp_path / "kept")
    assert differ(logits(model), logits(reloaded)) < 1e-9
    assert differ(logits(model), logits(through_peft(plain, tmp_path / "kept"))) < 1e-9


LAYERS = [name for name, module in tiny_llama(2).named_modules() if isinstance(module, nn.Linear) and name != "lm_head"]
ONE = st.tuples(st.sampled_from([LoRA, PiSSA]), st.integers(1, 8), st.floats(0.1, 30), st.booleans())


@given(st.dictionaries(st.sampled_from(LAYERS), ONE, min_size=1), st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_maps_go_to_peft_and_back(tmp_path: Path, chosen: dict[str, Any], dora: bool) -> None:
    model, plain, reloaded = (tiny_llama(2).double() for _ in range(3))
    for name, (kind, rank, alpha, stabilized) in chosen.items():
        kind = DoRA if dora and kind is PiSSA else kind
        attach(model, name.__eq__, lambda W, k=kind, r=rank, a=alpha, s=stabilized: k(W, r, a, stabilized=s))
    learn(model)
    save_adapter(model, tmp_path / "kept")
    load_adapter(reloaded, tmp_path / "kept")
    wanted = logits(model)
    assert differ(wanted, logits(reloaded)) < 1e-9
    assert differ(wanted, logits(through_peft(plain, tmp_path / "kept"))) < 1e-9


CONFIGS: dict[str, dict[str, Any]] = {
    "list": dict(target_modules=["q_proj", "v_proj"], r=4, lora_alpha=8),
    "regex": dict(target_modules=r".*layers\.[02]\..*(up|down)_proj", r=3, lora_alpha=7),
    "all-linear": dict(target_modules="all-linear", r=8, lora_alpha=16),
    "rslora": dict(target_modules="all-linear", r=8, lora_alpha=16, use_rslora=True),
    "dora": dict(target_modules=["o_proj", "gate_proj"], r=5, lora_alpha=3, use_dora=True),
    "rsdora": dict(target_modules="all-linear", r=2, lora_alpha=9, use_dora=True, use_rslora=True),
    "patterns": dict(target_modules="all-linear", r=4, lora_alpha=8, rank_pattern={"q_proj": 2, "layers.1.mlp.*": 7},
                     alpha_pattern={r"layers\.2\..*": 3, "up_proj": 5}),
    "patterns of rslora": dict(target_modules="all-linear", r=4, lora_alpha=8, use_rslora=True,
                               rank_pattern={r"^model\.layers\.0\.self_attn\.q_proj": 9, "k_proj|down_proj": 1},
                               alpha_pattern={"k_proj|v_proj": 1, "proj": 2}),
    "patterns of dora": dict(target_modules=["q_proj", "up_proj"], r=4, lora_alpha=8, use_dora=True,
                             rank_pattern={"up_proj": 6}, alpha_pattern={"q_proj": 20}),
    "a pattern ends the name": dict(target_modules="all-linear", alpha_pattern={"layers.1": 40, "k_pro": 9}),
    "some layers": dict(target_modules=["q_proj", "up_proj"], layers_to_transform=[0, 2], layers_pattern="layers"),
    "excluded": dict(target_modules="all-linear", exclude_modules=["k_proj", r"down_proj"]),
    "dropout": dict(target_modules=["q_proj"], lora_dropout=0.3),
    "gaussian": dict(target_modules=["q_proj"], init_lora_weights="gaussian"),
    "no start": dict(target_modules=["q_proj"], init_lora_weights=False),
    "orthogonal": dict(target_modules=["q_proj"], init_lora_weights="orthogonal"),
    "task": dict(target_modules=["q_proj"], task_type="CAUSAL_LM", inference_mode=False),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_what_peft_writes_answers_the_same_here_and_back_there(config: dict[str, Any], tmp_path: Path) -> None:
    ours, again = tiny_llama(), tiny_llama()
    theirs = from_peft(tiny_llama(), tmp_path / "theirs", **config)
    names = load_adapter(ours, tmp_path / "theirs")
    assert names == [name.removeprefix("base_model.model.") for name, module in theirs.named_modules()
                     if hasattr(module, "lora_A")]
    assert differ(logits(ours), logits(theirs)) < 1e-4 and same_words(ours, theirs)
    save_adapter(ours, tmp_path / "ours")
    assert differ(logits(through_peft(again, tmp_path / "ours")), logits(theirs)) < 1e-4


@given(st.integers(1, 8), st.integers(1, 40), st.booleans(), st.booleans(),
       st.dictionaries(st.sampled_from(LAYERS), st.integers(1, 8)),
       st.dictionaries(st.sampled_from([*LAYERS, "q_proj", "self_attn.*", "up_proj|down_proj"]), st.integers(1, 40)),
       st.lists(st.sampled_from(LAYERS), min_size=1, unique=True))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_configurations_of_peft_answer_the_same_here(
        tmp_path: Path, rank: int, alpha: int, rslora: bool, dora: bool, ranks: dict[str, int],
        alphas: dict[str, int], on: list[str]) -> None:
    """Where two patterns name one layer, the order of the file counts, which peft sorts: so peft reads its own file."""
    ours, plain = tiny_llama(2).double(), tiny_llama(2).double()
    from_peft(tiny_llama(2).double(), tmp_path / "theirs", r=rank, lora_alpha=alpha, use_rslora=rslora, use_dora=dora,
              rank_pattern=ranks, alpha_pattern=alphas, target_modules=on)
    theirs = through_peft(plain, tmp_path / "theirs")
    assert set(load_adapter(ours, tmp_path / "theirs")) == set(on)
    assert differ(logits(ours), logits(theirs)) < 1e-9


def test_pissa_that_peft_converted_loads(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(target_modules=["q_proj", "up_proj"], r=3, lora_alpha=5, init_lora_weights="pissa",
                        rank_pattern={"q_proj": 2}, alpha_pattern={"up_proj": 4})
    theirs = get_peft_model(tiny_llama(), config, autocast_adapter_dtype=False).eval()
    theirs.peft_config["default"].init_lora_weights = True  # so peft's own instruction
    theirs.save_pretrained(tmp_path / "start")
    theirs.peft_config["default"].init_lora_weights = "pissa"
    learn(theirs)
    theirs.save_pretrained(tmp_path / "raw")
    ours = tiny_llama()
    with pytest.raises(ValueError, match="got init_lora_weights='pissa'; let peft convert it"):
        load_adapter(ours, tmp_path / "raw")
    wanted = logits(theirs)
    theirs.save_pretrained(tmp_path / "converted", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    load_adapter(ours, tmp_path / "converted")
    assert differ(logits(ours), wanted) < 1e-4


@pytest.mark.parametrize("spoil", ["alpha", "transposed", "magnitude", "rank", "sign"])
def test_the_comparison_notices_a_wrong_number(spoil: str, tmp_path: Path) -> None:
    """Negative controls: one thing wrong in the files, and the answers are apart."""
    model, spoilt = tiny_llama(), tiny_llama()
    attach(model, ends_in("q_proj"), lambda W: DoRA(W, 32, 32))
    learn(model)
    save_adapter(model, tmp_path / "kept")
    config, tensors = (read(tmp_path / "kept") for read in (config_of, tensors_of))
    for key in tensors:
        if spoil == "transposed" and "lora_A" in key:
            tensors[key] = tensors[key].T.contiguous()
        if spoil == "magnitude" and "magnitude" in key:
            tensors[key] = torch.ones_like(tensors[key])
        if spoil == "rank" and "lora_B" in key:
            tensors[key][:, -16:] = 0
        if spoil == "sign" and "lora_B" in key:
            tensors[key] = -tensors[key]
    if spoil == "alpha":
        config["lora_alpha"] *= 2
    rewrite(tmp_path / "kept", config, tensors)
    load_adapter(spoilt, tmp_path / "kept")
    assert differ(logits(model), logits(spoilt)) > 1e-3


def test_the_comparison_of_words_notices_another_adapter(tmp_path: Path) -> None:
    """Negative control."""
    models = [tiny_llama(), tiny_llama()]
    for seed, model in enumerate(models):
        PUTS["rank 8 everywhere"](model)
        learn(model, seed)
    assert not same_words(*models)


# Encoders


def hidden(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(**{key: value for key, value in bert_batch().items() if key != "labels"}).last_hidden_state


@pytest.mark.parametrize("kind", [LoRA, DoRA, PiSSA])
@pytest.mark.parametrize("on", [("query", "value"), ("dense",)])
def test_an_encoders_adapter_goes_to_peft(kind: Any, on: tuple[str, ...], tmp_path: Path) -> None:
    model, plain, reloaded = (TinyBert().double().eval() for _ in range(3))
    attach(model.encoder, ends_in(*on), lambda W: kind(W, 4, 8))
    learn(model)
    save_adapter(model, tmp_path / "kept")
    wanted = hidden(model.encoder)
    assert load_adapter(reloaded, tmp_path / "kept")[0].startswith("encoder.layer.0.")
    assert (hidden(reloaded.encoder) - wanted).abs().max() < 1e-9 < 1e-2 < (hidden(plain.encoder) - wanted).abs().max()
    assert (hidden(through_peft(plain.encoder, tmp_path / "kept")) - wanted).abs().max() < 1e-9
    assert config_of(tmp_path / "kept")["task_type"] == "FEATURE_EXTRACTION"


@pytest.mark.parametrize("config", [dict(target_modules=["query", "value"]), dict(target_modules="all-linear", r=3),
                                    dict(target_modules=["dense"], use_dora=True, rank_pattern={"output.dense": 3})])
def test_an_encoders_adapter_comes_from_peft(config: dict[str, Any], tmp_path: Path) -> None:
    ours = TinyBert().double().eval()
    config["task_type"] = "FEATURE_EXTRACTION"
    theirs = from_peft(TinyBert().double().eval().encoder, tmp_path / "theirs", **config)
    load_adapter(ours, tmp_path / "theirs")
    assert (hidden(ours.encoder) - hidden(theirs)).abs().max() < 1e-9


def test_a_classifiers_adapter_leaves_its_head_alone(toy_encoder: Encoder, toy_texts: Any, tmp_path: Path) -> None:
    model, texts = Classifier(toy_encoder, [0, 1]).eval(), toy_texts[0]
    attach(model.encoder, ends_in("query", "value"), lambda W: LoRA(W, 4, 8))
    learn(model)
    wanted = model.probabilities(texts)
    save_adapter(model, tmp_path / "kept")
    detach(model)
    head = model.classifier.weight.detach().clone()
    assert abs(model.probabilities(texts) - wanted).max() > 1e-6
    load_adapter(model, tmp_path / "kept")
    assert abs(model.probabilities(texts) - wanted).max() == 0
    assert torch.equal(model.classifier.weight, head) and model.classifier.weight.requires_grad


class Wrapped(nn.Module):
    """A decoder inside another module."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = tiny_llama()


def test_the_wrapper_of_a_decoder_leaves_no_name_in_the_files(tmp_path: Path) -> None:
    model = Wrapped()
    assert attach(model, QV, lambda W: LoRA(W, 2, 4))[0].startswith("decoder.model.layers.0.")
    learn(model)
    save_adapter(model, tmp_path / "kept")
    wanted = logits(model.decoder)
    assert differ(logits(through_peft(tiny_llama(), tmp_path / "kept")), wanted) < 1e-4
    detach(model)
    assert load_adapter(model, tmp_path / "kept")[0].startswith("model.layers.0.")
    assert differ(logits(model.decoder), wanted) < 1e-4


# One base, many adapters


def test_one_base_switches_between_adapters_and_keeps_its_bits(tmp_path: Path) -> None:
    wanted, model = {}, tiny_llama()
    base, start = content_hash(model), logits(model)
    for seed, (name, put) in enumerate(PUTS.items()):
        put(model)
        learn(model, seed)
        wanted[name] = logits(model)
        save_adapter(model, tmp_path / name)
        assert detach(model)
    order = list(wanted) * 2
    random.Random(0).shuffle(order)
    for name in order:
        load_adapter(model, tmp_path / name, base=base)
        assert differ(logits(model), wanted[name]) < 1e-4
        detach(model)
    assert content_hash(model) == base and differ(logits(model), start) == 0


def test_a_loaded_adapter_trains_on_and_is_saved_again(tmp_path: Path) -> None:
    model, again = tiny_llama(), tiny_llama()
    PUTS["dora"](model)
    save_adapter(model, tmp_path / "kept")
    detach(model)
    load_adapter(model, tmp_path / "kept")
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert len(trained) == 3 * 7 * 3 and all(".parametrizations.weight.0." in name for name in trained)
    model(input_ids=PROMPTS[0]).logits.square().sum().backward()
    torch.optim.SGD([value for value in model.parameters() if value.requires_grad], 1e-3).step()
    save_adapter(model, tmp_path / "kept")
    load_adapter(again, tmp_path / "kept")
    assert differ(logits(again), logits(model)) == 0


def test_loading_draws_nothing(tmp_path: Path) -> None:
    model = tiny_llama()
    PUTS["rank 1"](model)
    save_adapter(model, tmp_path / "kept")
    detach(model)
    state = torch.get_rng_state()
    load_adapter(model, tmp_path / "kept")
    assert torch.equal(torch.get_rng_state(), state)


# Content


def test_the_hash_is_that_of_the_weights_as_transformers_saves_them(tmp_path: Path) -> None:
    model = tiny_llama()
    model.save_pretrained(tmp_path / "plain")
    wanted = tensors_hash(load_file(tmp_path / "plain" / "model.safetensors"))
    assert content_hash(model) == wanted
    for put in PUTS.values():
        put(model)
        learn(model)
        assert content_hash(model) == wanted
        detach(model)
    assert content_hash(type(model)(model.config)) != wanted


def test_one_bit_of_any_weight_changes_the_hash() -> None:
    model = tiny_llama(1)
    seen = {content_hash(model)}
    for value in model.parameters():
        with torch.no_grad():
            value.view(-1)[-1:].view(torch.int32).bitwise_xor_(1)
        seen.add(content_hash(model))
    assert len(seen) == 1 + len(list(model.parameters()))


def test_names_types_and_shapes_count_and_order_does_not() -> None:
    a, b = torch.arange(6.0), torch.ones(2)
    seen = [{"a": a, "b": b}, {"a": b, "b": a}, {"a": a, "c": b}, {"a": a.view(2, 3), "b": b},
            {"a": a.view(torch.int32), "b": b}]
    assert len({tensors_hash(each) for each in seen}) == 5
    assert tensors_hash({"b": b, "a": a}) == tensors_hash(seen[0])
    assert tensors_hash({"a": torch.ones(3, 2, dtype=torch.bfloat16).T}) == tensors_hash(
        {"a": torch.ones(2, 3, dtype=torch.bfloat16)})


def test_the_transformers_model_is_found_or_missed() -> None:
    bert = TinyBert()
    assert transformers_module(bert) is bert.encoder and transformers_module(bert.encoder) is bert.encoder
    with pytest.raises(ValueError, match="model must be a transformers model or hold one, got Linear"):
        content_hash(nn.Linear(2, 2))


# What is refused


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / adapter_files.CONFIG).read_text())


def tensors_of(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / adapter_files.WEIGHTS)


def rewrite(folder: Path, config: Any, tensors: dict[str, Tensor] | None = None) -> None:
    (folder / adapter_files.CONFIG).write_text(json.dumps(config))
    if tensors is not None:
        save_file(tensors, folder / adapter_files.WEIGHTS)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with a small adapter for `tiny_llama()`."""
    model = tiny_llama()
    attach(model, ends_in("q_proj", "k_proj"), lambda W: LoRA(W, 2, 4))
    learn(model)
    save_adapter(model, tmp_path / "kept")
    return tmp_path / "kept"


def refused(folder: Path, told: str, model: nn.Module | None = None) -> None:
    """Loading fails with one sentence that holds `told`, and leaves the model as it was."""
    model = tiny_llama() if model is None else model
    before, trains = content_hash(model), [p.requires_grad for p in model.parameters()]
    with pytest.raises(ValueError, match=re.escape(told)) as error:
        load_adapter(model, folder)
    assert "\n" not in str(error.value)
    assert content_hash(model) == before and [p.requires_grad for p in model.parameters()] == trains


def mixout(model: nn.Module) -> None:
    attach(model, QV, lambda W: Mixout(W, 0.5))


def chained(model: nn.Module) -> None:
    from torch.nn.utils import parametrize

    attach(model, QV, lambda W: LoRA(W, 2, 4))
    parametrize.register_parametrization(model.model.layers[0].self_attn.q_proj, "weight", nn.Identity())


def on_the_bias(model: nn.Module) -> None:
    from torch.nn.utils import parametrize

    attach(model, QV, lambda W: LoRA(W, 2, 4))
    parametrize.register_parametrization(model.model.norm, "weight", nn.Identity())


def thin(model: nn.Module) -> None:
    attach(model, QV, lambda W: LoRA(W, 2, 4))
    factorize(model, MLP, 3)


def rows(model: nn.Module) -> None:
    only_rows(model, [3, 4])
    attach(model, QV, lambda W: LoRA(W, 2, 4))


def norms(model: nn.Module) -> None:
    attach(model, QV, lambda W: LoRA(W, 2, 4), train=ends_in("norm.weight"))


def weights(model: nn.Module) -> None:
    attach(model.model.layers[2], QV, lambda W: LoRA(W, 2, 4))


def broken(model: nn.Module) -> None:
    attach(model, QV, lambda W: LoRA(W, 2, 4))
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.parametrizations.weight[0].A[0, 0] = float("nan")


class Mine(LoRA):
    """A map of a reader's own, which may do anything."""


@pytest.mark.parametrize("put, told", [
    (lambda m: None, "model must carry LoRA, DoRA or PiSSA to have an adapter, got no map"),
    (mixout, "cannot hold the map on model.layers.0.self_attn.q_proj, got Mixout"),
    (chained, "cannot hold the map on model.layers.0.self_attn.q_proj, got LoRA and Identity"),
    (on_the_bias, "cannot hold the map on model.norm, got Identity"),
    (thin, "cannot hold model.layers.0.mlp.gate_proj, a Thin"),
    (rows, "cannot hold model.embed_tokens, a Rows"),
    (norms, "cannot hold model.norm.weight, which trains beside the maps"),
    (weights, "cannot hold model.embed_tokens.weight, which trains beside the maps"),
    (broken, "model must hold finite numbers of floating point, got others in base_model.model.model.layers.0"),
    (lambda m: attach(m, QV, lambda W: PiSSA(W, 9, 4)),
     "model.layers.0.self_attn.v_proj must have PiSSA of rank 8 at most to be a LoRA of twice the rank, got 9"),
    (lambda m: attach(m, QV, lambda W: Mine(W, 2, 4)), "the map on model.layers.0.self_attn.q_proj, got Mine"),
])
def test_what_an_adapter_cannot_hold_is_named(put: Put, told: str, tmp_path: Path) -> None:
    model = tiny_llama(tie_word_embeddings=put is not rows)
    put(model)
    with pytest.raises(ValueError, match=re.escape(told)) as error:
        save_adapter(model, tmp_path / "kept")
    assert "\n" not in str(error.value) and not (tmp_path / "kept").exists()


def test_a_map_on_the_head_of_a_classifier_is_named(tmp_path: Path) -> None:
    model = TinyBert(outputs=3)
    attach(model, ends_in("query", "head"), lambda W: LoRA(W, 2, 4))
    with pytest.raises(ValueError, match="cannot hold the map on head, which is outside the transformers model"):
        save_adapter(model, tmp_path / "kept")


@pytest.mark.parametrize("field, value", [
    ("bias", "all"), ("bias", "lora_only"), ("lora_bias", True), ("modules_to_save", ["lm_head"]),
    ("fan_in_fan_out", True), ("init_lora_weights", "olora"), ("init_lora_weights", "loftq"),
    ("init_lora_weights", "eva"), ("eva_config", {"rho": 2.0}), ("corda_config", {"corda_method": "ipm"}),
    ("megatron_config", {"a": 1}), ("use_qalora", True), ("layer_replication", [[0, 2], [1, 3]]),
    ("trainable_token_indices", [3]), ("target_parameters", ["experts.w"]), ("alora_invocation_tokens", [1, 2]),
    ("arrow_config", {"top_k": 3}), ("use_bdlora", {"nblocks": 2}), ("a_field_of_next_year", "on")])
def test_a_setting_of_peft_that_bends_the_answers_is_named(field: str, value: Any, kept: Path) -> None:
    rewrite(kept, config_of(kept) | {field: value})
    refused(kept, f"must be plain LoRA, rsLoRA or DoRA, got {field}={value!r}")


def test_every_default_of_peft_is_taken(kept: Path) -> None:
    """Also those of its fields that are none today, and a field of next year that is off."""
    from peft import LoraConfig

    default = {key: value for key, value in LoraConfig().to_dict().items() if key not in config_of(kept)}
    rewrite(kept, json.loads(json.dumps(default)) | config_of(kept) | {"a_field_of_next_year": None})
    assert len(load_adapter(tiny_llama(), kept)) == 6


@pytest.mark.parametrize("change, told", [
    ({"peft_type": "LOHA"}, "must have peft_type LORA, got 'LOHA'"),
    ({"peft_type": None}, "must have peft_type LORA, got None"),
    ({"r": 3}, "must have for model.layers.0.self_attn.k_proj the shapes {'lora_A.weight': (3, 32)"),
    ({"r": 0}, "must have a rank from 1 to 16 for model.layers.0.self_attn.k_proj, got 0"),
    ({"r": 17}, "must have a rank from 1 to 16 for model.layers.0.self_attn.k_proj, got 17"),
    ({"rank_pattern": {"k_proj": 17}}, "must have a rank from 1 to 16 for model.layers.0.self_attn.k_proj, got 17"),
    ({"rank_pattern": {"k_proj": "2"}}, "must have a rank from 1 to 16 for model.layers.0.self_attn.k_proj, got '2'"),
    ({"rank_pattern": [2]}, "must have a rank_pattern of pattern and number, got [2]"),
    ({"rank_pattern": {"(": 2}}, "has no regular expression in its rank_pattern"),
    ({"lora_alpha": 0}, "must have a finite lora_alpha above 0 for model.layers.0.self_attn.k_proj, got 0"),
    ({"lora_alpha": float("inf")}, "must have a finite lora_alpha above 0"),
    ({"alpha_pattern": {"k_proj": None}}, "above 0 for model.layers.0.self_attn.k_proj, got None"),
    ({"use_dora": True}, "must have for model.layers.0.self_attn.k_proj the shapes {"),
    ({"base_model_name_or_path": "sha256:" + 64 * "0"}, "is an adapter for the base sha256:0000"),
])
def test_settings_that_do_not_fit_are_named(change: dict[str, Any], told: str, kept: Path) -> None:
    rewrite(kept, config_of(kept) | change)
    refused(kept, told)


@pytest.mark.parametrize("key", ["r", "lora_alpha"])
def test_a_missing_number_is_named(key: str, kept: Path) -> None:
    rewrite(kept, {name: value for name, value in config_of(kept).items() if name != key})
    refused(kept, f"lacks {key} in adapter_config.json")


Q0 = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("change, told", [
    ({f"{Q0}.lora_A.weight": None}, "the shapes {'lora_A.weight': (2, 32), 'lora_B.weight': (32, 2)}, got {'lora_B"),
    ({f"{Q0}.lora_A.weight": torch.ones(32, 2)}, "got {'lora_A.weight': (32, 2)"),
    ({f"{Q0}.lora_magnitude_vector": torch.ones(32)}, "'lora_magnitude_vector': (32,)}"),
    ({f"{Q0}.lora_B.bias": torch.ones(32)}, f"and weights that the model has, got {Q0}.lora_B.bias"),
    ({"base_model.model.model.embed_tokens.weight": torch.ones(2)}, "got base_model.model.model.embed_tokens.weight"),
    ({f"{Q0}.lora_A.weight": torch.full((2, 32), float("nan"))}, f"got others in {Q0}.lora_A.weight"),
    ({f"{Q0}.lora_A.weight": torch.ones(2, 32, dtype=torch.int64)}, f"got others in {Q0}.lora_A.weight"),
    ({Q0.replace("0", "9") + ".lora_A.weight": torch.ones(2, 32)}, "adapts model.layers.9.self_attn.q_proj, and the "),
    ({"base_model.model.model.norm.lora_A.weight": torch.ones(2, 32)}, "adapts model.norm, and the model has no nn.L"),
])
def test_tensors_that_do_not_fit_are_named(change: dict[str, Any], told: str, kept: Path) -> None:
    tensors = {key: value for key, value in (tensors_of(kept) | change).items() if value is not None}
    rewrite(kept, config_of(kept), tensors)
    refused(kept, told)


def test_an_adapter_without_tensors_is_named(kept: Path) -> None:
    rewrite(kept, config_of(kept), {})
    refused(kept, "must adapt a layer at least, got no tensor in adapter_model.safetensors")


@pytest.mark.parametrize("name, content", [
    ("adapter_config.json", None), ("adapter_model.safetensors", None), ("adapter_config.json", b'{"r": '),
    ("adapter_config.json", b"[1]"), ("adapter_config.json", b"\xff\xfe"), ("adapter_model.safetensors", b""),
    ("adapter_model.safetensors", b"\x00" * 100)])
def test_missing_and_damaged_files_are_named(name: str, content: bytes | None, kept: Path) -> None:
    (kept / name).unlink() if content is None else (kept / name).write_bytes(content)
    refused(kept, f"{kept} holds no whole adapter as peft or save_adapter writes it: ")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere holds no whole adapter")


def test_any_cut_and_a_flipped_bit_are_noticed(kept: Path) -> None:
    whole = (kept / adapter_files.WEIGHTS).read_bytes()
    for size in (7, 100, len(whole) // 2, len(whole) - 1):
        (kept / adapter_files.WEIGHTS).write_bytes(whole[:size])
        refused(kept, "holds no whole adapter")
    (kept / adapter_files.WEIGHTS).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused(kept, "its tensors have sha256")


def test_an_adapter_for_another_base_is_refused(kept: Path) -> None:
    other = tiny_llama()
    with torch.no_grad():
        other.model.norm.weight[0] += 1e-6
    refused(kept, "load the base that it was trained on", other)
    with pytest.raises(ValueError, match="the model is sha256:beef; load the base"):
        load_adapter(tiny_llama(), kept, base="beef")


def test_a_base_that_was_trained_on_in_secret_is_noticed_when_its_adapter_is_loaded(tmp_path: Path) -> None:
    """Frozen again before it is saved, it looks untrained; the hash is of what it has become."""
    model = tiny_llama()
    PUTS["rank 1"](model)
    with torch.no_grad():
        model.model.norm.weight.add_(0.1)
    save_adapter(model, tmp_path / "kept")
    refused(tmp_path / "kept", "is an adapter for the base sha256:")


def test_a_model_with_a_map_takes_no_second_adapter(kept: Path) -> None:
    model = tiny_llama()
    load_adapter(model, kept)
    with pytest.raises(ValueError, match="carry no map, got one on model.layers.0.self_attn.q_proj; detach or merge"):
        load_adapter(model, kept)


def test_a_head_of_its_own_goes_both_ways_and_one_that_is_also_the_embedding_is_named(tmp_path: Path) -> None:
    """Peft writes the weight of a head that it adapts into the file too, and it must be the model's."""
    free = {"tie_word_embeddings": False}
    theirs = from_peft(tiny_llama(**free), tmp_path / "theirs", target_modules=["lm_head", "q_proj"], r=2)
    assert "base_model.model.lm_head.base_layer.weight" in tensors_of(tmp_path / "theirs")
    ours = tiny_llama(**free)
    load_adapter(ours, tmp_path / "theirs")
    assert differ(logits(ours), logits(theirs)) < 1e-4
    save_adapter(ours, tmp_path / "ours")
    assert differ(logits(through_peft(tiny_llama(**free), tmp_path / "ours")), logits(theirs)) < 1e-4
    detach(ours)
    with torch.no_grad():
        ours.lm_head.weight[0, 0] += 1e-6
    refused(tmp_path / "theirs", "weights that the model has, got base_model.model.lm_head.base_layer.weight", ours)
    refused(tmp_path / "theirs", "got base_model.model.lm_head.base_layer.weight")
    tied = {key: value for key, value in tensors_of(tmp_path / "theirs").items() if "lora" in key}
    rewrite(tmp_path / "theirs", config_of(tmp_path / "theirs"), tied)
    refused(tmp_path / "theirs", "lm_head must have a weight of its own, and shares it with model.embed_tokens.weight")


# Files


def test_the_files_are_two_name_no_path_and_are_the_same_each_time(kept: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in kept.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = config_of(kept)
    assert config["base_model_name_or_path"] == f"sha256:{content_hash(tiny_llama())}"
    assert str(tmp_path) not in (kept / adapter_files.CONFIG).read_text() + str(config)
    model = tiny_llama()
    model.name_or_path = str(tmp_path)
    load_adapter(model, kept)
    save_adapter(model, tmp_path / "again")
    assert config_of(tmp_path / "again") == config
    assert tensors_hash(tensors_of(tmp_path / "again")) == tensors_hash(tensors_of(kept))


@pytest.mark.parametrize("umask, folder, file", [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600), (0o002, 0o775, 0o664)])
def test_the_umask_is_obeyed(umask: int, folder: int, file: int, tmp_path: Path) -> None:
    model = tiny_llama()
    PUTS["rank 1"](model)
    before = os.umask(umask)
    try:
        save_adapter(model, tmp_path / "kept")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == folder
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "kept").iterdir()} == {file}


@pytest.mark.parametrize("broken", ["to_bytes", "json"])
def test_a_failed_save_leaves_the_old_adapter(broken: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    model = tiny_llama()
    PUTS["dora"](model)
    monkeypatch.setattr(adapter_files, broken, None)
    with pytest.raises((TypeError, AttributeError)):
        save_adapter(model, kept)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert [path.name for path in kept.parent.iterdir()] == ["kept"]


def test_saving_replaces_an_adapter_and_nothing_else(kept: Path) -> None:
    model = tiny_llama()
    PUTS["dora"](model)
    save_adapter(model, kept)
    assert config_of(kept)["use_dora"] is True
    thesis = kept / "thesis.txt"
    thesis.write_text("years")
    for target in (kept, thesis):
        with pytest.raises(ValueError, match="folder must be new, empty or hold an adapter alone, got .* with other"):
            save_adapter(model, target)
    assert thesis.read_text() == "years"
