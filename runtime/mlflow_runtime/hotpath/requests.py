"""What a request's JSON or query asks for, where it is in its plain form; MLflow's handlers and store read it the same.

The plain form is what MLflow's clients send: the fields' own names, JSON's own types, nothing unknown. MLflow's own
validators judge the values: it truncates what it truncates, and what it refuses it refuses itself.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, Final
from urllib.parse import parse_qsl

from mlflow import entities
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import CreateRun, GetRun, UpdateRun
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchUtils
from mlflow.utils.validation import (
    _validate_batch_log_limits,
    _validate_metric,
    _validate_param,
    _validate_run_id,
    _validate_tag,
)

from mlflow_runtime.hotpath import plain, queries
from mlflow_runtime.hotpath.plain import NotPlain
from mlflow_runtime.hotpath.queries import MOST_POINTS, MOST_READ, Query
from mlflow_runtime.hotpath.rows import MOST_ROWS
from mlflow_runtime.hotpath.statements import (
    CREATE_RUN,
    GET_RUN,
    LOG_METRICS,
    LOG_PARAMS,
    SET_TAGS,
    UPDATE_RUN,
    Statement,
)
from mlflow_runtime.patches.json_answers import message_to_json, number

_RUN: Final = frozenset({"run_id", "run_uuid"})
_METRIC: Final = frozenset({"key", "value", "timestamp", "step"})
_PAIR: Final = frozenset({"key", "value"})
_CREATE: Final = frozenset({"experiment_id", "user_id", "start_time", "run_name", "tags"})
_UPDATE: Final = _RUN | {"status", "end_time"}
_STATUSES: Final = frozenset(RunStatus._STRING_TO_STATUS)
EXPERIMENT_ID: Final = re.compile(r"0|[1-9][0-9]{0,8}")
"""As MLflow writes them: it stores another form of the same number too, and answers with the form that it was given."""
# What `update_run` and `get_run` answer first, in the order of `_run_info`.
_RUN_COLUMNS: Final = 8
_BATCH: Final = frozenset({"run_id", "metrics", "params", "tags"})
# JSON has no numbers for them; protobuf's JSON has these words.
_WORDS: Final[Mapping[str, float]] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# What clients' libraries leave as it is in a query, and what they write the rest with.
_QUERY: Final = re.compile(rb"[A-Za-z0-9_.~*/:,%+=&-]{1,4096}")
_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_HISTORY: Final = _RUN | {"metric_key", "max_results", "page_token"}
_SAMPLE: Final = frozenset({"run_ids", "metric_key", "max_results", "start_step", "end_step"})
_COUNT: Final = re.compile(r"[1-9][0-9]{0,3}")
_STEP: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")


Answering = Callable[[Sequence[Any]], bytes]
"""Makes an answer of what a statement found, besides whether it did all and the revision. Where nothing was written it
may raise NotPlain."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A statement, the values of its parameters, and what is answered when it is the last one."""

    statement: Statement | Query
    values: tuple[Any, ...]
    answer: Answering = lambda _: b"{}"

    @property
    def run_id(self) -> str:
        """The run that metrics are logged for."""
        return str(self.values[0])

    @property
    def is_partial(self) -> bool:
        """Whether it may do a part of what is asked for, which must not stay: several parameters, one of them taken."""
        return self.statement is LOG_PARAMS and len(self.values[1]) > 1

    @property
    def only_reads(self) -> bool:
        """Whether it writes nothing."""
        return self.is_long or self.statement is GET_RUN

    @property
    def is_long(self) -> bool:
        """Whether it may take long: it has connections of its own, so that logging does not wait for it."""
        return isinstance(self.statement, Query)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric as a row has it, `value` and `is_nan` by `sanitize_metric_value` of MLflow's store."""

    key: str
    value: float
    timestamp: int
    step: int
    is_nan: bool

    @property
    def rank(self) -> tuple[int, int, float]:
        """What decides which of two is the latest: `_compare_metrics` of MLflow's store."""
        return self.step, self.timestamp, self.value


Read = Callable[[Mapping[str, Any]], Sequence[Call]]
"""Makes calls of what a request gives, in the order in which MLflow's store does them. Raises what `calls` turns into
NotPlain."""


