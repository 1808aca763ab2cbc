"""The SQL of logging and of a run, each statement beside the method of MLflow's store that it stands for.

Written for the tables of MLflow 3.17.2. A statement writes nothing unless the run is active and the schema is at a
revision that it was written for. Its only row says whether it did all, and the revision that it found.

The first parameter of each is the workspace: a statement finds what MLflow's `_get_query` in
mlflow/store/tracking/sqlalchemy_workspace_store.py finds, runs of that workspace's experiments. Without access control
all are in `default`; MLflow does not open a store with others then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mlflow_runtime.hotpath.rows import OF_A_RUN

REVISIONS: Final = frozenset({"dc11669786a5"})
"""The revisions of the schema that the statements were written for."""

KNOWN: Final = f"EXISTS (SELECT FROM alembic_version WHERE version_num = ANY ('{{{','.join(REVISIONS)}}}'))"
"""Whether the schema is at one of them."""

_OWN_RUN: Final = """EXISTS (
            SELECT FROM experiments
            WHERE experiments.experiment_id = runs.experiment_id AND experiments.workspace = $1
        )"""

# `_get_run` and `_check_run_is_active` in mlflow/store/tracking/sqlalchemy_store.py.
_ACTIVE: Final = f"lifecycle_stage = 'active' AND {KNOWN} AND {_OWN_RUN}"
_RUN: Final = f"""
    run AS (
        SELECT run_uuid FROM runs WHERE run_uuid = $2 AND {_ACTIVE}
    )"""  # noqa: S608
REVISION: Final = "(SELECT version_num FROM alembic_version)"
"""The revision that a statement found."""


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
SELECT EXISTS (SELECT FROM run), {REVISION}""",  # noqa: S608 - constants of this module
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
SELECT ARRAY (SELECT run_uuid FROM run), {REVISION}""",  # noqa: S608 - constants of this module
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
SELECT (SELECT count(*) FROM present WHERE same) + (SELECT count(*) FROM added) = cardinality($3), {REVISION}""",  # noqa: S608 - constants of this module
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
SELECT EXISTS (SELECT FROM run), {REVISION}""",  # noqa: S608 - constants of this module
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
        WHERE experiment_id = $3 AND lifecycle_stage = 'active' AND {KNOWN} AND workspace = $1
        AND artifact_location ~ '^mlflow-artifacts:(/[A-Za-z0-9_-]+)+$'
        RETURNING run_uuid, artifact_uri
    ), tagged AS (
        INSERT INTO tags (run_uuid, key, value)
        SELECT run_uuid, key, value FROM created, unnest($7, $8) AS tag (key, value)
    )
SELECT EXISTS (SELECT FROM created), {REVISION}, (SELECT artifact_uri FROM created)""",  # noqa: S608
)

# `update_run_info` without a name, which is a tag as well.
UPDATE_RUN: Final = Statement(
    name="update_run",
    types=("text", "text", "bigint"),
    sql=f"""
WITH updated AS (
        UPDATE runs SET status = coalesce($3, status), end_time = coalesce($4, end_time)
        WHERE run_uuid = $2 AND lifecycle_stage = 'active' AND {KNOWN} AND {_OWN_RUN} AND name <> ''
        RETURNING name, experiment_id, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage
    )
SELECT EXISTS (SELECT FROM updated), {REVISION}, updated.* FROM (VALUES (1)) AS always LEFT JOIN updated ON true""",  # noqa: S608
)

# `get_run`. A run without a name is answered with that of its tag.
GET_RUN: Final = Statement(
    name="get_run",
    types=("text",),
    sql=f"""
WITH found AS (
        SELECT run_uuid, name, experiment_id, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage
        FROM runs WHERE run_uuid = $2 AND {KNOWN} AND {_OWN_RUN} AND name <> ''
    )
SELECT
    found.run_uuid IS NOT NULL, {REVISION}, found.name, found.experiment_id, found.user_id, found.status,
    found.start_time, found.end_time, found.artifact_uri, found.lifecycle_stage,
    {", ".join(rows.arrays for rows in OF_A_RUN)}
FROM (VALUES (1)) AS always LEFT JOIN (
    found {"".join(rows.join for rows in OF_A_RUN)}
) ON {" AND ".join(f"{rows.name}.few" for rows in OF_A_RUN)}""",  # noqa: S608
)

ALL: Final[Mapping[str, Statement]] = {
    each.name: each
    for each in (LOG_METRICS, LOG_METRICS_OF_RUNS, LOG_PARAMS, SET_TAGS, CREATE_RUN, UPDATE_RUN, GET_RUN)
}
"""What each connection prepares."""
