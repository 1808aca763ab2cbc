"""Requests that a client might send by mistake or in bad faith, as Hypothesis' strategies."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, urlencode

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from hypothesis import strategies as st
from mlflow.protos import databricks_pb2

from tests.end_to_end.fuzz.asking import Request
from tests.end_to_end.fuzz.declarations import Operation, operations


@dataclass(frozen=True, eq=False)
class Known:
    """Values of things that exist, by the name of the field that takes them.

    Two are never equal, so that the strategies of one are found again in no time.
    """

    values: Mapping[str, Sequence[str]]


_JSON: Final = {"Content-Type": "application/json"}
_DEEPEST: Final = 3

_TEXTS: Final = (
    *("", " ", "a", "0", "-1", "NaN", "null", "a" * 300, "a" * 70_000),
    *("nul \x00 inside", "line\nbreak", "\ud800", "\U0001f600", "e\u0301", "\u202e", "\ufeff"),
    *("../../etc/passwd", "%2e%2e%2f", "a/b", "a//b", "\\", "'; DROP TABLE runs; --", '"', "`", "${x}", "{{x}}"),
    *("http://127.0.0.1:1/", "file:///etc/passwd", "models:/a/1", "runs:/x/y", "s3://b/k", "name = 'a'", "a LIKE '%'"),
    *("metrics.m > 1e999", "tags.`a", "attribute.start_time > 'x'", "metrics.m DESC", "eyJ4IjogMX0="),
)
_NUMBERS: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 1.5, -0.0, 1e308, 5e-324),
    *(float("nan"), float("inf"), float("-inf"), "1", "1e3", "NaN", "Infinity", ""),
)
_OTHERS: Final[tuple[Any, ...]] = (None, True, [], {}, [[]], [None], {"": None}, {"a": {"b": [1, {}]}}, [1, "a", None])

# Making a strategy takes longer than drawing from it.
_kept: Final = lru_cache(maxsize=20_000)

_TENTHS: Final = st.integers(0, 9)
_texts = st.one_of(st.sampled_from(_TEXTS), st.text(max_size=30))
_anything = st.one_of(st.sampled_from((*_TEXTS, *_NUMBERS, *_OTHERS)), st.text(max_size=30))

_NUMERIC: Final = re.compile(r"(max_results|timestamp|time|step|_ms|timeout)$")


def requests(known: Known) -> st.SearchStrategy[Request]:
    """A request of any kind; three of four are for a route with arguments of the right shape and some wrong values."""
    calls = st.sampled_from(operations()).flatmap(lambda operation: _call(operation, known))
    return st.one_of(
        calls, calls, calls, calls, calls, calls, _artifact(known), _graphql(known), _traces(known), _odd()
    )


def call(operation: Operation, known: Known) -> st.SearchStrategy[Request]:
    """A request for one route."""
    return _call(operation, known)


@_kept
def _text_for(name: str, known: Known) -> st.SearchStrategy[Any]:
    """A string for a field of that name: mostly of something that exists."""
    candidates = known.values.get(name) or known.values.get(name.rstrip("s")) or ("a", "1")
    exists = st.sampled_from(candidates)
    return st.one_of(exists, exists, exists, _texts)


@_kept
@st.composite
def _fields(draw: st.DrawFn, message: Any, known: Known, wrong: int, depth: int = 0) -> dict[str, Any]:
    """The fields of a message. Of ten values `wrong` do not fit the field, and of ten required ones left out."""
    found = {}
    for field in message.fields:
        required = field.GetOptions().Extensions[databricks_pb2.validate_required]
        if draw(_TENTHS) < (wrong if required else 4):
            continue
        found[field.name] = draw(_anything) if draw(_TENTHS) < wrong else draw(_field(field, known, wrong, depth))
    if draw(_TENTHS) < wrong:
        found[draw(st.sampled_from(("unknown", "", "constructor", "\x00")))] = draw(_anything)
    return found


@_kept
def _field(field: Any, known: Known, wrong: int, depth: int) -> st.SearchStrategy[Any]:
    one = _one(field, known, wrong, depth)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return st.dictionaries(_texts, _anything, max_size=2)
    return st.lists(one, max_size=3) if field.is_repeated else one


@_kept
def _one(field: Any, known: Known, wrong: int, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        if field.message_type.full_name.startswith("google.protobuf."):
            return _anything
        return st.just({}) if depth >= _DEEPEST else _fields(field.message_type, known, wrong, depth + 1)
    if field.enum_type is not None:
        names = [value.name for value in field.enum_type.values]
        return st.one_of(st.sampled_from(names), st.sampled_from(names), st.sampled_from(("NONE_SUCH", 0, 99, -1)))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.sampled_from((True, False, True, False, "true", 1, None))
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return _text_for(field.name, known)
    return st.one_of(st.integers(0, 1000), st.sampled_from(_NUMBERS))


@_kept
@st.composite
def _named(draw: st.DrawFn, names: Sequence[str], known: Known) -> dict[str, Any]:
    found = {}
    for name in names:
        if draw(st.integers(0, 9)) < 2:
            continue
        numbers = st.sampled_from(_NUMBERS) if _NUMERIC.search(name) else _anything
        text = _text_for(name, known)
        found[name] = draw(st.one_of(text, text, text, numbers, st.lists(text, max_size=3)))
    return found


@_kept
@st.composite
def _call(draw: st.DrawFn, operation: Operation, known: Known) -> Request:
    """A route with its arguments where they belong, and now and then the whole of them spoilt."""
    parameters = re.findall(r"{(\w+)}", operation.path)
    message = operation.message
    wrong = draw(st.sampled_from((0, 0, 1, 3)))
    arguments = draw(_named(operation.fields, known) if message is None else _fields(message, known, wrong))
    path = operation.path
    for parameter in parameters:
        value = str(draw(_text_for(parameter, known)))[:2000] or "x"
        arguments.pop(parameter, None)
        path = path.replace(f"{{{parameter}}}", _quoted(value), 1)
    if path.startswith("/api/") and draw(st.booleans()):
        path = f"/ajax-api{path.removeprefix('/api')}"
    headers: dict[str, str] = {}
    body, query = None, ""
    if operation.method in ("GET", "HEAD"):
        query = _query(arguments)
    else:
        headers, body = draw(_sent(arguments))
    return Request(
        operation=str(operation),
        method=operation.method,
        target=f"{path}?{query}"[:16_000] if query else path,
        headers=headers,
        body=body,
    )


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _query(arguments: Mapping[str, Any]) -> str:
    """Arguments as MLflow reads them from a query: lists repeated, objects as JSON."""
    pairs = []
    for name, value in arguments.items():
        for item in value if isinstance(value, list) else [value]:
            text = item if isinstance(item, str) else json.dumps(item)
            pairs.append((name.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass")))
    return urlencode(pairs)


@st.composite
def _sent(draw: st.DrawFn, arguments: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """The arguments as a body: well formed in nine cases of ten."""
    body = json.dumps(arguments).encode()
    if draw(st.integers(0, 9)) < 9:
        return dict(_JSON), body
    return draw(st.sampled_from(_spoilt(body)))


def _spoilt(body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """What a broken client makes of a body, with the headers that it sends along."""
    return [
        (dict(_JSON), body[: len(body) // 2]),
        (dict(_JSON), b"[" + body + b"]"),
        (dict(_JSON), b""),
        (dict(_JSON), b"null"),
        (dict(_JSON), b'"text"'),
        (dict(_JSON), b"\xff\xfe\x00"),
        (dict(_JSON), b"[" * 100_000),
        (dict(_JSON), b'{"tags":' * 2_000 + b"1" + b"}" * 2_000),
        (dict(_JSON), b"\xef\xbb\xbf" + body),
        ({"Content-Type": "text/plain"}, body),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&run_id=x"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\nnot a part"),
        ({**_JSON, "Content-Encoding": "gzip"}, gzip.compress(body)),
        ({**_JSON, "Content-Encoding": "gzip"}, body),
        ({"Content-Type": "application/json; charset=utf-16"}, body),
    ]


@st.composite
def _artifact(draw: st.DrawFn, known: Known) -> Request:
    """Bytes of artifacts: paths of every kind, every method."""
    exists = known.values["artifact_path"]
    odd = ("a/../b", "..%2fa", "%2e%2e/a", "a%00b", "a%0ab", "a//b", "%ff", "a" * 300, "a/" * 400 + "a", "%F0%9F%98%80")
    path = draw(st.one_of(st.sampled_from(exists), st.sampled_from(odd), st.text(max_size=20).map(_quoted)))
    kind = draw(st.sampled_from(("artifacts", "artifacts", "artifacts", "mpu/create", "mpu/complete", "presigned")))
    method = draw(st.sampled_from(("GET", "PUT", "DELETE", "HEAD", "POST", "PATCH", "OPTIONS")))
    body = draw(st.sampled_from((b"", b"x", b"{}", b"\x00" * 100_000))) if method in ("PUT", "POST", "PATCH") else None
    headers = draw(st.sampled_from(({}, {"Range": "bytes=5-1"}, {"Range": "bytes=0-0"}, {"If-None-Match": "*"}, _JSON)))
    return Request(
        operation=f"{method} /api/2.0/mlflow-artifacts/{kind}/{{path}}",
        method=method,
        target=f"/api/2.0/mlflow-artifacts/{kind}/{path}",
        headers=dict(headers),
        body=body,
    )


@st.composite
def _graphql(draw: st.DrawFn, known: Known) -> Request:
    run, experiment = (draw(_text_for(name, known)) for name in ("run_id", "experiment_id"))
    query = draw(
        st.sampled_from(
            (
                "{ __typename }",
                "{ __schema { types { name fields { name } } } }",
                "query q($i: String) { mlflowGetExperiment(input: {experimentId: $i}) { experiment { name } } }",
                f"{{ mlflowGetRun(input: {{runId: {json.dumps(run)}}}) {{ run {{ info {{ runName }} }} }} }}",
                f"{{ mlflowGetExperiment(input: {{experimentId: {json.dumps(experiment)}}}) {{ __typename }} }}",
                "{ mlflowSearchRuns(input: {experimentIds: [1]}) { runs { info { runId } } } }",
                *(
                    "{",
                    "",
                    "mutation { x }",
                    "{ nothing }",
                    "{ a" * 3000,
                    "query q { ...f } fragment f on Query { ...f }",
                ),
                "{ " + " ".join(f"a{number}: __typename" for number in range(2000)) + " }",
            )
        )
    )
    variables = draw(st.sampled_from((None, {}, {"i": experiment}, {"i": 1}, [], "x")))
    body: Any = {"query": query, "variables": variables, "operationName": draw(st.sampled_from((None, "q", "", 1)))}
    headers, sent = draw(_sent(draw(st.sampled_from((body, body, body, {"query": None}, {"query": 1}, {})))))
    return Request(operation="POST /graphql", method="POST", target="/graphql", headers=headers, body=sent)


@st.composite
def _traces(draw: st.DrawFn, known: Known) -> Request:
    """OpenTelemetry's spans: small valid ones, and bytes of which some look like spans."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 3))):
        span = request.resource_spans.add().scope_spans.add().spans.add()
        span.trace_id = draw(st.sampled_from((b"", b"\x01" * 16, b"\x00" * 16, b"\x01" * 3)))
        span.span_id = draw(st.sampled_from((b"", b"\x02" * 8, b"\x02" * 9)))
        span.parent_span_id = draw(st.sampled_from((b"", b"\x02" * 8)))
        span.name = draw(st.sampled_from(("", "span", "nul \x00", "\U0001f600", "a" * 70_000)))
        span.start_time_unix_nano = draw(st.sampled_from((0, 1, 2**63, 2**64 - 1)))
        span.end_time_unix_nano = draw(st.sampled_from((0, 1, 2**64 - 1)))
        attribute = span.attributes.add()
        attribute.key = draw(st.sampled_from(("", "k", "mlflow.traceRequestId", "mlflow.spanInputs", "nul \x00")))
        attribute.value.string_value = draw(st.sampled_from(("", "v", "{", "nul \x00", "tr-1", '"tr-1"', "[" * 5000)))
    body = request.SerializeToString()
    body = draw(st.sampled_from((body, body, body, body[: len(body) // 2], b"\x00" * 50, b"{}", gzip.compress(body))))
    headers = {
        "Content-Type": draw(st.sampled_from(("application/x-protobuf",) * 4 + ("application/json", "text/plain"))),
        "x-mlflow-experiment-id": draw(
            st.sampled_from((*known.values["experiment_id"],) * 2 + ("", "x", "-1", "9" * 30))
        ),
    }
    encoding = draw(st.sampled_from((None, None, None, "gzip", "deflate", "br")))
    if encoding:
        headers["Content-Encoding"] = encoding
    return Request(operation="POST /v1/traces", method="POST", target="/v1/traces", headers=headers, body=body)


_NO_HTTP: Final = ({"Cookie": "a=\x01"}, {"Transfer-Encoding": "identity"}, {"Expect": "nothing"})


@st.composite
def _odd(draw: st.DrawFn) -> Request:
    """Methods, paths and headers that belong to no route."""
    targets = (
        *("/", "/no/such", "//", "/a/../b", "/%00", "/%ff", "/?%ff=%00", "/api", "/api/2.0/mlflow/", "/metrics", "*"),
        *("/" + "a" * 8000, "/api/2.0/mlflow/runs/get?run_id=" + "a" * 12_000, "/static-files/..%2f..%2fetc/passwd"),
        *("/API/2.0/mlflow/runs/get", "/api/2.0/mlflow/runs/get/", "/api/2.0/mlflow/experiments/search?max_results=x"),
    )
    headers: tuple[dict[str, str], ...] = (
        *({}, {"Accept": "a" * 8000}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}),
        *({"X-Request-Id": "\xff"}, {"Expect": "100-continue"}, {"Authorization": "Basic !!"}, {"Connection": "X-Y"}),
        *(
            {"Upgrade": "websocket", "Connection": "Upgrade"},
            {"X-HTTP-Method": "PUT"},
            {"X-MLFLOW-WORKSPACE": "nul%00"},
        ),
        *_NO_HTTP,
    )
    method = draw(st.sampled_from(("GET", "POST", "HEAD", "OPTIONS", "TRACE", "DELETE", "PATCH", "BREW", "get")))
    body = draw(st.sampled_from((None, b"", b"{}", b"x" * 100_000))) if method in ("POST", "PATCH", "DELETE") else None
    target, sent = draw(st.sampled_from(targets)), draw(st.sampled_from(headers))
    return Request(
        operation=f"{method} {target[:60]}",
        method=method,
        target=target,
        headers=sent,
        body=body,
        is_http=sent not in _NO_HTTP and target != "*",
    )
