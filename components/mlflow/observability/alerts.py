"""The alerts of the platform as data: what is looked for, how bad it is, and what the person on call does first.

Queries read the tables that Container Apps fills by way of Azure Monitor and the JSON lines that gateway and services
log; the workbook is made of the same ones. Sources, Microsoft Learn: "Azure Monitor Logs reference"
(ContainerAppConsoleLogs), "Supported metrics for Microsoft.DBforPostgreSQL/flexibleServers".
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class QueryRule:
    """Fires when `query` gives a row within `window` (ISO 8601). Severity 0 is critical, 4 is verbose.

    `lines` is the KQL that gives the log lines in question, and `fires` goes on from them to the rows that are too
    much; without it, any line is too much.
    """

    name: str
    title: str
    severity: int
    lines: str
    what_to_do: str
    fires: str = ""
    window: str = "PT5M"

    @property
    def query(self) -> str:
        """What the alert asks for."""
        return f"{self.lines} | {self.fires}" if self.fires else self.lines


@dataclass(frozen=True, kw_only=True)
class MetricRule:
    """Fires when the average of `metric` over a quarter of an hour is above `threshold`."""

    name: str
    title: str
    severity: int
    metric: str
    threshold: float
    what_to_do: str


_SERVER_ERROR_SHARE = 0.05
_LEAST_REQUESTS = 20

_CONSOLE = "ContainerAppConsoleLogs"

LINES = f"{_CONSOLE} | extend line = parse_json(Log)"
"""What every container says, with its JSON in `line`."""

SNAPSHOTS = (
    f'{_CONSOLE} | where Log has "mlflow_runtime.metrics" | extend line = parse_json(Log)'
    ' | where tostring(line.logger) == "mlflow_runtime.metrics"'
    " | project TimeGenerated, service = ContainerName, replica = ContainerGroupName, metrics = line.metrics"
)
"""What each replica says of its metrics, a row a minute; the panels go on from it."""

REQUESTS = (
    f'{LINES} | where ContainerName == "gateway" and tostring(line.logger) startswith "http.log.access"'
    " | extend status = toint(line.status), milliseconds = 1000 * todouble(line.duration)"
)
"""The gateway's access log."""

COUNT_ERRORS = "summarize requests = count(), errors = countif(status >= 500)"
"""Goes on from `REQUESTS`, and may be followed by `by`."""

PREPARE_ERROR = 'tostring(line.level) == "ERROR"'
"""Whether a line of prepare tells of a failure."""

GATEWAY_ERRORS = QueryRule(
    name="gateway-errors",
    title="MLflow: more than 5 % of the gateway's answers are server errors",
    severity=1,
    lines=REQUESTS,
    fires=f"{COUNT_ERRORS} | where requests >= {_LEAST_REQUESTS} and errors > {_SERVER_ERROR_SHARE} * requests",
    what_to_do="See which upstream the failing requests went to, then that service's log.",
)
NO_READY_REPLICA = QueryRule(
    name="no-ready-replica",
    title="MLflow: a service has no replica that is ready",
    severity=0,
    lines=f'{_CONSOLE} | where ContainerName == "gateway" and Log has "no upstreams available"',
    what_to_do="Look at the revision's replicas and at what /ready of the service says.",
)
PREPARE_FAILED = QueryRule(
    name="prepare-failed",
    title="MLflow: the prepare job failed",
    severity=1,
    lines=f'{LINES} | where ContainerName == "prepare"',
    fires=f"where {PREPARE_ERROR}",
    what_to_do="The services of before still run. Read the job's log, mend it, run up again.",
)
TOKEN_FAILURES = QueryRule(
    name="token-failures",
    title="MLflow: a service gets no token of its identity, or Azure refuses it",
    severity=1,
    lines=f'{_CONSOLE} | where Log has_any ("ClientAuthenticationError", "CredentialUnavailableError", '
    '"AuthorizationPermissionMismatch", "ForbiddenByRbac")',
    what_to_do="Compare the identity's role assignments with what the stack gives it.",
)
SPOOL_DISK = QueryRule(
    name="spool-disk",
    title="MLflow: a replica's spool disk is full",
    severity=2,
    lines=f'{_CONSOLE} | where Log has "No space left on device"',
    what_to_do="Give the service more cores: its disk grows with them. /get-artifact passes through it.",
)

QUERY_ALERTS = (GATEWAY_ERRORS, NO_READY_REPLICA, PREPARE_FAILED, TOKEN_FAILURES, SPOOL_DISK)

CONNECTIONS = MetricRule(
    name="database-connections",
    title="MLflow: more than 80 % of the database's connections are taken",
    severity=2,
    metric="active_connections",
    threshold=0.8,
    what_to_do="See which service holds them; lower its maxReplicas or take a larger server.",
)
"""Its threshold is a share of what the server takes: `connections` makes the alert of it."""

STORAGE = MetricRule(
    name="database-storage",
    title="MLflow: the database's disk is more than 85 % full",
    severity=1,
    metric="storage_percent",
    threshold=85,
    what_to_do="Switch on autogrow or enlarge the disk; at 95 % the server becomes read-only.",
)

DATABASE_ALERTS = (STORAGE,)


def connections(limit: int) -> MetricRule:
    """The alert on the connections of a server that takes `limit` of them: it depends on the server's size."""
    return replace(CONNECTIONS, threshold=CONNECTIONS.threshold * limit)
