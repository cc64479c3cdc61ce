"""Put classic bugs back, one at a time, and demand that the tests notice: `python -m tests.mutants [WORD ...]`.

Each bug is one row of `MUTANTS`: a file, a note, a snippet that stands in the file once, what to write in its place,
and the tests that must fail. A row whose tests do not start, pass, or fail before the bug is in is an error. With
words, only the rows whose file, note or tests hold one of them.
"""
from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("lib", "tests", "pyproject.toml")  # what a mutant's folder holds, unless its row says otherwise
LIMIT = 300  # seconds for one row
SERVER_DIED = 255  # how multiprocessing reports it; a crash of the tests themselves is a negative number
PRELOAD = ["pytest", "lib.models", "lib.data", "transformers.models.bert.modeling_bert", "hypothesis", "scipy.stats",
           "sklearn.decomposition", "sklearn.linear_model"]  # imported once, then forked: else most of a row's time


@dataclass(frozen=True)
class Mutant:
    """A bug: in `file`, `old`, which stands there once, becomes `new`; `tests` (pytest arguments) must fail."""

    file: str
    note: str
    old: str
    new: str
    tests: tuple[str, ...]
    parts: tuple[str, ...] = PARTS


PROJECTION, REGULARIZERS = "lib/projection.py", "lib/regularizers.py"
TRAINING, CHECKPOINT, MODELS = "lib/training.py", "lib/checkpoint.py", "lib/models.py"
SERVICE, PREDICT = "lib/service.py", "lib/predict.py"
T, M, A = "tests/lib/test_training.py", "tests/lib/test_models.py", "tests/lib/test_accelerate.py"
S = "tests/lib/test_service.py"
P, R, D = "tests/lib/test_projection.py", "tests/lib/test_regularizers.py", "tests/lib/test_derivations.py"
EXPERIMENTS, STORE, VERDICTS, DATA = "lib/experiments.py", "lib/store.py", "lib/verdicts.py", "lib/data.py"
K = "tests/lib/test_resume.py"
Q = "tests/lib/test_pairs.py::test_a_pair_trains_or_is_refused_by_name"
E, V, B = "tests/lib/test_experiments.py", "tests/lib/test_verdicts.py", "tests/lib/test_data.py"

