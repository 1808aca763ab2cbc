"""What is charted of MLflow's services and watched by alerts, said once: the local dashboard draws it from what the
processes show at `/metrics`, the workbook and the alerts on Azure ask it of the lines that replicas log. Pure.

A metric is named by its samples (a histogram without an ending), as docs/operations.md lists them. Both sources give
the same rows of it: a gauge's value, what a counter grew by, the buckets of a histogram that grew. One line is drawn
for each service and each combination of the labels in `by`; a status is shown by its class (`5xx`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

STATUSES = ("status", "code")
"""Labels that hold an HTTP status."""

WINDOW_SECONDS = 300
"""What an alert looks at: as many seconds before each time that it is asked."""


class Unit(enum.StrEnum):
    """What the numbers of a panel are."""

    PER_SECOND = "per second"
    PER_MINUTE = "per minute"
    SECONDS = "seconds"
    PERCENT = "percent"
    BYTES = "bytes"
    COUNT = "number"
    CORES = "cores"


@dataclass(frozen=True, kw_only=True)
class Series:
    """The rows of a metric, of those only whose labels have one of the values in `where`."""

    metric: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How much a counter grew in `seconds` on the average, all replicas together; of a histogram, its observations."""

    of: Series
    seconds: int = 1


@dataclass(frozen=True, kw_only=True)
class Total:
    """A gauge, averaged over time and added up over the replicas."""

    of: Series


@dataclass(frozen=True, kw_only=True)
class Highest:
    """A gauge's highest value in any replica."""

    of: Series


@dataclass(frozen=True, kw_only=True)
class Share:
    """One gauge in percent of another in the same replica at the same time: the highest of any replica.

    The rows of `whole` that have the same labels in `by` are added up.
    """

    part: Series
    whole: Series


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """Quantiles of a histogram over all replicas, a line each; within a bucket, observations count as spread evenly."""

    of: Series
    at: tuple[float, ...] = (0.5, 0.95)


Measure = Rate | Total | Highest | Share | Quantiles


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Fires when a line of its panel is above `above`, in the panel's unit, taken over `WINDOW_SECONDS` as one value.

    Severity 0 is critical, 4 is verbose.
    """

    name: str
    title: str
    severity: int
    above: float
    what_to_do: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart."""

    name: str
    title: str
    unit: Unit
    measure: Measure
    by: tuple[str, ...] = ()
    alert: Alert | None = None

    @property
    def series(self) -> tuple[Series, ...]:
        """All that it is made of."""
        return (self.measure.part, self.measure.whole) if isinstance(self.measure, Share) else (self.measure.of,)


GATEWAY_REQUESTS = "caddy_http_request_duration_seconds"
"""The gateway's histogram of its requests. On Azure its access log has them one by one."""

# Each request passes this handler of the gateway's once, whatever becomes of it.
_ONCE = {"handler": ("subroute",)}
# Not 404, 409 and 412, which are answers to questions that MLflow asks.
_BLOB_FAILURES = ("400", "401", "403", "408", "429", "500", "502", "503", "504", "error")

