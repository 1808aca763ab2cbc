"""Requests of training, valid, invalid and hostile, as hypothesis draws them."""

from __future__ import annotations

import base64
import json
import math
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st

from tests.runtime.hotpath.asking import AJAX, JSON, V2, Request

_ABSENT = object()
_KEYS = st.sampled_from([*"aaabbbc", "loss/train", "a b:c-d.e_f"])
_ODD_KEYS = st.sampled_from(
    [
        *("", "/a", "a//b", "..", "a/../b", ".", "ä", "a\n", "k" * 250, "k" * 251, "a\0", "\ud800", "🙂", "a'b", 'a"'),
        *("%s", "mlflow.runName", "mlflow.note.content", None, 5, ["a"], _ABSENT),
    ]
)
_VALUES = st.one_of(
    # NaN is stored as a zero, so that the two are equal but for what they are.
    st.sampled_from(
        [0.0, 0, "NaN", "NaN", -0.0, 1.0, 1, 2.5, -1.5, "NaN", "Infinity", "-Infinity", 1.7976931348623157e308, 5e-324]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
_ODD_VALUES = st.sampled_from(
    [math.nan, math.inf, -math.inf, "1.5", "", "nan", True, None, [], {}, 10**400, -(10**400), 2**64, _ABSENT]
)
_MOMENTS = st.integers(0, 1)
_ODD_MOMENTS = st.sampled_from(
    [-1, -(2**63), 2**63 - 1, 2**63, "2", "x", 1.0, 1.5, 1e3, True, None, [], _ABSENT, 1764400000000]
)
_TEXTS = st.sampled_from([*"111222", "", "x" * 500, "ö🙂", "a'b\\c", "%s {run}", "v" * 5999])
_ODD_TEXTS = st.sampled_from(
    ["v" * 6000, "v" * 6001, "v" * 8000, "v" * 8001, "🙂" * 6001, "\0", "\udfff", None, 5, 1.5, True, [], {}, _ABSENT]
)


def _mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], one_in: int = 12) -> st.SearchStrategy[Any]:
    # Hypothesis likes the ends of a range, so the odd one is inside it.
    return st.integers(1, one_in).flatmap(lambda drawn: odd if drawn == 2 else usual)