MUTANTS = [
    # Names and attaching
    Mutant(PROJECTION, "minLoRA: a substring is enough",
           'any(f".{name}".endswith(f".{suffix}") for suffix in suffixes)',
           "any(s in name for s in suffixes)",
           (f"{P}::test_ends_in_matches_whole_components",)),
    Mutant(PROJECTION, "attach silently matches nothing",
           "    if not hits:\n        raise ValueError(f\"where must",
           "    if False:\n        raise ValueError(f\"where must",
           (f"{P}::test_what_means_nothing_is_refused_by_name",)),
    Mutant(PROJECTION, "rasbt, minLoRA: attaching twice",
           "        if name in taken:",
           "        if False:",
           (f"{P}::test_what_means_nothing_is_refused_by_name",)),
    Mutant(PROJECTION, "attach does not freeze",
           "    if own:  # maps",
           "    if False:  # maps",
           (f"{P}::test_attach_names_what_it_altered_and_freezes_the_rest",)),
    Mutant(PROJECTION, "a second attach freezes the first map",
           ' or ".parametrizations." in name and p.requires_grad)',
           ")",
           (f"{P}::test_attach_can_leave_more_training_and_keeps_earlier_maps_training",)),
    Mutant(PROJECTION, "merging writes mixout's noise into the weights",
           "        linear.parametrizations.eval()",
           "        linear.parametrizations.train()",
           (f"{P}::test_merging_saving_and_loading_gives_the_same_predictions",)),
    Mutant(PROJECTION, "detach leaves the map in the weight",
           'remove_parametrizations(linear, "weight", leave_parametrized=False)',
           'remove_parametrizations(linear, "weight")',
           (f"{P}::test_detaching_restores_the_original_bits",)),
    Mutant(PROJECTION, "merging a thin layer loses its bias",
           "        linear.bias = module.bias\n",
           "",
           (f"{P}::test_factorize_computes_the_truncated_layer_and_merges_back",)),
    # Low rank
    Mutant(PROJECTION, "the tail penalty charges the head",
           "eigenvectors[:, len(M) - rank:]",
           "eigenvectors[:, :rank]",
           (f"{P}::test_tail_penalty_is_the_theorems_value_and_gradient",)),
    Mutant(PROJECTION, "rank 0 keeps everything",
           "eigenvectors[:, len(M) - rank:]",
           "eigenvectors[:, -rank:]",
           (f"{P}::test_tail_penalty_is_the_theorems_value_and_gradient",)),
    Mutant(PROJECTION, "the tail penalty without its half",
           "        return strength / 2 * torch.stack(tails).sum()",
           "        return strength * torch.stack(tails).sum()",
           (f"{D}::test_1_the_term_minimised_jointly_has_the_envelopes_gradient",)),
    Mutant(PROJECTION, "the tail of W + W0",
           'linear.weight - start[f"{name}.weight"]',
           'linear.weight + start[f"{name}.weight"]',
           (f"{P}::test_tail_penalty_on_the_change_charges_a_correction_only_beyond_its_rank",)),
    Mutant(PROJECTION, "tail energy without squares",
           "[rank:].square().sum()",
           "[rank:].sum()",
           (f"{P}::test_truncation_is_the_projection_of_the_theorem",)),
    Mutant(PROJECTION, "a gradient step for a prox",
           "return W_r + (W - W_r) / (1 + step * strength)",
           "return W_r + (W - W_r) * (1 - step * strength)",
           (f"{P}::test_tail_prox_solves_its_problem",)),
    Mutant(PROJECTION, "LEACE's broadcast: factors transposed",
           "(U[:, :rank] * root).contiguous(), (root[:, None] * Vh[:rank]).contiguous()",
           "root[:, None] * U[:, :rank].T, Vh[:rank].T * root",
           (f"{P}::test_factorize_computes_the_truncated_layer_and_merges_back",)),
    Mutant(PROJECTION, "one factor holds all of S",
           "(U[:, :rank] * root).contiguous()",
           "(U[:, :rank] * S[:rank]).contiguous()",
           (f"{P}::test_factorize_computes_the_truncated_layer_and_merges_back",)),
    # LoRA and its kin
    Mutant(PROJECTION, "LoRA's and rsLoRA's scales exchanged",
           "alpha / rank**0.5 if stabilized else alpha / rank",
           "alpha / rank if stabilized else alpha / rank**0.5",
           (f"{P}::test_lora_scales_and_rank",)),
    Mutant(PROJECTION, "LoRA without alpha / r",
           "        return W + self.scale * self.B @ self.A\n",
           "        return W + self.B @ self.A\n",
           (f"{P}::test_lora_is_pefts",)),
    Mutant(PROJECTION, "loralib's comment: both factors random",
           "        self.B = nn.Parameter(weight.new_zeros(weight.shape[0], rank))",
           "        self.B = nn.Parameter(torch.randn(weight.shape[0], rank).to(weight))",
           (f"{P}::test_a_fresh_map_returns_the_weight_bit_for_bit",)),
    Mutant(PROJECTION, "A starts with another spread",
           "A, a=5**0.5, generator",
           "A, a=0.0, generator",
           (f"{P}::test_lora_start_is_drawn_by_the_generator_and_has_the_authors_spread",)),
    Mutant(PROJECTION, "DoRA differentiates its norm",
           "        norm = V.detach().norm(dim=1, keepdim=True)",
           "        norm = V.norm(dim=1, keepdim=True)",
           (f"{P}::test_dora_gradient_holds_the_norm_constant",)),
    Mutant(PROJECTION, "DoRA's norm of each column",
           "        norm = V.detach().norm(dim=1, keepdim=True)",
           "        norm = V.detach().norm(dim=0, keepdim=True)",
           (f"{P}::test_dora_is_pefts_forward_and_gradient",)),
    Mutant(PROJECTION, "DoRA divides a row of zeros by zero",
           ".clamp_min(torch.finfo(V.dtype).tiny)",
           "",
           (f"{P}::test_dora_leaves_a_row_of_zeros_finite",)),
    Mutant(PROJECTION, "PiSSA without the division by its scale",
           "factor / self.scale**0.5",
           "factor",
           (f"{P}::test_pissa_is_pefts",)),
    Mutant(PROJECTION, "PiSSA adds the principal part twice",
           "W + self.scale * (self.B @ self.A - self.B0 @ self.A0)",
           "W + self.scale * self.B @ self.A",
           (f"{P}::test_a_fresh_map_returns_the_weight_bit_for_bit",)),
    Mutant(PROJECTION, "the random subspace stretches",
           "self.scale = z, (len(z) / weight.numel()) ** 0.5",
           "self.scale = z, 1.0",
           (f"{P}::test_random_subspace_is_theta0_plus_P_z",)),
    Mutant(PROJECTION, "the ball pushes out",
           "    if distance > radius:",
           "    if distance < radius:",
           (f"{P}::test_ball_projection_is_a_projection",)),
    Mutant(PROJECTION, "the ball of radius one",
           "change * (radius / distance)",
           "change / distance",
           (f"{P}::test_ball_projection_is_a_projection",)),
    # Cross-entropy
    Mutant(REGULARIZERS, "annotated Transformer: smoothing over K - 2",
           "smoothing / q.shape[1]",
           "smoothing / (q.shape[1] - 2)",
           (f"{R}::test_smoothing_mixes_e_over_all_classes",)),
    Mutant(REGULARIZERS, "the one logit is that of class 0",
           "(F.logsigmoid(-z), F.logsigmoid(z))",
           "(F.logsigmoid(z), F.logsigmoid(-z))",
           (f"{R}::test_one_logit_is_bernoulli",)),
    Mutant(REGULARIZERS, "float() breaks gradcheck",
           "logits.to(torch.promote_types(logits.dtype, torch.float32))",
           "logits.float()",
           (f"{R}::test_log_probabilities_do_not_underflow_and_are_at_least_float32",)),
    Mutant(REGULARIZERS, "the source's double count",
           "ce = -(q * log_p).sum(1).mean()",
           "ce = -(q * log_p + (1 - q) * torch.log1p(-log_p.exp())).sum(1).mean()",
           (f"{R}::test_cross_entropy_is_torchs",)),
    Mutant(REGULARIZERS, "label -100 is silently ignored",
           "(labels < 0) | (labels >= classes)",
           "labels >= classes",
           (f"{R}::test_labels_outside_their_range_are_named",)),
    # R-Drop, SMART
    Mutant(REGULARIZERS, "fairseq's sum of the two losses",
           "Loss((a.total + b.total) / 2 + alpha * kl",
           "Loss(a.total + b.total + alpha * kl",
           (f"{R}::test_r_drop_is_the_mean_loss_plus_half_the_jeffreys_divergence",)),
    Mutant(REGULARIZERS, "R-Drop without the half",
           "log_probabilities(b.logits)) / 2\n",
           "log_probabilities(b.logits))\n",
           (f"{R}::test_r_drop_is_the_mean_loss_plus_half_the_jeffreys_divergence",)),
    Mutant(REGULARIZERS, "one direction of the divergence",
           "((log_p.exp() - log_q.exp()) * (log_p - log_q))",
           "(log_p.exp() * (log_p - log_q))",
           (f"{R}::test_symmetric_kl_is_scipys_and_torchs",)),
    Mutant(REGULARIZERS, "R-Drop trains without noise",
           "        if model.training and torch.equal(",
           "        if False and torch.equal(",
           (f"{R}::test_r_drop_costs_nothing_without_noise_and_refuses_to_train_so",)),
    Mutant(REGULARIZERS, "mt-dnn: epsilon only stabilises the division",
           "radius * gradient.sign()",
           "gradient / (gradient.abs().amax() + radius)",
           (f"{R}::test_smart_moves_each_number_by_the_radius_where_there_is_text",)),
    Mutant(REGULARIZERS, "SMART does not climb: random noise of the same size",
           "log_p(x + radius * gradient.sign())",
           "log_p(x + radius * d.detach().sign())",
           (f"{R}::test_smart_is_worse_than_random_noise_of_its_size",)),
    Mutant(REGULARIZERS, "SMART's passes draw different masks",
           "            torch.manual_seed(mask)\n",
           "",
           (f"{R}::test_smart_falls_as_the_square_of_the_radius_even_under_dropout",)),
    Mutant(REGULARIZERS, "SMART holds the clean answer constant",
           "worst = symmetric_kl(clean, log_p(",
           "worst = symmetric_kl(clean.detach(), log_p(",
           (f"{R}::test_objective_gradcheck[smart]",)),
    # Penalties and noise
    Mutant(REGULARIZERS, "L2-SP with the sign of w0 wrong",
           "(p - start[name].to(p)).square()",
           "(p + start[name].to(p)).square()",
           (f"{R}::test_l2_sp_gradient_is_the_leash",)),
    Mutant(REGULARIZERS, "L2-SP takes a weight under mixout for a new one",
           'return re.sub(r"\\.parametrizations\\.(\\w+)\\.original$", r".\\1", name)',
           "return name",
           (f"{R}::test_l2_sp_knows_a_weight_under_mixout_by_its_name",)),
    Mutant(REGULARIZERS, "L2 without its half",
           "return lambda model: strength / 2 * _total",
           "return lambda model: strength * _total",
           (f"{R}::test_l2_is_the_weight_decay_of_sgd_and_of_adam_but_not_of_adamw",)),
    Mutant(REGULARIZERS, "the nuclear norm forgets LoRA's scale",
           "_total(m.scale * factor.square()",
           "_total(factor.square()",
           (f"{R}::test_nuclear_factors_bounds_the_nuclear_norm_and_attains_it_when_balanced",)),
    Mutant(REGULARIZERS, "dropout inside torch's attention is left alone",
           'nn.MultiheadAttention: "dropout"}',
           "}",
           (f"{R}::test_set_dropout_reaches_torchs_own_attention",)),
    Mutant(REGULARIZERS, "bloodwass/mixout: without 1 / (1 - p)",
           "F.dropout(W - self.start, self.p)",
           "F.dropout(W - self.start, self.p) * (1 - self.p)",
           (f"{R}::test_mixout_from_zero_is_dropout_bit_for_bit",)),
    Mutant(REGULARIZERS, "mixout draws in evaluation too",
           " if self.training else W\n",
           "\n",
           (f"{R}::test_mixout_from_zero_is_dropout_bit_for_bit",)),
    # SAM
    Mutant(REGULARIZERS, "SAM stays up the hill",
           "                    p.copy_(before)",
           "                    pass",
           (f"{R}::test_sam_on_a_quadratic_is_the_closed_form",)),
    Mutant(REGULARIZERS, "SAM without the division by the norm",
           "p.add_(p.grad * (self.rho / norm))",
           "p.add_(p.grad * self.rho)",
           (f"{R}::test_sam_on_a_quadratic_is_the_closed_form",)),
    Mutant(REGULARIZERS, "SAM with a norm for each tensor",
           "p.add_(p.grad * (self.rho / norm))",
           "p.add_(p.grad * (self.rho / p.grad.norm()))",
           (f"{R}::test_sam_is_torch_func_over_all_parameters_together",)),
    Mutant(REGULARIZERS, "SAM goes down first",
           "p.add_(p.grad * (self.rho / norm))",
           "p.sub_(p.grad * (self.rho / norm))",
           (f"{R}::test_sam_on_a_quadratic_is_the_closed_form",)),
    Mutant(REGULARIZERS, "SAM loses the inner groups when it loads",
           "        self.param_groups, self.state = self.inner.param_groups, self.inner.state  # loading",
           "        # loading",
           (f"{R}::test_sam_state_is_the_inner_optimizers_and_resumes",)),
    Mutant(REGULARIZERS, "an error in the second pass leaves the weights perturbed",
           "        finally:  # a closure",
           "        except ZeroDivisionError:  # a closure",
           (f"{R}::test_sam_restores_the_weights_when_the_second_pass_raises",)),
    # Groups, averages, stopping
    Mutant(REGULARIZERS, "embeddings decay",
           "p.ndim >= 2 and id(p) not in words",
           "p.ndim >= 2",
           (f"{R}::test_decay_groups_decay_matrices_only",)),
    Mutant(REGULARIZERS, "the lowest layer moves most",
           "len(layers) - i for i, layer",
           "i + 1 for i, layer",
           (f"{R}::test_layerwise_rates_fall_towards_the_embeddings",)),
    Mutant(REGULARIZERS, "WiSE-FT from the wrong end",
           "torch.lerp(a, tuned[name], alpha)",
           "torch.lerp(tuned[name], a, alpha)",
           (f"{R}::test_interpolation_is_exact_at_both_ends_and_linear_between",)),
    Mutant(REGULARIZERS, "peft#1155: factors averaged apart",
           "    if maps:  # the mean",
           "    if False:  # the mean",
           (f"{R}::test_the_mean_of_factors_is_not_the_mean_of_products",)),
    Mutant(REGULARIZERS, "generalisation loss against the first error",
           "seen[-1] > min(seen) * (1 + threshold / 100)",
           "seen[-1] > seen[0] * (1 + threshold / 100)",
           (f"{R}::test_generalization_loss_by_table",)),
    # The loop, checkpoints, models
    Mutant(TRAINING, "nanoGPT: evaluation draws from training's generator",
           "        seed_step(plan.seed, step, host.process_index)\n",
           "",
           (f"{T}::test_an_evaluation_that_draws_random_numbers_does_not_change_the_weights",)),
    Mutant(TRAINING, "nanoGPT: the best weights are the latest",
           "if record[metric] > max((r[metric] for r in history if metric in r), default=-np.inf):",
           "if True:",
           (f"{T}::test_the_weights_of_the_best_evaluation_are_left",)),
    Mutant(TRAINING, "the first step has rate zero",
           "(step + 1) / (len(batches) + 1)",
           "step / len(batches)",
           (f"{T}::test_gradient_is_clipped",)),
    Mutant(TRAINING, "skorch's test mocks it: nothing is clipped",
           "clip_grad_norm_(trained, plan.clip)",
           'clip_grad_norm_(trained, float("inf"))',
           (f"{T}::test_gradient_is_clipped",)),
    Mutant(TRAINING, "training goes on with NaN",
           "        if not math.isfinite(total):",
           "        if False:",
           (f"{T}::test_a_loss_that_is_not_a_number_stops_names_the_part_and_keeps_the_checkpoint",)),
    Mutant(TRAINING, "predictions come back sorted by length",
           "torch.tensor([i for rows in order for i in rows]), logits)",
           "torch.arange(len(logits)), logits)",
           (f"{T}::test_logits_come_in_the_order_of_the_rows_and_do_not_depend_on_padding",)),
    Mutant(TRAINING, "patience compares with one evaluation, not with the best",
           "max(seen[-evaluations:]) <= max(seen[:-evaluations])",
           "seen[-1] <= seen[-1 - evaluations]",
           (f"{T}::test_patience_agrees_with_a_counter",)),
    Mutant(TRAINING, "a layer's own rate is ignored",
           'lr * group.get("lr_scale", 1.0)',
           "lr",
           (f"{T}::test_groups_train_at_their_own_rate",)),
    Mutant(TRAINING, "an optimizer made before the maps trains nothing",
           "    if strange:",
           "    if False:",
           (f"{T}::test_an_optimizer_made_before_the_model_was_altered_is_named",)),
    Mutant(TRAINING, "processes with unequal shares of a batch count alike",
           "        share = len(rows) * host.num_processes / len(batches[step])",
           "        share = 1.0",
           (f"{A}::test_two_processes_compute_what_one_does",)),
    Mutant(TRAINING, "each process reports the loss of its own rows",
           'host.reduce(told, "mean")',
           "told",
           (f"{A}::test_both_end_with_the_same_bits_and_the_same_history",)),
    Mutant(TRAINING, "every process draws the same mask",
           "        seed_step(plan.seed, step, host.process_index)\n",
           "        seed_step(plan.seed, step)\n",
           (f"{A}::test_each_process_draws_noise_of_its_own",)),
    Mutant(TRAINING, "every process trains on all rows",
           "[host.process_index::host.num_processes]",
           "[:]",
           (f"{A}::test_two_processes_compute_what_one_does",)),
    Mutant(TRAINING, "Accelerate's wrapper hides SAM's radius from the checkpoint",
           '"optimizer": method',
           '"optimizer": describe(optimizer)',
           (f"{T}::test_a_checkpoint_knows_sams_radius_inside_accelerates_wrapper",)),
    Mutant(TRAINING, "a resumed run forgets Adam's moments",
           '        optimizer.load_state_dict(state["optimizer"])\n',
           "",
           (f"{K}::test_killed_run_ends_with_the_same_bits[plain]",)),
    Mutant(CHECKPOINT, "a checkpoint of another run is taken",
           "    if other:",
           "    if False:",
           (f"{T}::test_a_checkpoint_of_another_run_is_refused",)),
    Mutant(CHECKPOINT, "two strengths of one penalty share a checkpoint",
           "describe(cell.cell_contents) for cell in value.__closure__ or ()",
           "",
           (f"{T}::test_a_checkpoint_of_another_run_is_refused",)),
    Mutant(MODELS, "the mean counts padding",
           "return (hidden * weight).sum(1) / weight.sum(1)",
           "return hidden.mean(1)",
           (f"{M}::test_mean_pooling_ignores_padding_and_first_token_is_the_first",)),
    Mutant(MODELS, "freezing counts layers from the bottom",
           "list(stack)[len(stack) - (top or 0):]",
           "list(stack)[:top or 0]",
           (f"{M}::test_freezing_trains_the_top_layers_and_the_head",)),
    Mutant(MODELS, "peft 310, 577: random predictions after a reload",
           "    if found != expected:",
           "    if False:",
           (f"{M}::test_a_reload_without_the_head_is_noticed",)),
    Mutant(MODELS, "a tokenizer without words is loaded",
           "if not any((folder / name).exists() for name in words):", "if False:",
           (f"{M}::test_a_folder_without_one_of_its_files_is_refused_or_answers_as_before",)),

    Mutant(SERVICE, "the least probable label", "row.argmax()", "row.argmin()",
           (f"{S}::test_it_answers_as_the_model_does",)),
    Mutant(SERVICE, "one text more than allowed", "max_length=limits.texts", "max_length=limits.texts + 1",
           (f"{S}::test_bad_texts_are_refused_by_name",)),
    Mutant(SERVICE, "blank texts pass", 'raise ValueError("blank")', "pass",
           (f"{S}::test_bad_texts_are_refused_by_name",)),
    Mutant(SERVICE, "a body without a declared length has no limit", "if seen > self.most:", "if False:",
           (f"{S}::test_a_large_body_is_refused_whatever_it_declares",)),
    Mutant(SERVICE, "a text that just fits counts as cut", "length > MOST_TOKENS", "length >= MOST_TOKENS",
           (f"{S}::test_a_text_that_loses_its_end_is_marked",)),
    Mutant(SERVICE, "pages that load scripts from another host", "docs_url=None, redoc_url=None", "redoc_url=None",
           (f"{S}::test_other_paths_and_methods_are_refused_by_name",)),
    Mutant(PREDICT, "notes among the answers", "contextlib.redirect_stdout(sys.stderr)", "contextlib.nullcontext()",
           (f"{S}::test_the_command_line_says_on_stderr_that_a_text_lost_its_end",)),
    # Projections, further mistakes
    Mutant(PROJECTION, "the projections lean on the regularisers",
           "from lib.loss import Penalty\n",
           "from lib.loss import Penalty\nfrom lib.regularizers import Mixout  # noqa: F401\n",
           ("tests/lib/test_design.py",)),
    Mutant(PROJECTION, "a product under autocast is not W_r",
           "    with torch.autocast(W.device.type, enabled=False):  # a product",
           "    with torch.no_grad():  # a product",
           (f"{P}::test_truncation_keeps_the_type_and_needs_no_svd_in_half_precision",)),
    Mutant(PROJECTION, "the tail penalty decomposes in bfloat16 under autocast",
           "    with torch.autocast(W.device.type, enabled=False):\n        M =",
           "    with torch.no_grad():\n        M =",
           (f"{P}::test_tail_penalty_under_autocast_is_that_of_float32",)),
    Mutant(PROJECTION, "the tail penalty differentiates its decomposition",
           "@torch.no_grad()\ndef _top(",
           "def _top(",
           (f"{P}::test_tail_penalty_survives_repeated_singular_values",)),
    Mutant(PROJECTION, "a penalty on a weight that does not train",
           "        if torch.is_grad_enabled() and not any(tail.requires_grad for tail in tails):",
           "        if False:",
           (f"{Q}[penalty-tail-map-biases]",)),
    Mutant(PROJECTION, "factors in LAPACK's order",
           "(U[:, :rank] * root).contiguous()",
           "U[:, :rank] * root",
           (f"{Q}[map-thin-optimizer-lbfgs]",)),
    Mutant(PROJECTION, "the ball binds the largest tensor alone",
           "[change.norm() for change in moved.values()]).norm()",
           "[change.norm() for change in moved.values()]).max()",
           (f"{P}::test_ball_projection_is_a_projection",)),
    Mutant(PROJECTION, "a subspace whose directions all point one way",
           "torch.randint(2 * len(z), weight.shape",
           "torch.randint(len(z), weight.shape",
           (f"{P}::test_random_subspace_is_theta0_plus_P_z",)),
    Mutant(PROJECTION, "PiSSA's frozen part moves with the factors",
           'self.register_buffer(f"{name}0", factor.clone())',
           'self.register_buffer(f"{name}0", factor)',
           (f"{P}::test_pissa_is_pefts",)),
    Mutant(PROJECTION, "factorize thaws what was frozen",
           "self.B = nn.Parameter(B.to(linear.weight.dtype), requires_grad=trains)",
           "self.B = nn.Parameter(B.to(linear.weight.dtype))",
           (f"{P}::test_factorize_at_full_rank_changes_nothing_and_keeps_freezing",)),
    Mutant(PROJECTION, "merging thaws a frozen thin layer",
           ", requires_grad=module.A.requires_grad)",
           ")",
           (f"{P}::test_factorize_at_full_rank_changes_nothing_and_keeps_freezing",)),
    Mutant(PROJECTION, "mixout on a frozen weight does nothing, and says nothing",
           "    if frozen:\n",
           "    if False:\n",
           (f"{P}::test_what_means_nothing_is_refused_by_name",)),
    Mutant(PROJECTION, "A comes from the global generator",
           "a=5**0.5, generator=generator)",
           "a=5**0.5)",
           (f"{P}::test_lora_start_is_drawn_by_the_generator_and_has_the_authors_spread",)),
    # Regularisers, further mistakes
    Mutant(REGULARIZERS, "SMART starts at a point where the gradient is zero",
           "d = (init * torch.randn_like(x))",
           "d = (0 * torch.randn_like(x))",
           (f"{R}::test_smart_moves_each_number_by_the_radius_where_there_is_text",)),
    Mutant(REGULARIZERS, "the history holds on to the graph",
           "name: value.detach()}",
           "name: value}",
           (f"{R}::test_parts_of_a_loss_hold_no_graph",)),
    Mutant(REGULARIZERS, "the divergence is a mean over classes",
           "(log_p - log_q)).sum(1).mean()",
           "(log_p - log_q)).mean()",
           (f"{R}::test_symmetric_kl_is_scipys_and_torchs",)),
    Mutant(REGULARIZERS, "P(class 1) is read as P(class 0)",
           "torch.stack((1 - labels, labels), 1)",
           "torch.stack((labels, 1 - labels), 1)",
           (f"{R}::test_one_logit_is_bernoulli",)),
    Mutant(REGULARIZERS, "what is new is held as tightly as what was pretrained",
           "leash + beta / 2",
           "leash + alpha / 2",
           (f"{R}::test_l2_sp_gradient_is_the_leash",)),
    Mutant(REGULARIZERS, "L2 charges what is frozen",
           "_chosen(model, where, trains=True))",
           "_chosen(model, where))",
           (f"{R}::test_l2_counts_what_trains_and_matches",)),
    Mutant(REGULARIZERS, "the snapshot moves with the model",
           "name: p.detach().clone() for name, p in _chosen",
           "name: p.detach() for name, p in _chosen",
           (f"{P}::test_the_ball_binds_after_every_step",)),
    Mutant(REGULARIZERS, "mixout's start moves with the weight",
           '"start", weight.detach().clone()',
           '"start", weight.detach()',
           (f"{R}::test_r_drop_costs_nothing_without_noise_and_refuses_to_train_so",)),
    Mutant(REGULARIZERS, "SAM divides by a gradient of zero",
           ".norm() + 1e-12",
           ".norm()",
           (f"{R}::test_sam_at_a_minimum_stays_there",)),
    Mutant(REGULARIZERS, "SAM reports the loss up the hill",
           "            closure()\n        finally:",
           "            loss = closure()\n        finally:",
           (f"{R}::test_sam_on_a_quadratic_is_the_closed_form",)),
    Mutant(REGULARIZERS, "the layers lose their groups' decay",
           '{**groups[i], "params": params,',
           '{"params": params,',
           (f"{R}::test_layerwise_rates_fall_towards_the_embeddings",)),
    Mutant(REGULARIZERS, "a soup shares what is no float with its ingredient",
           ".mean(0) if value.is_floating_point() else value.clone()",
           ".mean(0) if value.is_floating_point() else value",
           (f"{R}::test_averages_share_no_memory_with_what_they_average",)),
    # The loop, further mistakes
    Mutant(TRAINING, "every epoch has the order of the first",
           "(plan.seed, epoch)",
           "(plan.seed, 0)",
           (f"{T}::test_each_epoch_and_each_seed_has_an_order_of_its_own",)),
    Mutant(TRAINING, "the last step is not evaluated",
           " or step + 1 == len(batches)",
           "",
           (f"{T}::test_the_last_step_is_evaluated",)),
    Mutant(TRAINING, "an evaluation sees the model in training mode",
           "            core.eval()\n",
           "",
           (f"{T}::test_an_evaluation_sees_the_model_in_evaluation_mode",)),
]


