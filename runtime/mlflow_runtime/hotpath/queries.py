"""The SQL of histories and searches, each query beside the method of MLflow's store that it stands for.

Each writes nothing, may take long, and finds what is of one workspace, as `statements` says. Its only row says whether
it is all that was asked for, and the revision that it found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlflow_runtime.hotpath.rows import MOST_BYTES_OF_RUNS, MOST_ROWS_OF_RUNS, OF_RUNS, Rows
from mlflow_runtime.hotpath.statements import KNOWN, REVISION

MOST_POINTS: Final = 1000
"""Of a metric's history in one answer. More are MLflow's."""

MOST_READ: Final = 500_000
"""Points of a metric's history that an answer is made from."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """A statement that is not prepared: PostgreSQL plans it for what is asked. `execute` has the driver's placeholders,
    the first of which is for the workspace; `values` are those of the others.
    """

    execute: str
    values: tuple[Any, ...]


# Of a run in any stage.
_FOUND_RUN: Final = f"""found AS (
        SELECT run_uuid FROM runs JOIN experiments USING (experiment_id)
        WHERE workspace = %s AND run_uuid = %s AND {KNOWN}
    )"""  # noqa: S608
_POINTS: Final = "FROM metrics WHERE run_uuid = %s AND key = %s AND EXISTS (SELECT FROM found)"
_COLUMNS: Final = "array_agg(value), array_agg(timestamp), array_agg(step), array_agg(is_nan)"


def get_history(run_id: str, key: str, *, offset: int, most: int) -> Query:
    """`get_metric_history`. One point more than `most` says that there is another page."""
    return Query(
        execute=f"""
WITH {_FOUND_RUN}
SELECT EXISTS (SELECT FROM found), {REVISION}, {_COLUMNS} FROM (
        SELECT value, timestamp, step, is_nan {_POINTS} ORDER BY timestamp, step, value OFFSET %s LIMIT %s
    ) AS page""",  # noqa: S608
        values=(run_id, run_id, key, offset, most + 1),
    )


def sample_history(run_id: str, key: str, *, most: int, first: int, last: int) -> Query:
    """`get_metric_history_bulk_interval` of one run, and `_sample_rows_with_window_functions`, between two steps.

    It finds the first point of each of `most` buckets, as NTILE makes them, and in place of the last bucket's the last
    point of all. MLflow numbers all points by window functions. Here an index gives their steps in order, and only the
    points of those steps that are in a sample's places are read: which of a step's it is, goes by their own order.
    """
    return Query(
        execute=f"""
WITH {_FOUND_RUN}, steps AS MATERIALIZED (
        SELECT array_agg(step) AS ordered, count(*) AS points, count(*) / %s AS size, mod(count(*), %s) AS longer
        FROM (SELECT step {_POINTS} AND step BETWEEN %s AND %s ORDER BY step LIMIT {MOST_READ + 1}) AS each
    ), places AS MATERIALIZED (
        SELECT place, ordered[place + 1] AS step, coalesce(ordered[place] = ordered[place + 1], false) AS tied
        FROM steps CROSS JOIN LATERAL (
            SELECT CASE
                WHEN bucket = least(points, %s) - 1 THEN points - 1 ELSE bucket * size + least(bucket, longer)
            END AS place
            FROM generate_series(0, least(points, %s) - 1) AS bucket
        ) AS each
    ), begun AS (
        SELECT step, min(ordinal) - 1 AS place FROM steps, unnest(ordered) WITH ORDINALITY AS each (step, ordinal)
        JOIN (SELECT DISTINCT step FROM places WHERE tied) AS shared USING (step)
        WHERE EXISTS (SELECT FROM places WHERE tied) GROUP BY step
    ), wanted AS MATERIALIZED (
        SELECT places.place, step, CASE WHEN tied THEN places.place - begun.place ELSE 0 END AS rank
        FROM places LEFT JOIN begun USING (step)
    ), ranked AS (
        SELECT value, timestamp, step, is_nan,
            row_number() OVER (PARTITION BY step ORDER BY timestamp, value, is_nan) - 1 AS rank
        {_POINTS} AND step = ANY (ARRAY(SELECT step FROM places))
    ), sampled AS (
        SELECT value, timestamp, step, is_nan FROM wanted JOIN ranked USING (step, rank) ORDER BY place
    )
