"""The record of changes, refusals, sign-ins and sign-outs: one line of JSON for each, in the service's log, by the
logger of this name.

It says who, where and what by ids, and never what was written. The ids of the query are read here; those of the path
and of a body are the business of the code that reads them, which adds them with `touch_named`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Scope

from mlflow_runtime.middleware.access.decision import Allowed
from mlflow_runtime.middleware.access.refusals import Refusal
from mlflow_runtime.middleware.access.tokens import Caller

LOGGER: Final = "mlflow_runtime.audit"

# What names a thing and does not describe it.
_ID_FIELD: Final = re.compile(r"(?:\w{1,40}_ids?|run_uuid|name|version|alias|artifact_path|path)")
_LONGEST_ID: Final = 250
_LONGEST_NAME: Final = 64
_LONGEST_WORKSPACE: Final = 63
# Of all ids of a line: an agent splits a line of over 16 KiB (components/azure/log_table.py), and nobody finds it then.
_MOST_CHARACTERS: Final = 4096
_FROM_QUERY: Final = "query."
_READ_THE_QUERY: Final = ("GET", "HEAD")


@dataclass
class _Touched:
    """The ids of one request, and how many characters more of them there is room for."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    room: int = _MOST_CHARACTERS
    cut: bool = False

    def add(self, name: str, identifier: str) -> None:
        there = self.ids.get(name, [])
        size = len(name) + len(identifier)
        if identifier in there:
            return
        if size > self.room:
            self.cut = True
            return
        self.room -= size
        self.ids[name] = [*there, identifier]


_touched: ContextVar[_Touched | None] = ContextVar("audit_touched", default=None)

_log = logging.getLogger(LOGGER)


def begin() -> None:
    """Begin to collect the ids of a request."""
    _touched.set(_Touched())


def touch_named(name: str, values: Iterable[object]) -> None:
    """Add what a request names in a field, if the field is one for ids. Outside of a request it does nothing."""
    found = _touched.get()
    if found is None or len(name) > _LONGEST_NAME or not _is_for_ids(name):
        return
    for identifier in map(str, values):
        if 0 < len(identifier) <= _LONGEST_ID and identifier.isprintable():
            found.add(name, identifier)


@lru_cache(maxsize=1024)
def _is_for_ids(name: str) -> bool:
    return _ID_FIELD.fullmatch(name.removeprefix(_FROM_QUERY)) is not None


def changed(allowed: Allowed, route: str, scope: Scope, status: int) -> None:
    """Write a request that may have changed something, and is answered with `status`."""
    _touch_scope(scope)
    role = allowed.caller.roles.get(allowed.workspace)
    _write("changed", allowed.caller, allowed.workspace, route, status, role=role.title if role else None)


def refused(refusal: Refusal, route: str | None, scope: Scope) -> None:
    """Write a request that was refused."""
    _touch_scope(scope)
    caller, where = refusal.caller, refusal.workspace
    role = caller.roles.get(where) if caller and where else None
    title = role.title if role else None
    _write("refused", caller, where, route, refusal.failure.status, role=title, reason=refusal.reason)


def signed_in(caller: Caller, route: str, status: int) -> None:
    """Write the beginning of a browser's session."""
    _write("signed-in", caller, None, route, status)


def signed_out(caller: Caller, route: str, status: int) -> None:
    """Write the end of a browser's session."""
    _write("signed-out", caller, None, route, status)


def sign_in_refused(reason: str, caller: Caller | None, route: str, status: int) -> None:
    """Write a refused sign-in or sign-out. The query of one has a code, so it is not read for ids."""
    _write("refused", caller, None, route, status, reason=reason)


def _write(
    event: str,
    caller: Caller | None,
    workspace: str | None,
    route: str | None,
    status: int,
    *,
    role: str | None = None,
    reason: str | None = None,
) -> None:
    found = _touched.get() or _Touched()
    fields = {
        "caller": caller and caller.name,
        "oid": caller and caller.oid,
        "application": caller and caller.application,
        "workspace": workspace and workspace[:_LONGEST_WORKSPACE],
        "user_role": role,
        "route": route,
        "ids": found.ids,
        "ids_cut": found.cut or None,
        "status": status,
        "reason": reason,
    }
    _log.info(event, extra={"fields": {name: value for name, value in fields.items() if value is not None}})


def _touch_scope(scope: Scope) -> None:
    """Add the ids of the path, and those of the query: marked as such where a handler takes its ids from the body."""
    for name, value in (scope.get("path_params") or {}).items():
        touch_named(name, [value])
    if query := scope["query_string"]:
        mark = "" if scope.get("method") in _READ_THE_QUERY else _FROM_QUERY
        for name, value in parse_qsl(query.decode("latin-1")):
            touch_named(f"{mark}{name}", [value])
