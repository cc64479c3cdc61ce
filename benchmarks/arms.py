"""The arms: how other libraries fine-tune the bundled encoder on labelled sentences, and how this book does.

An arm imports and loads outside the clock. It returns what the clock runs, from texts to a trained model, and a
function that gives the accuracy on the test sentences. All arms have batches of 16 and at most 128 tokens a sentence.
"""
from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertModel

from benchmarks.harness import Job
from lib.adapters import LoRA, attach, merge, only_rows
from lib.data import encode
from lib.evaluation import evaluator
from lib.loss import Objective
from lib.models import Classifier, Encoder, embed, load_encoder, model_folder
from lib.names import ends_in
from lib.objectives import cross_entropy
from lib.run.precision import bf16_pays
from lib.training import Plan, fit

BATCH = 16
WARMUP = 0.1  # of the steps, then linearly to zero; the source's loop has a constant rate, Trainer's default no warm-up
LORA_LAYERS = ("query", "value")


@dataclass(frozen=True)
class Task:
    """What an arm is given: the job, the seed, labelled texts to train on and to test on."""

    job: Job
    seed: int
    texts: list[str]
    labels: list[int]
    test_texts: list[str]
    test_labels: list[int]
    judged = "accuracy"

    @property
    def weights(self) -> int:
        """Numbers in the weight matrices of the six layers, which do nearly all of the arithmetic: 12 width^2 each."""
        return 6 * 12 * (self.job.width or 384) ** 2

    def tokens(self) -> int:
        """Real tokens of one pass."""
        ids = tokenizer()(self.texts, truncation=True, max_length=self.job.max_length)["input_ids"]
        return sum(map(len, ids))

    def flop(self, each: int) -> int:
        """Useful operations, `each` a weight and token."""
        passes = self.job.epochs if each > 2 else 1  # a frozen encoder reads each sentence once
        return each * self.weights * self.tokens() * passes

    def accuracy(self, model: nn.Module) -> float:
        """Share of the test sentences whose logits are highest at their label."""
        return evaluator(encode(tokenizer(), self.test_texts, self.test_labels))(model)["accuracy"]


Built = tuple[Callable[[], Any], Callable[[], float]]  # what the clock runs; how good the model is after it


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        build: from a task, of the encoder or the decoder, to what the clock runs and how to test it.
        lr: peak learning rate, chosen so that the arm reaches its usual accuracy; 0 where nothing descends.
        flop: operations for each weight of the encoder and token that is no padding: 2 forward, 2 for the gradient of
            activations, 2 for that of weights. Attention's own products, 1% at 25 tokens, are left out. Of an arm of
            the decoder, the layers that are adapted, from the top.
        what: a line for the table.
    """

    build: Callable[[Any], Built]
    lr: float
    flop: int
    what: str


@cache
def folder() -> Path:
    """Where the bundled encoder lies, for libraries that load it themselves."""
    return model_folder("minilm")


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(folder())


class Logits(nn.Module):
    """A transformers classifier as this book's loop knows one: it returns logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Tensor) -> Tensor:
        return self.model(**batch).logits


def pretrained(task: Task) -> Any:
    """What a user of transformers starts from: the encoder with its pooler and a new classifier."""
    torch.manual_seed(task.seed)
    return AutoModelForSequenceClassification.from_pretrained(folder(), num_labels=2)


class PaddedTo128(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The source's SentimentDataset, section 5.2, with one label a sentence: tokenised again whenever it is read."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __len__(self) -> int:
        return len(self.task.texts)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        encoding = tokenizer()(self.task.texts[item], return_tensors="pt", max_length=self.task.job.max_length,
                               padding="max_length", truncation=True)
        return {"input_ids": encoding["input_ids"][0], "attention_mask": encoding["attention_mask"][0],
                "labels": torch.tensor(self.task.labels[item])}


def source(task: Task) -> Built:
    """The source's train_epoch, section 5.2, as it stands but for its bugs."""
    model = pretrained(task)

    def run() -> None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=ARMS["source"].lr)
        loader = torch.utils.data.DataLoader(PaddedTo128(task), batch_size=BATCH, shuffle=True)
        for _ in range(task.job.epochs):
            model.train()
            epoch_loss = 0.0
            for batch in loader:
                model.zero_grad()
                loss = model(**batch).loss
                epoch_loss += loss.item()
                loss.backward()
                optimizer.step()

    return run, lambda: task.accuracy(Logits(model))


