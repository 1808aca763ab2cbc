"""The gate: the layer in which a request is admitted with a caller and a workspace, or answered without MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime.middleware.access import audit, current, refusals
from mlflow_runtime.middleware.access.browser import account, cookies, origin, pages
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
_NO_ANSWER: Final = 500
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
        known = await self._known(scope)
        if isinstance(known, Refusal):
            await _refuse(known, None, scope, receive, send)
            return
        caller = known.caller
        known_here = caller.roles and caller.oid not in self._access.blocked
        own = account.answer(scope["method"], scope["path"], caller, self._access.workspaces) if known_here else None
        if own is not None:
            await JSONResponse(own, headers={"Cache-Control": "no-store"})(scope, receive, send)
            return
        # Not before: the work for a route is not for everybody who sends a path.
        route = self._match(scope["method"], scope["path"])
        decided = self._decide(scope, known.headers, caller, route)
        if isinstance(decided, Allowed) and known.by_browser and not _own_page(scope, decided):
            decided = refusals.other_site(decided)
        if isinstance(decided, Refusal):
            await _refuse(decided, route, scope, receive, send)
            return
        current.begin(decided.caller)
        scope["headers"] = _without_credentials(scope, decided.workspace)
        if decided.kind in _UNAUDITED:
            await self._app(scope, receive, send)
        else:
            await self._audited(scope, receive, send, decided, str(route))

    def _decide(
        self, scope: Scope, headers: Mapping[bytes, str], caller: Caller, route: str | None
    ) -> Allowed | Refusal:
        asked = Asked(
            method=scope["method"],
            route=route,
            workspace=headers.get(_WORKSPACE, ""),
            artifacts=artifact_paths(scope["path"], scope["query_string"]),
        )
        return decide(self._access, caller, asked)

    async def _known(self, scope: Scope) -> _Known | Refusal:
        headers = _single(scope)
        if isinstance(headers, Refusal):
            return headers
        sent = _credential(self._access, scope["path"], headers)
        if isinstance(sent, Refusal):
            return sent
        try:
            caller = await self._tokens.caller(sent.token)
        except TokenRefusedError as refused:
            again = refused.expired or not sent.by_browser
            return refusals.nobody(self._access, f"The token {refused}.", sign_in=again)
        except NoKeysError as error:
            return refusals.no_keys(str(error))
        return _Known(caller=caller, headers=headers, by_browser=sent.by_browser)

    async def _audited(self, scope: Scope, receive: Receive, send: Send, allowed: Allowed, route: str) -> None:
        """Answer a request that may change something. Its record comes before its answer: whoever has an answer has a
        record too, whatever ends the process.
        """
        is_written = False

        async def recorded(message: Message) -> None:
            nonlocal is_written
            if message["type"] == "http.response.start":
                is_written = True
                audit.changed(allowed, route, scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, recorded)
        finally:
            if not is_written:
                audit.changed(allowed, route, scope, _NO_ANSWER)


@dataclass(frozen=True, kw_only=True)
class _Credential:
    """A token as it was sent; `by_browser` is that of a session, which a browser adds to whatever request."""

    token: str
    by_browser: bool = False


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A request whose caller is known, with the headers that decide."""

    caller: Caller
    headers: Mapping[bytes, str]
    by_browser: bool


def _credential(access: Access, path: str, headers: Mapping[bytes, str]) -> _Credential | Refusal:
    value = headers.get(_TOKEN, "")
    if path.startswith(_GATEWAY_PREFIX):
        value = headers.get(_GATEWAY_TOKEN, value)
    if not value and (session := cookies.session(cookies.read(headers.get(_COOKIE, "")))):
        return _Credential(token=session, by_browser=True)
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        problem = "You are not signed in." if not value else "This platform takes bearer tokens only."
        return refusals.nobody(access, problem)
    return _Credential(token=token.strip())


def _own_page(scope: Scope, allowed: Allowed) -> bool:
    """Return whether a request with a session was meant: no other site may have the browser send it."""
    headers = Headers(scope=scope)
    reads = allowed.kind in _UNAUDITED
    return origin.is_own_page(headers) or (reads and origin.opens_a_page(scope["method"], headers))


async def _refuse(refusal: Refusal, route: str | None, scope: Scope, receive: Receive, send: Send) -> None:
    audit.refused(refusal, route, scope)
    await _refused(refusal, scope)(scope, receive, send)


def _refused(refusal: Refusal, scope: Scope) -> Response:
    """Return the answer: a page for a person who opens an address, an error of MLflow's for everybody else."""
    failure = refusal.failure
    if not origin.opens_a_page(scope["method"], Headers(scope=scope)):
        return JSONResponse(failure.body, failure.status, dict(refusal.headers))
    if refusal.sign_in:
        return pages.signing_in(failure.status, refusal.headers)
    return pages.refused(failure.status, failure.message, signed_in=refusal.caller is not None)


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
