"""What is measured side by side: stock MLflow, and this platform in several forms."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from delivery.bench.store import Store
from delivery.outcome import CommandError

_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One way to serve MLflow on this machine.

    `headers` go with every request. `processes` are the pids of all that serve, without their children and without
    the database, whose is `database`; None for a setup whose database is a file. `gateway` is one of them, if there is
    one.
    """

    name: str
    url: str
    store: Store
    processes: Sequence[int]
    database: int | None
    gateway: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def call(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """One call of MLflow's REST API beside the load. Raises CommandError unless it is answered with 200."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read()[:500].decode(errors="replace")
            raise CommandError(f"bench: {self.name} answered {path} with {error.code}: {said}") from error
        except OSError as error:
            raise CommandError(f"bench: {self.name} did not answer {path}: {error}") from error

    def new_experiment(self, name: str) -> str:
        """Create an experiment and return its id."""
        return str(self.call("/api/2.0/mlflow/experiments/create", {"name": name})["experiment_id"])
