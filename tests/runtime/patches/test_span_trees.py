"""Spans that are their own ancestors are answered like any others."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mlflow_runtime.patches.span_trees import one_per_id
from tests.support.services import Service

SPAN = b"\x02" * 8


class Node(NamedTuple):
    """What MLflow adds up over, without the data."""

    span_id: str
    parent_id: str | None


def test_one_node_is_left_of_each_id_the_last() -> None:
    nodes = [Node("a", None), Node("b", "a"), Node("a", "a"), Node("c", "b")]
    assert one_per_id(nodes) == [Node("a", "a"), Node("b", "a"), Node("c", "b")]


@pytest.mark.parametrize("children", [1, 2])
def test_a_span_that_is_its_own_parent_is_answered(tracking: Service, children: int) -> None:
    request = ExportTraceServiceRequest()
    for parent in (b"", *[SPAN] * children):
        span = request.resource_spans.add().scope_spans.add().spans.add()
        span.trace_id, span.span_id, span.parent_span_id = b"\x01" * 15 + bytes([children]), SPAN, parent
        span.name, span.start_time_unix_nano, span.end_time_unix_nano = "itself", 10**18, 10**18 + 1
        # MLflow adds up only over spans that have something to add.
        usage = span.attributes.add()
        usage.key = "mlflow.chat.tokenUsage"
        usage.value.string_value = '{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}'
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
    # PostgreSQL refuses two rows of one span in one request; MLflow alone would not come that far.
    assert tracking.ask("/v1/traces", request.SerializeToString(), headers=headers).status == 400