GATEWAY_ANSWERS = Panel(
    name="gateway-answers",
    title="Answers of the gateway",
    unit=Unit.PER_SECOND,
    measure=Rate(of=Series(metric=GATEWAY_REQUESTS, where=_ONCE)),
    by=("code",),
)
REPLICAS = Panel(
    name="replicas",
    title="Replicas that report",
    unit=Unit.COUNT,
    measure=Total(of=Series(metric="mlflow_runtime_info")),
)
REQUESTS = Panel(
    name="requests",
    title="Requests, by status",
    unit=Unit.PER_SECOND,
    measure=Rate(of=Series(metric="mlflow_http_requests_total")),
    by=("status",),
)
DURATION = Panel(
    name="duration",
    title="Duration of requests",
    unit=Unit.SECONDS,
    measure=Quantiles(of=Series(metric="mlflow_http_request_duration_seconds")),
)
IN_FLIGHT = Panel(
    name="in-flight",
    title="Requests in flight, of the bound, fullest replica",
    unit=Unit.PERCENT,
    measure=Share(
        part=Series(metric="mlflow_http_requests_in_flight"), whole=Series(metric="mlflow_http_requests_limit")
    ),
)
SHED = Panel(
    name="shed",
    title="Requests rejected",
    unit=Unit.PER_SECOND,
    measure=Rate(of=Series(metric="mlflow_http_requests_shed_total")),
    alert=Alert(
        name="overload",
        title="MLflow: a service turns requests away",
        severity=2,
        above=0.2,
        what_to_do="Clients try again by themselves. If it lasts, raise maxReplicas, or find who sends so much by the "
        "routes in the requests' lines.",
    ),
)
CONNECTIONS_USED = Panel(
    name="connections-used",
    title="Database connections in use, of the limit, fullest replica",
    unit=Unit.PERCENT,
    measure=Share(
        part=Series(metric="mlflow_database_connections", where={"state": ("in_use",)}),
        whole=Series(metric="mlflow_database_connections_limit"),
    ),
    by=("database",),
)
CONNECTION_WAITS = Panel(
    name="connection-waits",
    title="Waits for a database connection, all being in use",
    unit=Unit.PER_SECOND,
    measure=Rate(of=Series(metric="mlflow_database_connections_waited_total")),
    by=("database",),
    alert=Alert(
        name="database-pool",
        title="MLflow: requests wait for a database connection",
        severity=2,
        above=0.2,
        what_to_do="See whether the database is slow (its processor, locks); else raise limits.databasePool.",
    ),
)
CONNECTION_SECONDS = Panel(
    name="connection-seconds",
    title="Time to a database connection",
    unit=Unit.SECONDS,
    measure=Quantiles(of=Series(metric="mlflow_database_connection_wait_seconds"), at=(0.95,)),
    by=("database",),
)
TOKENS_REFUSED = Panel(
    name="tokens-refused",
    title="Tokens of the identity that were refused",
    unit=Unit.PER_MINUTE,
    measure=Rate(of=Series(metric="mlflow_identity_tokens_total", where={"outcome": ("refused",)}), seconds=60),
    by=("resource",),
    alert=Alert(
        name="tokens-refused",
        title="MLflow: a running service is refused tokens of its identity",
        severity=1,
        above=0,
        what_to_do="Connections that are open still work. See the service's log for what the identity's endpoint "
        "answered, and whether the identity is still there.",
    ),
)
BLOB_FAILURES = Panel(
    name="blob-failures",
    title="Requests to the blob store that failed",
    unit=Unit.PER_MINUTE,
    measure=Rate(of=Series(metric="mlflow_blob_requests_total", where={"status": _BLOB_FAILURES}), seconds=60),
    by=("status",),
    alert=Alert(
        name="blob-failures",
        title="MLflow: the blob store refuses or fails",
        severity=1,
        above=2,
        what_to_do="4xx: compare the identity's role assignments with what the stack gives it, then its network rules. "
        "5xx and error: look at the storage account's health.",
    ),
)
BLOB_DURATION = Panel(
    name="blob-duration",
    title="Duration of requests to the blob store",
    unit=Unit.SECONDS,
    measure=Quantiles(of=Series(metric="mlflow_blob_request_duration_seconds")),
)
ARTIFACT_BLOCKS = Panel(
    name="artifact-blocks",
    title="Blocks of artifacts in memory, of the bound, fullest replica",
    unit=Unit.PERCENT,
    measure=Share(part=Series(metric="mlflow_artifact_blocks"), whole=Series(metric="mlflow_artifact_blocks_limit")),
    by=("direction",),
)
SPOOL = Panel(
    name="spool",
    title="Spool disk, used and free",
    unit=Unit.BYTES,
    measure=Total(of=Series(metric="mlflow_spool_bytes")),
    by=("state",),
)
SPOOL_USED = Panel(
    name="spool-used",
    title="Spool disk in use, fullest replica",
    unit=Unit.PERCENT,
    measure=Share(
        part=Series(metric="mlflow_spool_bytes", where={"state": ("used",)}),
        whole=Series(metric="mlflow_spool_bytes"),
    ),
    alert=Alert(
        name="spool-filling",
        title="MLflow: a replica's spool disk is more than 85 % full",
        severity=2,
        above=85,
        what_to_do="Raise the service's spoolMib; in Container Apps the most of it grows with the cores. Data and "
        "attachments of traces pass through it.",
    ),
)
MEMORY = Panel(
    name="memory",
    title="Memory, largest replica",
    unit=Unit.BYTES,
    measure=Highest(of=Series(metric="process_resident_memory_bytes")),
)
PROCESSOR = Panel(
    name="processor",
    title="Processor time, all replicas",
    unit=Unit.CORES,
    measure=Rate(of=Series(metric="process_cpu_seconds_total")),
)

PANELS = (
    GATEWAY_ANSWERS,
    REQUESTS,
    DURATION,
    IN_FLIGHT,
    SHED,
    REPLICAS,
    CONNECTIONS_USED,
    CONNECTION_WAITS,
    CONNECTION_SECONDS,
    TOKENS_REFUSED,
    BLOB_FAILURES,
    BLOB_DURATION,
    ARTIFACT_BLOCKS,
    SPOOL,
    SPOOL_USED,
    MEMORY,
    PROCESSOR,
)
