"""Functions from request to response, served over HTTP/1.1 on 127.0.0.1 by starlette and uvicorn."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import starlette.requests
import starlette.responses
import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from components.emulators.certificates import Certificates

LOOPBACK = "127.0.0.1"
BODY_LIMIT = 1024 * 1024
DISCARD_LIMIT = 16 * BODY_LIMIT
IDLE_SECONDS = 120
STOP_SECONDS = 1
JSON = "application/json; charset=utf-8"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """`path` is decoded and without the query; the names of `headers` are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """`body` is sent as JSON, or as it is with another `media_type`; None sends no body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON


Handler = Callable[[Request], Response]


class Server:
    """One port. With the files of a certificate it speaks HTTPS.

    Raise OSError that names the port if it is taken.
    """

    def __init__(self, port: int, handler: Handler, tls: Certificates | None = None) -> None:
        try:
            self._socket = socket.create_server((LOOPBACK, port))
        except OSError as error:
            raise OSError(
                error.errno, f"Cannot listen on {LOOPBACK}:{port} ({error.strerror}); free that port or choose another."
            ) from error
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(handler),
                lifespan="off",
                timeout_keep_alive=IDLE_SECONDS,
                # A client that keeps a TLS connection does not answer its end, for which asyncio waits 30 seconds.
                timeout_graceful_shutdown=STOP_SECONDS,
                ssl_certfile=tls.server if tls else None,
                ssl_keyfile=tls.server_key if tls else None,
                server_header=False,
                # The program's own log has a line for each request, without what must not be logged.
                access_log=False,
                log_config=None,
            )
        )

    def serve_forever(self) -> None:
        """Serve in this thread until the process ends."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Have `serve_forever` return, once the requests in flight are answered; after a second they get 500."""
        self._server.should_exit = True


def application(handler: Handler) -> ASGIApp:
    """Return the ASGI application of a function that may block: each call has a thread."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked = starlette.requests.Request(scope, receive)
        body = await _body(asked)
        if body is None:
            response = Response(413, headers={"Connection": "close"})
        else:
            request = Request(
                method=asked.method,
                path=scope["path"],
                query=dict(asked.query_params),
                headers=dict(asked.headers),
                body=body,
            )
            response = await run_in_threadpool(_handled, handler, request)
        # Without the query and the headers: they hold what must not be logged.
        level = logging.DEBUG if scope["path"] == "/ready" else logging.INFO
        log.log(level, "%s %s %s", asked.method, scope["path"], response.status)
        await _sent(response)(scope, receive, send)

    return answer


async def _body(request: starlette.requests.Request) -> bytes | None:
    """Return the body of a request, None for one beyond the limit."""
    kept, length = bytearray(), 0
    async for part in request.stream():
        length += len(part)
        if length <= BODY_LIMIT:
            kept += part
        # A client reads the answer only when it could send its body.
        elif length > DISCARD_LIMIT:
            break
    return bytes(kept) if length <= BODY_LIMIT else None


def _handled(handler: Handler, request: Request) -> Response:
    try:
        return handler(request)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return Response(500, {"error": {"code": "InternalServerError", "message": "See the program's log."}})


def _sent(response: Response) -> starlette.responses.Response:
    headers = {**response.headers, "Cache-Control": "no-store"}
    if response.body is None:
        return starlette.responses.Response(status_code=response.status, headers=headers)
    kind = starlette.responses.JSONResponse if response.media_type == JSON else starlette.responses.Response
    return kind(response.body, response.status, headers, media_type=response.media_type)
