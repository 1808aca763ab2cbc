"""docs/alerts.md, from the panels and the alerts on other lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from components.azure.alert_rule import MetricRule, QueryRule
from components.azure.log_table import CONTAINER_APPS_CONSOLE, container_log_v2
from components.mlflow.observability import cluster, kql
from components.mlflow.observability.alerts import database_alerts, query_alerts
from components.mlflow.observability.cluster import Cluster
from components.mlflow.observability.panels import PANELS, WINDOW_SECONDS, Panel
from delivery.reference.configuration import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "alerts.md"
_INTRODUCTION = f"""\
# Alerts

`mlflow-platform reference` writes this file from `components/mlflow/observability/`.

Each is named `log-mlflow-STACK-NAME` and is shown in a section of the workbook "MLflow on call, log-mlflow-STACK".
Severity 0 is critical, 4 is verbose. An alert on a panel or on the log looks at {WINDOW_SECONDS // 60} minutes, one on
a metric of Azure's at a quarter of an hour. [The runbook](runbooks/azure.md#alerts) goes on from here."""

_IN_A_CLUSTER = """\
## In a cluster

The alerts above hold on both backends. A stack on AKS has these besides, over what Container Insights collects of its
namespace and of the nodes. They look at 5 minutes; those that speak of a quarter of an hour look at 15, the one of the
certificate at an hour."""


def render(panels: Sequence[Panel] = PANELS) -> str:
    """Return the document: a row for each alert, the worst first."""
    return "\n".join(_lines(panels)) + "\n"


def _lines(panels: Sequence[Panel]) -> Iterator[str]:
    logs = CONTAINER_APPS_CONSOLE
    # Of a server of any size, since no row names a threshold.
    on_database = database_alerts(max_connections=1)
    rules: list[QueryRule | MetricRule] = [*query_alerts(logs, access=True), *kql.alerts(logs, panels), *on_database]
    charted = {
        panel.alert.name: f'panel "{panel.title}", above {panel.alert.above:g} {panel.unit}'
        for panel in panels
        if panel.alert is not None
    }
    yield _INTRODUCTION
    yield from _table(rules, charted)
    yield from ("", _IN_A_CLUSTER)
    namespace = "NAMESPACE"
    in_cluster = cluster.alerts(Cluster(namespace=namespace, most_nodes={"POOL": 1}), container_log_v2(namespace))
    tables = {rule.name: f"`{rule.lines.split()[0]}`" for rule in in_cluster}
    yield from _table(in_cluster, tables)


def _table(rules: Sequence[QueryRule | MetricRule], sources: Mapping[str, str]) -> Iterator[str]:
    """Each rule as a row, the worst first; `sources` says what a rule looks at, if it is not the log."""
    yield from ("", "| name | severity | fires when | looks at | first |", "|---|---|---|---|---|")
    for rule in sorted(rules, key=lambda rule: (rule.severity, rule.name)):
        source = f"metric `{rule.metric}`" if isinstance(rule, MetricRule) else sources.get(rule.name, "the log")
        meaning = rule.title.removeprefix("MLflow: ")
        yield f"| `{rule.name}` | {rule.severity} | {meaning} | {source} | {rule.what_to_do} |"
