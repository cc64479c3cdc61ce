"""Adapters in files that `peft` reads and writes: what LoRA, DoRA or PiSSA learned, without the base under it.

A folder holds `adapter_config.json` and `adapter_model.safetensors`. The base is named in it by `content_hash`.

Shapes: W is the weight of a layer, (m, n); r is a rank; A is (r, n), B is (m, r), DoRA's magnitude M is (m,).
"""
from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import mode
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lib.adapters import DoRA, LoRA, PiSSA, Rows, attach
from lib.files.atomic import whole_folder
from lib.projection import Thin
from lib.run.content import content_hash, tensors_hash, transformers_module

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
KEY = re.compile(r"base_model\.model\.(.+)\.(lora_A\.weight|lora_B\.weight|lora_magnitude_vector)")

# Settings of peft that leave the answers alone, or that the names and shapes of the tensors repeat.
HARMLESS = {
    "auto_mapping", "base_model_name_or_path", "exclude_modules", "inference_mode", "layers_pattern",
    "layers_to_transform", "lora_dropout", "megatron_core", "peft_version", "qalora_group_size", "revision",
    "runtime_config", "target_modules", "task_type"}
USED = {"alpha_pattern", "lora_alpha", "peft_type", "r", "rank_pattern", "use_dora", "use_rslora"}
PLAIN = {"bias": ("none",), "init_lora_weights": (True, "gaussian", "orthogonal")}  # starts that leave the base alone


def save_adapter(model: nn.Module, folder: str | Path) -> None:
    """Write the maps of a model as an adapter of `peft`, whole or not at all; the base is named by its content.

        PiSSA: W + s (B A - B0 A0) = W + s [B, -B0] [A; A0], LoRA of rank 2 r        Meng et al. 2024, as peft does it

    An adapter is some megabytes where the model is hundreds: keep one for each task beside a single base. The head of a
    classifier is no part of it; `lib.models.save` keeps a merged model as a whole.

    Args:
        model: a transformers model, or one that holds it (a `Classifier`); it is not changed. The scale s of each
            map is written as `lora_alpha = s * r`. Where one map is DoRA, LoRA is written as DoRA too, with $M = |W|$
            of its corrected weight.
        folder: new, empty, or one with an adapter, which is replaced.

    Raises:
        ValueError: there is no map; one that peft has no name for (another class, two on a layer, a thin layer,
            `Rows`); a parameter beside the maps that trains, which the files could not hold; PiSSA of more than half
            the full rank; a number that is not finite; a folder with other content.
        OSError: the disk is full, or the folder cannot be written to.
    """
    plain, folder = transformers_module(model), Path(folder)
    if folder.is_file() or folder.exists() and {path.name for path in folder.iterdir()} - {CONFIG, WEIGHTS}:
        raise ValueError(f"folder must be new, empty or hold an adapter alone, got {folder} with other content")
    maps = _maps(model, plain)
    use_dora = any(isinstance(new, DoRA) for _, new in maps.values())
    tensors, ranks, alphas = {}, {}, {}
    with torch.no_grad():
        for name, (W, new) in maps.items():
            A, B = new.A, new.B
            if isinstance(new, PiSSA):
                A, B = torch.cat([A, new.A0]), torch.cat([B, -new.B0], 1)
            if len(A) > min(W.shape):  # no map of this library could take it back
                raise ValueError(f"{name} must have PiSSA of rank {min(W.shape) // 2} at most to be a LoRA of twice "
                                 f"the rank, got {len(new.A)}; merge it and save the whole")
            tensors[f"base_model.model.{name}.lora_A.weight"] = A
            tensors[f"base_model.model.{name}.lora_B.weight"] = B
            if use_dora:
                M = new.M if isinstance(new, DoRA) else new(W).norm(dim=1)
                tensors[f"base_model.model.{name}.lora_magnitude_vector"] = M
            alpha = new.scale * len(A)
            ranks[name], alphas[name] = len(A), int(alpha) if alpha.is_integer() else alpha
        _check_finite(tensors, "model")
    rank, usual = mode(ranks.values()), mode(alphas.values())
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM" if plain.can_generate() else "FEATURE_EXTRACTION",
        "base_model_name_or_path": f"sha256:{content_hash(plain)}", "inference_mode": True,
        "r": rank, "lora_alpha": usual, "use_rslora": False, "use_dora": use_dora, "target_modules": list(maps),
        "rank_pattern": {_exactly(name): r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {_exactly(name): a for name, a in alphas.items() if a != usual},
        "bias": "none", "fan_in_fan_out": False, "init_lora_weights": True, "lora_dropout": 0.0}
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with whole_folder(folder) as scratch:
        (scratch / WEIGHTS).write_bytes(to_bytes(tensors, {"format": "pt", "sha256": tensors_hash(tensors)}))
        (scratch / CONFIG).write_text(json.dumps(config, indent=2), "utf-8")


