"""Connections that wait in the event loop, and a pool of them. The driver is MLflow's own, in its asynchronous mode.

A connection is signed in as those of the dialect `postgresql+entra` are. It prepares every statement when it opens.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import psycopg2
from psycopg2 import extensions
from sqlalchemy import URL

from mlflow_runtime.azure import identity
from mlflow_runtime.database import dialect
from mlflow_runtime.hotpath.statements import ALL

# After a failed connect requests go to MLflow for so long, rather than wait for the next failure.
PAUSE_SECONDS: Final = 1.0


class NotConnected(Exception):  # noqa: N818 - it names what happened
    """There is no connection, so nothing was sent. The server cannot be reached, or refuses."""


class Refused(Exception):  # noqa: N818
    """The server refused a statement, and so wrote nothing of it, nor of the transaction that it was in."""


class Lost(Exception):  # noqa: N818
    """The connection was lost after something was sent: nobody knows whether it was done."""


class Connection:
    """An open connection. One statement at a time."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    @classmethod
    async def open(cls, url: URL) -> Connection:
        """Connect with the identity's token; one that the server refuses is renewed, once. Raises NotConnected."""
        arguments, options = url.get_dialect()().create_connect_args(url)
        try:
            async with asyncio.timeout(2 * int(options["connect_timeout"])):
                token = await asyncio.to_thread(lambda: str(identity.current().get_token(dialect.SCOPE).token))
                try:
                    return await cls._signed_in(arguments, options, token)
                except psycopg2.OperationalError as error:
                    if not dialect.is_refused(error):
                        raise
                    renewed = await asyncio.to_thread(identity.current().renewed_token, dialect.SCOPE, token)
                    return await cls._signed_in(arguments, options, renewed)
        except Exception as error:  # the driver's, Azure's, the timeout's
            raise NotConnected(str(error)) from error

    @classmethod
    async def _signed_in(cls, arguments: Sequence[str], options: Mapping[str, Any], token: str) -> Connection:
        # In a thread: libpq looks names up before it begins to wait.
        raw = await asyncio.to_thread(lambda: psycopg2.connect(*arguments, **options, password=token, async_=True))
        made = cls(raw)
        try:
            await made._answered()
            await made._sent("; ".join(statement.prepare for statement in ALL.values()), ())
        except BaseException:
            raw.close()
            raise
        return made

    async def run(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Run SQL and return its only row, None if it has none. Raises Refused or Lost, ValueError before it sends."""
        try:
            return await self._sent(statement, values)
        except psycopg2.Error as error:
            # A server that ends a connection gives it a code too.
            raise (Lost if self._raw.closed or not error.pgcode else Refused)(str(error)) from error

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


class Pool:
    """At most `size` connections to a database, opened when they are needed and then kept open."""

    def __init__(self, url: URL, size: int) -> None:
        self._url = url
        self._kept: list[Connection] = []
        self._places = asyncio.Semaphore(size)
        self._paused_until = 0.0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the block; waits for one where all are in use. Raises NotConnected."""
        async with self._places:
            found = await self._found()
            try:
                yield found
            finally:
                if found.is_idle:
                    self._kept.append(found)
                else:
                    found.close()

    async def _found(self) -> Connection:
        while self._kept:
            kept = self._kept.pop()
            if kept.is_idle:
                return kept
            kept.close()
        if time.monotonic() < self._paused_until:
            raise NotConnected("the server did not take the last connection")
        try:
            return await Connection.open(self._url)
        except NotConnected:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            raise


def _wake(waits: asyncio.Future[None]) -> None:
    if not waits.done():
        waits.set_result(None)
