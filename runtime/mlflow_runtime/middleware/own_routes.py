"""A service answers only its own role's routes, so that one reached around the gateway cannot be misused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mlflow_runtime.responses import Failure
from mlflow_runtime.routes import ServiceRole, is_plain, role_of

# MLflow's own, of the process and not of its role.
COMMON: Final = frozenset({"/health", "/version"})

# MLflow's Assistant starts programs on the server's machine and changes the server's configuration for whoever seems to
# sit at it. A service has no such user. The page asks these two at every load, and they only read.
ASSISTANT: Final = "/ajax-api/3.0/mlflow/assistant/"
ASSISTANT_READS: Final = frozenset({f"{ASSISTANT}config", f"{ASSISTANT}providers"})

# These write artifacts or registered models as well as rows of tracking, in the service that may only read the others:
# they would stop in the middle. Stock MLflow lets its one process do all of it.
WRITES_ELSEWHERE: Final[Mapping[str, str]] = {
    "/ajax-api/3.0/mlflow/demo/generate": "Demo data is not made here",
    "/ajax-api/3.0/mlflow/demo/delete": "Demo data is not made here, nor deleted",
    "/ajax-api/2.0/mlflow/upload-artifact": "Artifacts are not uploaded by this route",
    "/ajax-api/2.0/mlflow/runs/create-promptlab-run": "Runs of the prompt lab are not created here",
}


def refusal(role: ServiceRole, path: str, method: str = "GET") -> Failure | None:
    """Why a service of `role` does not answer, or None if it does. `path` is decoded once, as ASGI gives it."""
    if not is_plain(path):
        # It may mean one thing to the table of routes and another to MLflow.
        return Failure(
            status=400,
            code="INVALID_PARAMETER_VALUE",
            message="The path has an empty segment, a '.' or '..' segment, or, elsewhere than in an artifact's name, a "
            "backslash or a control character; send it without.",
        )
    if path.startswith(ASSISTANT) and not (method == "GET" and path in ASSISTANT_READS):
        return Failure(status=403, code="PERMISSION_DENIED", message="The MLflow Assistant is switched off here.")
    if found := WRITES_ELSEWHERE.get(path.removesuffix("/")):
        return Failure(
            status=403,
            code="PERMISSION_DENIED",
            message=f"{found}: it needs the rights of several services at once. Use MLflow's client, which sends runs "
            "to tracking, artifacts to artifacts and models to the registry.",
        )
    owner = role_of(path)
    if owner is role or path in COMMON:
        return None
    return Failure(
        status=404,
        code="ENDPOINT_NOT_FOUND",
        message=f"This is the {role} service and the path belongs to the {owner} service; send requests to the "
        "platform's address, whose gateway knows the way.",
    )


class OnlyOwnRoutes:
    """ASGI middleware that applies `refusal`."""

    def __init__(self, app: ASGIApp, role: ServiceRole) -> None:
        self._app = app
        self._role = role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure = refusal(self._role, scope["path"], scope["method"]) if scope["type"] == "http" else None
        if failure is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse(failure.body, failure.status)(scope, receive, send)