def _fields(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(fields).map(
        lambda found: {name: value for name, value in found.items() if value is not _ABSENT}
    )


def _pair(one_in: int) -> st.SearchStrategy[dict[str, Any]]:
    return _fields(key=_mostly(_KEYS, _ODD_KEYS, one_in), value=_mostly(_TEXTS, _ODD_TEXTS, one_in))


def _metric(one_in: int) -> st.SearchStrategy[dict[str, Any]]:
    return _fields(
        key=_mostly(_KEYS, _ODD_KEYS, one_in),
        value=_mostly(_VALUES, _ODD_VALUES, one_in),
        timestamp=_mostly(_MOMENTS, _ODD_MOMENTS, one_in),
        step=_mostly(_MOMENTS | st.just(_ABSENT) | st.integers(-1, 2), _ODD_MOMENTS, one_in),
    )


# Of the elements of a batch: one that is odd spoils all of it.
_IN_A_BATCH = 150

_RUN = st.just({"run_id": "{run}"}) | st.just({"run_id": "{run}", "run_uuid": "{run}"})
_ODD_RUN = st.sampled_from(
    [
        *({}, {"run_uuid": "{run}"}, {"runId": "{run}"}, {"run_id": "{run}", "runId": "{run}"}, {"run_id": ""}),
        *({"run_id": "0" * 32}, {"run_id": "x" * 300}, {"run_id": "no/run"}, {"run_id": None}, {"run_id": 5}),
        *({"run_id": "", "run_uuid": "{run}"}, {"run_id": "{run}", "run_uuid": 5}, {"run_id": "{run}", "run_uuid": ""}),
        {"run_id": "0" * 32, "run_uuid": "{run}"},
    ]
)
_RUNS = _mostly(_RUN, _ODD_RUN)
_MORE = st.sampled_from(
    [
        *({"unknown": 1}, {"model_id": ""}, {"model_id": "m-1"}, {"modelId": "m-1"}, {"dataset_name": "d"}),
        *({"dataset_name": "d", "dataset_digest": "1"}, {"metrics": []}, {"metrics": {}}, {"key": "z"}, {"tags": None}),
        {"params": [{"key": "a", "value": "1", "more": 1}], "tags": "x"},
    ]
)


_ENDS = _fields(
    status=_mostly(
        st.sampled_from(["FINISHED", "FAILED", "KILLED", "RUNNING", "SCHEDULED", _ABSENT]),
        st.sampled_from(["", "finished", "DONE", 3, "3", 99, None, True, []]),
    ),
    end_time=_mostly(st.integers(0, 9) | st.just(_ABSENT), _ODD_MOMENTS),
    run_name=_mostly(st.just(_ABSENT), st.sampled_from(["", "new name", None, 5, "n" * 251])),
)
_EXPERIMENTS = _mostly(
    st.just({"experiment_id": "{experiment}"}),
    st.sampled_from(
        [
            *({"experiment_id": given} for given in ("", "0", "00", " 1", "1 ", "+1", "1_0", "x", "99999999", None, 1)),
            *({}, {"experimentId": "{experiment}"}, {"experiment_id": "{experiment}", "experimentId": "0"}),
            *({"experiment_id": "{deleted}"}, {"experiment_id": "{elsewhere}"}),
        ]
    ),
    6,
)
_NEW = _fields(
    start_time=_mostly(st.integers(0, 9) | st.just(_ABSENT), _ODD_MOMENTS, 20),
    user_id=_mostly(st.sampled_from(["", "me", _ABSENT]), st.sampled_from(["u" * 256, "u" * 257, None, 5, "\0"]), 20),
    run_name=_mostly(st.sampled_from(["", "my run", _ABSENT]), st.sampled_from(["n" * 250, "n" * 251, None, 5]), 20),
    tags=_mostly(
        st.just(_ABSENT)
        | st.lists(
            st.fixed_dictionaries({"key": st.sampled_from([*"abcdef", "/odd//", "mlflow.runName"]), "value": _TEXTS})
            | _pair(12),
            max_size=4,
        ),
        st.sampled_from([None, {}, [5], [{"key": "mlflow.runName", "value": "my run"}], [{"key": "a", "more": 1}]]),
        20,
    ),
)


@st.composite
def _bodies(draw: st.DrawFn, own: st.SearchStrategy[dict[str, Any]], about: st.SearchStrategy[dict[str, Any]]) -> bytes:
    given = {**draw(about), **draw(own), **draw(_mostly(st.just({}), _MORE))}
    usual = json.dumps(given)
    names = {"run_id": "runId", "run_uuid": "runUuid", "dataset_name": "datasetName"}
    odd = [
        *(json.dumps(usual), usual[:-1], f" {usual} ", f"[{usual}]", "null", "", "{}", '"x"', "5", usual + "x"),
        json.dumps({names.get(name, name): value for name, value in given.items()}),
        usual[:-1] + ', "key": "twice"}' if usual != "{}" else usual,
    ]
    text: str = draw(_mostly(st.just(usual), st.sampled_from(odd), 25))
    return text.encode(draw(_mostly(st.just("utf-8"), st.sampled_from(["utf-16", "utf-32-le", "utf-8-sig"]), 60)))


_HEADERS = st.sampled_from(
    [
        (("content-type", "application/json; charset=utf-8"),),
        *((("content-type", "text/plain"),), (), (("content-type", "Application/JSON"),)),
        *((JSON, ("origin", "https://evil.example")), (JSON, ("origin", "http://localhost:3000"))),
        *((JSON, ("host", "evil.example")), (JSON, ("x-mlflow-workspace", "team"))),
        (JSON, ("authorization", "Basic eDp5")),
    ]
)


@st.composite
def _posts(
    draw: st.DrawFn,
    name: str,
    own: st.SearchStrategy[dict[str, Any]],
    about: st.SearchStrategy[dict[str, Any]] = _RUNS,
) -> Request:
    prefix = draw(st.sampled_from([V2, AJAX]))
    path = draw(_mostly(st.just(""), st.sampled_from(["/", "?run_id={run}", "?x=1"]), 40))
    return Request(
        path=f"{prefix}/runs/{name}{path}",
        body=draw(_bodies(own, about)),
        method=draw(_mostly(st.just("POST"), st.sampled_from(["PUT", "GET", "PATCH"]), 60)),
        headers=draw(_mostly(st.just((JSON,)), _HEADERS, 20)),
    )


def _lists(**longest: int) -> st.SearchStrategy[dict[str, Any]]:
    """Some of a batch's lists, now and then one that is longer than a batch may be."""
    made = {
        "metrics": st.lists(_metric(_IN_A_BATCH), min_size=1, max_size=longest["metrics"]),
        "params": st.lists(
            _pair(_IN_A_BATCH), min_size=1, max_size=longest["params"], unique_by=lambda each: str(each.get("key"))
        ),
        "tags": st.lists(_pair(_IN_A_BATCH), max_size=longest["tags"]),
    }
    metrics = made.pop("metrics")
    usual = st.fixed_dictionaries({"metrics": metrics}, optional=made) | st.fixed_dictionaries({}, optional=made)
    metric, pair = {"key": "long", "value": 1.5, "timestamp": 1}, {"key": "long", "value": "1"}
    odd = st.sampled_from(
        [
            *(
                {"metrics": [metric] * 1000},
                {"metrics": [metric] * 1001},
                {"params": [pair] * 2},
                {"tags": [pair] * 101},
            ),
            {"metrics": [{**metric, "step": step} for step in range(950)], "tags": [pair] * 51},
            *({"metrics": None}, {"params": {}}, {"tags": [5]}, {"metrics": [[]]}, {"metrics": [metric, None]}),
        ]
    )
    return _mostly(usual, odd, 30)


def _state(name: str, **more: Any) -> st.SearchStrategy[Request]:
    return st.just(Request(path=f"{V2}/runs/{name}", body=json.dumps({"run_id": "{run}", **more}).encode()))


GET_RUN = Request(path=f"{V2}/runs/get?run_id={{run}}", method="GET", headers=())


def history(key: str, **more: Any) -> Request:
    """A question for a page of a metric's history."""
    return _question("get-history", run_id="{run}", metric_key=key, **more)


def sample(key: str, **more: Any) -> Request:
    """A question for some points of a metric's history, as the page asks."""
    return _question("get-history-bulk-interval", run_ids="{run}", metric_key=key, **more)


def token(offset: int) -> str:
    """The token of a page that begins there."""
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def _question(name: str, **asked: Any) -> Request:
    return Request(path=f"{AJAX}/metrics/{name}?{urlencode(asked, safe='{}')}", method="GET", headers=())


_HISTORIES = st.one_of(
    st.builds(history, _KEYS, max_results=_mostly(st.integers(1, 9), st.sampled_from([0, -1, "x", "5 ", 1001]))),
    st.builds(history, _KEYS, max_results=st.integers(1, 4), page_token=st.integers(0, 5).map(token)),
    st.builds(sample, _KEYS, max_results=_mostly(st.integers(1, 9), st.sampled_from([0, -1, "x", 2501]))),
    st.builds(sample, _KEYS, max_results=st.integers(1, 4), start_step=st.integers(-1, 2), end_step=st.integers(-1, 3)),
)
"""Histories as they are asked for."""


def search(**asked: Any) -> Request:
    """A search of runs, in the experiment of this name if no others are asked for."""
    body = json.dumps({"experiment_ids": ["{experiment}"], **asked}).encode()
    return Request(path=f"{AJAX}/runs/search", body=body)


def experiments(**asked: Any) -> Request:
    """A search of experiments."""
    return Request(path=f"{AJAX}/experiments/search", body=json.dumps(asked).encode())


def experiments_by_query(query: str) -> Request:
    """The same as it is asked for without a body."""
    return Request(path=f"{V2}/experiments/search?{query}", method="GET", headers=())


_COMPARED = st.one_of(
    st.builds("metrics.{} {} {}".format, st.sampled_from("abc"), st.sampled_from(["<", ">=", "=", "!="]), _MOMENTS),
    st.builds(
        "{}.{} {} '{}'".format,
        st.sampled_from(["params", "tags", "param", "tag"]),
        st.sampled_from("abc"),
        st.sampled_from(["=", "!=", "LIKE", "ilike"]),
        st.sampled_from(["1", "2", "%1%", "", "Ö%"]),
    ),
    st.builds(
        "{} {} {}".format, st.sampled_from(["start_time", "end_time"]), st.sampled_from(["<", ">", "="]), _MOMENTS
    ),
    st.sampled_from(["status = 'FAILED'", "attributes.run_name LIKE 'r%'", "run_id != 'x'", "user_id = ''"]),
)
_ODD_FILTERS: st.SearchStrategy[str] = st.sampled_from(
    [
        *("metrics.a = 'x'", "params.a = 1", "x", "metrics.a", "a.b.c = 1", "tags.a IS NULL", "run_id IN ('a', 'b')"),
        *("dataset.name = 'd'", "metrics.`a b:c-d.e_f` > 0", 'tags."a" = "1"', "status > 'A'", "params.a = '1' OR x"),
        *("params.a = 'a''b'", "metrics.a > 1e400", "start_time > 1.5", "start_time < 99999999999999999999", "%s", "'"),
        *(None, 5, [], "tags.a = '1'" * 60),
    ]
)
_ORDERED_BY = st.builds(
    "{} {}".format,
    st.sampled_from(
        [
            *(
                "metrics.a",
                "metrics.b",
                "params.a",
                "tags.a",
                "start_time",
                "attributes.end_time",
                "status",
                "run_name",
            ),
            *("metrics.nothing", "Created"),
        ]
    ),
    st.sampled_from(["", "ASC", "DESC", "desc"]),
)
_ODD_ORDERS = st.sampled_from(
    [["x"], ["metrics.a, metrics.b"], "start_time", [None], [""], ["end_time SIDEWAYS"], None]
)
_SEARCHES = st.builds(
    lambda asked: search(**asked),
    st.fixed_dictionaries(
        {"max_results": _mostly(st.integers(1, 12), st.sampled_from([0, -1, "5", 201, 50001, None, True, 1.0]), 20)},
        optional={
            "filter": _mostly(st.lists(_COMPARED, max_size=3).map(" AND ".join), _ODD_FILTERS, 8),
            "order_by": _mostly(st.lists(_ORDERED_BY, max_size=3), _ODD_ORDERS, 12),
            "run_view_type": _mostly(
                st.sampled_from(["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]), st.sampled_from(["", "all", 1, None])
            ),
            "page_token": _mostly(st.integers(1, 8).map(lambda at: token(at)) | st.just(""), st.sampled_from(["x", 5])),
            "experiment_ids": st.sampled_from(
                [
                    *(["{experiment}", "{deleted}"], ["{deleted}", "{elsewhere}", "{experiment}"], ["{elsewhere}"], []),
                    *(["{experiment}", "99999999"], ["{experiment}"] * 2, ["00"], [1], ["x"], None),
                ]
            ),
            "unknown": st.just(1),
        },
    ).filter(lambda asked: "unknown" not in asked or len(asked) < 4),
)
_EXPERIMENT_SEARCHES = st.builds(
    lambda asked: experiments(**asked),
    st.fixed_dictionaries(
        {"max_results": _mostly(st.integers(1, 5), st.sampled_from([0, "5", None]), 20)},
        optional={
            "view_type": st.sampled_from(["ACTIVE_ONLY", "DELETED_ONLY", "ALL", ""]),
            "order_by": st.lists(
                st.sampled_from(["name", "name DESC", "creation_time", "experiment_id DESC", "last_update_time", "x"]),
                max_size=2,
            ),
            "page_token": st.integers(1, 3).map(lambda at: token(at)),
            "filter": st.sampled_from(["", "name LIKE '%'"]),
        },
    ),
) | st.sampled_from(
    [
        experiments_by_query(query)
        for query in (
            *("max_results=3", "max_results=3&order_by=name", "max_results=0", "", "max_results=2&view_type=ALL"),
            "order_by=name&order_by=experiment_id&max_results=2",
        )
    ]
)


@st.composite
def _gets(draw: st.DrawFn) -> Request:
    """Questions for a run, as clients and the page ask, or as nobody does."""
    usual = st.sampled_from(["run_id={run}", "run_uuid={run}&run_id={run}", "run_id={run}&run_uuid={run}"])
    odd = st.sampled_from(
        [
            *("", "run_id=", "run_uuid={run}", "runId={run}", "run_id={run}&run_id=" + "0" * 32, "run_id=" + "0" * 32),
            *("run_id={run}&unknown=1", "run_id={run}%20", "run_id={run}&", "run_id=" + "x" * 300, "run_id=%00"),
        ]
    )
    json_body = ((JSON,), b'{"run_id": "{run}"}')
    headers, body = draw(_mostly(st.just(((), b"")), st.sampled_from([json_body, ((JSON,), b""), *_HEADS]), 20))
    return Request(
        path=f"{draw(st.sampled_from([V2, AJAX]))}/runs/get?{draw(_mostly(usual, odd))}",
        method=draw(_mostly(st.just("GET"), st.sampled_from(["POST", "HEAD", "PUT"]), 60)),
        body=body,
        headers=headers,
    )


_HEADS: list[tuple[tuple[tuple[str, str], ...], bytes]] = [
    ((("origin", "https://evil.example"),), b""),
    ((("host", "evil.example"),), b""),
    ((("x-mlflow-workspace", "team"),), b""),
    ((("accept", "text/html"), ("accept-encoding", "gzip")), b""),
]

_DATASETS = st.lists(
    st.fixed_dictionaries(
        {
            "dataset": st.fixed_dictionaries(
                {
                    "name": st.sampled_from("de"),
                    "digest": st.sampled_from("12"),
                    "source_type": st.just("local"),
                    "source": st.sampled_from(["s", "ö🙂"]),
                },
                optional={"schema": st.just('{"a": 1}'), "profile": st.sampled_from(["p", "", "p" * 70_000])},
            )
        },
        optional={
            "tags": st.lists(
                st.fixed_dictionaries({"key": st.sampled_from("ab"), "value": st.sampled_from(["1", "ö"])}),
                max_size=2,
                unique_by=lambda each: each["key"],
            )
        },
    ),
    max_size=2,
)
_MODELS = st.lists(
    st.fixed_dictionaries({"model_id": st.sampled_from(["m-1", "m-2"])}, optional={"step": st.integers(0, 2)}),
    max_size=2,
    unique_by=lambda each: each["model_id"],
)


@st.composite
def _things(draw: st.DrawFn) -> Request:
    """What a run has read and made, which MLflow logs and a question for the run shows."""
    name, given = draw(
        st.one_of(
            _fields(datasets=_DATASETS).map(lambda found: ("log-inputs", found)),
            _MODELS.map(lambda found: ("log-inputs", {"models": [{"model_id": each["model_id"]} for each in found]})),
            _MODELS.map(lambda found: ("outputs", {"models": [{"step": 0, **each} for each in found]})),
        )
    )
    return Request(path=f"{V2}/runs/{name}", body=json.dumps({"run_id": "{run}", **given}).encode())


REQUESTS: st.SearchStrategy[Request] = st.one_of(
    # Each is a strategy of its own: hypothesis takes the same one twice for once.
    *(_posts("log-metric", _metric(20)) for _ in range(2)),
    *(
        _posts("log-batch", _lists(metrics=12, params=4, tags=4), _mostly(st.just({"run_id": "{run}"}), _ODD_RUN))
        for _ in range(4)
    ),
    _posts("log-parameter", _pair(12)),
    _posts("set-tag", _pair(12)),
    _posts("create", _NEW, _EXPERIMENTS),
    _mostly(
        _posts("update", _ENDS),
        st.one_of(_state("delete"), _state("restore"), _state("delete-tag", key="a")),
        3,
    ),
    _gets(),
    _HISTORIES,
    _SEARCHES,
    _EXPERIMENT_SEARCHES,
    _things(),
)
"""One request for `{run}`, or for a new one in `{experiment}`."""

SEQUENCES = st.lists(REQUESTS, min_size=15, max_size=30).map(lambda requests: [*requests, GET_RUN])
"""Requests one after the other, at last for what became of the run."""
