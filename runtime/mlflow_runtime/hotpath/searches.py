"""What a search of runs or experiments asks for, where it is in its plain form, and the answer to it.

MLflow's own parser reads filters and orders. What it refuses, and what is not in `queries`, is MLflow's.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any, Final, TypeVar

from mlflow.entities import (
    Experiment,
    ExperimentTag,
    LifecycleStage,
    LoggedModelOutput,
    RunInputs,
    RunOutputs,
    RunStatus,
)
from mlflow.protos.service_pb2 import SearchExperiments
from mlflow.tracing.trace_archival_config import get_trace_archival_server_config
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils

from mlflow_runtime.hotpath import plain, queries
from mlflow_runtime.hotpath.plain import NotPlain
from mlflow_runtime.hotpath.queries import (
    EXPERIMENT_ATTRIBUTES,
    EXPERIMENT_COLUMNS,
    MOST_RUNS,
    RUN_ATTRIBUTES,
    RUN_COLUMNS,
    TABLES,
    Filter,
    Order,
)
from mlflow_runtime.hotpath.requests import EXPERIMENT_ID, Call, dataset_inputs
from mlflow_runtime.patches.json_answers import message_to_json, number, text_of

_RUNS: Final = frozenset({"experiment_ids", "filter", "run_view_type", "max_results", "order_by", "page_token"})
_EXPERIMENTS: Final = frozenset({"view_type", "max_results", "order_by", "filter", "page_token"})
_STAGES: Final[Mapping[str, Sequence[str]]] = {
    "ACTIVE_ONLY": (LifecycleStage.ACTIVE,),
    "DELETED_ONLY": (LifecycleStage.DELETED,),
    "ALL": (LifecycleStage.ACTIVE, LifecycleStage.DELETED),
}
_STATUSES: Final = frozenset(RunStatus._STRING_TO_STATUS)
# Of a filter or an order: a longer one would hold up the event loop while MLflow's parser reads it.
_MOST_CHARACTERS: Final = 500
_MOST_EXPERIMENTS: Final = 100
_MOST_ORDERS: Final = 8
_COUNT: Final = re.compile(r"[1-9][0-9]{0,2}")

_NUMERIC: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXTUAL: Final = frozenset({"=", "!=", "LIKE", "ILIKE"})
_DEFAULT_ORDERS: Final = ("creation_time DESC", "experiment_id ASC")

T = TypeVar("T")


def search_runs(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_search_runs` and `search_runs_impl` of MLflow's handlers, and `_search_runs` of its store."""
    plain.only(given, _RUNS)
    experiments = [_experiment(each) for each in _few(given, "experiment_ids", _MOST_EXPERIMENTS)]
    if not experiments or len(set(experiments)) < len(experiments):
        raise NotPlain
    most, offset = _most(given), plain.offset(plain.string(given, "page_token"))
    orders = [_run_order(_short(each)) for each in _few(given, "order_by", _MOST_ORDERS)]
    if len({(order.kind, order.key) for order in orders}) < len(orders):
        raise NotPlain
    search = queries.search_runs(
        experiments,
        _stages(given, "run_view_type"),
        _filters(_short(given.get("filter", ""))),
        orders,
        offset=offset,
        most=most,
    )

    def answer(found: Sequence[Any]) -> bytes:
        columns = iter([array or () for array in found])
        runs = plain.rows(columns, len(RUN_COLUMNS))
        kinds = [_by_place(plain.rows(columns, width), len(runs)) for width in (6, 3, 3, 8, 4, 3)]
        shown = [_run(run, *of_run) for run, *of_run in zip(runs[:most], *kinds, strict=False)]
        members = [
            *([f'\n  "runs": {_list(shown, "    ")}'] if shown else []),
            *([f'\n  "next_page_token": "{_token(offset + most)}"'] if len(runs) > most else []),
        ]
        return f"{{{','.join(members)}\n}}".encode() if members else b"{}"

    return [Call(statement=search, values=search.values, answer=_or_not_plain(answer))]