SELECT EXISTS (SELECT FROM found) AND (SELECT points <= {MOST_READ} FROM steps), {REVISION}, {_COLUMNS}
FROM sampled""",  # noqa: S608
        values=(run_id, most, most, run_id, key, first, last, most, most, run_id, key),
    )


MOST_RUNS: Final = 200
"""In an answer to a search. Pages ask for a hundred."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a search asks of each run: of the metric, parameter, tag or attribute of that key, as MLflow parses it."""

    kind: str
    key: str
    comparator: str
    value: str | int | float


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the runs or experiments of an answer are ordered by."""

    kind: str
    key: str
    ascending: bool


TABLES: Final[Mapping[str, str]] = {"metric": "latest_metrics", "parameter": "params", "tag": "tags"}
"""Where a run's values of a kind are, one row for a key."""

RUN_ATTRIBUTES: Final[Mapping[str, str]] = {
    **{name: name for name in ("start_time", "end_time", "status", "user_id", "artifact_uri")},
    "run_id": "run_uuid",
    "run_name": "name",
}
"""The columns of a run by which it may be found and ordered (`get_attribute_name` of MLflow's `SqlRun`)."""

EXPERIMENT_ATTRIBUTES: Final = ("name", "experiment_id", "creation_time", "last_update_time")
"""The columns by which experiments may be ordered."""

RUN_COLUMNS: Final = (
    *("run_uuid", "name", "experiment_id", "user_id", "status", "start_time", "end_time", "artifact_uri"),
    "lifecycle_stage",
)
"""What a search answers first of all runs that it found."""


