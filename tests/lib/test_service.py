"""The HTTP service and the command line, called as a stranger would: over a socket, in a process of its own."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from transformers import BertConfig, BertModel

from lib.models import Classifier, Encoder, load, save
from lib.serve import predict
from lib.serve._server import BodyLimit
from lib.serve.service import Limits, main, service

ROOT = Path(__file__).parents[2]
LIMITS = Limits(texts=4, characters=300, body=4096)
TEXTS = ["the film was good", "a bad plot", "it was not very fine"]


@pytest.fixture
def folder(toy_encoder: Encoder, tmp_path: Path) -> Path:
    save(Classifier(toy_encoder, ["negative", "positive"]), tmp_path / "model")
    return tmp_path / "model"


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """`app` behind a real socket; gives the port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with serving(service(load(folder), LIMITS)) as number:
        yield number


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def predicted(port: int, texts: Any) -> tuple[int, Any]:
    return ask(port, "POST", "/predict", json.dumps({"texts": texts}).encode())


def test_it_answers_as_the_model_does(port: int, folder: Path) -> None:
    status, answer = predicted(port, TEXTS)
    model = load(folder)
    assert status == 200 and answer["classes"] == ["negative", "positive"]
    assert [row["label"] for row in answer["predictions"]] == model.predict(TEXTS)
    assert [row["probabilities"] for row in answer["predictions"]] == model.probabilities(TEXTS).tolist()


def test_the_order_is_that_of_the_request(port: int) -> None:
    (_, there), (_, back) = predicted(port, TEXTS), predicted(port, TEXTS[::-1])
    assert there["predictions"] == back["predictions"][::-1]
    assert there["predictions"][0] != there["predictions"][1]  # so that an order can be wrong


LONG = ["good " * 126, "good " * 127]  # with two special tokens, 128 and 129


@pytest.fixture
def longer(toy_encoder: Encoder) -> Classifier:
    """A toy that reads more than 128 tokens."""
    shape = toy_encoder.model.config.to_dict() | {"max_position_embeddings": 256}
    model = BertModel(BertConfig(**shape), add_pooling_layer=False)
    return Classifier(replace(toy_encoder, model=model), ["negative", "positive"])


def test_a_text_that_loses_its_end_is_marked(longer: Classifier) -> None:
    with serving(service(longer, Limits())) as port:
        _, answer = predicted(port, LONG)
    assert [row["cut"] for row in answer["predictions"]] == [False, True]


def test_a_text_with_a_sign_that_the_tokenizer_does_not_know_is_marked(folder: Path) -> None:
    model = load(folder)
    texts = ["the film was good", "the film was \N{GRINNING FACE}"]
    assert ["[UNK]" in model.tokenizer.tokenize(text) for text in texts] == [False, True]
    with serving(service(model, LIMITS)) as port:
        _, answer = predicted(port, texts)
    assert [row["unknown"] for row in answer["predictions"]] == [False, True]


