"""The arms of the decoder: how `peft` under two trainers, and this book, teach it to finish sentences by LoRA.

The workload is real text: a user asks for the end of a movie sentence, of which the first two thirds are given. A row
has 52 to 103 tokens with the template of the chat, 67 in the mean, of which 11 are learned. All arms have batches of 8,
the same rank on all linear layers, or on those of the `top` layers alone, and judge by the held-out loss a token.
"""
from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch

from benchmarks.arms import WARMUP, Arm, Built
from benchmarks.harness import Job
from lib.adapters import LoRA, attach
from lib.models import LanguageModel, freeze, load_decoder
from lib.names import ends_in
from lib.run.forecast import forecast, peak_mb
from lib.run.frozen import above, read
from lib.run.precision import bf16_pays
from lib.text.conversations import Tokens, encode_pairs
from lib.text.language import next_token
from lib.text.likelihood import token_nll
from lib.training import Plan, fit

BATCH = 8
LR = 5e-4
LAYERS = 30
LAYER_WEIGHTS = 2 * 576 * (576 + 192) + 3 * 576 * 1536  # q and o, k and v of three heads, and the feed-forward part
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MIN_WORDS = 10  # a shorter sentence has no end worth asking for
Pair = tuple[str, str]


@dataclass(frozen=True)
class DecoderTask:
    """What an arm of the decoder is given: the job, the seed, pairs to train on and to test on."""

    job: Job
    seed: int
    pairs: list[Pair]
    test_pairs: list[Pair]
    judged = "loss"

    def tokens(self) -> int:
        """Real tokens of one pass."""
        return sum(map(len, encode_pairs(load_decoder().tokenizer, self.pairs, max_length=self.job.max_length).ids))

    def flop(self, top: int) -> int:
        """Useful operations: the layers below `top` read each token once, those above also send gradients back.

        The head is left out, which answers for one token in six.
        """
        return LAYER_WEIGHTS * self.tokens() * (2 * (LAYERS - top) + 4 * top * self.job.epochs)

    def score(self, model: LanguageModel) -> float:
        """Nats a held-out token of the answers."""
        return token_nll(encode_pairs(model.tokenizer, self.test_pairs))(model)["nll"]


def finish(texts: list[str]) -> list[Pair]:
    """(prompt, answer) pairs that ask for the last third of the words of each text long enough."""
    pairs = []
    for words in map(str.split, texts):
        if len(words) >= MIN_WORDS:
            cut = len(words) * 2 // 3
            pairs.append(("Finish this sentence from a film review: " + " ".join(words[:cut]), " ".join(words[cut:])))
    return pairs


def adapted(task: DecoderTask, top: int) -> tuple[LanguageModel, Any]:
    """The decoder, and peft's LoRA around it, on the linear layers of the `top` layers."""
    from peft import LoraConfig, get_peft_model

    model = load_decoder()
    torch.manual_seed(task.seed)
    config = LoraConfig(task_type="CAUSAL_LM", r=task.job.rank, lora_alpha=2 * task.job.rank,
                        target_modules=list(LINEAR), layers_to_transform=list(range(LAYERS - top, LAYERS)))
    return model, get_peft_model(model.decoder, config)


def tuned(task: DecoderTask, scratch: str) -> dict[str, Any]:
    """What makes both trainers fast: the faster precision, similar lengths together, no files, no recomputation."""
    bf16 = bf16_pays(torch.device("cpu"))
    return dict(output_dir=scratch, num_train_epochs=task.job.epochs, per_device_train_batch_size=BATCH,
                learning_rate=LR, lr_scheduler_type="linear", warmup_steps=WARMUP, seed=task.seed, bf16=bf16,
                use_cpu=True, gradient_checkpointing=False, train_sampling_strategy="group_by_length",
                save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True)


