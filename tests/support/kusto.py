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
_TYPES = {"datetime": "TIMESTAMP", "string": "VARCHAR", "real": "DOUBLE"}
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


def run(query: str, lines: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
    """The rows that a query gives of lines of the console log: by column, those that are left out are empty."""
    columns = TABLES["ContainerAppConsoleLogs"]
    definition = ", ".join(f"{name} {_TYPES[kind]}" for name, kind in columns.items())
    places = ", ".join("?" for _ in columns)
    connection = _connection()
    connection.execute(f"CREATE OR REPLACE TABLE ContainerAppConsoleLogs ({definition})")
    if lines:
        rows = [[line.get(name, "") for name in columns] for line in lines]
        connection.executemany(f"INSERT INTO ContainerAppConsoleLogs VALUES ({places})", rows)  # noqa: S608
    found = duckdb_kql.query(connection, query)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@functools.cache
def _connection() -> Any:
    return duckdb_kql.connect()
