"""The SQL of the hot path, each statement beside the method of MLflow's store that it stands for.

Written for the tables of MLflow 3.17.2. A statement writes nothing unless the run is active and the schema is at a
revision that it was written for. Its only row says whether it did all, and the revision that it found.

The first parameter of each is the workspace: a statement finds what MLflow's `_get_query` in
mlflow/store/tracking/sqlalchemy_workspace_store.py finds, runs of that workspace's experiments. Without access control
all are in `default`; MLflow does not open a store with others then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

REVISIONS: Final = frozenset({"dc11669786a5"})
"""The revisions of the schema that the statements were written for."""

_KNOWN: Final = f"EXISTS (SELECT FROM alembic_version WHERE version_num = ANY ('{{{','.join(REVISIONS)}}}'))"

_OWN_RUN: Final = """EXISTS (
            SELECT FROM experiments
            WHERE experiments.experiment_id = runs.experiment_id AND experiments.workspace = $1
        )"""

# `_get_run` and `_check_run_is_active` in mlflow/store/tracking/sqlalchemy_store.py.
_ACTIVE: Final = f"lifecycle_stage = 'active' AND {_KNOWN} AND {_OWN_RUN}"
_RUN: Final = f"""
    run AS (
        SELECT run_uuid FROM runs WHERE run_uuid = $2 AND {_ACTIVE}
    )"""  # noqa: S608
_REVISION: Final = "(SELECT version_num FROM alembic_version)"


GET_HISTORY: Final = "get_history"
SAMPLE_HISTORY: Final = "sample_history"
SEARCH_RUNS: Final = "search_runs"
SEARCH_EXPERIMENTS: Final = "search_experiments"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement that each connection prepares under its name. `types` are those of the parameters that follow the
    workspace.
    """

    name: str
    types: tuple[str, ...]
    sql: str

    @property
    def prepare(self) -> str:
        """The statement that prepares it."""
        return f"PREPARE {self.name} ({', '.join(('text', *self.types))}) AS {self.sql}"

    @property
    def execute(self) -> str:
        """The statement that runs it, with the driver's placeholders."""
        return f"EXECUTE {self.name} ({', '.join(['%s'] * (1 + len(self.types)))})"


# `_log_metrics_once` and `_update_latest_metrics_if_necessary`, of what is in `logged`. A metric that is there already
# was compared with the latest one when it came. Latest metrics are locked in the order of their keys, as MLflow does.
_METRICS: Final = """history AS (
        INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan)
        SELECT run_uuid, key, value, timestamp, step, is_nan FROM logged
        ON CONFLICT DO NOTHING
    ), latest AS (
        INSERT INTO latest_metrics AS latest (run_uuid, key, value, timestamp, step, is_nan)
        SELECT run_uuid, key, value, timestamp, step, is_nan FROM logged WHERE newest ORDER BY run_uuid, key
        ON CONFLICT (run_uuid, key) DO UPDATE
        SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
        WHERE (excluded.step, excluded.timestamp, excluded.value) > (latest.step, latest.timestamp, latest.value)
    )"""

# `log_metric`, and `log_batch` with metrics alone.
LOG_METRICS: Final = Statement(
    name="log_metrics",
    types=("text", "text[]", "float8[]", "bigint[]", "bigint[]", "boolean[]", "boolean[]"),
    sql=f"""
WITH {_RUN}, logged AS (
        SELECT * FROM run, unnest($3, $4, $5, $6, $7, $8) AS metric (key, value, timestamp, step, is_nan, newest)
    ), {_METRICS}
SELECT EXISTS (SELECT FROM run), {_REVISION}""",  # noqa: S608 - constants of this module
)

# The same of several runs, each metric with its run. It answers which runs are active, and writes nothing of others.
LOG_METRICS_OF_RUNS: Final = Statement(
    name="log_metrics_of_runs",
    types=("text[]", "text[]", "float8[]", "bigint[]", "bigint[]", "boolean[]", "boolean[]"),
    sql=f"""
WITH run AS (
        SELECT run_uuid FROM runs WHERE run_uuid = ANY ($2) AND {_ACTIVE}
    ), logged AS (
        SELECT metric.* FROM run JOIN unnest($2, $3, $4, $5, $6, $7, $8)
            AS metric (run_uuid, key, value, timestamp, step, is_nan, newest) USING (run_uuid)
    ), {_METRICS}
SELECT ARRAY (SELECT run_uuid FROM run), {_REVISION}""",  # noqa: S608 - constants of this module
)

