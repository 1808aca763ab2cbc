"""What setups are read from: an experiment of many runs, a run with a long history, a model with an alias.

Runs are written straight into the tables of MLflow 3.17.2 (mlflow/store/tracking/dbmodels/models.py), as logging a
hundred thousand of them would take hours. The statements are the same for SQLite and PostgreSQL.
"""

from __future__ import annotations

import secrets
from typing import Final

from delivery.bench.measure import Prepared
from delivery.bench.setup import Setup

MODEL: Final = "bench-model"
VERSIONS: Final = 5

_BEGAN: Final = 1_700_000_000_000

FIRST: Final = 100_000_000
"""Added to a run's number, so that all have as many digits."""


def prepare(setup: Setup, *, runs: int, points: int) -> Prepared:
    """Write `runs` runs, of which the first has `points` points of one metric, and the model."""
    experiment = setup.new_experiment(f"bench-dataset-{secrets.token_hex(4)}")
    setup.store.write(*statements(int(experiment), runs=runs, points=points))
    first = run(int(experiment), 0)
    _register(setup, first, source=f"mlflow-artifacts:/{experiment}/{first}/model")
    return Prepared(dataset=experiment, history=first, model=MODEL)


def statements(experiment: int, *, runs: int, points: int) -> list[str]:
    """The statements that write the runs of an experiment."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {runs})"
    steps = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {points})"
    each, first = f"'{prefix(experiment)}' || ({FIRST} + i)", f"'{run(experiment, 0)}'"
    loss = "((i * 7919) % 1000) / 1000.0"
    values = {"loss": loss, "accuracy": f"1 - {loss}", "epoch": "i % 90"}
    params = {"optimizer": "CASE i % 3 WHEN 0 THEN 'adam' WHEN 1 THEN 'sgd' ELSE 'lamb' END", "seed": "'' || i"}
    tags = {"team": "'team-' || (i % 10)", "mlflow.user": "'bench'", "mlflow.runName": "'run-' || i"}
    columns = "key, value, timestamp, step, is_nan, run_uuid"
    return [
        f"INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, "
        f"end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) {numbers} SELECT {each}, "
        f"'run-' || i, 'UNKNOWN', '', '', 'bench', 'FINISHED', {_BEGAN} + i * 1000, {_BEGAN} + i * 1000 + 500, '', "
        f"'active', 'mlflow-artifacts:/{experiment}/' || {each}, {experiment} FROM n",
        *(
            f"INSERT INTO {table} ({columns}) {numbers} SELECT '{key}', {value}, {_BEGAN} + i, 0, FALSE, {each} FROM n"
            for table in ("metrics", "latest_metrics")
            for key, value in values.items()
        ),
        *(
            f"INSERT INTO {table} (key, value, run_uuid) {numbers} SELECT '{key}', {value}, {each} FROM n"
            for table, rows in (("params", params), ("tags", tags))
            for key, value in rows.items()
        ),
        f"INSERT INTO metrics ({columns}) {steps} SELECT 'loss', {loss}, {_BEGAN} + i, i, FALSE, {first} FROM n",
        # As the server does by itself after a while.
        "ANALYZE",
    ]


def run(experiment: int, number: int) -> str:
    """The id of a run of an experiment: 32 hexadecimal digits, as MLflow's own ids are."""
    return f"{prefix(experiment)}{FIRST + number}"


def prefix(experiment: int) -> str:
    """What the ids of an experiment's runs begin with; the rest is FIRST and the run's number."""
    return f"{experiment:0{32 - len(str(FIRST))}x}"


def _register(setup: Setup, owner: str, *, source: str) -> None:
    api = "/api/2.0/mlflow"
    setup.call(f"{api}/registered-models/create", {"name": MODEL})
    for _ in range(VERSIONS):
        setup.call(f"{api}/model-versions/create", {"name": MODEL, "source": source, "run_id": owner})
    setup.call(f"{api}/registered-models/alias", {"name": MODEL, "alias": "champion", "version": "1"})