def test_the_command_line_says_on_stderr_that_a_text_lost_its_end(
    longer: Classifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(longer, tmp_path / "model")
    assert predict.main([str(tmp_path / "model"), *LONG]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 and "1 of 2 texts were cut to 128 tokens" in err


def test_health_says_what_is_served(port: int) -> None:
    status, answer = ask(port, "GET", "/health")
    assert status == 200 and answer["status"] == "ok" and answer["classes"] == ["negative", "positive"]
    assert answer["limits"] == {"texts": 4, "characters": 300, "body": 4096}


@pytest.mark.parametrize(
    "texts, field, words",
    [
        ([], "texts", "texts must be a list of 1 to 4 texts, got a list of 0"),
        (["good"] * 5, "texts", "texts must be a list of 1 to 4 texts, got a list of 5"),
        ("good", "texts", "texts must be a list of 1 to 4 texts, got 'good'"),
        (None, "texts", "texts must be a list of 1 to 4 texts, got None"),
        (["good", 7], "texts[1]", "texts[1] must be a text of 1 to 300 characters that is not blank, got 7"),
        (["good", "bad", " \n"], "texts[2]", "that is not blank, got ' \\n'"),
        (["a" * 301], "texts[0]", "must be a text of 1 to 300 characters that is not blank, got 301 characters"),
        (["\ud800"], "texts[0]", "got '\\ud800'"),
        ([["good"]], "texts[0]", "got a list of 1"),
        ([True], "texts[0]", "got True"),
    ],
)
def test_bad_texts_are_refused_by_name(port: int, texts: Any, field: str, words: str) -> None:
    status, answer = predicted(port, texts)
    assert status == 422
    assert answer["field"] == field and words in answer["error"]


@pytest.mark.parametrize(
    "body, field, words",
    [
        (b"{}", "texts", "texts must be a list of 1 to 4 texts, got nothing"),
        (b'{"texts": ["good"', "body", "must be a JSON object"),
        (b"", "body", "must be a JSON object"),
        (b"[1]", "body", "got a list of 1"),
        (b'"good"', "body", "must be a JSON object"),
        (b'{"texts": ["good"], "k": 3}', "k", "k must not be there: a request holds texts alone, got 3"),
        (b'{"texts": ["good"], "\\ud800": 3}', "body", "must be a JSON object"),
        (b'{"texts": [NaN]}', "texts[0]", "got nan"),
        (b'{"texts": [' + b"[" * 4000, "body", "must be a JSON object"),
        (b'{"texts": [' + b"9" * 4000 + b"]}", "texts[0]", "got 99999"),
        (b"\xff\xfe", "body", "must be a JSON object"),
    ],
)
def test_bad_bodies_are_refused_by_name(port: int, body: bytes, field: str, words: str) -> None:
    status, answer = ask(port, "POST", "/predict", body)
    assert status in (400, 422)
    assert answer["field"] == field and words in answer["error"]


def test_a_body_that_is_no_json_is_refused(port: int) -> None:
    status, answer = ask(port, "POST", "/predict", b"texts=good", **{"Content-Type": "text/plain"})
    assert status == 422 and "sent as application/json" in answer["error"]


def test_other_paths_and_methods_are_refused_by_name(port: int) -> None:
    assert ask(port, "GET", "/nowhere") == (
        404,
        {"error": "path must be that of POST /predict or GET /health, got GET /nowhere", "field": "path"},
    )
    status, answer = ask(port, "GET", "/predict")
    assert status == 405 and answer["field"] == "method" and answer["error"].endswith("got GET /predict")
    assert ask(port, "GET", "/%ff%00" + "a" * 999)[1]["error"].endswith("a")
    assert ask(port, "GET", "/docs")[0] == 404  # no page that asks another host for scripts


def test_a_large_body_is_refused_whatever_it_declares(port: int) -> None:
    body = json.dumps({"texts": ["good"], "padding": "x" * 4096}).encode()
    status, answer = ask(port, "POST", "/predict", body)
    assert status == 413 and answer["error"] == f"body must hold at most 4096 bytes, got {len(body)}"

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    chunks = (body[i : i + 512] for i in range(0, len(body), 512))
    connection.request("POST", "/predict", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413 and json.loads(answer.read())["field"] == "body"


def test_without_the_limit_the_large_body_would_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: it is the limit that refuses."""

    async def through(self: BodyLimit, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    monkeypatch.setattr(BodyLimit, "__call__", through)
    with serving(service(load(folder), LIMITS)) as port:
        assert ask(port, "POST", "/predict", json.dumps({"texts": ["good"], "padding": "x" * 4096}).encode())[0] == 422


def test_many_at_once_get_their_own_answers(port: int) -> None:
    alone = {text: predicted(port, [text])[1]["predictions"] for text in TEXTS}
    wrong: list[str] = []

    def call(text: str) -> None:
        for _ in range(5):
            if predicted(port, [text])[1]["predictions"] != alone[text]:
                wrong.append(text)

    threads = [threading.Thread(target=call, args=(text,)) for text in TEXTS * 3]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


def test_the_tokenizer_serves_one_request_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps whether it cuts texts: for one request it cuts, to count the tokens of another it must not."""
    model, one, together, statuses = load(folder), threading.RLock(), [], []
    tokenizer, answers = type(model.tokenizer), model.probabilities

    def alone(do: Any) -> Any:
        def done(*given: Any, **settings: Any) -> Any:
            if not one.acquire(blocking=False):
                together.append(given)
                one.acquire()
            try:
                time.sleep(0.02)
                return do(*given, **settings)
            finally:
                one.release()

        return done

    monkeypatch.setattr(model, "probabilities", alone(answers))
    monkeypatch.setattr(tokenizer, "__call__", alone(tokenizer.__call__))
    with serving(service(model, LIMITS)) as port:
        threads = [threading.Thread(target=lambda: statuses.append(predicted(port, TEXTS)[0])) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert statuses == [200] * 8 and not together


def test_it_says_that_it_is_well_while_every_thread_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, go_on = load(folder), threading.Event()
    answers = model.probabilities
    monkeypatch.setattr(model, "probabilities", lambda texts, **_: go_on.wait(60) and answers(texts))
    with serving(service(model, LIMITS)) as port:
        threads = [threading.Thread(target=predicted, args=(port, TEXTS)) for _ in range(45)]  # of 40 in the pool
        [thread.start() for thread in threads]
        try:
            time.sleep(1)  # all of them have arrived
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
        finally:
            go_on.set()
            [thread.join() for thread in threads]


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="texts must be a whole number of at least 1, got 0"):
        Limits(texts=0)


def test_the_process_starts_answers_and_stops(folder: Path) -> None:
    command = [sys.executable, "-m", "lib.serve.service", str(folder), "--port", "0", "--texts", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())[1])
        assert ask(port, "GET", "/health")[1]["limits"]["texts"] == 2
        assert predicted(port, TEXTS)[0] == 422
        assert [row["label"] for row in predicted(port, TEXTS[:2])[1]["predictions"]] == load(folder).predict(TEXTS[:2])
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM and errors == ""


def test_it_stops_though_a_body_is_half_sent(folder: Path) -> None:
    command = [sys.executable, "-m", "lib.serve.service", str(folder), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())[1])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
            slow.sendall(head.encode())
            assert ask(port, "GET", "/health")[0] == 200  # so the half has arrived
            process.terminate()
            assert process.wait(timeout=15) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nowhere"], "nowhere holds no whole classifier"),
        (["{folder}", "--texts", "0"], "texts must be a whole number of at least 1, got 0"),
        (["{folder}", "--port", "70000"], "port must be 0-65535"),
    ],
)
def test_a_service_that_cannot_start_says_why(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([argument.format(folder=folder) for argument in arguments])
    assert stop.value.code == 2 and words in capsys.readouterr().err


def told(arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "lib.serve.predict", *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True,
        env=environment, timeout=120,
    )  # fmt: skip


def test_the_command_line_answers_as_the_model_does(folder: Path) -> None:
    by_argument, by_line = told([str(folder), *TEXTS]), told([str(folder)], "\n".join(TEXTS) + "\n")
    assert by_argument.returncode == by_line.returncode == 0
    assert by_argument.stdout == by_line.stdout
    rows = [line.split("\t") for line in by_line.stdout.splitlines()]
    assert [label for label, _, _ in rows] == load(folder).predict(TEXTS)
    assert [text for _, _, text in rows] == TEXTS
    assert all(0.5 <= float(probability) <= 1 for _, probability, _ in rows)


@pytest.mark.parametrize(
    "arguments, stdin, words",
    [
        (["nowhere", "good"], "", "nowhere holds no whole classifier"),
        (["{folder}", "good", " "], "", "texts must not be blank, got ' ' at 1"),
        (["{folder}"], "good\n\nbad\n", "texts must not be blank, got '' at 1"),
        (["{folder}"], "", "texts must be a list of at least one text, got []"),
    ],
)
def test_the_command_line_refuses_by_name(
    arguments: list[str], stdin: str, words: str, folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8"))
    code = predict.main([argument.format(folder=folder) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2 and words in err and len(err.splitlines()) == 1 and out == ""


def test_one_line_a_text_whatever_white_space_it_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line separator, a form feed and a next-line end a line for `str.splitlines`, and for no shell."""
    text = "good\u2028film\x0cand\x85plot\r\nbad"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))
    assert predict.main([str(folder)]) == predict.main([str(folder), "good\nfilm\tand plot", "bad"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.split("\n")[:-1]]
    assert [text for _, _, text in rows] == ["good film and plot", "bad"] * 2