# `log_param` and `_log_params`: all or none, and nothing over a value that is there and differs.
LOG_PARAMS: Final = Statement(
    name="log_params",
    types=("text", "text[]", "text[]"),
    sql=f"""
WITH {_RUN}, logged AS (
        SELECT * FROM run, unnest($3, $4) AS param (key, value)
    ), present AS (
        SELECT key, params.value = logged.value AS same FROM params JOIN logged USING (run_uuid, key)
    ), added AS (
        INSERT INTO params (run_uuid, key, value)
        SELECT run_uuid, key, value FROM logged
        WHERE NOT EXISTS (SELECT FROM present WHERE NOT same) AND key NOT IN (SELECT key FROM present)
        ON CONFLICT DO NOTHING
        RETURNING key
    )
SELECT (SELECT count(*) FROM present WHERE same) + (SELECT count(*) FROM added) = cardinality($3), {_REVISION}""",  # noqa: S608 - constants of this module
)

# `set_tag` and `_set_tags`.
SET_TAGS: Final = Statement(
    name="set_tags",
    types=("text", "text[]", "text[]"),
    sql=f"""
WITH {_RUN}, written AS (
        INSERT INTO tags (run_uuid, key, value)
        SELECT run_uuid, key, value FROM run, unnest($3, $4) AS tag (key, value)
        ON CONFLICT (run_uuid, key) DO UPDATE SET value = excluded.value
    )
SELECT EXISTS (SELECT FROM run), {_REVISION}""",  # noqa: S608 - constants of this module
)

# `create_run`, for artifacts below a location to which a folder is simply added, as `append_to_uri_path` does.
CREATE_RUN: Final = Statement(
    name="create_run",
    types=("text", "integer", "text", "text", "bigint", "text[]", "text[]"),
    sql=f"""
WITH created AS (
        INSERT INTO runs (
            run_uuid, experiment_id, name, user_id, start_time, artifact_uri, status, lifecycle_stage,
            source_type, source_name, source_version, entry_point_name
        )
        SELECT
            $2, experiment_id, $4, $5, $6, artifact_location || '/' || $2 || '/artifacts', 'RUNNING', 'active',
            'UNKNOWN', '', '', ''
        FROM experiments
        WHERE experiment_id = $3 AND lifecycle_stage = 'active' AND {_KNOWN} AND workspace = $1
        AND artifact_location ~ '^mlflow-artifacts:(/[A-Za-z0-9_-]+)+$'
        RETURNING run_uuid, artifact_uri
    ), tagged AS (
        INSERT INTO tags (run_uuid, key, value)
        SELECT run_uuid, key, value FROM created, unnest($7, $8) AS tag (key, value)
    )
SELECT EXISTS (SELECT FROM created), {_REVISION}, (SELECT artifact_uri FROM created)""",  # noqa: S608
)

# `update_run_info` without a name, which is a tag as well.
UPDATE_RUN: Final = Statement(
    name="update_run",
    types=("text", "text", "bigint"),
    sql=f"""
WITH updated AS (
        UPDATE runs SET status = coalesce($3, status), end_time = coalesce($4, end_time)
        WHERE run_uuid = $2 AND lifecycle_stage = 'active' AND {_KNOWN} AND {_OWN_RUN} AND name <> ''
        RETURNING name, experiment_id, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage
    )
SELECT EXISTS (SELECT FROM updated), {_REVISION}, updated.* FROM (VALUES (1)) AS always LEFT JOIN updated ON true""",  # noqa: S608
)

MOST_ROWS: Final = 200
"""Of one kind of a run's rows, such as its tags."""

MOST_POINTS: Final = 1000
"""Of a metric's history in one answer. More are MLflow's, too."""

MOST_READ: Final = 500_000
"""Points of a metric's history that an answer is made from."""

_MOST_BYTES: Final = 1 << 16
"""Of the text of one kind. A run that has more of either is MLflow's: its answer would hold up the event loop."""


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What a run has many of: where its rows are found, and their columns, each of which becomes an array. Those of
    `text` may be long.
    """

    name: str
    columns: tuple[str, ...]
    found: str
    text: tuple[str, ...] = ()
    most: int = MOST_ROWS
    most_bytes: int = _MOST_BYTES

    @property
    def join(self) -> str:
        # A text that is too long alone is not even read: one may have 16 MB.
        fits = f"FILTER (WHERE size <= {self.most_bytes})"
        arrays = ", ".join(f"array_agg({column}) {fits} AS {column}" for column in self.columns)
        size = " + ".join(["0", *(f"coalesce(octet_length({column}), 0)" for column in self.text)])
        return f"""