def build(folder: Path, parts: Sequence[str]) -> None:
    """Copy what the tests need into `folder`."""
    for part in parts:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, folder / part)


def run_pytest(folder: str, tests: Sequence[str]) -> None:
    """Run in a fresh process inside `folder`; the exit status is pytest's."""
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.path[:] = [folder, *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("lib", "tests", "tools")]:
        del sys.modules[name]  # what this process inherited is not the mutant's
    with open(Path(folder) / "log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        import pytest
        status = pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}",
                              "-W", "ignore::pytest.PytestAssertRewriteWarning"])
        sys.stdout.flush()
    os._exit(int(status))


def status(context: multiprocessing.context.BaseContext, tests: Sequence[str], parts: Sequence[str],
           mutant: Mutant | None = None, limit: float = LIMIT) -> tuple[int | None, str]:
    """Exit status of the tests, with the bug in if one is given, and the end of what they said."""
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), parts)
        if mutant is not None:
            path = Path(folder) / mutant.file
            text = path.read_text()
            if text.count(mutant.old) != 1:
                return None, f"the snippet stands {text.count(mutant.old)} times in {mutant.file}, not once"
            path.write_text(text.replace(mutant.old, mutant.new))
        process = context.Process(target=run_pytest, args=(folder, tests))  # type: ignore[attr-defined]
        process.start()
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
            return None, f"no answer in {limit} s"
        log = Path(folder) / "log"
        return process.exitcode, log.read_text()[-1500:] if log.exists() else ""


