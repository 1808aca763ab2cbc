"""The gate: the layer in which a request is admitted with a caller and a workspace, or answered without MLflow."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime.middleware.access import audit, current, refusals
from mlflow_runtime.middleware.access.classes import Class
from mlflow_runtime.middleware.access.decision import Allowed, Asked, artifact_paths, decide
from mlflow_runtime.middleware.access.keys import NoKeysError
from mlflow_runtime.middleware.access.matching import Matcher
from mlflow_runtime.middleware.access.refusals import Refusal
from mlflow_runtime.middleware.access.settings import Access
from mlflow_runtime.middleware.access.tokens import Caller, TokenRefusedError, Tokens

_TOKEN: Final = b"authorization"
_COOKIE: Final = b"cookie"
_WORKSPACE: Final = b"x-mlflow-workspace"
# For clients of the AI gateway, whose Authorization is the key of a provider.
_GATEWAY_TOKEN: Final = b"x-mlflow-authorization"
_GATEWAY_PREFIX: Final = "/gateway/"

_ONCE: Final = {
    _TOKEN: "Authorization",
    _COOKIE: "Cookie",
    _WORKSPACE: "X-MLFLOW-WORKSPACE",
    _GATEWAY_TOKEN: "X-MLflow-Authorization",
}
_UNAUDITED: Final = (Class.OPEN, Class.READ)
# As a service that takes policy for it closes a connection (RFC 6455, 7.4.1).
_POLICY: Final = 1008


class Gate:
    """ASGI middleware. What passes has a caller (current.py), one workspace header, and no credentials any more."""

    def __init__(self, app: ASGIApp, access: Access, tokens: Tokens, match: Matcher) -> None:
        self._app = app
        self._access = access
        self._tokens = tokens
        self._match = match

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._judge(scope, receive, send)
        elif scope["type"] == "websocket":
            # MLflow has none.
            await send({"type": "websocket.close", "code": _POLICY})
        else:
            await self._app(scope, receive, send)

    async def _judge(self, scope: Scope, receive: Receive, send: Send) -> None:
        audit.begin()
        headers = _single(scope)
        caller = headers if isinstance(headers, Refusal) else await self._caller(scope["path"], headers)
        if isinstance(headers, Refusal) or isinstance(caller, Refusal):
            await _refuse(caller, None, scope, receive, send)
            return
        # Not before: the work for a route is not for everybody who sends a path.
        route = self._match(scope["method"], scope["path"])
        decided = self._decide(scope, headers, caller, route)
        if isinstance(decided, Refusal):
            await _refuse(decided, route, scope, receive, send)
            return
        current.begin(decided.caller)
        scope["headers"] = _without_credentials(scope, decided.workspace)
        if decided.kind in _UNAUDITED:
            await self._app(scope, receive, send)
        else:
            await self._audited(scope, receive, send, decided, str(route))

    def _decide(self, scope: Scope, headers: dict[bytes, str], caller: Caller, route: str | None) -> Allowed | Refusal:
        path = scope["path"]
        query = parse_qs(scope["query_string"].decode("latin-1")) if "/mlflow-artifacts/" in path else {}
        asked = Asked(
            method=scope["method"],
            route=route,
            workspace=headers.get(_WORKSPACE, ""),
            artifacts=artifact_paths(path, query),
        )
        return decide(self._access, caller, asked)

    async def _caller(self, path: str, headers: dict[bytes, str]) -> Caller | Refusal:
        value = headers.get(_TOKEN, "")
        if path.startswith(_GATEWAY_PREFIX):
            value = headers.get(_GATEWAY_TOKEN, value)
        scheme, _, token = value.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            problem = "You are not signed in." if not value else "This platform takes bearer tokens only."
            return refusals.nobody(self._access, problem)
        try:
            return await self._tokens.caller(token.strip())
        except TokenRefusedError as refused:
            return refusals.nobody(self._access, f"The token {refused}.")
        except NoKeysError as error:
            return refusals.no_keys(str(error))

    async def _audited(self, scope: Scope, receive: Receive, send: Send, allowed: Allowed, route: str) -> None:
        status = 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            audit.changed(allowed, route, scope, status)


async def _refuse(refusal: Refusal, route: str | None, scope: Scope, receive: Receive, send: Send) -> None:
    audit.refused(refusal, route, scope)
    failure = refusal.failure
    await JSONResponse(failure.body, failure.status, dict(refusal.headers))(scope, receive, send)


def _single(scope: Scope) -> dict[bytes, str] | Refusal:
    """Return the headers that decide, each once, or the refusal of one that came twice."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _ONCE:
            if name in found:
                return refusals.doubled(_ONCE[name])
            found[name] = value.decode("latin-1")
    return found


def _without_credentials(scope: Scope, workspace: str) -> list[tuple[bytes, bytes]]:
    """Return the headers without those that were judged here, and the workspace that was decided.

    MLflow's AI gateway would pass a token on to a provider. No name with an underscore either: to the Flask half of
    MLflow X_A and X-A are one header.
    """
    kept = [(name, value) for name, value in scope["headers"] if name not in _ONCE and b"_" not in name]
    return [*kept, (_WORKSPACE, workspace.encode())]