def of_body(body: bytes) -> Mapping[str, Any]:
    """Return what a body gives by name. Raises NotPlain."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotPlain from error
    if type(given) is not dict:
        raise NotPlain
    return given


def of_query(query: bytes) -> Mapping[str, Any]:
    """Return what a query gives by name, each once, in the form that MLflow's clients and its page send.

    Raises NotPlain.
    """
    if not _QUERY.fullmatch(query):
        raise NotPlain
    try:
        given = parse_qsl(query.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise NotPlain from error
    found = dict(given)
    if len(found) < len(given):
        raise NotPlain
    return found


def calls(read: Read, given: Mapping[str, Any]) -> Sequence[Call]:
    """Return what a request asks for. Raises NotPlain."""
    try:
        return read(given)
    except (ValueError, RecursionError, MlflowException) as error:
        raise NotPlain from error


def log_metric(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_log_metric` of MLflow's handlers."""
    plain.only(given, _RUN | _METRIC)
    return [_metrics(_run_id(given), [_metric(given)])]


def log_param(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_log_param` of MLflow's handlers."""
    plain.only(given, _RUN | _PAIR)
    param = _validate_param(*_pair(given))
    return [_pairs(LOG_PARAMS, _run_id(given), {param.key: param.value})]


def set_tag(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_set_tag` of MLflow's handlers."""
    plain.only(given, _RUN | _PAIR)
    return [_pairs(SET_TAGS, _run_id(given), dict([_tag(given)]))]


def log_batch(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_log_batch` of MLflow's handlers and `log_batch` of its store."""
    plain.only(given, _BATCH)
    run_id = plain.text(given, "run_id")
    _validate_run_id(run_id)
    # Before the elements are looked at, which takes its time for a batch that is refused in the end.
    _validate_batch_log_limits(*(plain.listed(given, name) for name in ("metrics", "params", "tags")))
    metrics = [_metric(plain.only(each, _METRIC)) for each in plain.listed(given, "metrics")]
    params = [_validate_param(*_pair(plain.only(each, _PAIR))) for each in plain.listed(given, "params")]
    tags = [_tag(plain.only(each, _PAIR)) for each in plain.listed(given, "tags")]
    by_key = {param.key: param.value for param in params}
    if len(by_key) < len(params):
        raise NotPlain
    return [
        *([_pairs(LOG_PARAMS, run_id, by_key)] if params else []),
        *([_metrics(run_id, metrics)] if metrics else []),
        # Of a key that comes twice the last value stays.
        *([_pairs(SET_TAGS, run_id, dict(sorted(dict(tags).items())))] if tags else []),
    ]


def create_run(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_create_run` of MLflow's handlers and `create_run` of its store."""
    plain.only(given, _CREATE)
    experiment_id, start_time = plain.text(given, "experiment_id"), plain.integer(given.get("start_time", 0))
    if not EXPERIMENT_ID.fullmatch(experiment_id):
        raise NotPlain
    user_id, run_name = plain.string(given, "user_id"), plain.string(given, "run_name")
    given_tags = plain.listed(given, "tags")
    if len(given_tags) > MOST_ROWS:  # as long an answer would hold up the event loop
        raise NotPlain
    pairs = [_pair(plain.only(each, _PAIR)) for each in given_tags]
    tags = dict(pairs)
    named = tags.get(MLFLOW_RUN_NAME)
    if len(tags) < len(pairs) or (run_name and named and run_name != named):
        raise NotPlain
    name = run_name or named or _generate_random_name()
    if not named:
        if MLFLOW_RUN_NAME in tags:
            raise NotPlain
        tags[MLFLOW_RUN_NAME] = name
    run_id = uuid.uuid4().hex

    def answer(found: Sequence[Any]) -> bytes:
        (artifact_uri,) = found
        info = RunInfo(
            run_id=run_id,
            run_name=name,
            experiment_id=experiment_id,
            user_id=user_id,
            status=RunStatus.to_string(RunStatus.RUNNING),
            start_time=start_time,
            end_time=None,
            lifecycle_stage=LifecycleStage.ACTIVE,
            artifact_uri=artifact_uri,
        )
        data = RunData(tags=[RunTag(key, value) for key, value in tags.items()])
        message = CreateRun.Response(run=Run(info, data, RunInputs(dataset_inputs=[])).to_proto())
        return _json(message)

    values = (run_id, int(experiment_id), name, user_id, start_time, list(tags), list(tags.values()))
    return [Call(statement=CREATE_RUN, values=values, answer=answer)]


def update_run(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_update_run` of MLflow's handlers and `update_run_info` of its store."""
    plain.only(given, _UPDATE)
    run_id, status = _run_id(given), given.get("status")
    end_time = plain.integer(given["end_time"]) if "end_time" in given else None
    if "status" in given and (type(status) is not str or status not in _STATUSES):
        raise NotPlain

    def answer(found: Sequence[Any]) -> bytes:
        info = _run_info(run_id, found)
        return _json(UpdateRun.Response(run_info=info.to_proto()))

    return [Call(statement=UPDATE_RUN, values=(run_id, status, end_time), answer=answer)]


def _run_info(run_id: str, found: Sequence[Any]) -> RunInfo:
    """Return a run's own columns as MLflow's entity."""
    name, experiment_id, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage = found
    return RunInfo(
        run_id=run_id,
        run_name=name,
        experiment_id=str(experiment_id),
        user_id=user_id,
        status=status,
        start_time=start_time,
        end_time=end_time,
        lifecycle_stage=lifecycle_stage,
        artifact_uri=artifact_uri,
    )


def get_run(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_get_run` of MLflow's handlers and `get_run` of its store."""
    plain.only(given, _RUN)
    run_id = _run_id(given)
    if not _RUN_ID.fullmatch(run_id):
        raise NotPlain

    def answer(found: Sequence[Any]) -> bytes:
        columns = iter([array or [] for array in found[_RUN_COLUMNS:]])
        metrics, params, tags = plain.rows(columns, 5), plain.rows(columns, 2), plain.rows(columns, 2)
        datasets, dataset_tags = plain.rows(columns, 7), plain.rows(columns, 3)
        model_inputs, model_outputs = plain.rows(columns, 1), plain.rows(columns, 2)
        try:
            info = _run_info(run_id, found[:_RUN_COLUMNS])
            data = RunData(
                metrics=[
                    entities.Metric(key, math.nan if is_nan else value, timestamp, step)
                    for key, value, timestamp, step, is_nan in metrics
                ],
                params=[Param(key, value) for key, value in params],
                tags=[RunTag(key, value) for key, value in tags],
            )
            inputs = RunInputs(
                dataset_inputs=dataset_inputs(datasets, dataset_tags),
                model_inputs=[LoggedModelInput(model_id) for (model_id,) in model_inputs],
            )
            outputs = RunOutputs([LoggedModelOutput(model_id, step) for model_id, step in model_outputs])
            return _json(GetRun.Response(run=Run(info, data, inputs, outputs).to_proto()))
        except Exception as error:  # rows that MLflow's own entities refuse, of an older schema or another writer
            raise NotPlain from error

    return [Call(statement=GET_RUN, values=(run_id,), answer=answer)]


def get_history(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_get_metric_history` of MLflow's handlers and `get_metric_history` of its store."""
    plain.only(given, _HISTORY)
    run_id, key, most = _run_id(given), plain.text(given, "metric_key"), _count(given)
    offset = plain.offset(plain.string(given, "page_token"))
    if offset + most > MOST_READ:
        raise NotPlain

    # One point more before the page, too: which of two that differ in NaN alone is the first, MLflow does not say.
    before = min(offset, 1)

    def answer(found: Sequence[Any]) -> bytes:
        by = [place for *place, _ in _rows_of(found)]
        if any(one == other for one, other in itertools.pairwise(by)):
            raise NotPlain
        points = _points(key, found)[before:]
        more = len(points) > most
        token = SearchUtils.create_page_token(offset + most).decode() if more else ""
        return _history(points[:most], token)

    query = queries.get_history(run_id, key, offset=offset - before, most=most + before)
    return [Call(statement=query, values=query.values, answer=answer)]


def sample_history(given: Mapping[str, Any]) -> Sequence[Call]:
    """`get_metric_history_bulk_interval_impl` of MLflow's handlers, for one run, and what it calls of the store."""
    plain.only(given, _SAMPLE)
    run_id, key, most = plain.text(given, "run_ids"), plain.text(given, "metric_key"), _count(given)
    if ("start_step" in given) != ("end_step" in given):
        raise NotPlain
    start, end = _step(given, "start_step", plain.INT64[0]), _step(given, "end_step", plain.INT64[-1])
    if start > end:
        raise NotPlain
    of_run = f',\n      "run_id": {encode_basestring_ascii(run_id)}'
    query = queries.sample_history(run_id, key, most=most, first=start, last=end)
    return [Call(statement=query, values=query.values, answer=lambda found: _history(_points(key, found, of_run)))]


def _points(key: str, found: Sequence[Any], more: str = "") -> Sequence[str]:
    """The points of a metric as the JSON of `Metric`, or with `more` of `MetricWithRunId`."""
    name = encode_basestring_ascii(key)
    return [
        f'\n    {{\n      "key": {name},\n      "value": {number(math.nan if is_nan else value)},'
        f'\n      "timestamp": {timestamp},\n      "step": {step}{more}\n    }}'
        for value, timestamp, step, is_nan in _rows_of(found)
    ]


def _rows_of(found: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    return zip(*(column or () for column in found), strict=True)


def _history(points: Sequence[str], token: str = "") -> bytes:
    members = [
        *([f'\n  "metrics": [{",".join(points)}\n  ]'] if points else []),
        *([f'\n  "next_page_token": {encode_basestring_ascii(token)}'] if token else []),
    ]
    return f"{{{','.join(members)}\n}}".encode() if members else b"{}"


def _count(given: Mapping[str, Any]) -> int:
    """How many points are asked for: without a number MLflow answers with all, which may be very many."""
    text = plain.text(given, "max_results")
    if not _COUNT.fullmatch(text) or int(text) > MOST_POINTS:
        raise NotPlain
    return int(text)


def _step(given: Mapping[str, Any], name: str, otherwise: int) -> int:
    if name not in given:
        return otherwise
    text = plain.text(given, name)
    if not _STEP.fullmatch(text):
        raise NotPlain
    return int(text)


def dataset_inputs(rows: Iterable[Sequence[Any]], tags: Iterable[Sequence[str]]) -> list[DatasetInput]:
    """Return the datasets of a run, from rows of datasets and of their tags, each of which has the dataset's id."""
    found = {dataset_uuid: DatasetInput(Dataset(*described), []) for dataset_uuid, *described in rows}
    for dataset_uuid, name, value in tags:
        found[dataset_uuid].tags.append(InputTag(name, value))
    return list(found.values())


def _json(message: Any) -> bytes:
    return message_to_json(message).encode()


def _metrics(run_id: str, metrics: Sequence[Metric]) -> Call:
    newest: dict[str, int] = {}
    for place, metric in enumerate(metrics):
        if metric.key not in newest or metric.rank > metrics[newest[metric.key]].rank:
            newest[metric.key] = place
    places = set(newest.values())
    return Call(
        statement=LOG_METRICS,
        values=(
            run_id,
            [metric.key for metric in metrics],
            [metric.value for metric in metrics],
            [metric.timestamp for metric in metrics],
            [metric.step for metric in metrics],
            [metric.is_nan for metric in metrics],
            [place in places for place in range(len(metrics))],
        ),
    )


def _pairs(statement: Statement, run_id: str, pairs: Mapping[str, str]) -> Call:
    return Call(statement=statement, values=(run_id, list(pairs), list(pairs.values())))


def _metric(given: Mapping[str, Any]) -> Metric:
    key, value = plain.text(given, "key"), _number(given.get("value"))
    timestamp, step = plain.integer(given.get("timestamp")), plain.integer(given.get("step", 0))
    _require_metric(key, min(timestamp, 0))
    return Metric(key=key, value=_finite(value), timestamp=timestamp, step=step, is_nan=math.isnan(value))


@functools.lru_cache(maxsize=4096)
def _require_metric(key: str, time_if_negative: int) -> None:
    """Raise what MLflow's own validator raises. Of what is a number already it looks at the sign of the time only."""
    _validate_metric(key, 0.0, time_if_negative, 0)


def _tag(given: Mapping[str, Any]) -> tuple[str, str]:
    tag = _validate_tag(*_pair(given))
    if tag.key == MLFLOW_RUN_NAME:
        raise NotPlain  # it renames the run as well
    return tag.key, tag.value


def _pair(given: Mapping[str, Any]) -> tuple[str, str]:
    if "value" not in given:
        raise NotPlain
    return plain.text(given, "key"), plain.string(given, "value")


def _run_id(given: Mapping[str, Any]) -> str:
    """MLflow takes `run_id`, and the older `run_uuid` only where there is no other."""
    plain.string(given, "run_uuid")
    return plain.text(given, "run_id")


def _number(value: Any) -> float:
    if type(value) is str and value in _WORDS:
        return _WORDS[value]
    if type(value) not in (int, float) or not -sys.float_info.max <= value <= sys.float_info.max:
        raise NotPlain  # NaN among them, which JSON has not
    return float(value)


def _finite(value: float) -> float:
    if math.isnan(value):
        return 0.0
    return min(max(value, -sys.float_info.max), sys.float_info.max)
