"""Faults of a hot path that is nearly right, which the comparison has to find."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
from mlflow.entities import RunData
from mlflow.utils.search_utils import SearchUtils

from mlflow_runtime.hotpath import connections, layer, plain, queries, requests, searches, statements, together
from mlflow_runtime.hotpath.statements import (
    ALL,
    CREATE_RUN,
    GET_RUN,
    LOG_METRICS,
    LOG_METRICS_OF_RUNS,
    LOG_PARAMS,
    SET_TAGS,
    UPDATE_RUN,
    Statement,
)
from mlflow_runtime.patches.json_answers import message_to_json

Seed = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Sql:
    """Other SQL in a statement."""

    statement: Statement
    before: str
    after: str

    def __call__(self, patched: pytest.MonkeyPatch) -> None:
        assert self.before in self.statement.sql
        wrong = dataclasses.replace(self.statement, sql=self.statement.sql.replace(self.before, self.after))
        patched.setattr(connections, "ALL", {**ALL, wrong.name: wrong})


@dataclass(frozen=True)
class Code:
    """Another function or constant in a module."""

    module: Any
    name: str
    value: Any

    def __call__(self, patched: pytest.MonkeyPatch) -> None:
        patched.setattr(self.module, self.name, self.value)


def _anything(given: Mapping[str, Any], _fields: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise plain.NotPlain
    return given


def _loose_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise plain.NotPlain from None


def _loose_integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise plain.NotPlain from None


_Metric: Final = requests.Metric


def _never_nan(**fields: Any) -> requests.Metric:
    return _Metric(**{**fields, "is_nan": False})


def _of_rank(rank: Callable[[requests.Metric], Any]) -> Callable[..., Any]:
    class Ranked(requests.Metric):
        @property
        def rank(self) -> Any:
            return rank(self)

    return Ranked


def _unchecked_pair(key: str, value: str, **_: Any) -> Any:
    return type("Pair", (), {"key": key, "value": value})


def _looking_at(kept: Callable[[layer.HotPath, Mapping[bytes, bytes]], Mapping[bytes, bytes]]) -> Seed:
    """A hot path that looks at other headers of a request than those it has."""

    def looking(usual: Callable[..., Any]) -> Callable[..., Any]:
        def looks(self: layer.HotPath, scope: Any, headers: Mapping[bytes, bytes]) -> Any:
            seen = kept(self, headers)
            return usual(self, {**scope, "headers": list(seen.items())}, seen)

        return looks

    def seed(patched: pytest.MonkeyPatch) -> None:
        for name in ("_is_plain", "_head_of"):
            patched.setattr(layer.HotPath, name, looking(getattr(layer.HotPath, name)))

    return seed


@dataclass(frozen=True)
class Queried:
    """Other SQL in each query of a function of `queries` that has the pattern."""

    name: str
    pattern: str
    after: str

    def __call__(self, patched: pytest.MonkeyPatch) -> None:
        usual = getattr(queries, self.name)

        def wrong(*asked: Any, **more: Any) -> queries.Query:
            query: queries.Query = usual(*asked, **more)
            return dataclasses.replace(query, execute=re.sub(self.pattern, self.after, query.execute))

        patched.setattr(queries, self.name, wrong)


def _one_more(offset: int) -> str:
    return str(SearchUtils.create_page_token(offset + 1).decode())


def _of_first_tags(rows: Sequence[tuple[Any, ...]], tags: Sequence[tuple[str, str, str]]) -> Any:
    return dataset_inputs(rows, list({tag[0]: tag for tag in reversed(tags)}.values()))


def _of_any_dataset(rows: Sequence[tuple[Any, ...]], tags: Sequence[tuple[str, str, str]]) -> Any:
    return dataset_inputs(rows, [(row[0], name, value) for row in rows for _, name, value in tags])


dataset_inputs: Final = requests.dataset_inputs


def _with_tags_reversed(tags: Sequence[Any], **more: Any) -> Any:
    return RunData(tags=list(reversed(tags)), **more)


def _of_the_older_name(given: Mapping[str, Any]) -> str:
    return str(given.get("run_uuid") or given["run_id"])


def _of_others(calls: Sequence[requests.Call]) -> tuple[Sequence[Any], ...]:
    runs, *columns = _values(calls)
    return runs[::-1], *columns


_values: Final = together.values


def _without_spaces(message: Any) -> str:
    return json.dumps(json.loads(message_to_json(message)))


_NEWER = "(excluded.step, excluded.timestamp, excluded.value) > (latest.step, latest.timestamp, latest.value)"

FAULTS: Mapping[str, Seed] = {
    "the latest metric goes by its step alone": Sql(LOG_METRICS, _NEWER, "excluded.step > latest.step"),
    "the latest metric goes by its time first": Sql(
        LOG_METRICS,
        _NEWER,
        "(excluded.timestamp, excluded.step, excluded.value) > (latest.timestamp, latest.step, latest.value)",
    ),
    "the value breaks no tie": Sql(
        LOG_METRICS, _NEWER, "(excluded.step, excluded.timestamp) > (latest.step, latest.timestamp)"
    ),
    "an equal metric becomes the latest": Sql(LOG_METRICS, _NEWER, _NEWER.replace(">", ">=")),
    "the last metric of a batch becomes the latest": Code(requests, "Metric", _of_rank(lambda _: 0)),
    "a batch is ranked by value alone": Code(requests, "Metric", _of_rank(lambda metric: metric.value)),
    "NaN is a zero": Code(requests, "Metric", _never_nan),
    "infinity stays infinite": Code(requests, "_finite", lambda value: 0.0 if math.isnan(value) else value),
    "a latest metric keeps whether it was NaN": Sql(LOG_METRICS, ", is_nan = excluded.is_nan", ""),
    "deleted runs take metrics": Sql(LOG_METRICS, "lifecycle_stage = 'active'", "true"),
    "deleted runs take parameters": Sql(LOG_PARAMS, "lifecycle_stage = 'active'", "true"),
    "deleted runs take tags": Sql(SET_TAGS, "lifecycle_stage = 'active'", "true"),
    "a parameter that differs is no conflict": Sql(LOG_PARAMS, "params.value = logged.value AS same", "true AS same"),
    "a tag keeps its first value": Sql(SET_TAGS, "DO UPDATE SET value = excluded.value", "DO NOTHING"),
    "the tag with a run's name does not rename it": Code(requests, "MLFLOW_RUN_NAME", ""),
    "unknown fields are ignored": Code(plain, "only", _anything),
    "what float() takes is a value": Code(requests, "_number", _loose_number),
    "what int() takes is a time": Code(plain, "integer", _loose_integer),
    "names of metrics are not checked": Code(requests, "_validate_metric", lambda *_, **__: None),
    "parameters are not checked": Code(requests, "_validate_param", _unchecked_pair),
    "tags are not checked": Code(requests, "_validate_tag", _unchecked_pair),
    "batches have no limits": Code(requests, "_validate_batch_log_limits", lambda *_: None),
    "the origin is not looked at": _looking_at(
        lambda _, headers: {name: value for name, value in headers.items() if name != b"origin"}
    ),
    "the host is not looked at": _looking_at(lambda self, headers: {**headers, b"host": self._hosts[0].encode()}),
    "the type of the body is not looked at": _looking_at(
        lambda _, headers: {**headers, b"content-type": b"application/json"}
    ),
    "deleted runs are updated": Sql(UPDATE_RUN, "lifecycle_stage = 'active'", "true"),
    "an update forgets what it does not name": Sql(UPDATE_RUN, "coalesce($4, end_time)", "$4"),
    "deleted experiments take runs": Sql(CREATE_RUN, "lifecycle_stage = 'active'", "true"),
    "a new run is answered with its tags in another order": Code(requests, "RunData", _with_tags_reversed),
    "a new run has no tag with its name": Sql(CREATE_RUN, "unnest($7, $8)", "unnest($7[2:], $8[2:])"),
    "artifacts of any experiment are in its own folder": Sql(
        CREATE_RUN, "AND artifact_location ~ '^mlflow-artifacts:(/[A-Za-z0-9_-]+)+$'", ""
    ),
    "a question does not see NaN": Sql(GET_RUN, "array_agg(is_nan)", "array_agg(false)"),
    "a question sees the first tag of a dataset only": Code(requests, "dataset_inputs", _of_first_tags),
    "a question takes each tag for one of every dataset": Code(requests, "dataset_inputs", _of_any_dataset),
    "a question sees datasets of any run": Sql(GET_RUN, "destination_id = found.run_uuid", "true"),
    "a question takes inputs for outputs": Sql(GET_RUN, "'RUN_OUTPUT'", "'RUN_INPUT'"),
    "a question forgets the step of a model": Sql(
        GET_RUN,
        "array_agg(step) FILTER (WHERE size <= 65536) AS step, count(*) <= 200",
        "array_agg(0) FILTER (WHERE size <= 65536) AS step, count(*) <= 200",
    ),
    "a question for a deleted run shows it as active": Sql(
        GET_RUN, "artifact_uri, lifecycle_stage\n", "artifact_uri, 'active' AS lifecycle_stage\n"
    ),
    "a question prefers the older name of the id": Code(requests, "_run_id", _of_the_older_name),
    "a page of a history goes by step": Queried(
        "get_history", "ORDER BY timestamp, step, value", "ORDER BY step, value"
    ),
    "a page of a history begins at the first point": Queried("get_history", "OFFSET %s", "OFFSET 0 * %s"),
    "a history does not see NaN": Queried("get_history", r"array_agg\(is_nan\)", "array_agg(false)"),
    "a history has points of other metrics": Queried("get_history", "key = %s", "key >= %s"),
    "a sample ends before the last point": Queried(
        "sample_history", r"WHEN bucket = least\(points, %s\) - 1", "WHEN bucket < least(0, %s)"
    ),
    "a sample begins at the second bucket": Queried("sample_history", r"generate_series\(0", "generate_series(1"),
    "no bucket of a sample is longer": Queried("sample_history", r"least\(bucket, longer\)", "0"),
    "a sample goes by time": Queried(
        "sample_history", "ORDER BY timestamp, value, is_nan", "ORDER BY value, timestamp, is_nan"
    ),
    "a sample takes the first point of each step": Queried(
        "sample_history", "places.place - begun.place ELSE", "0 ELSE"
    ),
    "a sample is not held to its steps": Queried("sample_history", "step BETWEEN %s AND %s", "%s <= %s"),
    "a search by a metric finds NaN": Queried("search_runs", r" AND NOT \w+\.is_nan", ""),
    "a search for another metric does not find NaN": Queried("search_runs", r" OR \w+\.is_nan", ""),
    "a search puts NaN among the numbers": Queried("search_runs", r"WHEN \w+\.is_nan THEN 1 ", ""),
    "a search leaves out runs without what it is ordered by": Queried("search_runs", "LEFT JOIN", "JOIN"),
    "a search puts runs without what it is ordered by where PostgreSQL does": Queried(
        "search_runs", r"CASE [^,]* END, ", ""
    ),
    "a search has runs of one time in another order": Queried("search_runs", "runs.run_uuid OFFSET", "name OFFSET"),
    "a search does not go by time": Queried("search_runs", "runs.start_time DESC, runs.run_uuid", "runs.run_uuid"),
    "a search begins at its first run": Queried("search_runs", "OFFSET %s", "OFFSET 0 * %s"),
    "a search finds runs of any stage": Queried("search_runs", "lifecycle_stage IN %s", "lifecycle_stage || %s <> ''"),
    "a search does not tell letters apart": Queried("search_runs", " LIKE ", " ILIKE "),
    "a search by a parameter takes any parameter": Queried(
        "search_runs", r"(JOIN params AS \w+ ON \S+ = \S+ AND \S+) = %s", r"\1 >= %s"
    ),
    "a search shows datasets of any run": Queried(
        "search_runs", r"(JOIN datasets [^)]*) AND destination_id = found.run_uuid", r"\1"
    ),
    "a search takes inputs for outputs": Queried("search_runs", "'RUN_OUTPUT'", "'RUN_INPUT'"),
    "the next page of a search begins one too late": Code(searches, "_token", _one_more),
    "a search for deleted runs finds all": Code(
        searches, "_STAGES", {**searches._STAGES, "DELETED_ONLY": ("active", "deleted")}
    ),
    "a search of experiments has the oldest first": Queried(
        "search_experiments", "creation_time DESC", "creation_time ASC"
    ),
    "a search of experiments finds deleted ones": Queried(
        "search_experiments", "lifecycle_stage IN %s", "lifecycle_stage || %s <> ''"
    ),
    "a search of experiments begins at the first": Queried("search_experiments", "OFFSET %s", "OFFSET 0 * %s"),
    "an answer has no spaces": Code(requests, "message_to_json", _without_spaces),
}
"""Each with what it does wrong."""

FAULTS_AT_ONCE: Mapping[str, Seed] = {
    "deleted runs take metrics beside others": Sql(LOG_METRICS_OF_RUNS, "lifecycle_stage = 'active'", "true"),
    "runs of other workspaces take metrics beside others": Sql(LOG_METRICS_OF_RUNS, statements._OWN_RUN, "true"),
    "runs that take none are answered as those beside them": Sql(
        LOG_METRICS_OF_RUNS, "ARRAY (SELECT run_uuid FROM run)", "$2"
    ),
    "metrics of a run go to one beside it": Code(together, "values", _of_others),
    "beside others the latest metric goes by its value alone": Sql(
        LOG_METRICS_OF_RUNS, _NEWER, "excluded.value > latest.value"
    ),
    "a batch of parameters that is refused stays in part": Code(requests.Call, "is_partial", False),
    "the latest metric is compared with an earlier one": Sql(
        LOG_METRICS,
        _NEWER,
        "(excluded.step, excluded.timestamp, excluded.value) > (SELECT seen.step, seen.timestamp, seen.value"
        " FROM latest_metrics AS seen WHERE seen.run_uuid = latest.run_uuid AND seen.key = latest.key)",
    ),
    "a parameter that another request has just stored is not looked at": Sql(
        LOG_PARAMS,
        "(SELECT count(*) FROM present WHERE same) + (SELECT count(*) FROM added) = cardinality($3)",
        "EXISTS (SELECT FROM run) AND NOT EXISTS (SELECT FROM present WHERE NOT same)",
    ),
}
"""Those that are right for one request after the other."""