def search_experiments(given: Mapping[str, Any]) -> Sequence[Call]:
    """`_search_experiments` of MLflow's handlers and store, without a filter."""
    plain.only(given, _EXPERIMENTS)
    if plain.string(given, "filter") or get_trace_archival_server_config() is not None:
        raise NotPlain
    orders = [_experiment_order(_short(each)) for each in _few(given, "order_by", _MOST_ORDERS) or _DEFAULT_ORDERS]
    most, offset = _most(given), plain.offset(plain.string(given, "page_token"))
    search = queries.search_experiments(_stages(given, "view_type"), orders, offset=offset, most=most)

    def answer(found: Sequence[Any]) -> bytes:
        columns = iter([array or () for array in found])
        experiments = plain.rows(columns, len(EXPERIMENT_COLUMNS))
        tags = _by_place(plain.rows(columns, 3), len(experiments))
        message = SearchExperiments.Response()
        message.experiments.extend(
            [
                Experiment(
                    experiment_id=str(identifier),
                    name=name,
                    artifact_location=location,
                    lifecycle_stage=stage,
                    tags=[ExperimentTag(key, value) for key, value in own],
                    creation_time=created,
                    last_update_time=updated,
                    workspace=workspace,
                ).to_proto()
                for (identifier, name, location, stage, created, updated, workspace), own in zip(
                    experiments[:most], tags, strict=False
                )
            ]
        )
        if len(experiments) > most:
            message.next_page_token = _token(offset + most)
        return message_to_json(message).encode()

    return [Call(statement=search, values=search.values, answer=_or_not_plain(answer))]


def search_experiments_of_query(given: Mapping[str, Any]) -> Sequence[Call]:
    """The same by a query, in which a list of one is a text."""
    return search_experiments({**given, **({"order_by": [given["order_by"]]} if "order_by" in given else {})})


def _or_not_plain(answer: Callable[[Sequence[Any]], bytes]) -> Callable[[Sequence[Any]], bytes]:
    """Leave rows that MLflow's own entities refuse, of an older schema or another writer, to MLflow."""

    def answered(found: Sequence[Any]) -> bytes:
        try:
            return answer(found)
        except Exception as error:
            raise NotPlain from error

    return answered


def _token(offset: int) -> str:
    return str(SearchUtils.create_page_token(offset).decode())


def _most(given: Mapping[str, Any]) -> int:
    """How many are asked for: without a number MLflow answers with very many."""
    value = given.get("max_results")
    most = int(value) if type(value) is str and _COUNT.fullmatch(value) else plain.integer(value)
    if not 0 < most <= MOST_RUNS:
        raise NotPlain
    return most


def _few(given: Mapping[str, Any], name: str, most: int) -> list[Any]:
    """Return a list, before anything in it is read: that takes the event loop's time."""
    listed = plain.listed(given, name)
    if len(listed) > most:
        raise NotPlain
    return listed


def _experiment(value: Any) -> int:
    if type(value) is not str or not EXPERIMENT_ID.fullmatch(value):
        raise NotPlain
    return int(value)


def _stages(given: Mapping[str, Any], name: str) -> Sequence[str]:
    value = given.get(name, "ACTIVE_ONLY")
    if type(value) is not str or value not in _STAGES:
        raise NotPlain
    return _STAGES[value]


def _short(value: Any) -> str:
    if type(value) is not str or len(value) > _MOST_CHARACTERS or "\0" in value:
        raise NotPlain
    value.encode()
    return value


def _parsed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """What MLflow's parser finds, kept for the next search of the same text. What it refuses is MLflow's."""

    @functools.lru_cache(maxsize=512)
    def found(text: str) -> T | None:
        try:
            return parse(text)
        except Exception:  # noqa: BLE001 - its parser has many
            return None

    def parsed(text: str) -> T:
        if (kept := found(text)) is None:
            raise NotPlain
        return kept

    return parsed


@_parsed
def _filters(text: str) -> Sequence[Filter]:
    return tuple(_filter(each) for each in SearchUtils.parse_search_filter(text))


def _filter(found: Mapping[str, Any]) -> Filter:
    kind, key = found["type"], SearchUtils.translate_key_alias(found["key"])
    comparator, value = found["comparator"].upper(), found["value"]
    numeric = kind == "metric" or (kind == "attribute" and key in SearchUtils.NUMERIC_ATTRIBUTES)
    if comparator not in (_NUMERIC if numeric else _TEXTUAL):
        raise NotPlain
    if kind == "metric":
        return Filter(kind=kind, key=key, comparator=comparator, value=float(value))
    if not numeric and type(value) is not str:
        raise NotPlain
    if kind == "attribute":
        if key == "run_name":  # as MLflow, for whose older versions the name was this tag
            return Filter(kind="tag", key=MLFLOW_RUN_NAME, comparator=comparator, value=value)
        if key not in RUN_ATTRIBUTES:
            raise NotPlain
    elif kind not in TABLES:
        raise NotPlain
    return Filter(kind=kind, key=key, comparator=comparator, value=value)


