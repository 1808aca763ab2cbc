"""The alerts of a stack in a cluster: what nodes, pods and scalers tell, beside the lines that services write. Pure.

Container Insights asks the API server once a minute and writes a row for each container, node, Deployment and scaler;
of events it writes the warnings, once each. Sources: Microsoft Learn, "Container Insights log schema", "Deployment and
HPA metrics in Container insights", "Upgrade an AKS cluster" (label of a node that was not drained); the agent's own
source, Microsoft's repository Docker-Provider (`in_kube_nodes.rb`, `in_kube_podinventory.rb`, `in_kube_events.rb`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.azure.alert_rule import QueryRule
from components.azure.log_table import LogTable
from components.mlflow.observability.alerts import lines

PENDING_MINUTES = 10
"""How long a pod may wait for a node and its image: the autoscaler brings a node within this time."""

_LEAST_RESTARTS = 3
# Of the five rows in a window of five minutes and the fifteen in one of fifteen: one that is missing hides nothing.
_MOST_OF_FIVE, _MOST_OF_FIFTEEN = 3, 10
_QUARTER = "PT15M"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The stack's part of a cluster: its `namespace`, and the most nodes of each pool that grows, by the pool's name.

    A pool of a fixed size is always at its maximum: leave it out. Without pools nothing is said of their size, as in a
    cluster that belongs to others.
    """

    namespace: str
    most_nodes: Mapping[str, int] = field(default_factory=dict)


def alerts(cluster: Cluster, logs: LogTable) -> tuple[QueryRule, ...]:
    """Return the alerts of a cluster, for the workspace that its Container Insights write into."""
    rules = (
        gateway_certificate(logs),
        no_ready_pod(cluster),
        pods_pending(cluster),
        memory_exhausted(cluster),
        pods_restarting(cluster),
        pods_evicted(cluster),
        node_unhealthy(),
        upgrade_blocked(),
        scaler_at_maximum(cluster),
    )
    return (*rules, nodes_at_maximum(cluster)) if cluster.most_nodes else rules


def certificate_lines(logs: LogTable) -> str:
    """Return the query for what the gateway says of its certificate."""
    return (
        f'{lines(logs)} | where {logs.container} == "gateway"'
        ' and tostring(line.logger) == "mlflow_runtime.gateway.certificate_source"'
    )


def pods(cluster: Cluster) -> str:
    """Return the query for the containers of the stack's pods."""
    return f'KubePodInventory | where Namespace == "{cluster.namespace}"'


def events(cluster: Cluster) -> str:
    """Return the query for the warnings about the stack's objects."""
    return f'KubeEvents | where Namespace == "{cluster.namespace}"'


def nodes() -> str:
    """Return the query for the nodes, each with its pool."""
    return "KubeNodeInventory | extend own = parse_json(Labels)[0] | extend pool = tostring(own.agentpool)"


def deployments(cluster: Cluster) -> str:
    """Return the query for how many pods of each Deployment are ready."""
    return (
        _kube_state("kube_deployment_status_replicas_ready", cluster)
        + " | extend wanted = toint(labels.spec_replicas), service = tostring(labels.deployment)"
    )


def scalers(cluster: Cluster) -> str:
    """Return the query for how many pods each scaler has, and may have at most."""
    return (
        _kube_state("kube_hpa_status_current_replicas", cluster)
        + " | extend most = toint(labels.spec_max_replicas), service = tostring(labels.targetName)"
    )


def _kube_state(metric: str, cluster: Cluster) -> str:
    return (
        f'InsightsMetrics | where Name == "{metric}" | extend labels = parse_json(Tags)'
        f' | where tostring(labels.k8sNamespace) == "{cluster.namespace}"'
    )


def gateway_certificate(logs: LogTable) -> QueryRule:
    """Return the alert on a certificate that clients refuse or soon will: the gateway says so once an hour."""
    return QueryRule(
        name="gateway-certificate",
        title="MLflow: the gateway's certificate ends within 14 days, or is not one for its name",
        severity=1,
        lines=certificate_lines(logs),
        fires='where tostring(line.level) in ("WARNING", "ERROR")',
        what_to_do="The line says what is wrong. Import or renew the certificate in the vault; the gateway takes it "
        "within five minutes.",
        window="PT1H",
    )


def no_ready_pod(cluster: Cluster) -> QueryRule:
    """Return the alert on a service without a ready pod. The gateway's log says nothing while nobody asks."""
    return QueryRule(
        name="no-ready-pod",
        title="MLflow: a service has no pod that is ready",
        severity=0,
        lines=deployments(cluster),
        fires="summarize ready = max(coalesce(Val, 0.0)), wanted = max(wanted), looks = count() by service"
        f" | where ready == 0 and wanted > 0 and looks >= {_MOST_OF_FIVE}",
        what_to_do="`kubectl describe pods -l app.kubernetes.io/name=SERVICE`: its last events say why; then its log.",
    )


