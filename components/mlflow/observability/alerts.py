"""The alerts of the platform as data: what is looked for, how bad it is, and what the person on call does first.

Queries read the table of containers' lines that a backend fills (`LogTable`) and the JSON lines that gateway and
services log; the workbook is made of the same ones. Source of the metrics, Microsoft Learn: "Supported metrics for
Microsoft.DBforPostgreSQL/flexibleServers".
"""

from __future__ import annotations

from dataclasses import replace

from components.azure.alert_rule import MetricRule, QueryRule
from components.azure.log_table import LogTable

_SERVER_ERROR_SHARE = 0.05
_LEAST_REQUESTS = 20
# One may be a client's own doing; a service that answers some of them is overloaded and has an alert for that.
_LEAST_UNANSWERED = 3

# A page that a reader opens has a few refusals of its own, such as what only an Admin sees.
_MANY_REFUSALS = 50

AUDIT = "mlflow_runtime.audit"
"""The logger of changes and refusals: LOGGER of the runtime's middleware/access/audit.py."""

COUNT_ERRORS = "summarize requests = count(), errors = countif(status >= 500)"
"""Goes on from `requests`, and may be followed by `by`."""

UNANSWERED = "status in (502, 503, 504)"
"""Whether a request in `requests` got no answer of a replica: the gateway says so, or the ingress behind it."""

PREPARE_ERROR = 'tostring(line.level) == "ERROR"'
"""Whether a line of prepare tells of a failure."""


def lines(logs: LogTable) -> str:
    """Return the query for what every container says, with its JSON in `line`."""
    return f"{logs.source} | extend line = {logs.parsed}"


def snapshots(logs: LogTable) -> str:
    """Return the query for what each replica says of its metrics, a row a minute; the panels go on from it."""
    return (
        f'{logs.source} | where {logs.text} has "mlflow_runtime.metrics" | extend line = {logs.parsed}'
        ' | where tostring(line.logger) == "mlflow_runtime.metrics"'
        f" | project TimeGenerated, service = {logs.container}, replica = {logs.replica}, metrics = line.metrics"
    )


def requests(logs: LogTable) -> str:
    """Return the query for the gateway's access log."""
    return (
        f'{lines(logs)} | where {logs.container} == "gateway" and tostring(line.logger) startswith "http.log.access"'
        " | extend status = toint(line.status), milliseconds = 1000 * todouble(line.duration)"
    )


def gateway_errors(logs: LogTable) -> QueryRule:
    """Return the alert on answers that are server errors."""
    return QueryRule(
        name="gateway-errors",
        title="MLflow: more than 5 % of the gateway's answers are server errors",
        severity=1,
        lines=requests(logs),
        fires=f"{COUNT_ERRORS} | where requests >= {_LEAST_REQUESTS} and errors > {_SERVER_ERROR_SHARE} * requests",
        what_to_do="See which upstream the failing requests went to, then that service's log.",
    )


def no_ready_replica(logs: LogTable) -> QueryRule:
    """Return the alert on a service that answers nothing, whether the gateway or the platform's ingress says so."""
    return QueryRule(
        name="no-ready-replica",
        title="MLflow: a service has no replica that is ready",
        severity=0,
        lines=f"{requests(logs)} | where isnotempty(line.service) | extend asked = tostring(line.service)",
        fires=f"summarize requests = count(), unanswered = countif({UNANSWERED}) by asked"
        f" | where requests >= {_LEAST_UNANSWERED} and unanswered == requests",
        what_to_do="Look at the revision's replicas and at what /ready of the service says.",
    )


def prepare_failed(logs: LogTable) -> QueryRule:
    """Return the alert on a failed prepare job."""
    return QueryRule(
        name="prepare-failed",
        title="MLflow: the prepare job failed",
        severity=1,
        lines=f'{lines(logs)} | where {logs.container} == "prepare"',
        fires=f"where {PREPARE_ERROR}",
        what_to_do="The previous revision still serves. Read the job's log, fix the fault, run up again.",
    )


def token_failures(logs: LogTable) -> QueryRule:
    """Return the alert on tokens that a service does not get, or that Azure refuses."""
    return QueryRule(
        name="token-failures",
        title="MLflow: a service gets no token of its identity, or Azure refuses it",
        severity=1,
        lines=f'{logs.source} | where {logs.text} has "mlflow_runtime.azure.refusals" | extend line = {logs.parsed}'
        ' | where tostring(line.logger) == "mlflow_runtime.azure.refusals"',
        what_to_do="Compare the identity's role assignments with what the stack gives it.",
    )


def spool_disk(logs: LogTable) -> QueryRule:
    """Return the alert on a full spool disk."""
    return QueryRule(
        name="spool-disk",
        title="MLflow: a replica's spool disk is full",
        severity=2,
        lines=f'{logs.source} | where {logs.text} has "No space left on device"',
        what_to_do="Raise the service's spoolMib; in Container Apps the most of it grows with the cores. Data and "
        "attachments of traces pass through it.",
    )


def audited(logs: LogTable) -> str:
    """Return the query for the record of changes and refusals, which services with access control write."""
    return (
        f'{logs.source} | where {logs.text} has "{AUDIT}" | extend line = {logs.parsed}'
        f' | where tostring(line.logger) == "{AUDIT}" | extend event = tostring(line.message),'
        " caller = tostring(line.caller), oid = tostring(line.oid), team = tostring(line.workspace),"
        " route = tostring(line.route), status = toint(line.status), reason = tostring(line.reason)"
    )


def refused_burst(logs: LogTable) -> QueryRule:
    """Return the alert on somebody who is signed in and tries what the roles do not give."""
    return QueryRule(
        name="refused-burst",
        title="MLflow: a signed-in caller is refused again and again",
        severity=2,
        lines=f'{audited(logs)} | where event == "refused" and isnotempty(oid)',
        fires=f"summarize refusals = count() by oid | where refusals >= {_MANY_REFUSALS}",
        what_to_do="See in the workbook what the caller asks for; to stop it at once, add its id to access.blocked.",
    )


def query_alerts(logs: LogTable, *, access: bool = False) -> tuple[QueryRule, ...]:
    """Return the alerts on lines that are no metrics, with `access` those of access control too.

    Those of the panels are in `kql`.
    """
    rules = (gateway_errors, no_ready_replica, prepare_failed, token_failures, spool_disk)
    return tuple(rule(logs) for rule in (*rules, *((refused_burst,) if access else ())))


CONNECTIONS = MetricRule(
    name="database-connections",
    title="MLflow: more than 80 % of the database's connections are taken",
    severity=2,
    metric="active_connections",
    threshold=0.8,
    what_to_do="See which service holds them; lower its maxReplicas or take a larger server.",
)
"""Its threshold is a share of what the server takes: `database_alerts` makes the alert of it."""

STORAGE = MetricRule(
    name="database-storage",
    title="MLflow: the database's disk is more than 85 % full",
    severity=1,
    metric="storage_percent",
    threshold=85,
    what_to_do="Switch on autogrow or enlarge the disk; at 95 % the server becomes read-only.",
)


def database_alerts(max_connections: int) -> tuple[MetricRule, ...]:
    """Return the alerts on a database server that takes so many connections."""
    return STORAGE, replace(CONNECTIONS, threshold=CONNECTIONS.threshold * max_connections)
