"""A body of any shape is read or is MLflow's: nothing else comes of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mlflow_runtime.hotpath import layer, plain, requests
from mlflow_runtime.hotpath.rows import MOST_ROWS

VALUES: tuple[Any, ...] = (None, True, 0, -1, 1 << 70, 1.5, 1e308, "", "x", "\x00", "\ud800", [], [[]], {}, {"key": {}})
METRIC = {"key": "m", "value": 1.0, "timestamp": 1, "step": 0}
PAIR = {"key": "k", "value": "v"}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "runs/create": {"experiment_id": "1", "user_id": "u", "start_time": 1, "run_name": "n", "tags": [PAIR]},
    "runs/update": {"run_id": "r", "run_uuid": "r", "status": "FINISHED", "end_time": 1},
    "runs/log-metric": {"run_id": "r", **METRIC},
    "runs/log-parameter": {"run_id": "r", **PAIR},
    "runs/log-batch": {"run_id": "r" * 32, "metrics": [METRIC], "params": [PAIR], "tags": [PAIR]},
    "runs/set-tag": {"run_id": "r", **PAIR},
    "runs/search": {
        "experiment_ids": ["1"],
        "filter": "metrics.a > 1",
        "run_view_type": "ALL",
        "max_results": 5,
        "order_by": ["metrics.a DESC"],
        "page_token": "eyJvZmZzZXQiOiAzfQ==",
    },
    "experiments/search": {
        "view_type": "ALL",
        "max_results": 5,
        "order_by": ["name"],
        "filter": "",
        "page_token": "eyJvZmZzZXQiOiAzfQ==",
    },
}


def changed(body: Any) -> Iterator[Any]:
    """Yield a body with each of its parts as each of VALUES."""
    for key, value in body.items() if isinstance(body, dict) else ():
        yield from ({**body, key: other} for other in VALUES)
        if isinstance(value, list):
            yield from ({**body, key: [inner]} for inner in (*VALUES, *changed(value[0])))


def test_there_is_a_body_of_each_call() -> None:
    posts = {path for method, path in layer.ROUTES if method == "POST" and path.startswith("/api")}
    assert BODIES.keys() == {path.removeprefix("/api/2.0/mlflow/") for path in posts}


@pytest.mark.parametrize("path", sorted(BODIES))
def test_a_body_of_any_shape_is_read_or_left_to_mlflow(path: str) -> None:
    read = layer.ROUTES["POST", f"/api/2.0/mlflow/{path}"]
    assert requests.calls(read, requests.of_body(json.dumps(BODIES[path]).encode()))
    for body in (*VALUES, *changed(BODIES[path])):
        with contextlib.suppress(plain.NotPlain):
            requests.calls(read, requests.of_body(json.dumps(body).encode()))


def test_a_run_with_more_tags_than_an_answer_may_have_is_mlflows_to_create() -> None:
    def create(tags: int) -> object:
        given = [{"key": f"k{number}", "value": "v"} for number in range(tags)]
        return requests.calls(requests.create_run, {"experiment_id": "1", "tags": given})

    assert create(MOST_ROWS)
    with pytest.raises(plain.NotPlain):
        create(MOST_ROWS + 1)


@pytest.mark.parametrize("name", ["key", "value"])
def test_a_text_with_a_nul_is_left_to_mlflow_before_anything_is_sent(name: str) -> None:
    given = {"run_id": "r" * 32, "params": [PAIR], "tags": [{**PAIR, name: "a\0"}]}
    with pytest.raises(plain.NotPlain):
        requests.calls(requests.log_batch, given)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"[]"], ids=len)
def test_a_body_that_is_no_object_is_left_to_mlflow(raw: bytes) -> None:
    with pytest.raises(plain.NotPlain):
        requests.of_body(raw)


ID = "0123456789abcdef" * 2


def run_of(query: str) -> object:
    (call,) = requests.calls(requests.get_run, requests.of_query(query.encode()))
    return call.values[0]


@pytest.mark.parametrize(
    "query", [f"run_id={ID}", f"run_uuid={ID}&run_id={ID}", f"run_id={ID}&run_uuid={ID}", f"run_id=%30{ID[1:]}"]
)
def test_a_query_as_clients_send_it_is_read(query: str) -> None:
    assert run_of(query) == ID


@pytest.mark.parametrize(
    "query",
    [
        *("", "run_id=", f"run_uuid={ID}", f"runId={ID}", f"run_id={ID}&", f"&run_id={ID}", f"run_id={ID}&run_id={ID}"),
        *(f"run_id={ID}\n", f"run_id={ID}0", f"run_id={ID.upper()}", f"run_id={ID}&x=1", f"run_id={ID}&run_uuid"),
        *(f"run_id={ID}%FF", f"run_id={ID}%00", f"run_id={ID};run_uuid={ID}", f"run_id={ID}" + "&x=1" * 2000),
    ],
)
def test_any_other_query_is_left_to_mlflow(query: str) -> None:
    with pytest.raises(plain.NotPlain):
        run_of(query)
