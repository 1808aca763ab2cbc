"""The alerts of the platform as data: what is looked for, how bad it is, and what the person on call does first.

Queries read the tables that Container Apps fills by way of Azure Monitor and the JSON lines that gateway and services
log. Sources, Microsoft Learn: "Azure Monitor Logs reference" (ContainerAppConsoleLogs), "Supported metrics for
Microsoft.DBforPostgreSQL/flexibleServers".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class QueryRule:
    """Fires when `query` gives a row within `window` (ISO 8601). Severity 0 is critical, 4 is verbose."""

    name: str
    title: str
    severity: int
    query: str
    what_to_do: str
    window: str = "PT5M"


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

_LINES = "ContainerAppConsoleLogs | extend line = parse_json(Log)"

QUERY_ALERTS = (
    QueryRule(
        name="gateway-errors",
        title="MLflow: more than 5 % of the gateway's answers are server errors",
        severity=1,
        query=f'{_LINES} | where ContainerName == "gateway" and tostring(line.logger) startswith "http.log.access"'
        " | summarize requests = count(), errors = countif(toint(line.status) >= 500)"
        f" | where requests >= {_LEAST_REQUESTS} and errors > {_SERVER_ERROR_SHARE} * requests",
        what_to_do="See which upstream the failing requests went to, then that service's log.",
    ),
    QueryRule(
        name="no-ready-replica",
        title="MLflow: a service has no replica that is ready",
        severity=0,
        query='ContainerAppConsoleLogs | where ContainerName == "gateway" and Log has "no upstreams available"',
        what_to_do="Look at the revision's replicas and at what /ready of the service says.",
    ),
    QueryRule(
        name="prepare-failed",
        title="MLflow: the prepare job failed",
        severity=1,
        query=f'{_LINES} | where ContainerName == "prepare" and tostring(line.level) == "ERROR"',
        what_to_do="The services of before still run. Read the job's log, mend it, run up again.",
    ),
    QueryRule(
        name="token-failures",
        title="MLflow: a service gets no token of its identity, or Azure refuses it",
        severity=1,
        query='ContainerAppConsoleLogs | where Log has_any ("ClientAuthenticationError", '
        '"CredentialUnavailableError", "AuthorizationPermissionMismatch", "ForbiddenByRbac")',
        what_to_do="Compare the identity's role assignments with what the stack gives it.",
    ),
    QueryRule(
        name="spool-disk",
        title="MLflow: a replica's spool disk is full",
        severity=2,
        query='ContainerAppConsoleLogs | where Log has "No space left on device"',
        what_to_do="Lower limits.maxArtifactMib or give the service more cores: its disk grows with them.",
    ),
)

DATABASE_ALERTS = (
    MetricRule(
        name="database-storage",
        title="MLflow: the database's disk is more than 85 % full",
        severity=1,
        metric="storage_percent",
        threshold=85,
        what_to_do="Switch on autogrow or enlarge the disk; at 95 % the server becomes read-only.",
    ),
)


def connections(limit: int) -> MetricRule:
    """The alert on the connections of a server that takes `limit` of them: it depends on the server's size."""
    return MetricRule(
        name="database-connections",
        title="MLflow: more than 80 % of the database's connections are taken",
        severity=2,
        metric="active_connections",
        threshold=0.8 * limit,
        what_to_do="See which service holds them; lower its maxReplicas or take a larger server.",
    )