def load_adapter(model: nn.Module, folder: str | Path, *, base: str | None = None) -> list[str]:
    """Attach an adapter that `save_adapter` or `peft` wrote, ready to answer or to train on; returns its layers.

        W -> W + s B A,   s = lora_alpha / r,   or lora_alpha / sqrt(r) with `use_rslora`        Hu et al. 2022, eq. 3

    The base is frozen and keeps its bits, so `detach` and another `load_adapter` switch one model in memory between
    tasks. `lora_dropout` is not taken over. An adapter from `peft` names no content, so only its shapes are checked.

    Args:
        model: a transformers model, or one that holds it, without maps; it is untouched where the adapter is refused.
        folder: with `adapter_config.json` and `adapter_model.safetensors`.
        base: `content_hash(model)` where it is known: it spares reading all weights on each switch.

    Returns:
        Names of the layers that carry a map, within the transformers model.

    Raises:
        ValueError: missing or damaged files; an adapter for another base; a setting that does something else than
            LoRA, rsLoRA and DoRA; a layer that the model lacks, shares or has in another shape; a rank above the
            smaller side of a weight; a model that carries a map.
    """
    plain, folder = transformers_module(model), Path(folder)
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module):
            raise ValueError(f"model must carry no map, got one on {name}; detach or merge it first")
    config, tensors = _read(folder)
    _check_settings(config, folder)
    maps = _made(config, tensors, plain, folder)
    wanted = str(config.get("base_model_name_or_path"))
    if wanted.startswith("sha256:") and wanted != (found := f"sha256:{base or content_hash(plain)}"):
        raise ValueError(f"{folder} is an adapter for the base {wanted}, and the model is {found}; load the base that "
                         "it was trained on")
    made = {plain.get_submodule(name).weight: new for name, new in maps.items()}
    return attach(plain, maps.__contains__, made.__getitem__)


def _maps(model: nn.Module, plain: nn.Module) -> dict[str, tuple[Tensor, Any]]:
    """Layer -> (W, map) of everything that the files can hold, if there is nothing else."""
    maps, inside = {}, set(plain.modules())
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module) and module not in inside:
            raise ValueError(f"an adapter of peft cannot hold the map on {name}, which is outside the transformers "
                             "model; merge it and save the whole")
    for name, module in plain.named_modules():
        if isinstance(module, Thin | Rows):
            raise ValueError(f"an adapter of peft cannot hold {name}, a {type(module).__name__}; merge it and save the "
                             "whole")
        if parametrize.is_parametrized(module):
            held: Any = module.parametrizations
            kinds = [type(new) for chain in held.values() for new in chain]
            if list(held) != ["weight"] or len(kinds) != 1 or kinds[0] not in (LoRA, DoRA, PiSSA):
                raise ValueError(f"an adapter of peft cannot hold the map on {name}, got "
                                 f"{' and '.join(kind.__name__ for kind in kinds)}; merge it and save the whole")
            maps[name] = held.weight.original, held.weight[0]
    if not maps:
        raise ValueError("model must carry LoRA, DoRA or PiSSA to have an adapter, got no map")
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad and ".parametrizations." not in name:
            raise ValueError(f"an adapter of peft cannot hold {name}, which trains beside the maps; freeze it, or "
                             "merge the model and save the whole")
    return maps


