"""What stock MLflow gets wrong and this platform does not: real services, asked as clients ask."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import uuid
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks import overload
from tests.runtime.service.test_service import new_run
from tests.support import warm
from tests.support.answer import Answer
from tests.support.bombs import bomb
from tests.support.services import PUBLIC_HOST, Platform, Service

V2 = "/api/2.0/mlflow"
V3 = "/api/3.0/mlflow"
OTLP = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
DATABASES_WORDS = ("SQL", "psycopg2", "sqlalche", "INSERT", "UPDATE ", "SELECT", "relation", "table", "constraint")


def chunked(service: Service, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """One request whose body comes in chunks, as many HTTP clients send it."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    sent = {"Host": PUBLIC_HOST, "Content-Type": "application/json", **(headers or {})}
    parts = iter([body[:7], body[7:]] if len(body) > 7 else [body])
    connection.request(method, path, parts, sent, encode_chunked=True)
    answer = connection.getresponse()
    found = Answer(answer.status, answer.headers, answer.read())
    connection.close()
    return found


def export(trace_id: bytes, **attributes: str) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = trace_id, os.urandom(8), "s"
    span.start_time_unix_nano, span.end_time_unix_nano = 10**18, 10**18 + 1
    for name, value in attributes.items():
        attribute = span.attributes.add()
        attribute.key = name.replace("__", ".")
        attribute.value.string_value = value
    return bytes(request.SerializeToString())


# Bodies in chunks


def test_a_body_in_chunks_is_the_same_as_one_with_a_length(tracking: Service, registry: Service) -> None:
    name = f"chunks-{uuid.uuid4()}"
    made = chunked(tracking, "POST", f"{V2}/experiments/create", json.dumps({"name": name}).encode())
    assert made.status == 200, made
    experiment, named = made.body["experiment_id"], {"filter": f"name = '{name}'", "max_results": 10}
    found = chunked(tracking, "POST", f"{V2}/experiments/search", json.dumps(named).encode())
    assert [one["experiment_id"] for one in found.body.get("experiments", [])] == [experiment]
    run = chunked(tracking, "POST", f"{V2}/runs/create", json.dumps({"experiment_id": experiment}).encode())
    assert run.status == 200, run
    runs = chunked(tracking, "POST", f"{V2}/runs/search", json.dumps({"experiment_ids": [experiment]}).encode())
    assert len(runs.body.get("runs", [])) == 1
    tag = {"tags": [{"key": "a", "value": "b"}], "name": name}
    assert chunked(registry, "POST", f"{V2}/registered-models/create", json.dumps(tag).encode()).status == 200
    query = chunked(tracking, "POST", "/graphql", json.dumps({"query": "{ __typename }"}).encode())
    assert query.status == 200, query


# Compressed bodies


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("gzip, deflate", lambda b: zlib.compress(gzip.compress(b)))],
)
def test_every_route_takes_a_packed_body(tracking: Service, coding: str, pack: Any) -> None:
    headers = {"Content-Encoding": coding}
    assert tracking.ask("/v1/traces", pack(export(os.urandom(16))), headers={**OTLP, **headers}).status == 200
    body = pack(json.dumps({"max_results": 1}).encode())
    assert tracking.ask(f"{V2}/experiments/search", body, headers=headers).status == 200
    assert chunked(tracking, "POST", f"{V2}/experiments/search", body, headers).status == 200


@pytest.fixture(scope="module")
def measured(shared: Platform) -> Iterator[Service]:
    """A tracking service whose process is the one that was started, so that its memory can be read."""
    service = shared.start("tracking", ready=True, **warm.COLD)
    yield service
    service.program.process.kill()


