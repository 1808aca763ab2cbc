"""KQL without Azure: checked by Microsoft's own analyzer, and run by an engine on this machine."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb_kql
import duckdb_kql.engine

from tools import node_packages
from tools.steps import Report

# Microsoft Learn, "Azure Monitor Logs reference": the columns that are there in every workspace.
TABLES: Mapping[str, Mapping[str, str]] = {
    "ContainerAppConsoleLogs": {
        "TimeGenerated": "datetime",
        "ContainerAppName": "string",
        "ContainerGroupName": "string",
        "ContainerId": "string",
        "ContainerImage": "string",
        "ContainerName": "string",
        "EnvironmentName": "string",
        "JobName": "string",
        "Location": "string",
        "Log": "string",
        "RevisionName": "string",
        "Stream": "string",
    },
    "ContainerLogV2": {
        "TimeGenerated": "datetime",
        "Computer": "string",
        "ContainerId": "string",
        "ContainerName": "string",
        "KubernetesMetadata": "dynamic",
        "LogLevel": "string",
        "LogMessage": "dynamic",
        "LogSource": "string",
        "PodName": "string",
        "PodNamespace": "string",
    },
    "KubePodInventory": {
        "TimeGenerated": "datetime",
        "ClusterName": "string",
        "Computer": "string",
        "ContainerLastStatus": "string",
        "ContainerName": "string",
        "ContainerRestartCount": "int",
        "ContainerStatus": "string",
        "ContainerStatusReason": "string",
        "ControllerName": "string",
        "Name": "string",
        "Namespace": "string",
        "PodCreationTimeStamp": "datetime",
        "PodStatus": "string",
    },
    "KubeNodeInventory": {
        "TimeGenerated": "datetime",
        "ClusterName": "string",
        "Computer": "string",
        "KubeletVersion": "string",
        "Labels": "string",
        "Status": "string",
    },
    "KubeEvents": {
        "TimeGenerated": "datetime",
        "ClusterName": "string",
        "Computer": "string",
        "Count": "real",
        "KubeEventType": "string",
        "Message": "string",
        "Name": "string",
        "Namespace": "string",
        "ObjectKind": "string",
        "Reason": "string",
    },
    "InsightsMetrics": {
        "TimeGenerated": "datetime",
        "Computer": "string",
        "Name": "string",
        "Namespace": "string",
        "Origin": "string",
        "Tags": "string",
        "Val": "real",
    },
    "AzureMetrics": {
        "TimeGenerated": "datetime",
        "ResourceProvider": "string",
        "Resource": "string",
        "MetricName": "string",
        "TimeGrain": "string",
        "UnitName": "string",
        "Average": "real",
        "Count": "real",
        "Maximum": "real",
        "Minimum": "real",
        "Total": "real",
    },
}
_TYPES = {"datetime": "TIMESTAMP", "string": "VARCHAR", "real": "DOUBLE", "int": "INTEGER", "dynamic": "JSON"}
CONSOLE = "ContainerAppConsoleLogs"
_PROGRAM = """
for (const name of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) require(process.argv[1] + "/" + name);
const { tables, queries } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const all = (list) => Array.from({ length: list.Count }, (_, index) => list.getItem(index));
const { Symbols, GlobalState, KustoCode } = Kusto.Language;
const symbols = Object.entries(tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name));
const state = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", symbols));
const answers = queries.map((query) => {
  const code = KustoCode.ParseAndAnalyze(query, state);
  const problems = all(code.GetDiagnostics()).map((one) => `${one.Severity} ${one.Code}: ${one.Message}`);
  const columns = problems.length ? [] : all(code.ResultType.Columns).map((one) => [one.Name, one.Type.Name]);
  return { problems, columns };
});
console.log(JSON.stringify(answers));
"""


def analyzed(queries: Iterable[str]) -> list[dict[str, Any]]:
    """Of each query what is wrong with it (`problems`), and the names and types of its result's `columns`."""
    schemas = {
        name: f"({', '.join(f'{column}: {kind}' for column, kind in columns.items())})"
        for name, columns in TABLES.items()
    }
    node = Path(sys.executable).with_name("node")
    done = subprocess.run(
        [node, "-e", _PROGRAM, node_packages.kusto(Report("kusto"))],
        input=json.dumps({"tables": schemas, "queries": list(queries)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def run(query: str, lines: Sequence[Mapping[str, object]], table: str = CONSOLE) -> list[dict[str, Any]]:
    """The rows that a query gives of rows of a table: by column, those that are left out are empty."""
    (found,) = run_all([query], lines, table)
    return found


def run_all(
    queries: Iterable[str], lines: Sequence[Mapping[str, object]], table: str = CONSOLE
) -> list[list[dict[str, Any]]]:
    """The same for each of several queries over the same rows, which are loaded once."""
    connection = _connection()
    connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of the tables above
    columns = TABLES[table]
    empty = {name: "" if kind == "string" else None for name, kind in columns.items()}
    # A list for each column: a parameter for each value takes many times as long.
    values = [[line.get(name, empty[name]) for line in lines] for name in columns]
    lists = ", ".join(f"unnest(?::{_TYPES[kind]}[])" for kind in columns.values())
    connection.execute(f"INSERT INTO {table} SELECT {lists}", values)
    return [_asked(query) for query in queries]


def _asked(query: str) -> list[dict[str, Any]]:
    found = _connection().execute(_translated(query))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@functools.cache
def _translated(query: str) -> str:
    """Return the query in SQL. The tables never change, so each query is translated once."""
    return str(duckdb_kql.to_sql(query, schema=duckdb_kql.engine.schema(_connection())))


@functools.cache
def _connection() -> Any:
    connection = duckdb_kql.connect()  # in UTC, as the translation expects
    for table, schema in TABLES.items():
        columns = ", ".join(f"{name} {_TYPES[kind]}" for name, kind in schema.items())
        connection.execute(f"CREATE TABLE {table} ({columns})")
    return connection