def trainer(task: DecoderTask, *, top: int) -> Built:
    """peft in transformers.Trainer, loss on the answers alone."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    model, peft = adapted(task, top)

    def run() -> None:
        data = encode_pairs(model.tokenizer, task.pairs, max_length=task.job.max_length)
        rows = [{"input_ids": ids, "labels": [i if on else -100 for i, on in zip(ids, learned, strict=True)]}
                for ids, learned in zip(data.ids, data.learned, strict=True)]
        with tempfile.TemporaryDirectory() as scratch:
            Trainer(peft, TrainingArguments(**tuned(task, scratch)), train_dataset=rows,
                    data_collator=DataCollatorForSeq2Seq(model.tokenizer)).train()

    return run, lambda: task.score(model)


def trl(task: DecoderTask, *, top: int) -> Built:
    """peft in trl's SFTTrainer, loss on the answers alone, as it does for prompts with completions."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, peft = adapted(task, top)

    def run() -> None:
        rows = [{"prompt": [{"role": "user", "content": prompt}],
                 "completion": [{"role": "assistant", "content": answer}]} for prompt, answer in task.pairs]
        with tempfile.TemporaryDirectory() as scratch:
            SFTTrainer(peft, SFTConfig(**tuned(task, scratch), max_length=task.job.max_length),
                       train_dataset=Dataset.from_list(rows), processing_class=model.tokenizer).train()
        del model.decoder.forward  # SFTTrainer puts its own there

    return run, lambda: task.score(model)


def foretell(task: DecoderTask) -> dict[str, Any]:
    """Seconds and peak of ours on every other of its batches, in order of length, foretold from those between.

    So no width is foretold that was timed; the widest is among those timed, as `forecast` would have it.
    """
    model = load_decoder()
    torch.manual_seed(task.seed)
    attach(model, ends_in(*LINEAR), lambda W: LoRA(W, rank=task.job.rank, alpha=2 * task.job.rank))
    data = encode_pairs(model.tokenizer, task.pairs, max_length=task.job.max_length)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.0, fused=True)
    plan = Plan(epochs=task.job.epochs, batch_size=BATCH, lr=LR, warmup=WARMUP, seed=task.seed)
    batches = data.in_length_order(BATCH)
    timed, others = (data.subset([i for rows in some for i in rows]) for some in (batches[::-2], batches[-2::-2]))
    told = forecast(model, optimizer, next_token(), timed, plan)
    start = perf_counter()
    fit(model, optimizer, next_token(), others, plan, show=False)
    seconds = perf_counter() - start
    return {"foretold_seconds": told.seconds * sum(widths(others)) / sum(widths(timed)), "seconds": seconds,
            "foretold_mb": told.memory_mb, "peak_mb": peak_mb(torch.device("cpu")),
            "timed_widths": widths(timed), "widths": widths(others)}


def widths(data: Tokens) -> list[int]:
    """Of the batches of one pass, in order."""
    return [data.collate(rows)["attention_mask"].shape[1] for rows in data.in_length_order(BATCH)]


def ours(task: DecoderTask, *, top: int) -> Built:
    """This book's loop; where lower layers stay as they are, on their stored outputs."""
    model = load_decoder()
    freeze(model, top=top)
    part = above(model, top=top) if top < LAYERS else model
    torch.manual_seed(task.seed)
    rank = task.job.rank
    attach(part.decoder, ends_in(*LINEAR), lambda W: LoRA(W, rank=rank, alpha=2 * rank))

    def run() -> None:
        data: Any = encode_pairs(model.tokenizer, task.pairs, max_length=task.job.max_length)
        if top < LAYERS:
            data = read(model, data, top=top)
        trained = [p for p in part.parameters() if p.requires_grad]
        plan = Plan(epochs=task.job.epochs, batch_size=BATCH, lr=LR, warmup=WARMUP, seed=task.seed)
        fit(part, torch.optim.AdamW(trained, weight_decay=0.0, fused=True), next_token(), data, plan, show=False)

    return run, lambda: task.score(model)


def arms(build: Callable[..., Built], name: str, what: str) -> dict[str, Arm]:
    """An arm that adapts all layers, and one for the top twenty and the top ten."""
    return {f"{name}_{where}": Arm(partial(build, top=top), LR, top, f"{what}, {said}")
            for top, where, said in ((LAYERS, "all", "all layers"), (20, "top20", "top 20"), (10, "top10", "top 10"))}


DECODERS = (arms(trainer, "trainer", "peft, Trainer") | arms(trl, "trl", "peft, SFTTrainer")
            | arms(ours, "ours", "ours: LoRA"))
COST = {"trainer_all": 1.95, "trl_all": 3.1, "ours_all": 1.0, "trainer_top20": 1.5, "trl_top20": 2.4,
        "ours_top20": 0.75, "trainer_top10": 1.3, "trl_top10": 2.1, "ours_top10": 0.5}  # beside ours_all, roughly
START = 12.0  # seconds of a process before and after its clock
