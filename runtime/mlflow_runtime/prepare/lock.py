"""At most one prepare at work on a server."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from mlflow_runtime.prepare.connection import APPLICATION_NAME
from mlflow_runtime.prepare.errors import PrepareError

# Any fixed 64-bit number, the same in every release: two releases must exclude each other too. It spells "mlflow-p".
LOCK_KEY = int.from_bytes(b"mlflow-p", "big")

_POLL_SECONDS = 0.5
_REPORT_SECONDS = 30.0
_TERMINATION_MILLISECONDS = 30_000

_LEFT = (
    "FROM pg_stat_activity WHERE usename = current_user AND application_name = :name AND datname = ANY(:databases) "
    "AND pid <> pg_backend_pid()"
)

_log = logging.getLogger(__name__)


@contextmanager
def exclusive(admin: Engine, *, within: float) -> Iterator[Connection]:
    """Hold the server-wide advisory lock and yield its connection (autocommit, database `postgres`).

    A second prepare waits, saying so, and fails with PrepareError after `within` seconds. The server releases the lock
    when the connection ends, so a killed prepare never blocks the next one.
    """
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _acquire(connection, within)
        try:
            yield connection
        finally:
            if not connection.invalidated and not connection.closed:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})


def _acquire(connection: Connection, within: float) -> None:
    deadline = time.monotonic() + within
    next_report = 0.0
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
        now = time.monotonic()
        if now >= deadline:
            raise PrepareError(
                f"another prepare ({_holder(connection)}) still held the lock after {within:g} s",
                "let it end, or end it; its database session can be ended with pg_terminate_backend",
            )
        if now >= next_report:
            _log.info("another prepare is at work (%s); waiting for it to end", _holder(connection))
            next_report = now + _REPORT_SECONDS
        time.sleep(_POLL_SECONDS)


def _holder(connection: Connection) -> str:
    row = connection.execute(
        text(
            "SELECT a.pid, a.backend_start AT TIME ZONE 'UTC' FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
            "AND ((l.classid::bigint << 32) | l.objid::bigint) = :key"
        ),
        {"key": LOCK_KEY},
    ).first()
    return f"session {row[0]}, since {row[1]:%H:%M:%S} UTC" if row else "just ended"


def end_leftovers(connection: Connection, databases: Sequence[str]) -> int:
    """End what a killed prepare left running in `databases`, wait until it is gone, and return how many there were.

    The server lets a statement finish before it notices that its client died, while the lock of the dead process is
    free at once. To be called with the lock held, before this process opens sessions of its own there.
    """
    named = {"name": APPLICATION_NAME, "databases": list(databases)}
    ended = connection.execute(
        text(f"SELECT pid, pg_terminate_backend(pid, :patience) {_LEFT}"),
        {"patience": _TERMINATION_MILLISECONDS, **named},
    ).all()
    alive = {pid for pid, gone in ended if not gone}
    if alive:  # or ended by themselves in between: no backend any more, which PostgreSQL answers with false too
        alive &= set(connection.scalars(text(f"SELECT pid {_LEFT}"), named))
    if alive:
        raise PrepareError(
            f"sessions {sorted(alive)} of an earlier prepare did not end within {_TERMINATION_MILLISECONDS // 1000} s",
            "look at them in pg_stat_activity and end them",
        )
    return len(ended)