def main(words: Sequence[str]) -> int:
    """Replay the chosen rows; 0 if every bug was noticed."""
    rows = [m for m in MUTANTS if not words or any(word in f"{m.file} {m.note} {m.tests}" for word in words)]
    if not rows:
        raise SystemExit(f"no row holds one of {', '.join(words)}")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    os.chdir(ROOT)
    bad = 0
    for parts in sorted({m.parts for m in rows}):
        tests = sorted({test for m in rows if m.parts == parts for test in m.tests})
        code, said = status(context, tests, parts, limit=4 * LIMIT)  # the tests of all rows at once
        print(f"without a bug: {len(tests)} tests {'pass' if code == 0 else 'DO NOT PASS'}", flush=True)
        if code != 0:
            print(said)
            bad += 1
    for number, mutant in enumerate(rows, 1):
        begin = time.perf_counter()
        code, said = status(context, mutant.tests, mutant.parts, mutant)
        if code == SERVER_DIED:  # says nothing of the mutant; the next start brings the server back
            code, said = status(context, mutant.tests, mutant.parts, mutant)
        told = {0: "SURVIVED", 1: "noticed"}.get(code, f"NOT TESTED (status {code})")  # type: ignore[arg-type]
        seconds = time.perf_counter() - begin
        print(f"{number:3d}/{len(rows)} {told} in {seconds:.1f} s: {mutant.file}: {mutant.note}", flush=True)
        if code != 1:
            print(said)
            bad += 1
    print(f"{len(rows) - bad} of {len(rows)} bugs noticed" if not bad else f"{bad} of {len(rows)} rows failed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