CROSS JOIN LATERAL (
        SELECT {arrays}, count(*) <= {self.most} AND coalesce(sum(size), 0) <= {self.most_bytes} AS few
        FROM (SELECT *, {size} AS size FROM {self.found} LIMIT {self.most + 1}) AS each
    ) AS {self.name}"""  # noqa: S608

    @property
    def arrays(self) -> str:
        return ", ".join(f"{self.name}.{column}" for column in self.columns)


_DATASETS: Final = "destination_type = 'RUN' AND destination_id = found.run_uuid"

# `to_mlflow_entity` of a run's own tables, and `_get_run_inputs`, `_get_model_inputs` and `_get_model_outputs`.
_OF_A_RUN: Final = (
    _Rows(
        name="metric",
        columns=("key", "value", "timestamp", "step", "is_nan"),
        found="latest_metrics WHERE run_uuid = found.run_uuid",
        text=("key",),
    ),
    _Rows(
        name="param",
        columns=("key", "value"),
        found="params WHERE run_uuid = found.run_uuid",
        text=("key", "value"),
    ),
    _Rows(
        name="tag",
        columns=("key", "value"),
        found="tags WHERE run_uuid = found.run_uuid",
        text=("key", "value"),
    ),
    _Rows(
        name="dataset",
        columns=(
            *("dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source"),
            *("dataset_schema", "dataset_profile"),
        ),
        found=f"inputs JOIN datasets ON source_id = dataset_uuid WHERE {_DATASETS}",
        text=("name", "dataset_source", "dataset_schema", "dataset_profile"),
    ),
    _Rows(
        name="dataset_tag",
        columns=("source_id", "name", "value"),
        found=f"inputs JOIN input_tags USING (input_uuid) WHERE {_DATASETS}",
        text=("name", "value"),
    ),
    _Rows(
        name="model_input",
        columns=("destination_id",),
        found="inputs"
        " WHERE source_type = 'RUN_INPUT' AND source_id = found.run_uuid AND destination_type = 'MODEL_INPUT'",
    ),
    _Rows(
        name="model_output",
        columns=("destination_id", "step"),
        found="inputs"
        " WHERE source_type = 'RUN_OUTPUT' AND source_id = found.run_uuid AND destination_type = 'MODEL_OUTPUT'",
    ),
)

# `get_run`. A run without a name is answered with that of its tag.
GET_RUN: Final = Statement(
    name="get_run",
    types=("text",),
    sql=f"""
WITH found AS (
        SELECT run_uuid, name, experiment_id, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage
        FROM runs WHERE run_uuid = $2 AND {_KNOWN} AND {_OWN_RUN} AND name <> ''
    )
SELECT
    found.run_uuid IS NOT NULL, {_REVISION}, found.name, found.experiment_id, found.user_id, found.status,
    found.start_time, found.end_time, found.artifact_uri, found.lifecycle_stage,
    {", ".join(rows.arrays for rows in _OF_A_RUN)}
FROM (VALUES (1)) AS always LEFT JOIN (
    found {"".join(rows.join for rows in _OF_A_RUN)}
) ON {" AND ".join(f"{rows.name}.few" for rows in _OF_A_RUN)}""",  # noqa: S608
)


@dataclass(frozen=True, kw_only=True)
class Query:
    """A statement that is not prepared: PostgreSQL plans it for what is asked. `execute` has the driver's placeholders,
    the first of which is for the workspace; `values` are those of the others.
    """

    name: str
    execute: str
    values: tuple[Any, ...]


# Of a run in any stage.
_FOUND_RUN: Final = f"""found AS (
        SELECT run_uuid FROM runs JOIN experiments USING (experiment_id)
        WHERE workspace = %s AND run_uuid = %s AND {_KNOWN}
    )"""  # noqa: S608
_POINTS: Final = "FROM metrics WHERE run_uuid = %s AND key = %s AND EXISTS (SELECT FROM found)"
_COLUMNS: Final = "array_agg(value), array_agg(timestamp), array_agg(step), array_agg(is_nan)"


def get_history(run_id: str, key: str, *, offset: int, most: int) -> Query:
    """`get_metric_history`. One point more than `most` says that there is another page."""
    return Query(
        name=GET_HISTORY,
        execute=f"""
