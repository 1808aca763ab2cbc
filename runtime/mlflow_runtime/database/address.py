"""Where a database is and who signs in: a URL of the dialect in `dialect.py`, which never holds a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from mlflow_runtime.addresses import is_loopback

DRIVER: Final = "postgresql+entra"

# libpq takes these from the query too, past the checks of the address before it.
_ELSEWHERE = frozenset({"host", "hostaddr", "port", "user", "dbname", "service"})


def parser(database: str | None = None) -> Callable[[str], URL]:
    """A parser of such a URL, or only of those of one `database`. What it raises (ValueError) repeats no password.

    TLS with a verified name is required of every server but one of this machine, which nobody can come between.
    """
    form = f"{DRIVER}://ROLE@HOST:PORT/{database or 'DATABASE'}?sslmode=verify-full"

    def parse(text: str) -> URL:
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise ValueError(f"must be {form}.") from None
        if url.drivername != DRIVER:
            raise ValueError(f"uses {url.drivername!r}; it must be {form}.")
        if url.password is not None or "password" in url.query:
            raise ValueError("holds a password; leave it out, the identity's token is used.")
        if not (url.username and url.host and url.database):
            raise ValueError(f"lacks the role, the host or the database; it must be {form}.")
        if moved := sorted(_ELSEWHERE & url.query.keys()):
            raise ValueError(f"says {', '.join(moved)} in its query; it must be {form}.")
        if database is not None and url.database != database:
            raise ValueError(f"names database {url.database!r}; it must be {database!r}.")
        if not is_loopback(url.host) and url.query.get("sslmode") != "verify-full":
            raise ValueError("must say sslmode=verify-full for a host that is not this machine.")
        return url

    return parse


def place(url: URL) -> str:
    """The server and the database, whoever signs in and however."""
    return f"{(url.host or '').lower()}:{url.port or 5432}/{url.database}"
