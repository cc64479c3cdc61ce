"""One measurement, in this process: `python -m benchmarks.clock JOB SEED` prints one line of JSON.

The clock runs from texts to a trained model. Imports, weights on disk and the test are outside it. Peak memory is that
of the whole process up to the end of training; growth is what training added to it.
"""
from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.arms import ARMS, Task
from benchmarks.decoders import DECODERS, MIN_WORDS, DecoderTask, finish, foretell
from benchmarks.harness import Job, Run
from benchmarks.methods import METHODS
from lib.corpora.sentiment import Sentence, load_domain
from lib.data import label, split

MB = 2**20
MAXRSS = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


def clock(job: Job, seed: int) -> Run:
    """Set up, train under the clock, test."""
    torch.set_num_threads(job.threads)
    if job.arm == "foretell":
        return foretell(given(job, seed))
    arm, task = (ARMS | METHODS | DECODERS)[job.arm], given(job, seed)
    run, score = arm.build(task)
    before = psutil.Process().memory_info().rss
    start, cpu = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak / MB, "growth_mb": (peak - before) / MB,
            task.judged: score() if job.tests else None, "tokens": task.tokens(), "flop": task.flop(arm.flop)}


def given(job: Job, seed: int) -> Any:
    """What the arm is given: labelled sentences for the encoder, sentences to finish for the decoder."""
    parts = split(load_domain("movies"))
    if job.arm in ("foretell", *DECODERS):
        train, test = ([s for s in part if len(s.text.split()) >= MIN_WORDS] for part in (parts.train, parts.test))
        texts, tests = ([s.text for s in draw(part, number)]
                        for part, number in ((train, job.sentences), (test, job.tests)))
        if job.fill:  # an answer that goes on to the end
            answer = " ".join(texts * 4)
            return DecoderTask(job, seed, [(prompt, f"{end} {answer}") for prompt, end in finish(texts)], [])
        return DecoderTask(job, seed, finish(texts), finish(tests))
    train, test = draw(parts.train, job.sentences), draw(parts.test, job.tests)
    texts = [s.text for s in train]
    if job.fill:
        texts = [" ".join(texts[(i + j) % len(texts)] for j in range(job.max_length // 2)) for i in range(len(texts))]
    return Task(job, seed, texts, [label(s) for s in train], [s.text for s in test], [label(s) for s in test])


def draw(sentences: list[Sentence], number: int) -> list[Sentence]:
    """The same `number` sentences in every arm and round; the source lists positive ones first, so at random."""
    if number > len(sentences):
        raise ValueError(f"the movie sentences have {len(sentences)} in this part, asked for {number}")
    return [sentences[i] for i in np.random.default_rng(0).permutation(len(sentences))[:number]]


if __name__ == "__main__":
    print(json.dumps(clock(Job(**json.loads(sys.argv[1])), int(sys.argv[2]))))
