"""docs/alerts.md, from the panels and the alerts on other lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.azure.alert_rule import MetricRule, QueryRule
from components.azure.log_table import CONTAINER_APPS_CONSOLE
from components.mlflow.observability import kql
from components.mlflow.observability.alerts import database_alerts, query_alerts
from components.mlflow.observability.panels import PANELS, WINDOW_SECONDS, Panel
from delivery.reference.configuration import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "alerts.md"
_INTRODUCTION = f"""\
# Alerts

`mlflow-platform reference` writes this file from `components/mlflow/observability/`.

Each is named `log-mlflow-STACK-NAME` and is shown in a section of the workbook "MLflow on call, log-mlflow-STACK".
Severity 0 is critical, 4 is verbose. An alert on a panel or on the log looks at {WINDOW_SECONDS // 60} minutes, one on
a metric of Azure's at a quarter of an hour. [The runbook](runbooks/azure.md#alerts) goes on from here."""


def render(panels: Sequence[Panel] = PANELS) -> str:
    """Return the document: a row for each alert, the worst first."""
    return "\n".join(_lines(panels)) + "\n"


def _lines(panels: Sequence[Panel]) -> Iterator[str]:
    logs = CONTAINER_APPS_CONSOLE
    # Of a server of any size, since no row names a threshold.
    on_database = database_alerts(max_connections=1)
    rules: list[QueryRule | MetricRule] = [*query_alerts(logs), *kql.alerts(logs, panels), *on_database]
    charted = {
        panel.alert.name: f'panel "{panel.title}", above {panel.alert.above:g} {panel.unit}'
        for panel in panels
        if panel.alert is not None
    }
    yield _INTRODUCTION
    yield from ("", "| name | severity | fires when | looks at | first |", "|---|---|---|---|---|")
    for rule in sorted(rules, key=lambda rule: (rule.severity, rule.name)):
        source = f"metric `{rule.metric}`" if isinstance(rule, MetricRule) else charted.get(rule.name, "the log")
        meaning = rule.title.removeprefix("MLflow: ")
        yield f"| `{rule.name}` | {rule.severity} | {meaning} | {source} | {rule.what_to_do} |"
