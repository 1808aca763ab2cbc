"""The caller of the request that is being answered, for code that MLflow calls.

It is in a context variable, which follows a request into the thread that handles it.
"""

from __future__ import annotations

from contextvars import ContextVar

from mlflow_runtime.middleware.access.roles import Part
from mlflow_runtime.middleware.access.tokens import Caller

_caller: ContextVar[Caller | None] = ContextVar("access_caller", default=None)


def caller() -> Caller | None:
    """Return the caller of this request, None outside of one: a service's own work."""
    return _caller.get()


def part_of(workspace: str | None) -> Part | None:
    """Return what alone this request's caller reads of a workspace, None where a role decides."""
    found = _caller.get()
    return None if found is None or workspace is None else found.parts.get(workspace)


def begin(found: Caller) -> None:
    """Make this the caller of the rest of the request. Each request has a context of its own."""
    _caller.set(found)
