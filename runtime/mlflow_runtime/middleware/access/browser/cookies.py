"""The cookies of a browser: the session, which is the access token in pieces, and each sign-in under way. Pure.

`__Host-` names can be set by this host alone, not by a neighbour of its domain, and over HTTPS alone (RFC 6265bis,
section 4.1.3). A browser takes this machine for secure. SameSite=Lax keeps them from requests of other sites, but for
links that lead here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from mlflow_runtime.middleware.access.tokens import TokenRefusedError

SESSION: Final = "__Host-access"
FLOW: Final = "__Host-access-flow"
"""Followed by the name of a sign-in: the tabs of a browser may sign in at the same time."""
FRESH: Final = "__Host-access-fresh"
"""Readable by the page: there as long as the session is not about to end."""

_PIECE: Final = 3800
"""Characters of a cookie: browsers keep 4096 of name and value together (RFC 6265, section 6.1)."""
_MOST: Final = 5
_MOST_FLOWS: Final = 8
"""Tabs that sign in at the same time. A request has room for so many beside a session (middleware/head_limit.py)."""
_AGAIN_SECONDS: Final = 300
"""How long before the end of a session its page offers to sign in again."""


def read(header: str) -> Mapping[str, str]:
    """Return the cookies of a Cookie header, of several with one name the first."""
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        found.setdefault(name, value)
    return found


def session(cookies: Mapping[str, str]) -> str:
    """Return the token of a session, empty if there is none."""
    pieces = (cookies.get(f"{SESSION}-{number}", "") for number in range(_MOST))
    return "".join(pieces)


def begin(token: str, seconds: int) -> Iterator[str]:
    """Yield the Set-Cookie values of a session that ends with its token. TokenRefusedError for too long a token."""
    pieces = [token[at : at + _PIECE] for at in range(0, len(token), _PIECE)]
    if len(pieces) > _MOST:
        raise TokenRefusedError(f"has {len(token)} characters, too many for a session")
    for number in range(_MOST):
        name = f"{SESSION}-{number}"
        yield _set(name, pieces[number], seconds) if number < len(pieces) else _dropped(name)
    yield _set(FRESH, "1", max(seconds - _AGAIN_SECONDS, 0), hidden=False)


def end(cookies: Mapping[str, str]) -> Iterator[str]:
    """Yield the Set-Cookie values that end a session and each sign-in under way, whichever replica began it."""
    yield from (_dropped(f"{SESSION}-{number}") for number in range(_MOST))
    yield _dropped(FRESH)
    yield from end_flows(cookies)


def flow(cookies: Mapping[str, str], name: str) -> str:
    """Return what the browser keeps of the sign-in of a name, empty if there is none."""
    return cookies.get(f"{FLOW}-{name}", "")


def begin_flow(cookies: Mapping[str, str], name: str, value: str, seconds: int) -> Iterator[str]:
    """Yield the Set-Cookie values of one more sign-in. It takes the place of the oldest where there are too many."""
    # A browser sends the oldest first (RFC 6265, section 5.4).
    yield from map(_dropped, _flows(cookies)[: 1 - _MOST_FLOWS])
    yield _set(f"{FLOW}-{name}", value, seconds)


def end_flow(name: str) -> str:
    """Return the Set-Cookie value that ends the sign-in of a name."""
    return _dropped(f"{FLOW}-{name}")


def end_flows(cookies: Mapping[str, str]) -> Iterator[str]:
    """Yield the Set-Cookie values that end each sign-in under way."""
    yield from map(_dropped, _flows(cookies))


def _flows(cookies: Mapping[str, str]) -> list[str]:
    return [name for name in cookies if name.startswith(f"{FLOW}-")]


def _set(name: str, value: str, seconds: int, *, hidden: bool = True) -> str:
    kept = f"{name}={value}; Path=/; Max-Age={seconds}; Secure; SameSite=Lax"
    return f"{kept}; HttpOnly" if hidden else kept


def _dropped(name: str) -> str:
    return _set(name, "", 0)
