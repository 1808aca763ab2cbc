"""Who the caller is, as MLflow's page asks for it: it then shows the name, and the roles on its account page.

Without MLflow's own auth application nothing answers these routes. Shapes: `get_current_user` and its neighbours in
mlflow/server/auth/__init__.py, version 3.17.2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from mlflow_runtime.middleware.access.roles import Role
from mlflow_runtime.middleware.access.tokens import Caller


def answer(method: str, path: str, caller: Caller, workspaces: Collection[str]) -> Mapping[str, Any] | None:
    """Return the JSON for a request about its own caller, None for any other request.

    MLflow's page offers what concerns all `workspaces` to whoever is Admin in each of them.
    """
    made = _ANSWERS.get(path) if method == "GET" else None
    if made is None:
        return None
    return made(caller, all(caller.roles.get(workspace) is Role.ADMIN for workspace in workspaces))


def _user(caller: Caller, is_admin: bool) -> Mapping[str, Any]:
    user = {"id": 0, "username": caller.name, "is_admin": is_admin}
    return {"user": user, "is_basic_auth": False}


def _permissions(_: Caller, is_admin: bool) -> Mapping[str, Any]:
    return {"is_admin": is_admin, "permissions": []}


def _roles(caller: Caller, _: bool) -> Mapping[str, Any]:
    return {
        "roles": [
            {"id": number, "name": role.title, "workspace": workspace, "description": "", "permissions": []}
            for number, (workspace, role) in enumerate(sorted(caller.roles.items()), start=1)
        ]
    }


_ANSWERS: Final[Mapping[str, Callable[[Caller, bool], Mapping[str, Any]]]] = {
    f"/{prefix}/{path}": made
    for path, made in (
        ("2.0/mlflow/users/current", _user),
        ("3.0/mlflow/users/current/permissions", _permissions),
        ("3.0/mlflow/users/roles/list", _roles),
    )
    for prefix in ("api", "ajax-api")
}
