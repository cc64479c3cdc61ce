"""A saved classifier as a small HTTP service: `python -m lib.serve.service FOLDER`.

    POST /predict  `{"texts": ["...", ...]}` gets `{"classes": [...], "predictions": [one a text, in order]}`;
                   a prediction is `{"label": ..., "probabilities": [one a class], "cut": whether text was lost}`
    GET /health    gets `{"status": "ok", "classes": [...], "limits": {...}}`

A request that is refused gets `{"error": "...", "field": "..."}`, which says what was sent and what is allowed; the
server itself answers 400 to what is no HTTP and 503 above 64 connections, in plain words. One model answers one request
at a time, so that memory stays bounded. Told to stop, it gives open requests five seconds. The service listens on this
machine alone unless told otherwise; who may call it, and over which transport, is the business of the proxy in front of
it.
"""
# no `from __future__ import annotations`: FastAPI reads the annotations of functions inside `service`

import argparse
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException as HTTPError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib import _check
from lib.models import Classifier, load
from lib.run.host import Local

MOST_TOKENS = 128  # what `Classifier.probabilities` reads of a text
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
    busy = Lock()
    app = FastAPI(title="sentiment", docs_url=None, redoc_url=None)  # their pages load scripts from another host
    app.add_middleware(_BodyLimit, most=limits.body)

    Text = Annotated[str, StringConstraints(max_length=limits.characters), AfterValidator(_not_blank)]

    class Texts(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        texts: Annotated[list[Text], Field(min_length=1, max_length=limits.texts)]

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "classes": model.labels, "limits": asdict(limits)}

    @app.post("/predict")
    def predict(asked: Texts) -> dict[str, Any]:
        with busy:  # the tokenizer, too, is one for all: it keeps whether it cuts
            rows = model.probabilities(asked.texts)
            lengths = [len(ids) for ids in model.tokenizer(asked.texts, verbose=False)["input_ids"]]
        found = [
            {"label": model.labels[row.argmax()], "probabilities": row.tolist(), "cut": length > MOST_TOKENS}
            for row, length in zip(rows, lengths, strict=True)
        ]
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
        return _refusal(422, field, f"{field} {rule}, got {got}")

    @app.exception_handler(HTTPError)
    def fail(request: Request, error: HTTPError) -> JSONResponse:
        if error.status_code in (404, 405):
            field = {404: "path", 405: "method"}[error.status_code]
            words = f"{field} must be that of POST /predict or GET /health, got {request.method} {request.url.path}"
            return _refusal(error.status_code, field, words[:160])
        unread = f"body {BODY}, got what cannot be read"
        return _refusal(error.status_code, "body", unread if error.status_code == 400 else str(error.detail))

    return app


class _BodyLimit:
    """Refuses a body of more than `most` bytes before all of it is read, whatever length it declares."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most:
                raise HTTPException(413, f"body must hold at most {self.most} bytes, got more")
            return message

        declared = int(dict(scope.get("headers", [])).get(b"content-length", b"0"))
        if declared > self.most:
            words = f"body must hold at most {self.most} bytes, got {declared}"
            await _refusal(413, "body", words)(scope, receive, send)
        else:
            await self.app(scope, counted, send)


def _not_blank(text: str) -> str:
    """The text, or ValueError where it is white space alone."""
    if not text.strip():
        raise ValueError("blank")
    return text


def _shown(value: Any) -> str:
    """What was sent, in few characters that any terminal can print."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return f"{len(value)} characters" if isinstance(value, str | bytes) and len(value) > 60 else ascii(value)[:80]


def _refusal(status: int, field: str, error: str) -> JSONResponse:
    """The answer to a request that is not served."""
    return JSONResponse({"error": error, "field": field}, status)


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
    config = uvicorn.Config(app, log_level="warning", limit_concurrency=64,
                            timeout_keep_alive=5, timeout_graceful_shutdown=5)  # seconds
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
