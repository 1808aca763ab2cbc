"""Where the lines that containers write arrive in a Log Analytics workspace. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LogTable:
    """A table of containers' lines and its columns, each as KQL.

    - `source`: the table, with a filter where others write into it too: `ContainerLogV2 | where ...`.
    - `text`: the line as a string. `parsed`: its JSON as a dynamic value, null for a line that is not JSON.
    - `container`, `replica`: names of the service and of the replica that wrote it.
    - `job`, `execution`: names of the job and of the execution that wrote it.
    """

    source: str
    text: str
    parsed: str
    container: str
    replica: str
    job: str
    execution: str


CONTAINER_APPS_CONSOLE = LogTable(
    source="ContainerAppConsoleLogs",
    text="Log",
    parsed="parse_json(Log)",
    container="ContainerName",
    replica="ContainerGroupName",
    job="JobName",
    execution="ContainerGroupName",
)
"""What Container Apps writes by way of Azure Monitor (Microsoft Learn, "Azure Monitor Logs reference")."""


def container_log_v2(namespace: str) -> LogTable:
    """Return where the lines of a cluster's namespace arrive, by way of Container Insights.

    A line that is JSON arrives as an object and any other one as a string; both become text again. The agent splits a
    line above 16 KiB, and no part of it is JSON. Source: Microsoft Learn, "Container Insights log schema" and "Azure
    Monitor Logs reference".
    """
    return LogTable(
        source=f'ContainerLogV2 | where PodNamespace == "{namespace}"',
        text="tostring(LogMessage)",
        parsed="parse_json(tostring(LogMessage))",
        container="ContainerName",
        replica="PodName",
        job="ContainerName",
        execution="PodName",
    )
