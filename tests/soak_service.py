"""A service among thirty clients at a time, some of whom do not behave: a part of `python -m tests.soak`.

Each request must get the right answer, health must tell the truth, and memory must not grow, while nobody reads what
the service prints. Alone: `python -m tests.soak_service SECONDS`.
"""
from __future__ import annotations

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from lib.models import Classifier, Encoder, load, save
from lib.run.machine import processor
from tests.lib.conftest import VOCABULARY, WORDS
from tools.notebooks import ROOT

CLIENTS = 30
NEAR = 1e-4  # of a probability: batches of other sizes round otherwise
GROWTH = 50 * 2**20  # bytes
WAIT = 60.0  # seconds for an answer on a slow machine


def service(seconds: float, chance: random.Random) -> list[str]:
    """Let clients of all kinds ask for so many seconds; gives what went wrong."""
    with tempfile.TemporaryDirectory() as place:
        float32 = {f"{processor()}, torch {torch.__version__}": 0.0}  # bfloat16 rounds each batch otherwise
        (Path(place) / "precision.json").write_text(json.dumps(float32))
        os.environ["PROJECT_AND_REGULARIZE_CACHE"] = place
        model = _saved(Path(place) / "model")
        process = subprocess.Popen([sys.executable, "-m", "lib.serve.service", f"{place}/model", "--port", "0"],
                                   cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # that nobody reads
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(b":")[2])
            return _soak(port, psutil.Process(process.pid), model, seconds, chance)
        finally:
            process.kill()
            process.communicate()


def _saved(folder: Path) -> Classifier:
    """A small classifier of one layer that knows a few words."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=128)
    encoder = BertModel(config, add_pooling_layer=False)
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    (folder / "vocab.txt").unlink()
    save(Classifier(Encoder(encoder, tokenizer, "", ""), ["bad", "good"]), folder)
    return load(folder)


def _soak(port: int, process: psutil.Process, model: Classifier, seconds: float, chance: random.Random) -> list[str]:
    wrong: list[str] = []
    counts = dict.fromkeys((do.__name__ for do in KINDS), 0)
    end, warm, lock = time.monotonic() + seconds, 0, threading.Lock()

    def client(seed: int) -> None:
        own = random.Random(seed)
        while time.monotonic() < end and len(wrong) < 20:
            do = own.choice(KINDS)
            try:
                do(port, own, model)
            except Exception as error:  # whatever a client meets is a finding
                wrong.append(f"{do.__name__}: {type(error).__name__}: {error}")
            with lock:
                counts[do.__name__] += 1

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        for _ in range(CLIENTS):
            pool.submit(client, chance.getrandbits(32))
        while time.monotonic() < end:
            time.sleep(min(1.0, seconds / 10))
            with suppress(psutil.Error):
                used = process.memory_info().rss
                if not warm and time.monotonic() > end - 0.7 * seconds:
                    warm = used
            began = time.monotonic()
            try:
                _health(port, chance, model)
            except Exception as error:
                wrong.append(f"health: {type(error).__name__}: {error}")
            if time.monotonic() - began > 10:
                wrong.append(f"health took {time.monotonic() - began:.0f} s")
    if not process.is_running():
        return [*wrong, "the service has ended"]
    if (grown := process.memory_info().rss - warm) > GROWTH:
        wrong.append(f"memory grew by {grown / 2**20:.0f} MB, from {warm / 2**20:.0f} MB")
    told = ", ".join(f"{count} {name.strip('_')}" for name, count in counts.items())
    print(f"  {told}; memory grew by {grown / 2**20:.0f} MB; {len(wrong)} things went wrong", flush=True)
    return wrong


def _post(port: int, body: Any, **options: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"}, **options)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _expect(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise ValueError(f"expected {wanted}, got {found}")


def _health(port: int, chance: random.Random, model: Classifier) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        _expect((answer.status, json.loads(answer.read())["status"]), (200, "ok"))
    finally:
        connection.close()


def _texts(port: int, chance: random.Random, model: Classifier) -> None:
    """A few texts, short and of 150 words: the answer is that of the model, in order."""
    texts = [" ".join(chance.choices(WORDS, k=chance.choice((1, 3, 20, 150)))) for _ in range(chance.choice((1, 2, 9)))]
    status, answer = _post(port, json.dumps({"texts": texts}).encode())
    _expect(status, 200)
    with _ONE:
        rows = model.probabilities(texts, show=False)
    found = [row["probabilities"] for row in answer["predictions"]]
    off = [max(abs(a - b) for a, b in zip(x, y, strict=True)) for x, y in zip(found, rows, strict=True)]
    if max(off) > NEAR:
        i = off.index(max(off))
        raise ValueError(f"text {i} of {len(texts)}, {len(texts[i].split())} words, is {off[i]:.4f} off the model's")


def _many(port: int, chance: random.Random, model: Classifier) -> None:
    status, answer = _post(port, json.dumps({"texts": ["good " * 400] * 64}).encode())
    _expect((status, len(answer["predictions"])), (200, 64))


def _refused(port: int, chance: random.Random, model: Classifier) -> None:
    text = chance.choice(["\x00", "\u200b", " ", "\ud800", "\ufffd", "a" * 2001])
    _expect(_post(port, json.dumps({"texts": ["good", text]}).encode())[0], 422)


def _broken(port: int, chance: random.Random, model: Classifier) -> None:
    body = chance.choice([b"", b"{", b"\xff\xfe", b"[1]", b'{"texts": [' + b"[" * 4000, chance.randbytes(300)])
    if _post(port, body)[0] not in (400, 422):
        raise ValueError(f"a broken body was taken: {body[:40]!r}")


def _large(port: int, chance: random.Random, model: Classifier) -> None:
    size, part = chance.choice((30, 300)), b"x" * 10_000
    body = (part for _ in range(size)) if chance.random() < 0.5 else part * size
    _expect(_post(port, body, encode_chunked=not isinstance(body, bytes))[0], 413)


def _silent(port: int, chance: random.Random, model: Classifier) -> None:
    """Connect, send nothing, half a head or half a body, stay a while, and go."""
    half = [b"", b"POST /pre", b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"]
    with _ONE:
        while len(_HELD) > 100:
            _HELD.pop(0).close()
        _HELD.append(socket.create_connection(("127.0.0.1", port), timeout=WAIT))
        with suppress(OSError):
            _HELD[-1].sendall(chance.choice(half))


def _noise(port: int, chance: random.Random, model: Classifier) -> None:
    """What is no HTTP, each a warning in the log that nobody reads."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as bad:
            bad.sendall(b"no HTTP \x00\xff\r\n\r\n")
            if not bad.recv(99).startswith(b"HTTP/1.1 400"):
                raise ValueError("noise was not refused")


def _gone(port: int, chance: random.Random, model: Classifier) -> None:
    """Ask, and go before the answer comes."""
    body = json.dumps({"texts": ["good " * 100] * 9}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as asked:
        asked.sendall(head.encode() + body)


KINDS: tuple[Callable[[int, random.Random, Classifier], None], ...] = (
    _texts, _texts, _texts, _many, _health, _refused, _broken, _large, _silent, _noise, _gone)
_HELD: list[socket.socket] = []
_ONE = threading.Lock()


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = service(float(sys.argv[1]), random.Random(int(time.time())))
    print("\n".join(found), file=sys.stderr)
    sys.exit(bool(found))
