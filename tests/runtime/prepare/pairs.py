"""A pair of databases on the test server, and how tests look at it and prepare it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from mlflow_runtime.prepare.settings import Settings
from tests.runtime.prepare.settings_for import settings_for
from tests.support.servers import PostgresServer

ROOT = Path(__file__).parents[3]

Refused = psycopg2.errors.InsufficientPrivilege


@dataclass(frozen=True)
class Pair:
    """A tracking and a registry database on the test server."""

    server: PostgresServer
    tracking: str
    registry: str

    def settings(self, wait_seconds: float = 60) -> Settings:
        return settings_for(self.server.port, self.tracking, self.registry, wait_seconds)

    def as_admin(self, database: str, *statements: str) -> list[tuple[object, ...]]:
        return self.server.run(database, "postgres", *statements)

    def process(self) -> subprocess.Popen[str]:
        """Starts prepare as a process of its own; its output is a pipe."""
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.runtime.prepare.prepare_process",
                str(self.server.port),
                self.tracking,
                self.registry,
            ],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'runtime'}", "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


@dataclass(frozen=True)
class Prepared:
    """The pair that two processes prepared at once, and what each of them printed."""

    pair: Pair
    outputs: list[str]
    exit_codes: list[int]


_numbers = itertools.count(1)


def fresh_names(server: PostgresServer) -> Pair:
    """Names of two databases that no test has used."""
    number = next(_numbers)
    return Pair(server, f"tracking_{number}", f"registry_{number}")
