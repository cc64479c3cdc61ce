"""A saved classifier as a small HTTP service: `python -m lib.serve.service FOLDER`.

    POST /predict  `{"texts": ["...", ...]}` gets `{"classes": [...], "predictions": [one a text, in order]}`;
                   a prediction is `{"label": ..., "probabilities": [one a class], "cut": whether text was lost,
                   "unknown": whether it holds a sign that the tokenizer does not know, such as an emoji}`
    GET /health    gets `{"status": "ok", "classes": [...], "limits": {...}}`, or 503 and "stuck" where the model has
                   not come back for half a minute

A request that is refused gets `{"error": "...", "field": "..."}`, which says what was sent and what is allowed, with
503 where 64 are waiting; the server itself answers 400 to what is no HTTP, in plain words, and closes a connection that
has sent no whole request in 20 seconds. One model answers eight texts at a time, of each request in turn, so that
memory stays bounded and a long request does not hold up short ones. Told to stop, it gives open requests five seconds.
The service listens on this machine alone unless told otherwise; who may call it, and over which transport, is the
business of the proxy in front of it.
"""
# no `from __future__ import annotations`: FastAPI reads the annotations of functions inside `service`

import argparse
import asyncio
import math
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException as HTTPError

from lib import _check
from lib._explain import positions
from lib.data import has_unknown
from lib.models import Classifier, load
from lib.run.command import command
from lib.run.host import Local
from lib.serve._server import BodyLimit, log_without_waiting, refusal, server

MOST_TOKENS = 128  # what `Classifier.probabilities` reads of a text
AT_A_TIME = 8  # texts that one request has answered before the next has its turn
STUCK = 30.0  # seconds for so many texts after which the service says that it is not well
BODY = 'must be a JSON object {"texts": [...]}, sent as application/json'


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Args:
        texts: most texts in a request, at least 1.
        characters: most characters in a text, at least 1.
        body: most bytes in a request's body, at least 1.

    Raises:
        ValueError: a limit below 1.
    """

    texts: int = 64
    characters: int = 2000
    body: int = 256 * 1024

    def __post_init__(self) -> None:
        _check.whole(1, **asdict(self))


def service(model: Classifier, limits: Limits | None = None) -> FastAPI:
    """The application that answers for `model`: see the module's first lines.

    Args:
        model: answers in evaluation mode, wherever its weights are.
        limits: what a request may ask for; the defaults of `Limits` if not given.

    Raises:
        TypeError: another model, such as the folder of one, or other limits.
    """
    limits = limits or Limits()
    _check.kind("a Classifier, as load(folder) gives", "probabilities", model=model)
    _check.kind("Limits", "characters", limits=limits)
    strange = has_unknown(model.tokenizer)
    turn, most_tokens, since = asyncio.Lock(), min(MOST_TOKENS, positions(model.encoder)), dict[str, float]()
    app = FastAPI(title="sentiment", docs_url=None, redoc_url=None)  # their pages load scripts from another host
    app.add_middleware(BodyLimit, most=limits.body)

    Text = Annotated[str, StringConstraints(max_length=limits.characters), AfterValidator(_not_blank)]

    class Texts(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        texts: Annotated[list[Text], Field(min_length=1, max_length=limits.texts)]

    def answer(texts: list[str]) -> list[dict[str, Any]]:
        since["turn"] = time.monotonic()
        try:
            rows = model.probabilities(texts, show=False)  # a server that prints waits for who does not read
            read = model.tokenizer(texts, verbose=False)["input_ids"]
        finally:
            since.clear()
        return [
            {"label": model.labels[row.argmax()], "probabilities": row.tolist(), "cut": len(ids) > most_tokens,
             "unknown": strange(ids)}
            for row, ids in zip(rows, read, strict=True)
        ]

    @app.get("/health")
    async def health() -> Any:
        told = {"status": "ok", "classes": model.labels, "limits": asdict(limits)}
        if time.monotonic() - since.get("turn", math.inf) > STUCK:
            return JSONResponse(told | {"status": "stuck"}, 503)
        return told

    @app.post("/predict")
    async def predict(asked: Texts) -> Any:
        found: list[dict[str, Any]] = []
        for start in range(0, len(asked.texts), AT_A_TIME):
            async with turn:  # the tokenizer, too, is one for all: it keeps whether it cuts
                try:
                    found += await run_in_threadpool(answer, asked.texts[start : start + AT_A_TIME])
                except ValueError as error:  # a text of which the tokenizer knows nothing
                    return refusal(422, "texts", f"{error}, counted from texts[{start}]")
        return {"classes": model.labels, "predictions": found}

    @app.exception_handler(RequestValidationError)
    def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        got = "nothing" if first["type"] == "missing" else _shown(first["input"])
        match first["loc"][1:]:
            case ("texts",):
                field, rule = "texts", f"must be a list of 1 to {limits.texts} texts"
            case ("texts", int(i)):
                field, rule = f"texts[{i}]", f"must be a text of 1 to {limits.characters} characters that is not blank"
            case (str(name),):
                field, rule = name[:60], "must not be there: a request holds texts alone"
            case _:
                field, rule = "body", BODY
                got = _shown(error.body)
        return refusal(422, field, f"{field} {rule}, got {got}")

    @app.exception_handler(HTTPError)
    def fail(request: Request, error: HTTPError) -> JSONResponse:
        if error.status_code in (404, 405):
            field = {404: "path", 405: "method"}[error.status_code]
            words = f"{field} must be that of POST /predict or GET /health, got {request.method} {request.url.path}"
            return refusal(error.status_code, field, words[:160])
        return refusal(error.status_code, "body", f"body {BODY}, got what cannot be read")

    @app.exception_handler(Exception)
    def fault(request: Request, error: Exception) -> JSONResponse:
        return refusal(500, "service", "the service failed, and its log says why; send the request again")

    return app


def _not_blank(text: str) -> str:
    """The text, or ValueError where there is nothing to read in it."""
    _check.readable("a text", text, "")
    return text


def _shown(value: Any) -> str:
    """What was sent, in few characters that any terminal can print."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return f"{len(value)} characters" if isinstance(value, str | bytes) and len(value) > 60 else ascii(value)[:80]


def _listener(host: str, port: int) -> socket.socket:
    """What listens at that address, or ValueError."""
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise ValueError("host and port must be an address of this machine and a free port from 0 to 65535, "
                         f"got {host} and {port}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Load a folder that `lib.models.save` wrote, say where the service listens, and answer until told to stop.

    Args:
        arguments: what would stand on the command line; what does stand there if not given.
    """
    parser = argparse.ArgumentParser("python -m lib.serve.service", description="Answer over HTTP for a saved model.")
    parser.add_argument("folder", help="what lib.models.save wrote")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 127.0.0.1 is this machine alone")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    for name, default in asdict(Limits()).items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="MOST")
    asked = parser.parse_args(arguments)
    try:
        limits = Limits(asked.texts, asked.characters, asked.body)
        app = service(load(asked.folder).to(Local().device), limits)
        listener = _listener(asked.host, asked.port)
    except ValueError as error:
        parser.error(str(error))
    print(f"listening on http://{asked.host}:{listener.getsockname()[1]}", flush=True)
    log_without_waiting()
    server(app).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(command("python -m lib.serve.service", main))
