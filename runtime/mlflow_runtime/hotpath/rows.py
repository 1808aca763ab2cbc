"""How a statement answers with all that a run has, in one row: each kind of its rows as arrays, one for a column.

A run that has too much of a kind is MLflow's: its answer would hold up the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_ROWS: Final = 200
"""Of one kind of a run's rows, such as its tags."""

_MOST_BYTES: Final = 1 << 16
"""Of the text of one kind."""

MOST_ROWS_OF_RUNS: Final = 5000
"""Of one kind, of all runs or experiments of an answer to a search."""

MOST_BYTES_OF_RUNS: Final = 1 << 18
"""Of their text."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one kind: where they are found, and their columns, each of which becomes an array. Those of `text` may be
    long. With more than `most` rows, or more than `most_bytes` of text, `few` is false.
    """

    name: str
    columns: tuple[str, ...]
    found: str
    text: tuple[str, ...] = ()
    most: int
    most_bytes: int

    @property
    def join(self) -> str:
        """The join by which a statement has them."""
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
        """What a statement selects of them."""
        return ", ".join(f"{self.name}.{column}" for column in self.columns)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """Rows that a run has: their table, the condition that they are of the run `{run}`, and their columns."""

    name: str
    table: str
    of: str
    columns: tuple[str, ...]
    text: tuple[str, ...] = ()


_DATASETS: Final = "destination_type = 'RUN' AND destination_id = {run}"

# `to_mlflow_entity` of a run's own tables, and `_get_run_inputs`, `_get_model_inputs` and `_get_model_outputs`.
_METRIC: Final = _Kind(
    name="metric",
    table="latest_metrics",
    of="latest_metrics.run_uuid = {run}",
    columns=("key", "value", "timestamp", "step", "is_nan"),
    text=("key",),
)
_PARAM: Final = _Kind(
    name="param", table="params", of="params.run_uuid = {run}", columns=("key", "value"), text=("key", "value")
)
_TAG: Final = _Kind(
    name="tag", table="tags", of="tags.run_uuid = {run}", columns=("key", "value"), text=("key", "value")
)
_DATASET: Final = _Kind(
    name="dataset",
    table="inputs JOIN datasets ON source_id = dataset_uuid",
    of=_DATASETS,
    columns=(
        *("dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source"),
        *("dataset_schema", "dataset_profile"),
    ),
    text=("name", "dataset_source", "dataset_schema", "dataset_profile"),
)
_DATASET_TAG: Final = _Kind(
    name="dataset_tag",
    table="inputs JOIN input_tags USING (input_uuid)",
    of=_DATASETS,
    columns=("source_id", "name", "value"),
    text=("name", "value"),
)
_MODEL_INPUT: Final = _Kind(
    name="model_input",
    table="inputs",
    of="source_type = 'RUN_INPUT' AND source_id = {run} AND destination_type = 'MODEL_INPUT'",
    columns=("destination_id",),
)
_MODEL_OUTPUT: Final = _Kind(
    name="model_output",
    table="inputs",
    of="source_type = 'RUN_OUTPUT' AND source_id = {run} AND destination_type = 'MODEL_OUTPUT'",
    columns=("destination_id", "step"),
)
_FOUND: Final = "found.run_uuid"

OF_A_RUN: Final = tuple(
    Rows(
        name=kind.name,
        columns=kind.columns,
        found=f"{kind.table} WHERE {kind.of.format(run=_FOUND)}",
        text=kind.text,
        most=MOST_ROWS,
        most_bytes=_MOST_BYTES,
    )
    for kind in (_METRIC, _PARAM, _TAG, _DATASET, _DATASET_TAG, _MODEL_INPUT, _MODEL_OUTPUT)
)
"""All that the one run of `found` has."""

OF_RUNS: Final = tuple(
    Rows(
        name=kind.name,
        columns=("place", *kind.columns),
        found=f"found, {kind.table} WHERE {kind.of.format(run=_FOUND)}",
        text=kind.text,
        most=MOST_ROWS_OF_RUNS,
        most_bytes=MOST_BYTES_OF_RUNS,
    )
    for kind in (_METRIC, _PARAM, _TAG, _DATASET, _DATASET_TAG, _MODEL_OUTPUT)
)
"""What the runs of `found` have, each row with the `place` of its run. A search shows no inputs that are models."""