def _exactly(name: str) -> str:
    """A pattern of peft's for this layer alone."""
    return f"^{re.escape(name)}"


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and tensors of a folder whose files are whole."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        if not isinstance(config, dict):
            raise ValueError(f"{CONFIG} must hold an object, got {type(config).__name__}")
        with safe_open(folder / WEIGHTS, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            wanted = (file.metadata() or {}).get("sha256")
        if wanted and wanted != (found := tensors_hash(tensors)):
            raise ValueError(f"its tensors have sha256 {found}, expected {wanted}")
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no whole adapter as peft or save_adapter writes it: {error}") from error
    return config, tensors


def _check_settings(config: Mapping[str, Any], folder: Path) -> None:
    """Raise ValueError for the first setting that means something else than LoRA, rsLoRA or DoRA."""
    if config.get("peft_type") != "LORA":
        raise ValueError(f"{folder} must have peft_type LORA, got {config.get('peft_type')!r}")
    if missing := sorted({"r", "lora_alpha"} - config.keys()):
        raise ValueError(f"{folder} lacks {missing[0]} in {CONFIG}")
    for field in ("rank_pattern", "alpha_pattern"):
        if not isinstance(config.get(field) or {}, dict):
            raise ValueError(f"{folder} must have a {field} of pattern and number, got {config[field]!r}")
    for field, value in config.items():
        if value and field not in HARMLESS | USED and value not in PLAIN.get(field, ()):
            remedy = "; let peft convert it, by save_pretrained(path_initial_model_for_weight_conversion=...)"
            raise ValueError(f"{folder} must be plain LoRA, rsLoRA or DoRA, got {field}={value!r}"
                             + (remedy if field == "init_lora_weights" else ""))


def _made(config: Mapping[str, Any], tensors: Mapping[str, Tensor], plain: nn.Module, folder: Path) -> dict[str, LoRA]:
    """Layer -> map with the values of the files, each of which fits its layer."""
    own, parts = plain.state_dict(), dict[str, dict[str, Tensor]]()
    for key, value in tensors.items():
        if match := KEY.fullmatch(key):
            parts.setdefault(match[1], {})[match[2]] = value
            continue
        weight = own.get(key.removeprefix("base_model.model.").replace(".base_layer.", "."))
        if weight is None or not torch.equal(weight, value.to(weight)):  # peft repeats a head that it adapts
            raise ValueError(f"{folder} must hold lora_A, lora_B, lora_magnitude_vector and weights that the model "
                             f"has, got {key}")
    if not parts:
        raise ValueError(f"{folder} must adapt a layer at least, got no tensor in {WEIGHTS}")
    _check_finite(tensors, str(folder))
    use_dora, modules, maps = bool(config.get("use_dora")), dict(plain.named_modules()), {}
    for name, found in parts.items():
        linear = modules.get(name)
        if not isinstance(linear, nn.Linear):
            raise ValueError(f"{folder} adapts {name}, and the model has no nn.Linear of that name")
        W, rank = linear.weight, _setting(config, "rank_pattern", "r", name, folder)
        if not isinstance(rank, int) or not 1 <= rank <= min(W.shape):
            raise ValueError(f"{folder} must have a rank from 1 to {min(W.shape)} for {name}, got {rank!r}")
        m, n = W.shape
        fits: dict[str, tuple[int, ...]] = {"lora_A.weight": (rank, n), "lora_B.weight": (m, rank)}
        if use_dora:
            fits["lora_magnitude_vector"] = (m,)
        shapes = {part: tuple(value.shape) for part, value in found.items()}
        if shapes != fits:
            raise ValueError(f"{folder} must have for {name} the shapes {fits}, got {shapes}")
        alpha = _setting(config, "alpha_pattern", "lora_alpha", name, folder)
        if not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
            raise ValueError(f"{folder} must have a finite lora_alpha above 0 for {name}, got {alpha!r}")
        kind = DoRA if use_dora else LoRA
        new = kind(W, rank, alpha, stabilized=bool(config.get("use_rslora")), generator=torch.Generator())
        with torch.no_grad():
            new.A.copy_(found["lora_A.weight"])
            new.B.copy_(found["lora_B.weight"])
            if isinstance(new, DoRA):
                new.M.copy_(found["lora_magnitude_vector"])
        maps[name] = new
    return maps


def _setting(config: Mapping[str, Any], patterns: str, default: str, name: str, folder: Path) -> Any:
    """The layer's number by peft's rule: that of the first pattern in the file that ends its name, or the default."""
    try:
        hits = (value for key, value in (config.get(patterns) or {}).items() if re.match(rf"(.*\.)?({key})$", name))
        return next(hits, config[default])
    except re.error as error:
        raise ValueError(f"{folder} has no regular expression in its {patterns}: {error}") from error


def _check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise ValueError for the first tensor that holds infinity, no number, or no floating point at all."""
    for key, value in tensors.items():
        if not value.is_floating_point() or not value.isfinite().all():
            raise ValueError(f"{what} must hold finite numbers of floating point, got others in {key}")
