"""The SQL of the hot path, each statement beside the method of MLflow's store that it stands for.

Written for the tables of MLflow 3.17.2. A statement writes nothing unless the run is active and the schema is at a
revision that it was written for. Its only row says whether it did all, and the revision that it found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

REVISIONS: Final = frozenset({"dc11669786a5"})
"""The revisions of the schema that the statements were written for."""

_KNOWN: Final = f"EXISTS (SELECT FROM alembic_version WHERE version_num = ANY ('{{{','.join(REVISIONS)}}}'))"

# `_get_run` and `_check_run_is_active` in mlflow/store/tracking/sqlalchemy_store.py.
_RUN: Final = f"""
    run AS (
        SELECT run_uuid FROM runs WHERE run_uuid = $1 AND lifecycle_stage = 'active' AND {_KNOWN}
    )"""  # noqa: S608
_REVISION: Final = "(SELECT version_num FROM alembic_version)"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement that each connection prepares under its name. `types` are those of its parameters."""

    name: str
    types: tuple[str, ...]
    sql: str

    @property
    def prepare(self) -> str:
        """The statement that prepares it."""
        return f"PREPARE {self.name} ({', '.join(self.types)}) AS {self.sql}"

    @property
    def execute(self) -> str:
        """The statement that runs it, with the driver's placeholders."""
        return f"EXECUTE {self.name} ({', '.join(['%s'] * len(self.types))})"


# `_log_metrics_once` and `_update_latest_metrics_if_necessary`. A metric that is there already was compared with the
# latest one when it came. Latest metrics are locked in the order of their keys, as MLflow does.
LOG_METRICS: Final = Statement(
    name="log_metrics",
    types=("text", "text[]", "float8[]", "bigint[]", "bigint[]", "boolean[]", "boolean[]"),
    sql=f"""
WITH {_RUN}, logged AS (
        SELECT * FROM run, unnest($2, $3, $4, $5, $6, $7) AS metric (key, value, timestamp, step, is_nan, newest)
    ), history AS (
        INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan)
        SELECT run_uuid, key, value, timestamp, step, is_nan FROM logged
        ON CONFLICT DO NOTHING
    ), latest AS (
        INSERT INTO latest_metrics AS latest (run_uuid, key, value, timestamp, step, is_nan)
        SELECT run_uuid, key, value, timestamp, step, is_nan FROM logged WHERE newest ORDER BY key
        ON CONFLICT (run_uuid, key) DO UPDATE
        SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
        WHERE (excluded.step, excluded.timestamp, excluded.value) > (latest.step, latest.timestamp, latest.value)
    )
SELECT EXISTS (SELECT FROM run), {_REVISION}""",  # noqa: S608 - constants of this module
)

# `log_param` and `_log_params`: all or none, and nothing over a value that is there and differs.
LOG_PARAMS: Final = Statement(
    name="log_params",
    types=("text", "text[]", "text[]"),
    sql=f"""
WITH {_RUN}, logged AS (
        SELECT * FROM run, unnest($2, $3) AS param (key, value)
    ), present AS (
        SELECT key, params.value = logged.value AS same FROM params JOIN logged USING (run_uuid, key)
    ), added AS (
        INSERT INTO params (run_uuid, key, value)
        SELECT run_uuid, key, value FROM logged
        WHERE NOT EXISTS (SELECT FROM present WHERE NOT same) AND key NOT IN (SELECT key FROM present)
        ON CONFLICT DO NOTHING
        RETURNING key
    )
SELECT (SELECT count(*) FROM present WHERE same) + (SELECT count(*) FROM added) = cardinality($2), {_REVISION}""",  # noqa: S608 - constants of this module
)

# `set_tag` and `_set_tags`.
SET_TAGS: Final = Statement(
    name="set_tags",
    types=("text", "text[]", "text[]"),
    sql=f"""
WITH {_RUN}, written AS (
        INSERT INTO tags (run_uuid, key, value)
        SELECT run_uuid, key, value FROM run, unnest($2, $3) AS tag (key, value)
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
            $1, experiment_id, $3, $4, $5, artifact_location || '/' || $1 || '/artifacts', 'RUNNING', 'active',
            'UNKNOWN', '', '', ''
        FROM experiments
        WHERE experiment_id = $2 AND lifecycle_stage = 'active' AND {_KNOWN}
        AND artifact_location ~ '^mlflow-artifacts:(/[A-Za-z0-9_-]+)+$'
        RETURNING run_uuid, artifact_uri
    ), tagged AS (
        INSERT INTO tags (run_uuid, key, value)
        SELECT run_uuid, key, value FROM created, unnest($6, $7) AS tag (key, value)
    )
SELECT EXISTS (SELECT FROM created), {_REVISION}, (SELECT artifact_uri FROM created)""",  # noqa: S608
)

# `update_run_info` without a name, which is a tag as well.
UPDATE_RUN: Final = Statement(
    name="update_run",
    types=("text", "text", "bigint"),
    sql=f"""
WITH updated AS (
        UPDATE runs SET status = coalesce($2, status), end_time = coalesce($3, end_time)
        WHERE run_uuid = $1 AND lifecycle_stage = 'active' AND {_KNOWN} AND name <> ''
        RETURNING name, experiment_id, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage
    )
SELECT EXISTS (SELECT FROM updated), {_REVISION}, updated.* FROM (VALUES (1)) AS always LEFT JOIN updated ON true""",  # noqa: S608
)

ALL: Final[Mapping[str, Statement]] = {
    each.name: each for each in (LOG_METRICS, LOG_PARAMS, SET_TAGS, CREATE_RUN, UPDATE_RUN)
}
