"""One measurement, in this process: `python -m benchmarks.clock JOB SEED` prints one line of JSON.

The clock runs from texts to a trained model. Imports, weights on disk and the test are outside it. Peak memory is that
of the whole process up to the end of training; growth is what training added to it.
"""
from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
import psutil
import torch

from benchmarks.arms import ARMS, Task, tokenizer
from benchmarks.harness import Job, Run
from benchmarks.methods import METHODS
from lib.corpora.sentiment import Sentence, load_domain
from lib.data import label, split

MB = 2**20
MAXRSS = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


def clock(job: Job, seed: int) -> Run:
    """Set up, train under the clock, test."""
    torch.set_num_threads(job.threads)
    parts = split(load_domain("movies"))
    train, test = draw(parts.train, job.sentences), draw(parts.test, job.tests)
    texts = [s.text for s in train]
    if job.fill:
        texts = [" ".join(texts[(i + j) % len(texts)] for j in range(job.max_length // 2)) for i in range(len(texts))]
    task = Task(job, seed, texts, [label(s) for s in train], [s.text for s in test], [label(s) for s in test])
    arm = (ARMS | METHODS)[job.arm]
    run, accuracy = arm.build(task)
    before = psutil.Process().memory_info().rss
    start, cpu = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS
    ids = tokenizer()(texts, truncation=True, max_length=job.max_length)["input_ids"]
    tokens = sum(map(len, ids)) * (job.epochs if arm.flop > 2 else 1)  # a frozen encoder reads each sentence once
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak / MB, "growth_mb": (peak - before) / MB,
            "accuracy": accuracy() if test else None, "tokens": tokens, "flop": arm.flop * task.weights * tokens}


def draw(sentences: list[Sentence], number: int) -> list[Sentence]:
    """The same `number` sentences in every arm and round; the source lists positive ones first, so at random."""
    if number > len(sentences):
        raise ValueError(f"the movie sentences have {len(sentences)} in this part, asked for {number}")
    return [sentences[i] for i in np.random.default_rng(0).permutation(len(sentences))[:number]]


if __name__ == "__main__":
    print(json.dumps(clock(Job(**json.loads(sys.argv[1])), int(sys.argv[2]))))
