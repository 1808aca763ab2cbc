"""The caller of the request that is being answered, for code that MLflow calls.

It is in a context variable, which follows a request into the thread that handles it.
"""

from __future__ import annotations

from contextvars import ContextVar

from mlflow_runtime.middleware.access.tokens import Caller

_caller: ContextVar[Caller | None] = ContextVar("access_caller", default=None)


def caller() -> Caller | None:
    """Return the caller of this request, None outside of one: a service's own work."""
    return _caller.get()


def begin(found: Caller) -> None:
    """Make this the caller of the rest of the request. Each request has a context of its own."""
    _caller.set(found)
