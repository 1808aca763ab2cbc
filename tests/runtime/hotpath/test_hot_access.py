"""Access control sends PostgreSQL nothing of its own: the same calls are the same statements with it and without."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.emulators.azure.entra.directory import Directory
from tests.runtime.access.teams import application
from tests.runtime.hotpath.asking import V2
from tests.support.answer import Answer
from tests.support.entra import serving
from tests.support.plane import TRACKING
from tests.support.services import Platform, Service, eventually

WRITER = application("writer", "default.Contributor")
# MLflow itself looks which of the experiments that a search names are the team's.
MORE = {"search-runs-by-mlflow": Counter({"SELECT experiments.experiment_id": 1})}
_STATEMENT = re.compile(rf"^{re.escape(TRACKING.name)}@.*? LOG:  statement: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Side:
    """A tracking service, and what its callers send beside a request."""

    service: Service
    headers: Mapping[str, str] = field(repr=False)

    def ask(self, path: str, body: Any = None) -> Answer:
        answer = self.service.ask(path, body, headers=self.headers)
        assert answer.status == 200, answer
        return answer


@dataclass(frozen=True)
class Statements:
    """What PostgreSQL is sent by tracking services, from its own log."""

    platform: Platform

    @property
    def log(self) -> Path:
        return self.platform.postgres.log

    def during(self, act: Callable[[], object]) -> list[str]:
        """The statements that came while `act` ran."""
        begin, end = (f"'{uuid.uuid4()}'" for _ in range(2))
        with self.platform.plane.superuser() as cursor:
            cursor.execute(f"select {begin}")
            act()
            cursor.execute(f"select {end}")
        eventually(lambda: end in self.log.read_text(), "PostgreSQL's line")
        _, _, rest = self.log.read_text().partition(begin)
        return [found[1] for found in _STATEMENT.finditer(rest.partition(end)[0])]


@pytest.fixture(scope="module")
def statements(shared: Platform) -> Iterator[Statements]:
    settings = {"log_statement": "all", "log_line_prefix": "%u@%d "}
    with shared.plane.superuser() as cursor:
        for name, value in settings.items():
            cursor.execute(f"alter system set {name} = '{value}'")
        cursor.execute("select pg_reload_conf()")
        yield Statements(shared)
        for name in settings:
            cursor.execute(f"alter system reset {name}")
        cursor.execute("select pg_reload_conf()")


@pytest.fixture(scope="module")
def sides(shared: Platform, tracking: Service) -> Iterator[Mapping[str, Side]]:
    directory = Directory(applications=(WRITER,))
    with serving(shared.plane.state, directory) as entra:
        settings = {
            "MODE": "entra",
            "AUTHORITY": entra.origin,
            "TENANT_ID": directory.tenant_id,
            "CLIENT_ID": directory.platform.client_id,
        }
        env = {f"MLFLOW_RUNTIME_ACCESS_{name}": value for name, value in settings.items()}
        headers = {"Authorization": f"Bearer {entra.token(WRITER)}", "X-MLFLOW-WORKSPACE": "default"}
        yield {"off": Side(tracking, {}), "on": Side(shared.start("tracking", ready=True, **env), headers)}


def calls(run: str) -> Mapping[str, tuple[str, Any]]:
    """Path and body of each call."""
    return {
        "get-run": (f"{V2}/runs/get?run_id={run}", None),
        "log-metric": (f"{V2}/runs/log-metric", {"run_id": run, "key": "m", "value": 1.0, "timestamp": 1}),
        "search-runs": (f"{V2}/runs/search", {"experiment_ids": ["0"], "max_results": 5}),
        "search-runs-by-mlflow": (f"{V2}/runs/search", {"experiment_ids": ["0"]}),
        "search-experiments": (f"{V2}/experiments/search", {"max_results": 5}),
        "get-experiment": (f"{V2}/experiments/get?experiment_id=0", None),
        "set-experiment-tag": (
            f"{V2}/experiments/set-experiment-tag",
            {"experiment_id": "0", "key": "k", "value": "v"},
        ),
    }


def kinds(sent: list[str]) -> Counter[str]:
    """How many statements of each kind: its first word, and the column or the name behind it."""
    return Counter(" ".join(statement.split("(")[0].split()[:2]) for statement in sent)


@pytest.mark.parametrize("call", sorted(calls("")))
def test_a_call_is_the_same_statements(statements: Statements, sides: Mapping[str, Side], call: str) -> None:
    sent = {}
    for name, side in sides.items():
        run = side.ask(f"{V2}/runs/create", {"experiment_id": "0", "start_time": 1}).body["run"]["info"]["run_id"]
        path, body = calls(run)[call]
        for _ in range(2):  # the first ones open connections
            side.ask(path, body)
        sent[name] = kinds(statements.during(lambda: side.ask(path, body)))  # noqa: B023 - asked at once
    assert sent["off"].total() > 0
    assert sent["on"] == sent["off"] + MORE.get(call, Counter())
