"""Traces, by MLflow's SDK and by OpenTelemetry's protocol."""

from __future__ import annotations

import secrets
import time

import mlflow
from mlflow.entities import Trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from delivery.smoke.bench import Bench
from delivery.smoke.check import expect
from delivery.smoke.web import ask

QUESTION, ANSWER = "how far is the moon", "384400 km"
SDK_SPANS = ("answer", "retrieve")
OTLP_SPANS = ("handle", "query")
OTLP_ATTRIBUTE = ("smoke.rows", 42)


def by_sdk(bench: Bench) -> str:
    """A traced function with a span inside reads back with its spans, input and output."""
    trace_ids: list[str] = []

    def answer(question: str) -> str:
        with mlflow.start_span(SDK_SPANS[1]) as span:
            span.set_inputs({"question": question})
            trace_ids.append(span.trace_id)
        return ANSWER

    mlflow.trace(answer, name=SDK_SPANS[0])(QUESTION)
    bench.made.trace_ids += trace_ids
    found = bench.client.get_trace(trace_ids[0])
    expect("spans of the trace", _names(found), sorted(SDK_SPANS))
    root = next(span for span in found.data.spans if span.parent_id is None)
    expect("input and output of the root span", (root.inputs, root.outputs), ({"question": QUESTION}, ANSWER))
    _expect_in_experiment(bench, found)
    return f"{len(SDK_SPANS)} spans"


def by_otlp(bench: Bench) -> str:
    """Spans that an OpenTelemetry exporter sends read back as a trace of the experiment."""
    trace_id = secrets.token_bytes(16)
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": bench.made.experiment_id}
    ask(bench.url, "POST", "/v1/traces", data=otlp_request(trace_id).SerializeToString(), extra_headers=headers)
    mlflow_id = f"tr-{trace_id.hex()}"
    bench.made.trace_ids.append(mlflow_id)
    found = bench.client.get_trace(mlflow_id)
    expect("spans of the trace", _names(found), sorted(OTLP_SPANS))
    child = next(span for span in found.data.spans if span.name == OTLP_SPANS[1])
    key, value = OTLP_ATTRIBUTE
    expect(f"attribute {key}", child.attributes.get(key), value)
    _expect_in_experiment(bench, found)
    return f"{len(OTLP_SPANS)} spans"


def otlp_request(trace_id: bytes) -> ExportTraceServiceRequest:
    """A span with one inside, both of this moment and 1 ms long."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    now = time.time_ns()
    parent = b""
    for name in OTLP_SPANS:
        span = spans.add(trace_id=trace_id, span_id=secrets.token_bytes(8), parent_span_id=parent, name=name)
        span.start_time_unix_nano, span.end_time_unix_nano = now, now + 1_000_000
        key, value = OTLP_ATTRIBUTE
        span.attributes.add(key=key).value.int_value = value
        parent = span.span_id
    return request


def _names(trace: Trace) -> list[str]:
    return sorted(span.name for span in trace.data.spans)


def _expect_in_experiment(bench: Bench, trace: Trace) -> None:
    expect("experiment of the trace", trace.info.experiment_id, bench.made.experiment_id)
