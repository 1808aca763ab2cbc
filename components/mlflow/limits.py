"""The limits of the services, each with its meaning, unit, range and default. Pure.

Nothing else repeats a range or a default: the settings of a stack and their reference read them from here, and the
topology passes every value to the containers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, get_type_hints

# A blob has at most 50,000 blocks, of 4 MiB each (mlflow_runtime/artifacts/blocks.py).
_MOST_ARTIFACT_MIB = 195 * 1024


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What one limit bounds, in which unit, and the values that it can have, both ends included."""

    meaning: str
    unit: str
    least: int
    most: int

    def __contains__(self, value: int) -> bool:
        return self.least <= value <= self.most


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one stack's services.

    Raises ValueError that names every value outside its range.
    """

    max_body_mib: Annotated[int, Limit(meaning="Largest body of an API call", unit="MiB", least=1, most=1024)] = 64
    max_artifact_mib: Annotated[
        int,
        Limit(
            meaning="Largest single upload through the gateway",
            unit="MiB",
            least=1,
            most=_MOST_ARTIFACT_MIB,
        ),
    ] = 10 * 1024
    grace_seconds: Annotated[
        int,
        Limit(meaning="Time that a stopping replica has to finish its requests", unit="seconds", least=3, most=600),
    ] = 30
    database_pool: Annotated[
        int,
        Limit(
            meaning="Connections that a replica of tracking or registry keeps open to each of the two databases. "
            "It opens as many again at work, and runs that many MLflow requests at once",
            unit="connections",
            least=2,
            most=200,
        ),
    ] = 20
    hot_path_connections: Annotated[
        int,
        Limit(
            meaning="How many of the databasePool connections of a tracking replica answer logging, searches and "
            "histories without MLflow's handlers, at most half of them. With 0 MLflow answers every request",
            unit="connections",
            least=0,
            most=100,
        ),
    ] = 8
    max_in_flight: Annotated[
        int,
        Limit(
            meaning="Requests that a replica behind the gateway answers at once. Requests beyond the limit get 503",
            unit="requests",
            least=8,
            most=10_000,
        ),
    ] = 128
    metrics_seconds: Annotated[
        int,
        Limit(
            meaning="Time between two lines of a replica's metrics in its log. Alerts look at five minutes",
            unit="seconds",
            least=5,
            most=300,
        ),
    ] = 60

    def __post_init__(self) -> None:
        found = {name: getattr(self, name) for name in LIMITS}
        problems = [
            f"Limits.{name}: got {found[name]}; expected {limit.least} to {limit.most} {limit.unit}."
            for name, limit in LIMITS.items()
            if found[name] not in limit
        ]
        if problems:
            raise ValueError("\n".join(problems))


def _declared() -> Mapping[str, Limit]:
    hints = get_type_hints(Limits, include_extras=True)
    return {each.name: hints[each.name].__metadata__[0] for each in fields(Limits)}


LIMITS: Mapping[str, Limit] = _declared()
"""The declaration of each field of `Limits`."""
