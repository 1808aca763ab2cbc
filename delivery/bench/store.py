"""The rows that a setup stored, read around its server: how many there are of what was acknowledged."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg2

from delivery.bench.load import SPANS, Acknowledged

Stores = Mapping[str, tuple[str, int]]
"""By the name of a call: the kind of what one request of it stores, as read back, and how much of it."""


class Store(Protocol):
    """A database of MLflow. A `?` of a statement stands for a parameter."""

    def read(self, statement: str, *parameters: Any) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query."""
        ...

    def write(self, *statements: str) -> None:
        """Carry out statements without parameters, and commit them."""
        ...

    def size(self) -> int:
        """Return the bytes on disk."""
        ...


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A database of a server on this machine, as its superuser over its private socket."""

    sockets: Path
    port: int
    database: str

    def read(self, statement: str, *parameters: Any) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._cursor() as cursor:
            cursor.execute(statement.replace("?", "%s"), parameters)
            return list(cursor.fetchall())

    def write(self, *statements: str) -> None:
        """Carry out statements without parameters, each in its own transaction."""
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def size(self) -> int:
        """Return the bytes on disk, of tables and indexes."""
        return int(self.read("SELECT pg_database_size(?)", self.database)[0][0])

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        host, port = str(self.sockets), self.port
        with contextlib.closing(psycopg2.connect(host=host, port=port, user="postgres", dbname=self.database)) as found:
            found.autocommit = True
            yield found.cursor()


@dataclass(frozen=True, kw_only=True)
class Sqlite:
    """A file of SQLite."""

    file: Path

    def read(self, statement: str, *parameters: Any) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._connection() as connection:
            return connection.execute(statement, parameters).fetchall()

    def write(self, *statements: str) -> None:
        """Carry out statements without parameters, in one transaction."""
        with self._connection() as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def size(self) -> int:
        """Return the bytes of the file."""
        return self.file.stat().st_size

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.file, timeout=60)) as connection:
            yield connection


@dataclass(frozen=True, kw_only=True)
class ReadBack:
    """Of everything that the server acknowledged, how much was there afterwards.

    `lost` are acknowledged and not stored. `beyond` are stored beyond what was acknowledged, by their kind: a request
    that failed may have been carried out, any other may not.
    """

    acknowledged: int
    stored: int
    lost: int
    beyond: Mapping[str, int]

    @property
    def unasked(self) -> int:
        """How much is stored beyond what was acknowledged, of any kind."""
        return sum(self.beyond.values())


def stored(store: Store, experiment: str) -> Acknowledged:
    """Return what is in an experiment, in the form in which the load tool notes what was acknowledged."""
    kinds = {
        "metrics": "SELECT m.run_uuid, count(*) FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid "
        "WHERE r.experiment_id = ? GROUP BY m.run_uuid",
        "params": "SELECT p.run_uuid, count(*) FROM params p JOIN runs r ON r.run_uuid = p.run_uuid "
        "WHERE r.experiment_id = ? GROUP BY p.run_uuid",
        "finished": "SELECT run_uuid, 1 FROM runs WHERE experiment_id = ? AND status = 'FINISHED'",
    }
    number = int(experiment)
    found = {kind: dict(store.read(statement, number)) for kind, statement in kinds.items()}
    runs = [run for (run,) in store.read("SELECT run_uuid FROM runs WHERE experiment_id = ?", number)]
    spans = store.read("SELECT trace_id, count(*) FROM spans WHERE experiment_id = ? GROUP BY trace_id", number)
    return Acknowledged(
        runs={run: {kind: int(found[kind].get(run, 0)) for kind in kinds} for run in runs},
        traces=[trace.removeprefix("tr-") for trace, count in spans if count == SPANS],
    )


def compare(acknowledged: Acknowledged, found: Acknowledged) -> ReadBack:
    """Compare thing by thing, so that one too many of a run does not hide one that another lost."""
    wanted, there = _counted(acknowledged), _counted(found)
    beyond: Counter[str] = Counter()
    for (kind, name), number in there.items():
        beyond[kind] += max(0, number - wanted.get((kind, name), 0))
    return ReadBack(
        acknowledged=sum(wanted.values()),
        stored=sum(there.values()),
        lost=sum(max(0, number - there.get(name, 0)) for name, number in wanted.items()),
        beyond=dict(+beyond),
    )


def twice(beyond: Mapping[str, int], failed: Mapping[str, int], unanswered: int, stores: Stores) -> int:
    """Return how much of `beyond` no failed request explains: something was done twice.

    `failed` counts the requests of each call that failed, each of which explains what such a call `stores` and nothing
    of another kind. An `unanswered` request may have been any call.
    """
    left = Counter(beyond)
    for call, count in failed.items():
        kind, number = stores.get(call, ("", 0))
        left[kind] -= count * number
    most = {kind: max(number for each, number in stores.values() if each == kind) for kind in +left}
    for kind in sorted(most, key=lambda kind: most[kind], reverse=True):
        requests = min(unanswered, math.ceil(left[kind] / most[kind]))
        left[kind] -= requests * most[kind]
        unanswered -= requests
    return sum((+left).values())


def _counted(what: Acknowledged) -> Mapping[tuple[str, str], int]:
    """The number of each thing, by its kind and name. A run that exists is one thing, its metrics are others."""
    runs = {("run", run): 1 for run in what.runs}
    inside = {(kind, run): number for run, kinds in what.runs.items() for kind, number in kinds.items()}
    traces = {("trace", trace): 1 for trace in what.traces}
    return {**runs, **inside, **traces, **{("artifact", name): size for name, size in what.artifacts.items()}}