def trainer(task: Task, model: Any, **arguments: Any) -> Built:
    """transformers.Trainer on sentences tokenised once and padded to the longest of their batch."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    def run() -> None:
        ids = tokenizer()(task.texts, truncation=True, max_length=task.job.max_length)["input_ids"]
        rows = [{"input_ids": row, "labels": label} for row, label in zip(ids, task.labels, strict=True)]
        with tempfile.TemporaryDirectory() as scratch:
            settings = TrainingArguments(scratch, num_train_epochs=task.job.epochs, per_device_train_batch_size=BATCH,
                                         learning_rate=ARMS[task.job.arm].lr, seed=task.seed, **arguments)
            Trainer(model, settings, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer())).train()

    return run, lambda: task.accuracy(Logits(model))


def tuned(task: Task, model: Any) -> Built:
    """Trainer with what makes it fast: bfloat16 where that pays, similar lengths together, no files."""
    bf16 = bf16_pays(torch.device("cpu"))  # on a processor Trainer refuses it unless told `use_cpu`
    return trainer(task, model, bf16=bf16, use_cpu=True, train_sampling_strategy="group_by_length",
                   warmup_steps=WARMUP, save_strategy="no", logging_strategy="no", disable_tqdm=True)


def peft_lora(task: Task) -> Built:
    """peft's LoRA on the same layers and of the same rank as ours, in the tuned Trainer."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(task_type="SEQ_CLS", r=task.job.rank, lora_alpha=2 * task.job.rank,
                        target_modules=list(LORA_LAYERS))
    return tuned(task, get_peft_model(pretrained(task), config))


def setfit(task: Task) -> Built:
    """The head of SetFit: logistic regression on frozen sentence embeddings."""
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    model, head = SentenceTransformer(str(folder()), device="cpu"), LogisticRegression()
    model.max_seq_length = task.job.max_length

    def features(texts: list[str]) -> Any:
        return model.encode(texts, batch_size=BATCH, show_progress_bar=False)

    return (lambda: head.fit(features(task.texts), task.labels),
            lambda: float(head.score(features(task.test_texts), task.test_labels)))


def encoder(task: Task) -> Encoder:
    """The bundled encoder, or a random one of another width."""
    width = task.job.width
    if width is None:
        return load_encoder()
    torch.manual_seed(task.seed)
    config = BertConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=6,
                        num_attention_heads=width // 32)
    return Encoder(BertModel(config, add_pooling_layer=False), tokenizer(), "random", "")


def ours(task: Task, *, alter: Callable[[Classifier, Task], Any] = lambda model, task: None,
         objective: Callable[[Classifier], Objective] = lambda model: cross_entropy(),
         optimize: Callable[[torch.optim.Optimizer], Any] = lambda optimizer: optimizer) -> Built:
    """This book's loop, as its recipe has it: an altered model, an objective, an optimizer."""
    model = Classifier(encoder(task), [0, 1], seed=task.seed)
    torch.manual_seed(task.seed)
    alter(model, task)
    lr = ARMS.get(task.job.arm, ARMS["full"]).lr

    def run() -> None:
        data = encode(model.tokenizer, task.texts, task.labels, max_length=task.job.max_length)
        everything = model.get_input_embeddings().weight.requires_grad
        if everything:
            only_rows(model, chain(*data.ids))
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = optimize(torch.optim.AdamW(trained, weight_decay=0.0, fused=True))
        plan = Plan(epochs=task.job.epochs, batch_size=BATCH, lr=lr, warmup=WARMUP, seed=task.seed)
        fit(model, optimizer, objective(model), data, plan, show=False)
        if everything:
            merge(model)

    return run, lambda: task.accuracy(model)


def add_lora(model: Classifier, task: Task) -> None:
    """LoRA on queries and values; the head trains beside it."""
    rank = task.job.rank
    attach(model.encoder, ends_in(*LORA_LAYERS), lambda W: LoRA(W, rank=rank, alpha=2 * rank))


def head_only(task: Task) -> Built:
    """Logistic regression on frozen sentence vectors of unit length, this book's way."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    frozen, head = encoder(task), make_pipeline(Normalizer(), LogisticRegression())

    def features(texts: list[str]) -> Any:
        return embed(frozen, encode(frozen.tokenizer, texts, [0] * len(texts), max_length=task.job.max_length))

    return (lambda: head.fit(features(task.texts), task.labels),
            lambda: float(head.score(features(task.test_texts), task.test_labels)))


ARMS = {
    "source": Arm(source, 1e-4, 6, "the source's own loop, repaired"),
    "trainer": Arm(lambda task: trainer(task, pretrained(task)), 1e-4, 6, "transformers.Trainer, defaults"),
    "trainer_tuned": Arm(lambda task: tuned(task, pretrained(task)), 1e-4, 6, "Trainer, tuned"),
    "peft_tuned": Arm(peft_lora, 2e-3, 4, "peft LoRA, tuned Trainer"),
    "setfit": Arm(setfit, 0.0, 2, "SetFit-style head"),
    "full": Arm(ours, 1e-4, 6, "ours: everything"),
    "lora": Arm(lambda task: ours(task, alter=add_lora), 2e-3, 4, "ours: LoRA"),
    "head": Arm(head_only, 0.0, 2, "ours: head only"),
}