WITH {_FOUND_RUN}
SELECT EXISTS (SELECT FROM found), {_REVISION}, {_COLUMNS} FROM (
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
        name=SAMPLE_HISTORY,
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
SELECT EXISTS (SELECT FROM found) AND (SELECT points <= {MOST_READ} FROM steps), {_REVISION}, {_COLUMNS}
FROM sampled""",  # noqa: S608
        values=(run_id, most, most, run_id, key, first, last, most, most, run_id, key),
    )


MOST_RUNS: Final = 200
"""In an answer to a search. Pages ask for a hundred."""

_MOST_OF_RUNS: Final = 5000
"""Rows of one kind, such as tags, of all runs or experiments of an answer."""

_MOST_BYTES_OF_RUNS: Final = 1 << 18
"""Of their text."""


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

_RUN_OF: Final = "found JOIN {} USING (run_uuid)"

# As _OF_A_RUN, each row with the place of its run. A search shows no inputs that are models.
_OF_RUNS: Final = tuple(
    _Rows(
        name=name,
        columns=("place", *columns),
        found=found,
        text=text,
        most=_MOST_OF_RUNS,
        most_bytes=_MOST_BYTES_OF_RUNS,
    )
    for name, columns, found, text in (
        ("metric", ("key", "value", "timestamp", "step", "is_nan"), _RUN_OF.format("latest_metrics"), ("key",)),
        ("param", ("key", "value"), _RUN_OF.format("params"), ("key", "value")),
        ("tag", ("key", "value"), _RUN_OF.format("tags"), ("key", "value")),
        (
            "dataset",
            (
                *("dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source"),
                *("dataset_schema", "dataset_profile"),
            ),
            "found JOIN inputs ON destination_type = 'RUN' AND destination_id = found.run_uuid"
            " JOIN datasets ON source_id = dataset_uuid",
            ("name", "dataset_source", "dataset_schema", "dataset_profile"),
        ),
        (
            "dataset_tag",
            ("source_id", "name", "value"),
            "found JOIN inputs ON destination_type = 'RUN' AND destination_id = found.run_uuid"
            " JOIN input_tags USING (input_uuid)",
            ("name", "value"),
        ),
        (
            "model_output",
            ("destination_id", "step"),
            "found JOIN inputs ON source_type = 'RUN_OUTPUT' AND source_id = found.run_uuid"
            " AND destination_type = 'MODEL_OUTPUT'",
            (),
        ),
    )
)

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
        name=SEARCH_RUNS,
        execute=f"""
WITH own AS (
        SELECT coalesce(bool_and(workspace = %s), false) AND count(*) = {len(experiments)} AND {_KNOWN} AS here
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
    run.named IS NOT NULL, {_REVISION},
    {", ".join(f"run.{column}" for column in RUN_COLUMNS)}, {", ".join(rows.arrays for rows in _OF_RUNS)}
FROM own LEFT JOIN (
    run {"".join(rows.join for rows in _OF_RUNS)}
) ON own.here AND run.named AND {" AND ".join(f"{rows.name}.few" for rows in _OF_RUNS)}""",  # noqa: S608
        values=(
            *(tuple(experiments),),
            *joined,
            *(tuple(experiments), tuple(stages)),
            *compared,
            *(offset, most + 1),
        ),
    )


_EXPERIMENT_TAGS: Final = _Rows(
    name="tag",
    columns=("place", "key", "value"),
    found="found JOIN experiment_tags USING (experiment_id)",
    text=("key", "value"),
    most=_MOST_OF_RUNS,
    most_bytes=_MOST_BYTES_OF_RUNS,
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
        name=SEARCH_EXPERIMENTS,
        execute=f"""
WITH found AS (
        SELECT experiment_id, place FROM unnest(ARRAY(
            SELECT experiment_id FROM experiments WHERE workspace = %s AND lifecycle_stage IN %s AND {_KNOWN}
            ORDER BY {", ".join(by)} OFFSET %s LIMIT %s
        )) WITH ORDINALITY AS each (experiment_id, place)
    ), experiment AS (
        SELECT {columns} FROM found JOIN experiments USING (experiment_id)
    )
SELECT tag.few IS NOT NULL, {_REVISION}, experiment.*, {_EXPERIMENT_TAGS.arrays}
FROM (VALUES (1)) AS always LEFT JOIN (
    experiment {_EXPERIMENT_TAGS.join}
) ON {_KNOWN} AND tag.few""",  # noqa: S608
        values=(tuple(stages), offset, most + 1),
    )


READING: Final = frozenset({GET_RUN.name, GET_HISTORY, SAMPLE_HISTORY, SEARCH_RUNS, SEARCH_EXPERIMENTS})
"""Those that write nothing."""

LONG: Final = READING - {GET_RUN.name}
"""Those that may take long, for which logging does not wait: they have connections of their own."""

ALL: Final[Mapping[str, Statement]] = {
    each.name: each
    for each in (LOG_METRICS, LOG_METRICS_OF_RUNS, LOG_PARAMS, SET_TAGS, CREATE_RUN, UPDATE_RUN, GET_RUN)
}
"""What each connection prepares."""
