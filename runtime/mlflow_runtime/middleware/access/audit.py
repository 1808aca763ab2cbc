"""The record of changes and refusals: one line of JSON for each, in the service's log, by the logger of this name.

It says who, where and what by ids, and never what was written. The ids of the query are read here; those of the path
and of a body are the business of the code that reads them, which adds them with `touch_named`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Scope

from mlflow_runtime.middleware.access.decision import Allowed
from mlflow_runtime.middleware.access.refusals import Refusal
from mlflow_runtime.middleware.access.tokens import Caller

LOGGER: Final = "mlflow_runtime.audit"

# What names a thing and does not describe it.
_ID_FIELD: Final = re.compile(r"(?:\w+_id|\w+_ids|run_uuid|name|version|alias)")
_ID: Final = re.compile(r"[\w.@:/-]{1,200}")
_MOST: Final = 100

_touched: ContextVar[dict[str, list[str]] | None] = ContextVar("audit_touched", default=None)

_log = logging.getLogger(LOGGER)


def begin() -> None:
    """Begin to collect the ids of a request."""
    _touched.set({})


def touch_named(field: str, values: Iterable[object]) -> None:
    """Add what a request names in a field, if the field is one for ids. Outside of a request it does nothing."""
    found = _touched.get()
    if _ID_FIELD.fullmatch(field) is None:
        return
    ids = [str(value) for value in values if _ID.fullmatch(str(value))]
    if found is not None and ids:
        found[field] = list(dict.fromkeys((*found.get(field, ()), *ids)))[:_MOST]


def changed(allowed: Allowed, route: str, scope: Scope, status: int) -> None:
    """Write a request that may have changed something, after it was answered with `status`."""
    role = allowed.caller.roles.get(allowed.workspace)
    _write("changed", allowed.caller, allowed.workspace, route, scope, status, role=role.title if role else None)


def refused(refusal: Refusal, route: str | None, scope: Scope) -> None:
    """Write a request that was refused."""
    caller, where = refusal.caller, refusal.workspace
    role = caller.roles.get(where) if caller and where else None
    title = role.title if role else None
    _write("refused", caller, where, route, scope, refusal.failure.status, role=title, reason=refusal.reason)


def _write(
    event: str,
    caller: Caller | None,
    workspace: str | None,
    route: str | None,
    scope: Scope,
    status: int,
    *,
    role: str | None,
    reason: str | None = None,
) -> None:
    fields = {
        "caller": caller and caller.name,
        "oid": caller and caller.oid,
        "application": caller and caller.application,
        "workspace": workspace,
        "user_role": role,
        "route": route,
        "ids": _ids(scope),
        "status": status,
        "reason": reason,
    }
    _log.info(event, extra={"fields": {name: value for name, value in fields.items() if value is not None}})


def _ids(scope: Scope) -> Mapping[str, list[str]]:
    query = scope["query_string"].decode("latin-1")
    for name, value in (*parse_qsl(query), *(scope.get("path_params") or {}).items()):
        touch_named(name, [value])
    return _touched.get() or {}
