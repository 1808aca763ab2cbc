"""A limit of the head of a request: its target and its headers.

The gateway reads longer heads than this. What it refuses by itself ends in a connection that is reset, and many clients
then show no answer.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mlflow_runtime.middleware.access.browser import cookies
from mlflow_runtime.responses import Failure

LIMIT_KIB: Final = 64
# The gateway adds headers of its own.
_ALLOWED: Final = (LIMIT_KIB + 4) * 1024


def size(scope: Scope) -> int:
    """Return the bytes of the target and the headers as they came in, line ends included."""
    headers = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return len(scope["raw_path"]) + len(scope["query_string"]) + headers


class HeadLimit:
    """ASGI middleware that answers a longer head with 431.

    Tabs that a browser opens together each begin a sign-in without the others' cookies, so all of them may be too many.
    The answer ends them: the next request of that browser is short enough.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (found := size(scope)) > _ALLOWED:
            failure = Failure(
                status=431,
                code="INVALID_PARAMETER_VALUE",
                message=f"The target and the headers of the request are {found} bytes long; allowed: {LIMIT_KIB} KiB. "
                "Send long filters and lists in the body of a POST, and fewer cookies.",
            )
            answer = JSONResponse(failure.body, failure.status)
            sent = "; ".join(Headers(scope=scope).getlist("cookie"))
            for ended in cookies.end_flows(cookies.read(sent)):
                answer.headers.append("Set-Cookie", ended)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)