def pods_pending(cluster: Cluster) -> QueryRule:
    """Return the alert on pods that do not start."""
    return QueryRule(
        name="pods-pending",
        title=f"MLflow: a pod has not started for {PENDING_MINUTES} minutes",
        severity=1,
        lines=pods(cluster),
        fires=f'where PodStatus == "Pending" and TimeGenerated > PodCreationTimeStamp + {PENDING_MINUTES}m'
        " | summarize waits = max(TimeGenerated) by Name",
        what_to_do="`kubectl describe pod NAME`: no room (raise the pool's maximum), no image (AcrPull of the nodes), "
        "or a quota.",
    )


def memory_exhausted(cluster: Cluster) -> QueryRule:
    """Return the alert on containers that were killed at their memory limit."""
    return QueryRule(
        name="memory-exhausted",
        title="MLflow: a container was killed at its memory limit",
        severity=1,
        lines=pods(cluster),
        # The last state stays in every row until the next restart.
        fires="extend ended = parse_json(ContainerLastStatus)"
        ' | where ContainerStatusReason == "OOMKilled" or (tostring(ended.reason) == "OOMKilled"'
        " and todatetime(ended.finishedAt) > TimeGenerated - 5m) | summarize killed = max(TimeGenerated) by Name",
        what_to_do="See the memory panel. Raise the service's memory, or lower its limit of requests in flight.",
    )


def pods_restarting(cluster: Cluster) -> QueryRule:
    """Return the alert on containers that do not stay up."""
    return QueryRule(
        name="pods-restarting",
        title=f"MLflow: a container restarted {_LEAST_RESTARTS} times in a quarter of an hour",
        severity=1,
        lines=pods(cluster),
        fires="summarize restarts = max(ContainerRestartCount) - min(ContainerRestartCount) by Name, ContainerName"
        f" | where restarts >= {_LEAST_RESTARTS}",
        what_to_do="`kubectl logs POD --previous` has its last lines, `kubectl describe pod POD` its exit code.",
        window=_QUARTER,
    )


def pods_evicted(cluster: Cluster) -> QueryRule:
    """Return the alert on pods that a node has thrown out, such as one that wrote to its disk beside its spool."""
    return QueryRule(
        name="pods-evicted",
        title="MLflow: a node threw a pod out",
        severity=2,
        lines=events(cluster),
        fires='where Reason == "Evicted" | project TimeGenerated, Name, Message, Computer',
        what_to_do="The event says what ran out. Ephemeral storage of the pod: give the service a larger spool disk. "
        "Of the node: a larger size of nodes, or look for what else fills it.",
    )


def node_unhealthy() -> QueryRule:
    """Return the alert on nodes that are not ready, or short of memory, disk or process ids."""
    return QueryRule(
        name="node-unhealthy",
        title="MLflow: a node is not ready or short of memory, disk or process ids",
        severity=2,
        lines=nodes(),
        fires='where not(Status has "Ready") or Status has_any ("MemoryPressure", "DiskPressure", "PIDPressure",'
        ' "NetworkUnavailable") | summarize looks = count(), status = max(Status) by Computer, pool'
        f" | where looks >= {_MOST_OF_FIVE}",
        what_to_do="`kubectl describe node NAME`. Azure repairs one that stays unready; cordon and drain it to be "
        "faster.",
    )


def upgrade_blocked() -> QueryRule:
    """Return the alert on an upgrade that could not drain a node and left it out."""
    return QueryRule(
        name="upgrade-blocked",
        title="MLflow: an upgrade could not drain a node and left it behind",
        severity=2,
        lines=nodes(),
        fires='where tostring(own["kubernetes.azure.com/upgrade-status"]) == "Quarantined"'
        " | summarize seen = max(TimeGenerated) by Computer, pool",
        what_to_do="`kubectl get pdb -A` shows whose budget allows no disruption. Correct it, delete the node, and run "
        "the upgrade again.",
    )


def scaler_at_maximum(cluster: Cluster) -> QueryRule:
    """Return the alert on a service that cannot grow any more."""
    return QueryRule(
        name="scaler-at-maximum",
        title="MLflow: a service has run at its largest for a quarter of an hour",
        severity=2,
        lines=scalers(cluster),
        fires="summarize fewest = min(Val), most = max(most), looks = count() by service"
        f" | where fewest >= most and looks >= {_MOST_OF_FIFTEEN}",
        what_to_do="If requests are rejected too, raise the service's maxReplicas; mind the connection budget.",
        window=_QUARTER,
    )


def nodes_at_maximum(cluster: Cluster) -> QueryRule:
    """Return the alert on pools that cannot grow any more. Nodes of an upgrade's surge come and go within the time."""
    pools = " or ".join(f'(pool == "{pool}" and fewest >= {most})' for pool, most in sorted(cluster.most_nodes.items()))
    return QueryRule(
        name="nodes-at-maximum",
        title="MLflow: a pool has had all of its nodes for a quarter of an hour",
        severity=3,
        lines=nodes(),
        fires="summarize count_ = dcount(Computer) by pool, at = bin(TimeGenerated, 1m)"
        f" | summarize fewest = min(count_), looks = count() by pool | where ({pools}) and looks >= {_MOST_OF_FIFTEEN}",
        what_to_do="The next pod that needs a node waits. Raise the pool's maximum, or take a larger size.",
        window=_QUARTER,
    )
