"""Sequences of requests that say what MLflow does at each of its edges, before any that are drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.runtime.hotpath.asking import JSON, V2, Request
from tests.runtime.hotpath.comparing import post
from tests.runtime.hotpath.generating import (
    GET_RUN,
    experiments,
    experiments_by_query,
    history,
    sample,
    search,
    token,
)


def metric(value: object, *, step: Any = 0, timestamp: Any = 0, key: str = "m") -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": timestamp, "step": step}


def pair(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


def create(experiment: str, **fields: Any) -> Request:
    return replace(post("create"), body=json.dumps({"experiment_id": experiment, "start_time": 1, **fields}).encode())


def _dataset(name: str, **more: str) -> dict[str, Any]:
    return {
        "dataset": {"name": name, "digest": "1", "source_type": "local", "source": "s", **more},
        "tags": [pair("a", name), pair("b", "ö")],
    }


def _with(request: Request, *headers: tuple[str, str]) -> Request:
    return replace(request, headers=headers)


_TAG = post("set-tag", key="head", value="1")
_GET_NOBODY = Request(path=f"{V2}/runs/get?run_id={'0' * 32}", method="GET", headers=())
_ONE_OF_EACH: Final = (
    post("log-metric", **metric(1.0)),
    post("log-batch", metrics=[metric(2.0, step=1)], params=[pair("a", "1")], tags=[pair("a", "1")]),
    post("log-parameter", **pair("b", "1")),
    _TAG,
    post("update", status="FAILED", end_time=5),
    GET_RUN,
)

# Step, time and value, each against all that came before.
_RANKED: Final[Sequence[tuple[int, int, float | str]]] = (
    *((1, 1, 1.0), (0, 2, 5.0), (1, 0, 9.0), (1, 1, 2.0), (1, 1, 0.5), (1, 2, 0.1), (-1, 9, 9.0)),
    *((2, 0, 0.0), (2, 0, "NaN"), (3, 0, "NaN"), (3, 0, 0.0), (4, 0, -0.0), (5, 0, "-Infinity")),
    *((5, 0, "Infinity"), (6, 0, 1.7976931348623157e308), (7, 0, 5e-324), (8, 0, "NaN"), (9, 0, 1.5)),
)

_NO_NUMBERS: Final[Sequence[object]] = ("1.5", "nan", True, None, [], 10**400, "inf")

EXAMPLES: Final[Mapping[str, Sequence[Request]]] = {
    "the latest metric": [
        # Asked for after each: the last of them is the latest whatever was before it.
        *(
            request
            for step, moment, value in _RANKED
            for request in (post("log-metric", **metric(value, step=step, timestamp=moment)), GET_RUN)
        ),
        post("log-metric", **metric("NaN", step=10)),
        post("log-metric", **metric(-0.0, key="zero")),
        GET_RUN,
    ],
    "the latest metric of a batch": [
        post("log-batch", metrics=[metric(1.0, step=2), metric(9.0, step=1), metric(3.0, step=2), metric(2.0, step=2)]),
        post("log-batch", metrics=[metric(1.0, timestamp=2, key="t"), metric(8.0, timestamp=1, key="t")]),
        post("log-batch", metrics=[metric(1.0, step=9, key=key) for key in "cabcab"]),
        post("log-batch", metrics=[metric("NaN", step=3), metric(0.0, step=3)]),
        GET_RUN,
    ],
    "histories": [
        history("m", max_results=5),
        sample("m", max_results=5),
        # Times fall where steps rise, so that the two have different orders.
        post("log-batch", metrics=[metric(step * 0.5, step=step, timestamp=40 - step // 3) for step in range(37)]),
        post(
            "log-batch", metrics=[metric(value, step=5, timestamp=7, key="a/b c") for value in (3.0, 1.0, 2.0, "NaN")]
        ),
        post("log-batch", metrics=[metric(value, key="ö") for value in ("Infinity", "-Infinity", 5e-324)]),
        # Several points of a step, whose values rise where their times fall.
        post(
            "log-batch",
            metrics=[metric(place, key="ties", step=place // 4, timestamp=9 - place % 3) for place in range(22)],
        ),
        *(sample("ties", max_results=most) for most in (1, 2, 3, 5, 7, 21, 22, 23)),
        *(sample("ties", max_results=3, start_step=first, end_step=last) for first, last in ((1, 3), (2, 2), (4, 9))),
        *(history("ties", max_results=5, page_token=given) for given in ("", token(4), token(20))),
        # Two that differ in NaN alone.
        post("log-batch", metrics=[metric(value, key="zeros") for value in (0.0, "NaN")]),
        *(history("zeros", max_results=1, page_token=given) for given in ("", token(1))),
        history("zeros", max_results=9),
        *(history("m", max_results=most) for most in (1, 5, 36, 37, 38, 1000, 1001)),
        *(history("m", max_results=10, page_token=token(offset)) for offset in (10, 30, 36, 37, 100)),
        *(history("m", max_results=10, page_token=given) for given in ("x", "e30=", token(0), token(-1), "")),
        *(history("m", max_results=given) for given in (0, -1, "01", "x", "")),
        *(history(key, max_results=9) for key in ("a/b c", "ö", "", "nothing")),
        history("m"),
        history("m", max_results=5, unknown="1"),
        *(sample("m", max_results=most) for most in (1, 2, 5, 36, 37, 38, 1000, 2500, 2501, 0)),
        *(
            sample("m", max_results=3, start_step=start, end_step=end)
            for start, end in ((0, 36), (5, 9), (9, 5), (-1, "x"))
        ),
        *(sample(key, max_results=3) for key in ("a/b c", "ö", "", "nothing")),
        sample("m"),
        sample("m", max_results=3, start_step=1),
        replace(sample("m", max_results=3), path=sample("m", max_results=3).path + "&run_ids={run}"),
        replace(sample("m", max_results=3), path=sample("m", max_results=3).path.replace("{run}", "0" * 32)),
        replace(history("m", max_results=3), path=history("m", max_results=3).path.replace("{run}", "0" * 32)),
        post("delete"),
        history("m", max_results=5),
        sample("m", max_results=5),
    ],
    "searches": [
        search(max_results=5),
        post(
            "log-batch",
            metrics=[metric(1.5, key="s"), metric("NaN", key="t")],
            params=[pair("s", "One"), pair("u", "")],
        ),
        post("set-tag", **pair("s", 'ö\u2028"\\')),
        create("{experiment}", run_name="other", start_time=3, tags=[pair("s", "2")]),
        create("{experiment}", start_time=0),
        post("log-inputs", datasets=[_dataset("d"), _dataset("e", schema="{}", profile="p")]),
        post("outputs", models=[{"model_id": "m-1", "step": 3}]),
        post("update", end_time=0),
        *(search(max_results=most) for most in (1, 2, 100, 200, 201, 0)),
        *(
            search(max_results=6, filter=asked, **more)
            for asked in (
                *("metrics.s > 1", "metrics.t < 1", "metrics.t != 0", "metrics.t = 0", "metrics.s != 1.5"),
                *(
                    "params.s = 'One'",
                    "params.s LIKE 'one'",
                    "params.s ILIKE 'one'",
                    "params.u = ''",
                    "params.s != 'x'",
                ),
                *("tags.s = '2'", "tags.s LIKE '%'", "status = 'RUNNING'", "run_name = 'other'", "start_time > 2"),
                *(
                    "metrics.s > 1 AND params.s = 'One'",
                    "metrics.s > 0 and metrics.s < 2",
                    "end_time = 0",
                    "user_id = ''",
                ),
            )
            for more in ({}, {"order_by": ["metrics.s DESC"]}, {"order_by": ["params.s", "metrics.t ASC"]})
        ),
        *(
            search(max_results=9, order_by=by)
            for by in (
                *(
                    ["metrics.s"],
                    ["metrics.s DESC"],
                    ["metrics.t DESC"],
                    ["params.s DESC"],
                    ["tags.s"],
                    ["tags.s DESC"],
                ),
                *(["start_time"], ["start_time DESC"], ["end_time"], ["end_time DESC"], ["run_id"], ["run_name DESC"]),
                *(
                    ["attributes.status", "Created DESC"],
                    ["metrics.s", "metrics.s"],
                    ["metrics.s", "params.s", "tags.s"],
                ),
                *(["user_id"], ["artifact_uri DESC"], ["x"], ["params.`s` DESC"], []),
            )
        ),
        *(search(max_results=2, page_token=token(at)) for at in (1, 2, 3, 1000)),
        *(search(max_results=2, page_token=given) for given in ("", "x", token(0))),
        search(),
        *(search(max_results=4, run_view_type=stage) for stage in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "all")),
        *(
            search(max_results=4, experiment_ids=given)
            for given in (["{deleted}"], ["{experiment}", "{elsewhere}"], [], ["99999999"], ["x"], ["{experiment}"] * 2)
        ),
        post("delete"),
        *(search(max_results=4, run_view_type=stage) for stage in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")),
        replace(search(max_results=2), path=search().path + "?x=1"),
        replace(search(max_results=2), method="GET"),
        search(max_results=2, unknown=1),
    ],
    "searches of experiments": [
        experiments(max_results=100),
        *(experiments(max_results=most) for most in (1, 2, 200, 201, 0, "3")),
        *(experiments(max_results=2, view_type=stage) for stage in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "x", 2)),
        *(
            experiments(max_results=4, order_by=by)
            for by in (
                *(["name"], ["name DESC"], ["experiment_id"], ["experiment_id DESC"], ["creation_time"]),
                *(["last_update_time DESC", "name"], ["x"], [], ["tags.a"], "name", ["name", "name DESC"]),
            )
        ),
        *(experiments(max_results=1, page_token=token(at)) for at in (1, 2, 1000)),
        experiments(),
        experiments(max_results=2, filter="name LIKE 'hot%'"),
        *(
            experiments_by_query(query)
            for query in (
                *("max_results=3", "max_results=2&order_by=name", "max_results=2&view_type=ALL", "max_results=x", ""),
                *("max_results=2&order_by=name&order_by=experiment_id", "max_results=2&order_by=name%20DESC"),
                f"max_results=1&page_token={token(1)}",
            )
        ),
    ],
    "what is no number": [
        *(post("log-metric", **metric(given)) for given in _NO_NUMBERS),
        # Each of its own key, so that no row hides another one.
        *(
            post("log-metric", **metric(1.0, key=f"{name} {number}", **{name: moment}))
            for name in ("step", "timestamp")
            for number, moment in enumerate(("2", 1.0, 1.5, -1, 2**63, True, None))
        ),
        GET_RUN,
    ],
    "limits": [
        post("log-batch", metrics=[metric(1.0, step=step) for step in range(1000)]),
        post("log-batch", metrics=[metric(1.0, step=step) for step in range(1001)]),
        post("log-batch", params=[pair(f"p{number}", "1") for number in range(101)]),
        post("log-batch", tags=[pair("t", "1")] * 101),
        post("log-batch", metrics=[metric(1.0)] * 950, tags=[pair("t", "1")] * 51),
        *(post("log-parameter", **pair(key, "v" * size)) for key, size in (("a", 6000), ("b", 6001), ("c", 8001))),
        *(post("set-tag", **pair(key, "v" * size)) for key, size in (("a", 8000), ("b", 8001))),
        *(post("log-metric", **metric(1.0, key=key)) for key in ("k" * 250, "k" * 251, "../a", "a//b", "", "a\0", "ä")),
        *(post("log-parameter", **pair(key, "1")) for key in ("k" * 250, "k" * 251, "../a", "", "a\0")),
        *(post("set-tag", **pair(key, "1")) for key in ("k" * 250, "k" * 251, "../a", "", "a\0")),
        GET_RUN,
    ],
    "parameters": [
        post("log-parameter", **pair("a", "1")),
        post("log-parameter", **pair("a", "1")),
        post("log-parameter", **pair("a", "2")),
        post("log-batch", params=[pair("b", "1"), pair("a", "2")]),
        post("log-batch", params=[pair("c", "1"), pair("a", "1")]),
        post("log-batch", params=[pair("d", "1"), pair("d", "1")]),
        post("log-batch", metrics=[metric(1.0)], params=[pair("e", "1"), pair("a", "2")], tags=[pair("t", "1")]),
        GET_RUN,
    ],
    "tags": [
        *(post("set-tag", **pair("a", value)) for value in ("1", "2", "")),
        post("log-batch", tags=[pair("b", "1"), pair("a", "3"), pair("b", "2")]),
        post("set-tag", **pair("mlflow.runName", "by its tag")),
        post("log-batch", tags=[pair("mlflow.runName", "by a batch")]),
        post("delete-tag", key="a"),
        GET_RUN,
    ],
    "a deleted run": [
        *_ONE_OF_EACH,
        post("delete"),
        *_ONE_OF_EACH,
        post("restore"),
        *_ONE_OF_EACH,
        *(post("update", status=status) for status in ("FINISHED", "RUNNING", "finished", "", 3)),
        *(post("update", end_time=moment) for moment in (7, 0, "8", -1)),
        post("update", run_name="another name"),
        GET_RUN,
    ],
    "new runs": [
        *(create(experiment) for experiment in ("{experiment}", "{deleted}", "{elsewhere}", "99999999", "x", "00")),
        create("{experiment}", run_name="mine", user_id="me", tags=[pair("a", "1"), pair("b", "2")]),
        create("{experiment}", tags=[pair("mlflow.runName", "by its tag")]),
        create("{experiment}", run_name="mine", tags=[pair("mlflow.runName", "mine")]),
        create("{experiment}", run_name="n" * 251),
    ],
    "inputs and outputs": [
        post(
            "log-inputs",
            datasets=[_dataset("d"), _dataset("e", schema="{}", profile="p")],
            models=[{"model_id": "m-1"}],
        ),
        GET_RUN,
        post("outputs", models=[{"model_id": "m-1", "step": 3}, {"model_id": "m-2", "step": 0}]),
        GET_RUN,
        post(
            "log-inputs",
            datasets=[{"dataset": {"name": "f", "digest": "1", "source_type": "local", "source": "s" * 70_000}}],
        ),
        GET_RUN,
    ],
    "many of a kind": [
        *(post("log-batch", tags=[pair(f"{part}-{number}", "1") for number in range(90)]) for part in range(3)),
        GET_RUN,
    ],
    "heads": [
        *(
            _with(request, *kept, ("origin", origin))
            for request, kept in ((_TAG, (JSON,)), (GET_RUN, ()))
            for origin in ("https://evil.example", "http://localhost:3000")
        ),
        *(_with(request, *kept, ("host", "evil.example")) for request, kept in ((_TAG, (JSON,)), (GET_RUN, ()))),
        _with(_TAG, ("content-type", "text/plain")),
        _with(_TAG),
        *(_with(_TAG, JSON, ("x-mlflow-workspace", name)) for name in ("team", "default", "")),
        _with(GET_RUN, ("x-mlflow-workspace", "default")),
        post("set-tag", **pair("more", "1"), unknown=1),
        post("log-metric", **metric(1.0), model_id="m-1"),
    ],
    "questions": [
        _GET_NOBODY,
        *(
            replace(GET_RUN, path=f"{V2}/runs/get{query}")
            for query in (
                *("?run_uuid={run}", "?run_uuid={run}&run_id={run}", "?run_id={run}&run_uuid=" + "0" * 32, "?run_id="),
                "?run_uuid={run}&run_id=" + "0" * 32,
                *("", "?runId={run}", "?run_id={run}&run_id=" + "0" * 32, "?run_id={run}%20", "?x=1&run_id={run}"),
            )
        ),
        replace(GET_RUN, path=f"{V2}/runs/get", headers=(JSON,), body=b'{"run_id": "{run}"}'),
    ],
}
"""Each says what its requests are about."""
