"""`/access/…`: the way to Entra and back, who is signed in, and the way out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final

import jwt
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mlflow_runtime.middleware.access import audit, refusals
from mlflow_runtime.middleware.access.browser import cookies, flow, origin, pages
from mlflow_runtime.middleware.access.browser.exchange import AwayError, CodeRefusedError, Redeem
from mlflow_runtime.middleware.access.browser.flow import Flow
from mlflow_runtime.middleware.access.keys import NoKeysError
from mlflow_runtime.middleware.access.settings import Access
from mlflow_runtime.middleware.access.tokens import Caller, TokenRefusedError, Tokens

_AT_ONCE: Final = 8
_SILENT_REFUSALS: Final = ("login_required", "interaction_required", "consent_required")
_ACCOUNT: Final = f"GET {flow.OWN}"
_CALLBACK: Final = f"GET {flow.CALLBACK}"
_SIGN_OUT: Final = f"POST {pages.SIGN_OUT}"

_log = logging.getLogger(__name__)


class SignIn:
    """ASGI middleware. `hosts` are the Host headers that are served: Entra sends a browser back to no other."""

    def __init__(self, app: ASGIApp, access: Access, tokens: Tokens, hosts: Iterable[str], redeem: Redeem) -> None:
        self._app = app
        self._access = access
        self._tokens = tokens
        self._hosts = frozenset(hosts)
        self._redeem = redeem
        # Not the threads that work for requests: those may all be busy.
        self._asking = CapacityLimiter(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path != flow.OWN and not path.startswith(f"{flow.OWN}/"):
            await self._app(scope, receive, send)
            return
        # The gate, which begins a record otherwise, comes after this layer. Without a record of its own a sign-in would
        # add to that of the previous request on the connection.
        audit.begin()
        answer = await self._answer(Request(scope, receive), path)
        await answer(scope, receive, send)

    async def _answer(self, request: Request, path: str) -> Response:
        match request.method, path:
            case "GET", pages.SIGN_IN:
                return self._begin(request)
            case "GET", flow.CALLBACK:
                return await self._finish(request)
            case "POST", pages.SIGN_OUT:
                return await self._end(request)
            case "GET", flow.DONE:
                return pages.done("You can close this window.")
            case "GET", flow.OWN:
                return await self._account(request)
            case "GET", _ if path in pages.SCRIPTS:
                headers = {"Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff"}
                return PlainTextResponse(pages.SCRIPTS[path], media_type="text/javascript", headers=headers)
        return pages.answer("Not found", "There is no such page here.", status=404)

    def _begin(self, request: Request) -> Response:
        host = request.headers.get("host", "").lower()
        if host not in self._hosts:
            return pages.failed(400, "Unknown address", "Open the platform by its own address.")
        found = flow.started(request.query_params.get("return", "/"))
        silent = "silent" in request.query_params
        url = flow.authorize_url(self._access, found, flow.redirect_uri(host), silent=silent)
        answer = RedirectResponse(url, 302, {"Cache-Control": "no-store"})
        name, packed = flow.name(found.state), flow.packed(found)
        _set(answer, cookies.begin_flow(_cookies(request), name, packed, flow.SECONDS))
        return answer

    async def _finish(self, request: Request) -> Response:
        state = request.query_params.get("state", "")
        name = flow.name(state)
        found = flow.unpacked(cookies.flow(_cookies(request), name))
        if found is None or not flow.matches(found, state):
            text = (
                "This browser did not begin this sign-in, began it more than ten minutes ago, or keeps no cookies of "
                "this address. Allow its cookies, and sign in again."
            )
            return _refused("sign-in-not-begun", pages.failed(400, "Sign-in not finished", text))
        answer = await self._finished(request, found)
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            _set(answer, [cookies.end_flow(name)])
        return answer

    async def _finished(self, request: Request, found: Flow) -> Response:
        asked = request.query_params
        if "code" not in asked:
            return self._not_signed_in(asked.get("error", ""), asked.get("error_description", ""))
        if not self._asking.available_tokens:
            # Whoever comes without an account can ask so much: they wait in nobody's place.
            busy = "Many sign in just now. Try again in a minute."
            return _refused("sign-in-busy", pages.failed(503, "Sign-in not available at present", busy))
        host = request.headers.get("host", "").lower()
        try:
            granted = await to_thread.run_sync(
                self._redeem, asked["code"], found, flow.redirect_uri(host), limiter=self._asking
            )
            await self._tokens.refuse_foreign_id_token(granted.id_token, found.nonce)
            caller = await self._tokens.caller(granted.access_token)
            session = [*cookies.begin(granted.access_token, int(caller.expires_at - time.time()))]
        except CodeRefusedError as refused:
            page = pages.failed(400, "Sign-in not finished", f"Entra did not take the answer: {refused}")
            return _refused("sign-in-code", page)
        except TokenRefusedError as refused:
            text = f"The token of your sign-in {refused}. Ask {self._access.contact}."
            return _refused("sign-in-token", pages.failed(403, "No access", text))
        except (AwayError, NoKeysError) as error:
            _log.warning("a sign-in was not finished: %s", error)
            text = f"{error}. Try again in a minute; if it stays so, tell {self._access.contact}."
            return _refused("sign-in-away", pages.failed(503, "Sign-in not available at present", text))
        if caller.oid in self._access.blocked:
            refusal = refusals.blocked(self._access, caller)
            return _refused(refusal.reason, pages.failed(403, "No access", refusal.failure.message), caller)
        if found.path == flow.DONE and _owner(cookies.session(_cookies(request))) not in (None, caller.oid):
            # The open page would go on with one person's work under another one's name.
            text = "Entra signed somebody else in. Close this window, and sign out of the page first."
            return _refused("sign-in-other-person", pages.failed(403, "Another person", text), caller)
        answer = RedirectResponse(found.path, 303, {"Cache-Control": "no-store"})
        _set(answer, session)
        audit.signed_in(caller, _CALLBACK, answer.status_code)
        return answer

    def _not_signed_in(self, error: str, description: str) -> Response:
        if error in _SILENT_REFUSALS:
            return pages.done("Entra asks you to sign in.")
        said = next(iter(description.splitlines()), "") or error or "no reason"
        if error in ("server_error", "temporarily_unavailable"):
            page = pages.failed(503, "Sign-in not available at present", f"Entra says: {said}")
            return _refused("sign-in-away", page)
        text = (
            f"Entra says: {said} Sign in with an account of tenant {self._access.tenant_id}; without access, ask "
            f"{self._access.contact}."
        )
        return _refused("sign-in-by-entra", pages.failed(403, "Not signed in", text))

    async def _end(self, request: Request) -> Response:
        if not origin.is_own_page(request.headers):
            page = pages.failed(403, "Not signed out", "Sign out on the platform's own page, /access.")
            return _refused("other-site", page, route=_SIGN_OUT)
        logout = f"{self._access.authority}/{self._access.tenant_id}/oauth2/v2.0/logout"
        answer = pages.signed_out(logout)
        _set(answer, cookies.end(_cookies(request)))
        # A session that counts no more has ended before.
        with contextlib.suppress(TokenRefusedError, NoKeysError):
            caller = await self._tokens.caller(cookies.session(_cookies(request)))
            audit.signed_out(caller, _SIGN_OUT, answer.status_code)
        return answer

    async def _account(self, request: Request) -> Response:
        try:
            caller = await self._tokens.caller(cookies.session(_cookies(request)))
        except TokenRefusedError:
            return pages.failed(401, "Not signed in", "This browser has no session, or it has ended.")
        except NoKeysError as error:
            return pages.failed(503, "Sign-in not available at present", str(error))
        if caller.oid in self._access.blocked:
            refusal = refusals.blocked(self._access, caller)
            audit.refused(refusal, _ACCOUNT, request.scope)
            return pages.refused(refusal.failure.status, refusal.failure.message, signed_in=True)
        return pages.account(caller)


def _cookies(request: Request) -> Mapping[str, str]:
    return cookies.read(request.headers.get("cookie", ""))


def _set(answer: Response, values: Iterable[str]) -> None:
    for value in values:
        answer.headers.append("Set-Cookie", value)


def _refused(reason: str, page: Response, caller: Caller | None = None, *, route: str = _CALLBACK) -> Response:
    """Return the page of a refused sign-in or sign-out, once it is in the record."""
    audit.sign_in_refused(reason, caller, route, page.status_code)
    return page


def _owner(token: str) -> str | None:
    """Return the object id in a session's token, which was judged when the session began and may have ended."""
    try:
        return str(jwt.decode(token, options={"verify_signature": False})["oid"])
    except (jwt.InvalidTokenError, KeyError):
        return None
