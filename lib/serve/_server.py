"""What stands between the network and the service: patience, limits and a log that have an end."""
from __future__ import annotations

import asyncio
import logging
import os
import queue
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from typing import Any

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 256  # open at once; beyond, the one that has kept us waiting longest is closed
REQUESTS = 64  # read and not yet answered; beyond, 503
PATIENCE = 20.0  # seconds from connecting, or from the last answer, to the end of a request


def server(app: ASGIApp) -> uvicorn.Server:
    """A server for `app` that silent, slow and broken clients cannot keep from answering others."""
    return uvicorn.Server(uvicorn.Config(
        app, http=Patient, ws="none", log_config=None, access_log=False, timeout_keep_alive=5,
        timeout_graceful_shutdown=5))  # seconds


def refusal(status: int, field: str, error: str) -> JSONResponse:
    """The answer to a request that is not served."""
    return JSONResponse({"error": error, "field": field}, status)


class Patient(H11Protocol):
    """HTTP with an end to waiting: who has not sent a whole request in time, or in a crowd waits longest, is closed."""

    deadline: asyncio.TimerHandle

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > CONNECTIONS:
            waiting: list[Any] = [each for each in self.connections if not each._served()]  # type: ignore[union-attr]
            min(waiting, key=lambda each: each.deadline.when()).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        """Begin to wait for a request."""
        if hasattr(self, "deadline"):
            self.deadline.cancel()
        self.deadline = self.loop.call_later(PATIENCE, self._give_up)

    def _give_up(self) -> None:
        """Close the connection of who has not sent a whole request."""
        if not self._served():
            self.transport.abort()

    def _served(self) -> bool:
        """Whether a whole request has arrived and is not answered."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete


class BodyLimit:
    """Reads each request's body before the service does, and refuses one of more than `most` bytes, or one too many.

    A body that is refused is read on and thrown away: a client that still sends would see a reset, not the answer.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most, self.inside = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = int(dict(scope["headers"]).get(b"content-length", b"0"))
        body, more = bytearray(), True
        while more and max(declared, len(body)) <= self.most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if max(declared, len(body)) > self.most:
            words = f"body must hold at most {self.most} bytes, got {declared or 'more'}"
            return await _refuse(refusal(413, "body", words), receive, send, more=more)
        if self.inside >= REQUESTS and scope["path"] != "/health":
            words = f"requests must be at most {REQUESTS} at once, got more; send this one again in a second"
            return await refusal(503, "requests", words)(scope, receive, send)
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        self.inside += 1
        try:
            return await self.app(scope, again, send)
        finally:
            self.inside -= 1


async def _refuse(answer: JSONResponse, receive: Receive, send: Send, *, more: bool) -> None:
    """Send the answer at once, then read what is still coming, until the client ends or the server's patience does."""
    headers = [*answer.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Dropping(QueueHandler):
    """Hands lines over without waiting: what does not fit is dropped."""

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


class _Stderr(logging.Handler):
    """Writes to the descriptor itself: a thread that waits in it holds no lock of Python's."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            os.write(2, f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))


def log_without_waiting() -> None:
    """Send warnings to stderr through a thread of their own: where nobody reads them, no request waits."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue(1000)
    logging.getLogger().handlers[:] = [_Dropping(lines)]
    logging.getLogger().setLevel(logging.WARNING)
    logging.captureWarnings(True)
    QueueListener(lines, _Stderr()).start()
