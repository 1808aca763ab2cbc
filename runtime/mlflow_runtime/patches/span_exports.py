"""OpenTelemetry's exports are taken as its specification says, and their spans are found by type.

MLflow 3.17.2 answers an export without spans with 400 (`export_traces` in mlflow/server/otel_api.py), where OTLP asks
for success: exporters send one to see whether a server is there. And it writes the type that it derives from another
library's attributes into a span's content, not into the column that a search by type reads (`log_spans` in
mlflow/store/tracking/sqlalchemy_store.py).
"""

from __future__ import annotations

import functools
import json
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.responses import Response

from mlflow_runtime.patches.unchanged import is_unchanged

EXPORT_READ: Final = "74519731a555e486"
TRANSLATE_READ: Final = "6203ab5d21783c89"

_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"
# An export with a span has at least its two ids and a name; one without may have the members that this one has.
_MOST_WITHOUT_SPANS: Final = 4096


def install(app: FastAPI) -> tuple[bool, bool]:
    """Install both in this process; return which of them is on. MLflow must be loaded."""
    from mlflow.server import otel_api
    from mlflow.store.tracking import sqlalchemy_store

    export = is_unchanged(otel_api.export_traces, EXPORT_READ)
    if export:
        _take_empty_exports(app, otel_api.export_traces)
    translate = is_unchanged(sqlalchemy_store.translate_span_when_storing, TRANSLATE_READ)
    if translate:
        sqlalchemy_store.translate_span_when_storing = _typed(sqlalchemy_store.translate_span_when_storing)
    return export, translate


def _take_empty_exports(app: FastAPI, export_traces: Any) -> None:
    from mlflow.tracing.utils.otlp import OTLP_TRACES_PATH

    @functools.wraps(export_traces)
    async def export(**values: Any) -> Response:
        request: Request = values["request"]
        media_type = (values.get("content_type") or "").split(";")[0].strip()
        if media_type in (_JSON, _PROTOBUF) and is_empty(await request.body(), media_type):
            content = b"{}" if media_type == _JSON else ExportTraceServiceResponse().SerializeToString()
            return Response(content, media_type=media_type)
        answer: Response = await export_traces(**values)
        return answer

    app.router.routes.insert(0, APIRoute(OTLP_TRACES_PATH, export, methods=["POST"], status_code=200))


def is_empty(body: bytes, media_type: str) -> bool:
    """Return whether an export has no spans; False for one that cannot be read."""
    if len(body) > _MOST_WITHOUT_SPANS:
        return False
    try:
        if media_type == _JSON:
            found = json.loads(body)
            return isinstance(found, dict) and not found.get("resourceSpans")
        return not ExportTraceServiceRequest.FromString(body).resource_spans
    except Exception:  # noqa: BLE001 - MLflow answers what cannot be read
        return False


def _typed(translate: Any) -> Any:
    """Have the translation of a span give its type to the span too, where the store reads the column's value."""

    def translated(span: Any) -> dict[str, Any]:
        from mlflow.tracing.constant import SpanAttributeKey

        found: dict[str, Any] = translate(span)
        if kind := found["attributes"].get(SpanAttributeKey.SPAN_TYPE):
            span._span._attributes[SpanAttributeKey.SPAN_TYPE] = kind
            span._attributes = type(span._attributes)(span._span)  # it remembers what it read
        return found

    return translated
