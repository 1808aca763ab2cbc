"""A real service with its hot path: the whole answers, and what stays after a kill."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.runtime.hotpath.asking import AJAX, JSON, V2, Answer, Client, Request
from tests.runtime.service.test_faults import becomes
from tests.runtime.service.test_service import new_run
from tests.support import warm
from tests.support.plane import Program
from tests.support.services import PUBLIC_HOST, Platform, Service, eventually

BODIES: Mapping[str, Mapping[str, Any]] = {
    "log-metric": {"key": "a", "value": 1.0, "timestamp": 1},
    "log-parameter": {"key": "a", "value": "1"},
    "set-tag": {"key": "a", "value": "1"},
    "log-batch": {"params": [{"key": "a", "value": "1"}]},
    "create": {"experiment_id": "0", "run_name": "r", "tags": [{"key": key, "value": "ö"} for key in "ba"]},
    "update": {"status": "FINISHED", "end_time": 5},
    "get": {},
}
ONE_OF_EACH = {
    "metrics": [{"key": "m", "value": "NaN", "timestamp": 1, "step": 2}],
    "params": [{"key": "p", "value": "ö"}],
    "tags": [{"key": "t", "value": ""}],
}
CLIENTS = 8
ORIGIN = ("origin", f"https://{PUBLIC_HOST}")


def answered(service: Service) -> float:
    (line,) = [line for line in service.ask("/metrics").content.decode().splitlines() if line.startswith(_ANSWERED)]
    return float(line.split()[-1])


_ANSWERED = 'mlflow_hot_path_requests_total{outcome="answered"}'


@pytest.mark.parametrize("route", sorted(BODIES))
@pytest.mark.parametrize("prefix", ["/ajax-api/2.0/mlflow", V2])
def test_an_answer_has_mlflows_headers_and_body(tracking: Service, stock: Service, prefix: str, route: str) -> None:
    run_id, _ = new_run(stock, f"headers{prefix}{route}".replace("/", "-"))
    assert stock.ask(f"{V2}/runs/log-batch", {"run_id": run_id, **ONE_OF_EACH}).status == 200
    for headers in ((JSON,), (JSON, ("user-agent", "mlflow-python-client/3.17.2"), ("accept", "*/*")), (JSON, ORIGIN)):
        own = {} if route == "create" else {"run_id": run_id}
        request = Request(
            path=f"{prefix}/runs/{route}", body=json.dumps({**own, **BODIES[route]}).encode(), headers=headers
        )
        if route == "get":
            request = replace(request, path=f"{request.path}?run_id={run_id}", method="GET", body=b"")
        before = answered(tracking)
        ours, theirs = Client(tracking.port), Client(stock.port)
        assert without_id(ours.ask(request)) == without_id(theirs.ask(request))
        assert answered(tracking) == before + 1
        ours.close()
        theirs.close()


@pytest.mark.parametrize("asked", ["get-history?run_id", "get-history-bulk-interval?run_ids"])
def test_a_history_has_mlflows_headers_and_body(tracking: Service, stock: Service, asked: str) -> None:
    run_id, _ = new_run(stock, asked.replace("?", "-"))
    assert stock.ask(f"{V2}/runs/log-batch", {"run_id": run_id, **ONE_OF_EACH}).status == 200
    path = f"{V2}/metrics/{asked}={run_id}&metric_key=m&max_results=3"
    assert_same_answer(tracking, stock, Request(path=path, method="GET", headers=(("accept", "*/*"),)))


def assert_same_answer(tracking: Service, stock: Service, request: Request) -> None:
    before = answered(tracking)
    ours, theirs = Client(tracking.port), Client(stock.port)
    assert ours.ask(request) == theirs.ask(request)
    assert answered(tracking) == before + 1
    ours.close()
    theirs.close()


@pytest.mark.parametrize("headers", [(JSON,), (JSON, ORIGIN)], ids=["client", "page"])
def test_a_search_has_mlflows_headers_and_body(
    tracking: Service, stock: Service, headers: tuple[tuple[str, str], ...]
) -> None:
    run_id, artifacts = new_run(stock, f"searched-{len(headers)}")
    assert stock.ask(f"{V2}/runs/log-batch", {"run_id": run_id, **ONE_OF_EACH}).status == 200
    runs = {"experiment_ids": [artifacts.partition("/")[0]], "max_results": 5, "filter": "params.p = 'ö'"}
    for name, asked in (("runs", runs), ("experiments", {"max_results": 2, "order_by": ["creation_time DESC"]})):
        body = json.dumps(asked).encode()
        assert_same_answer(tracking, stock, Request(path=f"{AJAX}/{name}/search", body=body, headers=headers))
    query = Request(path=f"{AJAX}/experiments/search?max_results=2", method="GET", headers=headers[1:])
    assert_same_answer(tracking, stock, query)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null"])
def test_a_page_of_another_origin_is_mlflows_to_answer(tracking: Service, stock: Service, origin: str) -> None:
    before = answered(tracking)
    ours, theirs = Client(tracking.port), Client(stock.port)
    body = json.dumps({"experiment_ids": ["0"], "max_results": 1}).encode()
    request = Request(path=f"{AJAX}/runs/search", body=body, headers=(JSON, ("origin", origin)))
    assert ours.ask(request) == theirs.ask(request)
    assert answered(tracking) == before
    ours.close()
    theirs.close()


def without_id(answer: Answer) -> Answer:
    """An answer without the id of its run, which another one has where it is new."""
    run = json.loads(answer.body).get("run")
    return answer.without(run=run["info"]["run_id"]) if run else answer


def test_what_was_acknowledged_before_a_kill_is_stored_once(shared: Platform, tracking: Service) -> None:
    """Runs: no key of theirs would hide one that is created twice."""
    service = shared.start("tracking", ready=True, **warm.COLD)
    experiment = tracking.ask(f"{V2}/experiments/create", {"name": "killed"}).body["experiment_id"]
    kills: list[Callable[[], Program]] = [
        lambda: _killed(shared.postgres),
        lambda: _killed(service.program),
    ]
    acknowledged: set[str] = set()
    sent: set[str] = set()
    for number, kill in enumerate(kills):
        created, tried = _under_load(service, experiment, number, kill)
        acknowledged |= created
        sent |= tried
        if number == 0:
            shared.restart_postgres()
            becomes(service, 200)
    becomes(tracking, 200)
    found: list[str] = []
    page: str | None = None
    while page != "":
        asked = {"experiment_ids": [experiment], "max_results": 1000, "page_token": page}
        answer = tracking.ask(f"{V2}/runs/search", {name: value for name, value in asked.items() if value}).body
        found += [run["info"]["run_name"] for run in answer.get("runs", [])]
        page = answer.get("next_page_token", "")
    assert len(found) == len(set(found))
    assert acknowledged <= set(found) <= sent


def _killed(program: Program) -> Program:
    program.kill()
    return program


def _under_load(service: Service, experiment: str, part: int, kill: Callable[[], Program]) -> tuple[set[str], set[str]]:
    """Create runs until the kill, each with its own name; return the names that were acknowledged, and all."""
    stop, created, tried = threading.Event(), set[str](), set[str]()

    def work(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        for number in itertools.count():
            if stop.is_set():
                return
            name = f"{part}-{client}-{number}"
            body = json.dumps({"experiment_id": experiment, "run_name": name, "start_time": 1})
            tried.add(name)
            try:
                connection.request("POST", f"{V2}/runs/create", body, {"Host": "mlflow.example.com", **dict([JSON])})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            if answer.status == 200:
                created.add(name)

    before = answered(service)
    threads = [threading.Thread(target=work, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(created) > 200, "a load of acknowledged runs")
        assert answered(service) > before + 100
        kill()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return created, tried
