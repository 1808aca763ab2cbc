"""The load tool itself, against a server of the test: what it sends, counts as accepted, and leaves under way."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.emulators.azurite import node
from delivery.bench import load
from delivery.bench.load import Job
from delivery.bench.measure import kinds
from tools import node_packages
from tools.steps import Report

CLIENTS = 4


class Server(ThreadingHTTPServer):
    """Answers runs/create with a run, refuses one metric in ten, closes on one parameter in ten, and counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.counted: Counter[str] = Counter()
        self.lock = threading.Lock()

    def number(self, call: str) -> int:
        with self.lock:
            self.counted[call] += 1
            return self.counted[call]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        call = self.path.rpartition("/")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = self.server.number(call)
        if call == "log-parameter" and number % 10 == 0:
            self.close_connection = True
            return
        answer = {"run": {"info": {"run_id": f"run-{number}"}}} if call == "create" else {}
        if call == "update" and body["status"] != "FINISHED":
            self.server.number("unfinished")
        content = json.dumps(answer).encode()
        self.send_response(503 if call == "log-metric" and number % 10 == 0 else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def tool() -> Path:
    return node_packages.load(Report("load"))


# Turns that all end, and a time after which clients still have a request under way.
@pytest.mark.parametrize(("turns", "seconds", "warm"), [(3, 60, 0), (0, 0.3, 0.2)], ids=["turns", "time"])
def test_every_request_is_accepted_failed_or_unanswered_and_none_is_under_way_at_the_end(
    tool: Path, turns: int, seconds: float, warm: float
) -> None:
    with serving() as server:
        job = Job(
            url=f"http://127.0.0.1:{server.server_address[1]}",
            scenario="logging",
            clients=CLIENTS,
            turns=turns,
            seconds=seconds,
            warm=warm,
            timeout=5,
            headers={"Host": "mlflow.example.com"},
            values={"experiment": "1"},
        )
        found = load.run(tool, node(), job)
        sent = Counter(server.counted)
    accepted = {name: len(call.milliseconds) + call.outside for name, call in found.calls.items()}
    refused, closed = sent["log-metric"] // 10, sent["log-parameter"] // 10
    assert accepted == {
        "create": sent["create"],
        "log-metric": sent["log-metric"] - refused,
        "log-parameter": sent["log-parameter"] - closed,
        "log-batch": sent["log-batch"],
        "update": sent["update"],
    }
    assert kinds(found) == {name: count for name, count in (("503", refused), ("unanswered", closed)) if count}
    assert found.errors == refused + closed
    runs = found.acknowledged.runs
    assert len(runs) == sent["create"] >= CLIENTS
    assert sum(run["metrics"] for run in runs.values()) == accepted["log-metric"] + 50 * accepted["log-batch"]
    assert sum(run["params"] for run in runs.values()) == accepted["log-parameter"]
    assert sum(run["finished"] for run in runs.values()) == accepted["update"]
    assert sent["unfinished"] == 0
    sampled = found.acknowledged.values
    assert len(sampled) == -(-len(runs) // job.sample)
    for run, values in sampled.items():
        single = [(step, value) for key, step, value in values.metrics if key == "loss"]
        assert all(value == 1 / (step + 1) for step, value in single)
        # Of a batch of 50 metrics the last of each of its ten keys.
        assert len(single) + 5 * (len(values.metrics) - len(single)) == runs[run]["metrics"]
        assert len(values.params) == runs[run]["params"]
    if turns:
        assert sent == {"create": 12, "log-metric": 240, "log-parameter": 60, "log-batch": 12, "update": 12}
        assert found.accepted == sum(accepted.values()) == sum(sent.values()) - 24 - 6
    else:
        # What was answered before the time began and after its end is acknowledged all the same.
        assert found.accepted < sum(accepted.values())


def test_a_rate_is_not_exceeded_and_what_each_interval_had_is_all_of_it(tool: Path) -> None:
    with serving() as server:
        job = Job(
            url=f"http://127.0.0.1:{server.server_address[1]}",
            scenario="logging",
            clients=CLIENTS,
            seconds=1,
            timeout=5,
            headers={},
            values={"experiment": "1"},
            rate=40,
            interval=0.25,
            sample=1,
        )
        found = load.run(tool, node(), job)
        sent = sum(number for call, number in server.counted.items() if call != "unfinished")
    # Without a rate there are hundreds. Each client has at most one on its way at the end.
    assert CLIENTS <= sent <= 40 + CLIENTS
    noted = found.intervals.values()
    assert sum(len(each.milliseconds) for each in noted) == found.accepted + sum(
        call.outside for call in found.calls.values()
    )
    assert sum(each.failed for each in noted) == found.errors
    assert found.acknowledged.values.keys() == found.acknowledged.runs.keys()


def test_a_trace_has_the_mark_in_each_span() -> None:
    template = load.trace_template(now=1_700_000_000)
    assert base64.b64decode(template["body"]).count(bytes.fromhex(template["mark"])) == load.SPANS