def test_many_bombs_at_once_leave_the_replica_and_other_requests_alone(measured: Service) -> None:
    """Members without anything in them, JSON that is mostly spaces, lists of empty lists, and a search of 60 MiB."""
    spaces = gzip.compress(b'{"run_id":' + b" " * (62 << 20) + b"1}")
    members = gzip.compress(gzip.compress(b"", mtime=0) * ((60 << 20) // 20) + gzip.compress(b"{}"))
    lists = gzip.compress(b'{"run_id": [' + b"[]," * (8 << 20) + b"1]}")
    search = gzip.compress(b'{"experiment_ids":[' + b'"0",' * (15 << 20) + b'"0"]}')
    log, searching = f"{V2}/runs/log-batch", f"{V2}/runs/search"
    bombs = [(log, spaces), (log, members), (log, lists), (searching, search), ("/v1/traces", members)]
    before = overload.memory_mib(measured)
    with ThreadPoolExecutor(16) as threads:
        sent = [
            threads.submit(measured.ask, path, body, headers={"Content-Encoding": "gzip"}) for path, body in bombs * 3
        ]
        others = [measured.ask(f"{V2}/experiments/get?experiment_id=0").status for _ in range(20)]
        answers = [one.result() for one in sent]
    assert {answer.status for answer in answers} <= {413, 503}
    assert {answer.status for answer in answers} >= {413}
    assert others == [200] * 20
    assert overload.memory_mib(measured) - before < 64


@pytest.mark.parametrize("path", ["/v1/traces", f"{V2}/runs/log-batch", "/graphql", f"{V3}/traces"])
def test_a_bomb_is_refused_and_takes_no_memory(measured: Service, path: str) -> None:
    answer, grown = bombed(measured, path, "gzip")
    assert (answer.status, answer.body["error_code"]) == (413, "INVALID_PARAMETER_VALUE")
    assert "limits.maxBodyMib" in answer.body["message"]
    assert grown < 32


@pytest.mark.parametrize(
    ("coding", "status"),
    [("deflate", 413), ("gzip, gzip", 413), ("deflate, gzip", 413), ("gzip, deflate, gzip", 415)]
    # What MLflow's routes of this image do not take either.
    + [(coding, 415) for coding in ("br", "zstd", "br, gzip", "zstd, deflate")],
)
def test_a_bomb_of_each_coding_takes_no_memory(measured: Service, coding: str, status: int) -> None:
    for path in ("/v1/traces", "/gateway/mlflow/v1/chat/completions"):
        answer, grown = bombed(measured, path, coding)
        assert (answer.status, answer.body["error_code"]) == (status, "INVALID_PARAMETER_VALUE")
        assert grown < 32


def bombed(service: Service, path: str, coding: str) -> tuple[Answer, float]:
    """The answer to 600 MiB of zeros, and by how many MiB the process grew."""
    before = overload.memory_mib(service)
    answer = service.ask(path, bomb(coding), headers={**OTLP, "Content-Encoding": coding})
    return answer, overload.memory_mib(service) - before


# Exports of spans


@pytest.mark.parametrize(("media_type", "body"), [("application/x-protobuf", b""), ("application/json", b"{}")])
def test_an_export_without_spans_succeeds(tracking: Service, media_type: str, body: bytes) -> None:
    answer = tracking.ask("/v1/traces", body, method="POST", headers={**OTLP, "Content-Type": media_type})
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith(media_type)


def test_an_export_that_cannot_be_read_is_still_refused(tracking: Service) -> None:
    assert tracking.ask("/v1/traces", b"\xff\xff", headers=OTLP).status == 400
    assert tracking.ask("/v1/traces", b"[1", headers={**OTLP, "Content-Type": "application/json"}).status == 400


def test_the_coding_identity_leaves_a_body_as_it_is(tracking: Service) -> None:
    headers = {**OTLP, "Content-Encoding": "identity"}
    assert tracking.ask("/v1/traces", export(os.urandom(16)), headers=headers).status == 200


@pytest.mark.parametrize(
    "attributes",
    [{"openinference__span__kind": "LLM"}, {"mlflow__spanType": "LLM"}, {"gen_ai__operation__name": "chat"}],
    ids=str,
)
def test_spans_of_an_export_are_found_by_their_type(tracking: Service, attributes: dict[str, str]) -> None:
    experiment = tracking.ask(f"{V2}/experiments/create", {"name": f"types-{uuid.uuid4()}"}).body["experiment_id"]
    headers = {**OTLP, "x-mlflow-experiment-id": experiment}
    trace_id = os.urandom(16)
    assert tracking.ask("/v1/traces", export(trace_id, **attributes), headers=headers).status == 200
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    expected = "CHAT_MODEL" if "gen_ai__operation__name" in attributes else "LLM"
    asked = {"locations": [location], "filter": f"span.type = '{expected}'"}
    found = tracking.ask(f"{V3}/traces/search", asked)
    assert [trace["trace_id"] for trace in found.body.get("traces", [])] == [f"tr-{trace_id.hex()}"]


# Many models of one run


def test_a_run_logs_as_many_models_as_a_training_has_checkpoints(tracking: Service) -> None:
    run_id, _ = new_run(tracking, f"checkpoints-{uuid.uuid4()}")
    for step in range(60):
        model = {
            "artifact_path": f"checkpoint-{step}",
            "run_id": run_id,
            "utc_time_created": "2026-01-01 00:00:00.000000",
            "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "python_version": "3.11.7"}},
            "model_uuid": uuid.uuid4().hex,
        }
        answer = tracking.ask(f"{V2}/runs/log-model", {"run_id": run_id, "model_json": json.dumps(model)})
        assert answer.status == 200, (step, answer.content)
    tags = tracking.ask(f"{V2}/runs/get?run_id={run_id}").body["run"]["data"]["tags"]
    (history,) = [json.loads(tag["value"]) for tag in tags if tag["key"] == "mlflow.log-model.history"]
    paths = [entry["artifact_path"] for entry in history]
    assert paths == [f"checkpoint-{step}" for step in range(60 - len(paths), 60)]
    assert len(paths) > 10


# What a database refuses


def refused_by_the_database(tracking: Service, registry: Service) -> Iterator[tuple[str, Answer]]:
    """Requests that MLflow lets through and PostgreSQL refuses, by the word that the answer has to name."""
    long = "x" * 300
    run_id, _ = new_run(tracking, f"refused-{uuid.uuid4()}")
    yield "name", tracking.ask(f"{V2}/experiments/create", {"name": long})
    name = {"name": "n" + uuid.uuid4().hex, "artifact_location": f"mlflow-artifacts:/{long}"}
    yield "artifact_location", tracking.ask(f"{V2}/experiments/create", name)
    yield "name", registry.ask(f"{V2}/registered-models/create", {"name": long})
    yield (
        "description",
        registry.ask(f"{V2}/registered-models/create", {"name": uuid.uuid4().hex, "description": "x" * 6000}),
    )
    dataset = {"name": long * 2, "digest": "1", "source_type": "local", "source": "s"}
    yield "name", tracking.ask(f"{V2}/runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset}]})
    yield "name", tracking.ask(f"{V2}/logged-models", {"experiment_id": "0", "name": "y" * 600})
    yield "name", tracking.ask(f"{V3}/datasets/create", {"name": long})
    yield "NUL", tracking.ask(f"{V2}/experiments/create", {"name": "a\x00b"})


def test_a_refusal_of_the_database_names_the_field_and_its_limit(tracking: Service, registry: Service) -> None:
    for field, answer in refused_by_the_database(tracking, registry):
        assert answer.status == 400, (field, answer.content)
        assert answer.body["error_code"] == "INVALID_PARAMETER_VALUE", (field, answer.content)
        assert field in answer.body["message"], (field, answer.content)
        assert not [word for word in DATABASES_WORDS if word in answer.body["message"]], answer.content


def test_names_that_are_taken_are_said_without_sql(tracking: Service, registry: Service) -> None:
    for service, path in ((tracking, "experiments/create"), (registry, "registered-models/create")):
        name = f"taken-{uuid.uuid4()}"
        assert service.ask(f"{V2}/{path}", {"name": name}).status == 200
        again = service.ask(f"{V2}/{path}", {"name": name})
        assert (again.status, again.body["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
        assert name in again.body["message"]
        assert not [word for word in DATABASES_WORDS if word in again.body["message"]], again.content


# What one service may not do alone


@pytest.mark.parametrize(
    "path",
    [
        "/ajax-api/3.0/mlflow/demo/generate",
        "/ajax-api/3.0/mlflow/demo/delete",
        "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=a.txt",
        "/ajax-api/2.0/mlflow/runs/create-promptlab-run",
    ],
)
def test_what_needs_the_rights_of_other_services_is_refused_and_leaves_nothing(tracking: Service, path: str) -> None:
    run_id, _ = new_run(tracking, f"elsewhere-{uuid.uuid4()}")
    before = tracking.ask(f"{V2}/experiments/search", {"max_results": 1000}).body["experiments"]
    answer = tracking.ask(path.format(run_id=run_id), {"experiment_id": "0", "prompt_template": "x"})
    assert (answer.status, answer.body["error_code"]) == (403, "PERMISSION_DENIED"), answer
    assert "rights of several services" in answer.body["message"]
    assert tracking.ask(f"{V2}/experiments/search", {"max_results": 1000}).body["experiments"] == before
