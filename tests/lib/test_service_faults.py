"""The service and the command line among people and programs that do not behave; see also `tests/soak_service.py`."""
from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lib.models import Classifier, Encoder, load, save
from lib.serve import _server, predict
from lib.serve import service as module
from lib.serve.service import Limits, service

ROOT = Path(__file__).parents[2]
LONG = "good " * 150


@pytest.fixture
def folder(toy_encoder: Encoder, tmp_path: Path) -> Path:
    save(Classifier(toy_encoder, ["negative", "positive"]), tmp_path / "model")
    return tmp_path / "model"


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """`app` behind the server that the command line uses; gives the port."""
    server = _server.server(app)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def started(folder: Path, **pipes: Any) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The command line in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "lib.serve.service", str(folder), "--port", "0"], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, **pipes)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().rpartition(b":")[2]), process
    finally:
        process.kill()
        process.communicate()


def ask(port: int, texts: Any, timeout: float = 60) -> tuple[int, Any]:
    return post(port, json.dumps({"texts": texts}).encode(), timeout)


def post(port: int, body: Any, timeout: float = 60, **options: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"}, **options)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def health(port: int) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/health")
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_nothing_is_printed_in_a_request(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """flask#4852: whoever starts the service need not read what it prints, and a full pipe stops who writes to it."""
    with serving(service(load(folder))) as port:
        assert ask(port, [LONG])[1]["predictions"][0]["cut"]
    assert capfd.readouterr() == ("", "")
    load(folder).predict([LONG])
    assert "1 of 1 texts were cut" in capfd.readouterr().out  # control: elsewhere it is said


def test_a_log_that_nobody_reads_stops_no_request(folder: Path) -> None:
    """Each line that is no HTTP is a warning on stderr; a pipe holds some 64 KB of them."""
    with started(folder) as (port, _):
        for _ in range(2500):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as bad:
                bad.sendall(b"no HTTP\r\n\r\n")
                assert bad.recv(100).startswith(b"HTTP/1.1 400")
        assert ask(port, ["good", LONG], timeout=20)[0] == 200 and health(port)[0] == 200


@pytest.mark.parametrize("text", ["\x00", "\x01\x02", "\u200b", "\ufeff", "\u3164", " \u2028"], ids=ascii)
def test_texts_without_ink_are_blank(text: str, folder: Path) -> None:
    with serving(service(load(folder))) as port:
        status, answer = ask(port, ["good", text])
    assert status == 422 and answer["field"] == "texts[1]" and "that is not blank, got" in answer["error"]
    assert answer["error"].isascii()


def test_a_text_of_which_the_tokenizer_knows_nothing_is_refused(folder: Path) -> None:
    with serving(service(load(folder))) as port:
        status, answer = ask(port, ["good"] * 9 + ["\ufffd"])
    assert (status, answer["field"]) == (422, "texts") and "at 1, counted from texts[8]" in answer["error"]


@pytest.mark.parametrize("size", [10**4, 10**6, 3 * 10**7])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_client_of_a_large_body_sees_the_answer(size: int, chunked: bool, folder: Path) -> None:
    """Rocket#2783: a server that closes while the client sends resets the connection, and the answer is lost."""
    part = b"x" * 10**4
    with serving(service(load(folder), Limits(body=4096))) as port:
        body = (part for _ in range(size // 10**4)) if chunked else part * (size // 10**4)
        status, answer = post(port, body, encode_chunked=chunked)
        assert status == 413 and answer["error"].startswith("body must hold at most 4096 bytes, got ")
        assert ask(port, ["good"])[0] == 200


def test_a_large_body_without_end_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "PATIENCE", 1.0)
    with serving(service(load(folder), Limits(body=4096))) as port, \
            socket.create_connection(("127.0.0.1", port), timeout=20) as endless:
        endless.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
        assert endless.recv(100).startswith(b"HTTP/1.1 413")
        with pytest.raises(OSError):  # noqa: PT011
            while True:
                endless.sendall(b"x" * 1000)
                time.sleep(0.01)


def test_silent_sockets_keep_nobody_out(folder: Path) -> None:
    with ExitStack() as held, serving(service(load(folder))) as port:
        first = held.enter_context(socket.create_connection(("127.0.0.1", port)))
        for i in range(_server.CONNECTIONS + 100):
            silent = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            if i % 2:
                silent.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{")
            if i == 70:
                assert health(port)[0] == ask(port, ["good"])[0] == 200
        assert health(port)[0] == ask(port, ["good"])[0] == 200
        first.settimeout(5)  # before its patience ends: whoever waited longest makes room
        with suppress(ConnectionResetError):
            assert first.recv(1) == b""


@pytest.mark.parametrize("sent", [b"", b"GET /hea", b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
                                  b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["nothing", "head", "body", "idle"])
def test_who_does_not_send_a_request_in_time_is_closed(sent: bytes, folder: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "PATIENCE", 0.5)
    with serving(service(load(folder))) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
        silent.sendall(sent)
        began, got = time.monotonic(), b""
        try:
            while part := silent.recv(1000):
                got += part
        except ConnectionResetError:
            pass
        assert time.monotonic() - began < 5 and (b"200 OK" in got) == (b"/health" in sent)


def test_who_waits_for_an_answer_is_not_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "PATIENCE", 0.3)
    model = load(folder)
    answers = model.probabilities
    monkeypatch.setattr(model, "probabilities", lambda texts, **_: time.sleep(1) or answers(texts))
    with serving(service(model)) as port:
        assert ask(port, ["good"])[0] == 200


def test_health_says_when_the_model_does_not_come_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, go_on = load(folder), threading.Event()
    answers = model.probabilities
    monkeypatch.setattr(module, "STUCK", 0.5)
    monkeypatch.setattr(model, "probabilities", lambda texts, **_: go_on.wait(60) and answers(texts))
    with serving(service(model)) as port:
        assert health(port)[0] == 200
        thread = threading.Thread(target=ask, args=(port, ["good"]))
        thread.start()
        time.sleep(1)
        status, answer = health(port)
        go_on.set()
        thread.join()
        assert (status, answer["status"]) == (503, "stuck")
        assert health(port)[0] == 200


def test_a_short_request_does_not_wait_for_all_of_a_long_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, order = load(folder), []
    answers = model.probabilities

    def slow(texts: list[str], **_: Any) -> Any:
        time.sleep(0.1)
        order.append(len(texts))
        return answers(texts)

    monkeypatch.setattr(model, "probabilities", slow)
    with serving(service(model)) as port:
        thread = threading.Thread(target=ask, args=(port, ["good"] * 64))
        thread.start()
        time.sleep(0.15)
        assert ask(port, ["bad"])[0] == 200
        before = len(order)
        thread.join()
    assert before < 5 and sorted(order) == [1, *[8] * 8]


def test_the_parts_of_a_long_request_come_back_in_order(folder: Path) -> None:
    texts = ["good film", "bad", "the plot was not very fine", "a"] * 5
    with serving(service(load(folder))) as port:
        alone = [ask(port, [text])[1]["predictions"][0] for text in texts[:4]] * 5
        together = ask(port, texts)[1]["predictions"]
    assert [row["label"] for row in together] == [row["label"] for row in alone]
    assert all(a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-5)
               for a, b in zip(together, alone, strict=True))


def test_too_many_requests_are_told_to_come_again_and_health_still_answers(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, go_on, told = load(folder), threading.Event(), []
    answers = model.probabilities
    monkeypatch.setattr(_server, "REQUESTS", 5)
    monkeypatch.setattr(model, "probabilities", lambda texts, **_: go_on.wait(60) and answers(texts))
    with serving(service(model)) as port:
        threads = [threading.Thread(target=lambda: told.append(ask(port, ["good"]))) for _ in range(8)]
        [thread.start() for thread in threads]
        while len(told) < 3:
            time.sleep(0.01)
        assert health(port)[0] == 200
        go_on.set()
        [thread.join() for thread in threads]
    assert sorted(status for status, _ in told) == [200] * 5 + [503] * 3
    assert "at most 5 at once, got more; send this one again" in next(a["error"] for s, a in told if s == 503)


def test_a_fault_of_the_service_is_json_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(folder)
    monkeypatch.setattr(model, "probabilities", lambda texts, **_: 1 / 0)
    with serving(service(model)) as port:
        status, answer = ask(port, ["good"])
        assert status == 500 and answer["field"] == "service" and health(port)[0] == 200


# The command line


def told(folder: Path, *texts: str | bytes, stdin: bytes = b"", encoding: str = "utf-8",
         shell: str = "") -> subprocess.CompletedProcess[bytes]:
    words: Any = [sys.executable, "-m", "lib.serve.predict", str(folder), *texts]
    if shell:
        words = shell.format(" ".join(words[:4]))
    return subprocess.run(words, cwd=ROOT, input=stdin, capture_output=True, timeout=120, shell=bool(shell),
                          env=os.environ | {"PYTHONIOENCODING": encoding})


@pytest.mark.parametrize(("encoding", "shown"), [("cp1252", b"good \\u597d film"), ("ascii", b"good \\u597d film"),
                                                 ("utf-8", "good 好 film".encode())])
def test_any_terminal_can_show_the_answer(encoding: str, shown: bytes, folder: Path) -> None:
    done = told(folder, "good 好 film", encoding=encoding)
    assert done.returncode == 0 and done.stdout.rstrip().endswith(shown)
    assert done.stderr == b"1 of 1 texts hold signs that the tokenizer does not know, such as emoji\n"
    refused = told(folder, "good", "\u200b", "好", encoding=encoding)
    assert refused.returncode == 2 and refused.stderr.count(b"\n") == 1 and b"must not be blank" in refused.stderr


def test_a_byte_order_mark_is_no_part_of_the_first_text(folder: Path) -> None:
    for encoding in ("utf-8", "cp1252"):
        done = told(folder, stdin=b"\xef\xbb\xbfgood film\r\nbad\r\n", encoding=encoding)
        assert [line.split(b"\t")[2] for line in done.stdout.splitlines()] == [b"good film", b"bad"]


@pytest.mark.parametrize(("text", "words"), [
    (b"caf\xe9", rb"must be whole Unicode, got 'caf\\udce9' at 1: bytes that cannot be decoded"),
    (b"\x01\x02", rb"must not be blank, got '\\x01\\x02' at 1"),
    ("\u200b".encode(), rb"must not be blank, got '\\u200b' at 1"),
    (b" ", rb"must not be blank, got ' ' at 1"),
], ids=["undecodable", "control", "zero-width", "blank"])
def test_arguments_and_lines_are_refused_alike(text: bytes, words: bytes, folder: Path) -> None:
    for done in (told(folder, "good", text), told(folder, stdin=b"good\n" + text + b"\nbad\n")):
        assert done.returncode == 2 and done.stdout == b""
        assert re.fullmatch(rb"python -m lib.serve.predict: error: texts " + words + rb"\n", done.stderr)


@pytest.mark.parametrize(("shell", "status", "words"), [
    ("{} good bad > /dev/full", 2, rb"No space left on device"),
    ("{} <&-", 2, rb"texts must be a list of at least one text"),
    ("{} good 2>&-", 0, rb""),
    ("{} good >&-", 0, rb""),
    ("set -o pipefail; yes good | head -3000 | {} | head -1", 141, rb""),
], ids=["full", "closed-stdin", "closed-stderr", "closed-stdout", "head"])
def test_what_stands_around_the_command_costs_a_line_at_most(shell: str, status: int, words: bytes,
                                                             folder: Path) -> None:
    done = told(folder, shell=f"bash -c '{shell}'")
    assert done.returncode == status and re.search(words, done.stderr)
    assert done.stderr.count(b"\n") == bool(words) and b"Traceback" not in done.stderr


def test_a_reader_that_has_gone_is_no_error(folder: Path) -> None:
    gone, into = os.pipe()
    os.close(gone)
    command = [sys.executable, "-m", "lib.serve.predict", str(folder), "good"]
    done = subprocess.run(command, cwd=ROOT, stdout=into, stderr=subprocess.PIPE)
    os.close(into)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("broken", ["head.json", "config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", None], ids=repr)
def test_a_damaged_folder_is_one_line(broken: str, content: bytes | None, folder: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    (folder / broken).unlink()
    if content is not None:
        (folder / broken).write_bytes(content)
    assert predict.main([str(folder), "good"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and str(folder) in err


@pytest.mark.parametrize("change", [{"labels": 3}, {"labels": ["a", "b", "c"]}, {"size": 3},
                                    {"dropout": None}], ids=repr)
def test_settings_of_no_classifier_are_one_line(change: dict[str, Any], folder: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps(settings | change))
    assert predict.main([str(folder), "good"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and str(folder) in err