@_parsed
def _run_order(text: str) -> Order:
    kind, key, ascending = SearchUtils.parse_order_by_for_search_runs(text)
    key = SearchUtils.translate_key_alias(key)
    if kind not in TABLES and not (kind == "attribute" and key in RUN_ATTRIBUTES):
        raise NotPlain
    return Order(kind=kind, key=key, ascending=ascending)


@_parsed
def _experiment_order(text: str) -> Order:
    kind, key, ascending = SearchExperimentsUtils.parse_order_by_for_search_experiments(text)
    if kind != "attribute" or key not in EXPERIMENT_ATTRIBUTES:
        raise NotPlain
    return Order(kind=kind, key=key, ascending=ascending)


def _by_place(rows: Iterable[tuple[Any, ...]], places: int) -> Sequence[Sequence[Sequence[Any]]]:
    """Rows by their first column, from 1 on, without it."""
    found: list[list[Sequence[Any]]] = [[] for _ in range(places)]
    for place, *row in rows:
        found[place - 1].append(row)
    return found


def _run(
    run: tuple[Any, ...],
    metrics: Sequence[Sequence[Any]],
    params: Sequence[Sequence[Any]],
    tags: Sequence[Sequence[Any]],
    datasets: Sequence[Sequence[Any]],
    dataset_tags: Sequence[Sequence[Any]],
    outputs: Sequence[Sequence[Any]],
) -> str:
    """A run as the JSON of MLflow's `Run`, in the order of the fields' numbers."""
    run_id, name, experiment_id, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage = run
    if status not in _STATUSES or user_id is None or start_time is None:
        raise NotPlain
    identifier = encode_basestring_ascii(run_id)
    info = [
        f'"run_uuid": {identifier}',
        f'"experiment_id": "{experiment_id}"',
        f'"run_name": {encode_basestring_ascii(name)}',
        f'"user_id": {encode_basestring_ascii(user_id)}',
        f'"status": "{status}"',
        f'"start_time": {start_time}',
        *([f'"end_time": {end_time}'] if end_time else []),
        *([f'"artifact_uri": {encode_basestring_ascii(artifact_uri)}'] if artifact_uri else []),
        f'"lifecycle_stage": {encode_basestring_ascii(lifecycle_stage)}',
        f'"run_id": {identifier}',
    ]
    data = [
        f'"{name}": {_list(values, "          ")}'
        for name, values in (
            ("metrics", [_metric(*metric) for metric in metrics]),
            ("params", [_pair(*pair) for pair in params]),
            ("tags", [_pair(*pair) for pair in tags]),
        )
        if values
    ]
    members = [
        f'"info": {_object(info, "        ")}',
        f'"data": {_object(data, "        ") if data else "{}"}',
        f'"inputs": {_inputs(datasets, dataset_tags) if datasets else "{}"}',
        f'"outputs": {_outputs(outputs) if outputs else "{}"}',
    ]
    return _object(members, "      ")


def _metric(key: str, value: float, timestamp: int, step: int, is_nan: bool) -> str:
    return (
        f'{{\n            "key": {encode_basestring_ascii(key)},\n            "value": '
        f'{number(math.nan if is_nan else value)},\n            "timestamp": {timestamp},\n            "step": {step}'
        "\n          }"
    )


def _pair(key: str, value: str) -> str:
    return (
        f'{{\n            "key": {encode_basestring_ascii(key)},\n            "value": {encode_basestring_ascii(value)}'
        "\n          }"
    )


def _inputs(datasets: Sequence[Sequence[Any]], tags: Sequence[Sequence[Any]]) -> str:
    return text_of(RunInputs(dataset_inputs=dataset_inputs(datasets, tags)).to_proto(), "\n      ")


def _outputs(outputs: Sequence[Sequence[Any]]) -> str:
    found = RunOutputs([LoggedModelOutput(model_id, step) for model_id, step in outputs])
    return text_of(found.to_proto(), "\n      ")


def _object(members: Sequence[str], margin: str) -> str:
    """An object of members, at least one, each at a margin."""
    between = f",\n{margin}"
    return f"{{\n{margin}{between.join(members)}\n{margin[2:]}}}"


def _list(values: Sequence[str], margin: str) -> str:
    """A list of values, at least one, each at a margin."""
    between = f",\n{margin}"
    return f"[\n{margin}{between.join(values)}\n{margin[2:]}]"