def search_runs(
    experiments: Sequence[int],
    stages: Sequence[str],
    filters: Sequence[Filter],
    orders: Sequence[Order],
    *,
    offset: int,
    most: int,
) -> Query:
    """`_search_runs`, with `_get_sqlalchemy_filter_clauses` and `_get_orderby_clauses`.

    MLflow sorts all columns of all runs that it finds, as its SELECT is DISTINCT; a row of a kind and key is there once
    for a run, so none comes twice. Here the ids alone are sorted, and the columns of those that are answered are read.
    A metric, parameter or tag that a filter has asked for is there, and is not looked up again to order by it.
    """
    joins, conditions = list[str](), list[str]()
    joined, compared = list[Any](), list[Any]()
    known: dict[tuple[str, str], str] = {}
    for number, each in enumerate(filters):
        if each.kind == "attribute":
            conditions.append(f"AND runs.{RUN_ATTRIBUTES[each.key]} {each.comparator} %s")
            compared.append(each.value)
            continue
        name = f"filter_{number}"
        compares = f"{name}.value {each.comparator} %s"
        if each.kind == "metric":
            compares = (
                f"({compares} OR {name}.is_nan)" if each.comparator == "!=" else f"{compares} AND NOT {name}.is_nan"
            )
        joins.append(
            f"JOIN {TABLES[each.kind]} AS {name} ON {name}.run_uuid = runs.run_uuid AND {name}.key = %s AND {compares}"
        )
        joined += [each.key, each.value]
        known.setdefault((each.kind, each.key), name)
    by = list[str]()
    for number, order in enumerate(orders):
        if order.kind == "attribute":
            column = f"runs.{RUN_ATTRIBUTES[order.key]}"
        else:
            name = known.get((order.kind, order.key), f"order_{number}")
            column = f"{name}.value"
            if name not in known.values():
                joins.append(
                    f"LEFT JOIN {TABLES[order.kind]} AS {name} ON {name}.run_uuid = runs.run_uuid AND {name}.key = %s"
                )
                joined.append(order.key)
        nan = f"WHEN {name}.is_nan THEN 1 " if order.kind == "metric" else ""
        by.append(f"CASE {nan}WHEN {column} IS NULL THEN {2 if nan else 1} ELSE 0 END")
        by.append(f"{column} {'ASC' if order.ascending else 'DESC'}")
    if ("attribute", "start_time") not in {(order.kind, order.key) for order in orders}:
        by.append("runs.start_time DESC")
    return Query(
        execute=f"""
WITH own AS (
        SELECT coalesce(bool_and(workspace = %s), false) AND count(*) = {len(experiments)} AND {KNOWN} AS here
        FROM experiments WHERE experiment_id IN %s
    ), found AS (
        SELECT run_uuid, place FROM unnest(ARRAY(
            SELECT runs.run_uuid FROM runs {" ".join(joins)}
            WHERE runs.experiment_id IN %s AND runs.lifecycle_stage IN %s {" ".join(conditions)}
            AND (SELECT own.here FROM own)
            ORDER BY {", ".join(by)}, runs.run_uuid OFFSET %s LIMIT %s
        )) WITH ORDINALITY AS each (run_uuid, place)
    ), run AS (
        SELECT {", ".join(f"array_agg({column} ORDER BY place) AS {column}" for column in RUN_COLUMNS)},
            coalesce(bool_and(coalesce(name, '') <> ''), true) AS named
        FROM found JOIN runs USING (run_uuid)
    )
SELECT
    run.named IS NOT NULL, {REVISION},
    {", ".join(f"run.{column}" for column in RUN_COLUMNS)}, {", ".join(rows.arrays for rows in OF_RUNS)}
FROM own LEFT JOIN (
    run {"".join(rows.join for rows in OF_RUNS)}
) ON own.here AND run.named AND {" AND ".join(f"{rows.name}.few" for rows in OF_RUNS)}""",  # noqa: S608
        values=(
            *(tuple(experiments),),
            *joined,
            *(tuple(experiments), tuple(stages)),
            *compared,
            *(offset, most + 1),
        ),
    )


_EXPERIMENT_TAGS: Final = Rows(
    name="tag",
    columns=("place", "key", "value"),
    found="found JOIN experiment_tags USING (experiment_id)",
    text=("key", "value"),
    most=MOST_ROWS_OF_RUNS,
    most_bytes=MOST_BYTES_OF_RUNS,
)

EXPERIMENT_COLUMNS: Final = (
    *("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time"),
    "workspace",
)
"""What a search answers first of all experiments that it found."""


def search_experiments(stages: Sequence[str], orders: Sequence[Order], *, offset: int, most: int) -> Query:
    """`_search_experiments` without a filter, with `_get_search_experiments_order_by_clauses`."""
    by = [f"{order.key} {'ASC' if order.ascending else 'DESC'}" for order in orders]
    if "experiment_id" not in {order.key for order in orders}:
        by.append("experiment_id DESC")
    columns = ", ".join(f"array_agg({column} ORDER BY place) AS {column}" for column in EXPERIMENT_COLUMNS)
    return Query(
        execute=f"""
WITH found AS (
        SELECT experiment_id, place FROM unnest(ARRAY(
            SELECT experiment_id FROM experiments WHERE workspace = %s AND lifecycle_stage IN %s AND {KNOWN}
            ORDER BY {", ".join(by)} OFFSET %s LIMIT %s
        )) WITH ORDINALITY AS each (experiment_id, place)
    ), experiment AS (
        SELECT {columns} FROM found JOIN experiments USING (experiment_id)
    )
SELECT tag.few IS NOT NULL, {REVISION}, experiment.*, {_EXPERIMENT_TAGS.arrays}
FROM (VALUES (1)) AS always LEFT JOIN (
    experiment {_EXPERIMENT_TAGS.join}
) ON {KNOWN} AND tag.few""",  # noqa: S608
        values=(tuple(stages), offset, most + 1),
    )
