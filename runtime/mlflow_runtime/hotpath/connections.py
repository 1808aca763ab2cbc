"""Connections that wait in the event loop, and a pool of them. The driver is MLflow's own, in its asynchronous mode.

A connection is signed in as those of the dialect `postgresql+entra` are. It prepares every statement when it opens.
Whatever it waits for has an end: a token, a place, a statement, a server that says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

import psycopg2
from psycopg2 import extensions
from sqlalchemy import URL

from mlflow_runtime.azure import identity
from mlflow_runtime.database import dialect
from mlflow_runtime.hotpath.statements import ALL
from mlflow_runtime.reasons import first_line

# After a failed connect requests go to MLflow for so long, rather than wait for the next failure.
PAUSE_SECONDS: Final = 1.0

LOCK_SECONDS: Final = 1
"""After which the server ends a statement that waits for a lock, such as one of a transaction of MLflow's. MLflow
answers its request then, and waits in a thread."""

STATEMENT_SECONDS: Final = 10
"""After which the server ends any other statement."""

LONG_SECONDS: Final = 2
"""After which it ends one that may take long. MLflow answers its request then, without a connection of these."""

ANSWER_SECONDS: Final = 15.0
"""After which a server that does not end its statement, as one that hangs, is given up."""

PLACE_SECONDS: Final = 5.0
"""How long a request waits for a connection; a replica that is merely busy frees one in far less."""

LONG_PLACE_SECONDS: Final = 0.25
"""How long it waits for one of those for what may take long. MLflow has more connections for that."""

# SQLSTATEs (PostgreSQL's documentation, appendix "PostgreSQL Error Codes"): the class of what a statement says of
# tables, columns and rights; a prepared statement that is gone, or whose row is of other types than it was.
_OF_THE_TABLES: Final = "42"
_NOT_PREPARED: Final = frozenset({"26000", "0A000"})
# The classes of what it says of the values that a client sent: data, and integrity constraints.
_OF_THE_VALUES: Final = ("22", "23")

# PostgreSQL would plan log_params at each call, which takes three times as long as the call, to know how many values
# come: each row is found by its key, however many there are.
_PLANS: Final = "-c plan_cache_mode=force_generic_plan"

_log = logging.getLogger(__name__)

T = TypeVar("T")


class NotConnected(Exception):  # noqa: N818 - it names what happened
    """There is no connection, so nothing was sent. The server cannot be reached, or refuses."""


class Refused(Exception):  # noqa: N818
    """The server refused a statement, and so wrote nothing of it, nor of the transaction that it was in.

    `for_values` says that it is the client's mistake.
    """

    def __init__(self, reason: str, *, for_values: bool) -> None:
        super().__init__(reason)
        self.for_values = for_values


class Unfit(Exception):  # noqa: N818
    """The database is not one that the statements were written for: other tables, or no right to them."""


class Lost(Exception):  # noqa: N818
    """The connection was lost after something was sent: nobody knows whether it was done. In a transaction nothing was
    done before its COMMIT.
    """


class Connection:
    """An open connection. One statement at a time."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    @classmethod
    async def open(cls, url: URL, tokens: Tokens) -> Connection:
        """Connect with the identity's token; one that the server refuses is renewed, once.

        Raises NotConnected, or Unfit if the statements cannot be prepared.
        """
        arguments, options = url.get_dialect()().create_connect_args(url)
        try:
            async with asyncio.timeout(2 * int(options["connect_timeout"])):
                token = await tokens.token()
                try:
                    return await cls._signed_in(arguments, options, token)
                except psycopg2.OperationalError as error:
                    if not dialect.is_refused(error):
                        raise
                    return await cls._signed_in(arguments, options, await tokens.renewed(token))
        except Exception as error:  # the driver's, Azure's, the timeout's
            if _is_unfit(error):
                raise Unfit(first_line(error)) from error
            raise NotConnected(first_line(error)) from error

    @classmethod
    async def _signed_in(cls, arguments: Sequence[str], options: Mapping[str, Any], token: str) -> Connection:
        # In a thread: libpq looks names up before it begins to wait.
        raw = await _aside(lambda: psycopg2.connect(*arguments, **options, password=token, async_=True))
        made = cls(raw)
        try:
            await made._answered()
            await made._sent("; ".join(statement.prepare for statement in ALL.values()), ())
        except BaseException:
            raw.close()
            raise
        return made

    async def run(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Run SQL and return its only row, None if it has none.

        Raises Refused, Unfit or Lost, and ValueError before anything is sent.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._sent(statement, values)
        except TimeoutError as error:
            raise Lost(f"no answer within {ANSWER_SECONDS:.0f} s") from error
        except psycopg2.Error as error:
            # A server that ends a connection gives it a code too.
            if self._raw.closed or not error.pgcode:
                raise Lost(first_line(error)) from error
            if _is_unfit(error):
                raise Unfit(first_line(error)) from error
            raise Refused(first_line(error), for_values=error.pgcode.startswith(_OF_THE_VALUES)) from error

    async def _sent(self, statement: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
        with self._raw.cursor() as cursor:
            text = cursor.mogrify(statement, values)
            try:
                cursor.execute(text)
                await self._answered()
            except BaseException:
                if self._raw.isexecuting():
                    self._raw.close()
                raise
            return cast("tuple[Any, ...]", cursor.fetchone()) if cursor.description else None

    async def _answered(self) -> None:
        loop = asyncio.get_running_loop()
        while (state := self._raw.poll()) != extensions.POLL_OK:
            waits, descriptor = loop.create_future(), self._raw.fileno()
            if state == extensions.POLL_READ:
                add, remove = loop.add_reader, loop.remove_reader
            else:
                add, remove = loop.add_writer, loop.remove_writer
            add(descriptor, _wake, waits)
            try:
                await waits
            finally:
                remove(descriptor)

    @property
    def is_idle(self) -> bool:
        """Whether it can be used: nothing is under way, and the server has not said anything, such as its end."""
        if self._raw.closed or self._raw.isexecuting():
            return False
        if self._raw.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            return False
        quiet = select.poll()
        quiet.register(self._raw.fileno(), select.POLLIN)
        return not quiet.poll(0)

    def close(self) -> None:
        """End it, whatever is under way."""
        self._raw.close()


class Tokens:
    """The identity's tokens for the database, fetched once for all who wait.

    A fetch that takes longer than they wait goes on, for who comes next.
    """

    def __init__(self) -> None:
        self._fetching: asyncio.Future[str] | None = None

    async def token(self) -> str:
        """Return a token, kept or new."""
        if self._fetching is None or self._fetching.done():
            self._fetching = _aside(lambda: str(identity.current().get_token(dialect.SCOPE).token))
        return await asyncio.shield(self._fetching)

    async def renewed(self, refused: str) -> str:
        """Return a token in place of one that the server refused."""
        return await _aside(lambda: identity.current().renewed_token(dialect.SCOPE, refused))


class Pool:
    """At most `size` connections to a database, opened when they are needed and then kept open.

    `long` says that they are for what may take long: nobody waits long for one, nor for its statement.
    """

    def __init__(self, url: URL, size: int, *, long: bool = False) -> None:
        statement_seconds = LONG_SECONDS if long else STATEMENT_SECONDS
        self._long = long
        # Of an option that comes twice PostgreSQL takes the last value.
        options = (
            *url.normalized_query.get("options", ()),
            f"-c statement_timeout={1000 * statement_seconds} -c lock_timeout={1000 * LOCK_SECONDS}",
            _PLANS,
        )
        self._url = url.update_query_dict({"options": " ".join(options)})
        self._tokens = Tokens()
        self._kept: list[Connection] = []
        self._places = asyncio.Semaphore(size)
        self._keeps = True
        self._paused_until = 0.0
        self._reachable = True
        self._probing = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the block; waits a while for one where all are in use. Raises NotConnected or Unfit."""
        await self._place()
        try:
            found = await self._found()
            try:
                yield found
            finally:
                if self._keeps and found.is_idle:
                    self._kept.append(found)
                else:
                    found.close()
        finally:
            self._places.release()

    def close(self) -> None:
        """Close the connections that wait, and each that is in use when its block ends."""
        self._keeps = False
        while self._kept:
            self._kept.pop().close()

    async def _place(self) -> None:
        if not self._places.locked():  # without a timer, as nearly always
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(LONG_PLACE_SECONDS if self._long else PLACE_SECONDS):
                await self._places.acquire()
        except TimeoutError as error:
            raise NotConnected("all connections are in use") from error

    async def _found(self) -> Connection:
        while self._kept:
            kept = self._kept.pop()
            if kept.is_idle:
                return kept
            kept.close()
        if time.monotonic() < self._paused_until or self._probing:
            raise NotConnected("the server did not take the last connection")
        # Of a server that says nothing one request waits to find out whether it is back, and the others are MLflow's.
        probes = self._probing = not self._reachable
        try:
            opened = await Connection.open(self._url, self._tokens)
        except NotConnected as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            if self._reachable:
                _log.warning("the hot path gets no connection, MLflow answers meanwhile: %s", error)
            self._reachable = False
            raise
        finally:
            if probes:
                self._probing = False
        self._reachable = True
        return opened


def _is_unfit(error: BaseException) -> bool:
    code = getattr(error, "pgcode", None) or ""
    return code.startswith(_OF_THE_TABLES) or code in _NOT_PREPARED


def _aside(work: Callable[[], T]) -> asyncio.Future[T]:
    """Do what blocks in a thread of its own, for which the end of the process does not wait."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: Exception | None) -> None:
        if done.done():  # nobody waits any more
            return
        if error is None:
            done.set_result(cast("T", result))
        else:
            done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - for who waits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=run, name="hot-path-connect", daemon=True).start()
    return done


def _wake(waits: asyncio.Future[None]) -> None:
    if not waits.done():
        waits.set_result(None)
