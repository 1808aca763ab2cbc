"""The id of the request that is being answered: the gateway's, or one of this process's own where none was sent.

It is in a context variable, which follows a request into the thread that handles it: log lines, answers and errors
find it there.
"""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from typing import Final

from starlette.types import Scope

HEADER: Final = "X-Request-Id"

# What a log and a header can carry whoever sent it.
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADER: Final = HEADER.lower().encode()

_current: ContextVar[str | None] = ContextVar("request_id", default=None)
_request: ContextVar[object | None] = ContextVar("request", default=None)


def current() -> str | None:
    """The id of the request that this code runs for, or None outside of one."""
    return _current.get()


def request() -> object | None:
    """An object of the request's own, or None outside of one: clients choose ids, and may choose one twice."""
    return _request.get()


def begin(scope: Scope) -> str:
    """Take over a request's id, from here on `current`. A missing or malformed one is replaced by a new one."""
    sent = next((value for name, value in scope["headers"] if name == _HEADER), b"").decode("latin-1")
    found = sent if _WELL_FORMED.fullmatch(sent) else str(uuid.uuid4())
    _current.set(found)
    _request.set(object())
    return found
