"""Which databases prepare creates, and which it refuses for their owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import TextClause

from mlflow_runtime.prepare.databases import create_missing
from mlflow_runtime.prepare.errors import PrepareError


class Server:
    """A server that shows these databases: name, owner, and whether the owner's rights are this role's."""

    def __init__(self, *databases: tuple[str, str, bool]) -> None:
        self._databases, self.created = databases, list[str]()

    def execute(self, statement: TextClause, _values: Any = None) -> Sequence[tuple[str, str, bool]]:
        if statement.text.startswith("CREATE DATABASE"):
            self.created.append(statement.text)
        return self._databases


def create(server: Server) -> list[str]:
    return create_missing(server, ["tracking", "registry"])  # type: ignore[arg-type]


def test_missing_ones_are_created() -> None:
    server = Server(("tracking", "mlflow-prepare", True))
    assert create(server) == ["registry"]
    assert server.created == ["CREATE DATABASE \"registry\" ENCODING 'UTF8'"]


@pytest.mark.parametrize(
    ("owner", "remedy"),
    [("somebody", "ALTER DATABASE … OWNER TO this role"), ("azuresu", "az postgres flexible-server db delete")],
)
def test_a_foreign_one_is_refused_before_anything_is_created(owner: str, remedy: str) -> None:
    server = Server(("tracking", owner, False))
    with pytest.raises(PrepareError, match=f"database 'tracking' \\(owner '{owner}'\\)") as refused:
        create(server)
    assert remedy in refused.value.remedy
    assert server.created == []
