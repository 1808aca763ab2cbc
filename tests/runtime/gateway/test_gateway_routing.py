"""Which upstream a request reaches, and which requests reach none."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlflow_runtime.routes import PREFIXES, ServiceRole, is_plain, role_of
from tests.runtime.gateway.stack import Gateway, Upstream
from tests.support.waiting import until


@pytest.mark.parametrize("role", list(PREFIXES))
def test_each_prefix_goes_to_its_service(gateway: Gateway, role: ServiceRole) -> None:
    for prefix in PREFIXES[role]:
        for path in (prefix, f"{prefix}/", f"{prefix}/a?b=c"):
            answer = gateway.call("GET", path).body
            assert (answer["upstream"], answer["path"]) == (f"{role}-1", path)


@pytest.mark.parametrize(
    "path", ["/", "/graphql", "/v1/traces", "/get-artifact?path=a", "/api/3.0/mlflow/traces", "/static-files/a.js"]
)
def test_all_else_goes_to_tracking(gateway: Gateway, path: str) -> None:
    answer = gateway.call("POST", path, b"{}").body
    assert answer["upstream"].startswith("tracking-")
    assert answer["path"] == path


# Pieces that two readers of a path could take differently.
WORDS = ("api", "2.0", "mlflow", "mlflow-artifacts", "registered-models", "webhooks", "runs", "x", "", ".", "..")
CODED = (
    "%61pi",
    "mlflow%2Dwebhooks",
    "%2e",
    "%2E%2e",
    ".%2e",
    "%2f",
    "%2F",
    "%5c",
    "%00",
    "%0a",
    "%7f",
    "%25",
    "%252e",
)
ODD = ("API", "%c3%a9", "%c3%28", "%ff", "%3f", "%23", "%", "%zz", "%2", "..;", "a;b", "\\", *"#[]'^{}|~*@:\"<")
PIECES = st.sampled_from([*WORDS, *CODED, *ODD])
SEPARATORS = st.sampled_from(["/", "/", "/", "//", "%2f", "%2F", "/./", "/../", "\\"])
STARTS = st.sampled_from(
    ["", "/", "//", "/.", "/api/2.0/mlflow/runs", *(prefix for group in PREFIXES.values() for prefix in group)]
)
RAW_PATHS = st.tuples(STARTS, st.lists(st.tuples(SEPARATORS, PIECES), max_size=6)).map(
    lambda drawn: drawn[0] + "".join(separator + piece for separator, piece in drawn[1])
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=RAW_PATHS)
@example(raw="/api/2.0/mlflow/x/../registered-models/get")
@example(raw="/api/2.0/mlflow%2fregistered-models/get")
@example(raw="/api/2.0/mlflow//registered-models/get")
@example(raw="/API/2.0/mlflow/registered-models/get")
@example(raw="/api/2.0/mlflow/registered-models%0a")
@example(raw="/api/2.0/mlflow/registered-models%00/get")
@example(raw="/api/2.0/mlflow-artifacts/%2f\\api")
@example(raw="/api/2.0/mlflow/runs/log-metric")
@example(raw="//api/2.0/mlflow/runs/log-metric")
@example(raw="/api/2.0/mlflow/runs/log%2Dmetric")
@example(raw="/api/2.0/mlflow/runs/x%0a")
def test_the_gateway_and_the_services_read_a_path_alike(gateway: Gateway, raw: str) -> None:
    """Caddy chooses by its reading, a service by `role_of` of its own: of the path it got, decoded as uvicorn does."""
    answer = gateway.raw(f"GET {raw}?q HTTP/1.1\r\nHost: {gateway.host}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    path = unquote(merged(raw))
    if status == 400:
        malformed = not raw.startswith("/") or re.search(r"%(?![0-9a-fA-F]{2})", raw)
        assert malformed or not is_plain(path) or (role_of(path) is ServiceRole.ARTIFACTS and "//" in raw)
        return
    assert status == 200
    reported = json.loads(body)
    received = unquote(reported["path"].split("?")[0])
    # Go encodes a path again if it has characters that are not allowed, and `%2f` is then a slash.
    assert received in (path, merged(path))
    # An artifact's name stays as it is; a path with an empty segment has no name.
    assert received == path or role_of(received) is not ServiceRole.ARTIFACTS or not is_plain(path)
    assert is_plain(received)
    assert reported["upstream"].rpartition("-")[0] == role_of(received)


def merged(raw: str) -> str:
    return re.sub("/{2,}", "/", raw)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("//api/2.0/mlflow/experiments/get?a=//", "/api/2.0/mlflow/experiments/get?a=//"),
        ("///api/2.0//mlflow/runs/get", "/api/2.0/mlflow/runs/get"),
        ("//", "/"),
        ("//live", None),
        ("//v1//traces", "/v1/traces"),
        ("//ajax-api/3.0//mlflow/server-info", "/ajax-api/3.0/mlflow/server-info"),
        ("//api//2.0/mlflow//registered-models//get?name=a", "/api/2.0/mlflow/registered-models/get?name=a"),
        ("//api/2.0//mlflow-artifacts//artifacts?path=a//b", "/api/2.0/mlflow-artifacts/artifacts?path=a//b"),
        ("//ajax-api//2.0/mlflow-artifacts//artifacts/a%2520b", "/ajax-api/2.0/mlflow-artifacts/artifacts/a%2520b"),
    ],
)
def test_doubled_slashes_are_one(gateway: Gateway, raw: str, path: str | None) -> None:
    answer = gateway.call("GET", raw)
    assert answer.status == 200
    if path:
        assert answer.body["path"] == path
        assert answer.body["upstream"].rpartition("-")[0] == role_of(path.partition("?")[0])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts//etc/a"),
        ("GET", "//api/2.0/mlflow-artifacts/artifacts/a//b"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/a%2F%2Fb"),
        ("GET", "/%2Fapi/2.0/mlflow/runs/get"),
        ("GET", "//api/2.0/mlflow//../mlflow-artifacts/artifacts/a//b"),
    ],
)
def test_doubled_slashes_that_name_something_are_refused(gateway: Gateway, method: str, path: str) -> None:
    assert gateway.call(method, path, b"x" if method == "PUT" else None).status == 400


def test_doubled_slashes_open_no_way_around(gateway: Gateway) -> None:
    """The limit of a body, and what is no client's."""
    over = str((1 << 20) + 1)
    assert gateway.call("POST", "//api/2.0/mlflow/runs/create", None, {"Content-Length": over}).status == 413
    assert gateway.call("PUT", "//api/2.0/mlflow-artifacts/artifacts/a", bytes((1 << 20) + 1)).status == 200
    assert gateway.call("GET", "//metrics").status == 404


@pytest.mark.parametrize("name", ["dir%5Cfile.txt", "Icon%0D", "a%0Ab", "a%23b", "a%3Fb", "a%2520b"])
def test_an_artifact_s_name_passes_as_it_is(gateway: Gateway, name: str) -> None:
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{name}"
    answer = gateway.call("PUT", path, b"x")
    assert (answer.status, answer.body["path"]) == (200, path)


@pytest.mark.parametrize("odd", ["%5C", "%0D", "%0A", "%00"])
def test_what_only_names_may_have_is_refused_elsewhere(gateway: Gateway, odd: str) -> None:
    assert gateway.call("GET", f"/api/2.0/mlflow/a{odd}b").status == 400


def test_a_path_that_is_not_plain_is_refused_in_mlflow_s_shape(gateway: Gateway) -> None:
    answer = gateway.call("GET", "/api/2.0/mlflow-artifacts/artifacts/../../secret")
    assert answer.status == 400
    assert answer.body["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "not plain" in answer.body["message"]
    assert not gateway.upstreams["artifacts"][0].seen


# A path that the rules about paths look at, and an ordinary one, which skips them and the check of the Host among them.
HOSTED = pytest.mark.parametrize("path", ["/", "/api/2.0/mlflow/runs/get"])


@HOSTED
def test_only_public_hosts_are_served(gateway: Gateway, path: str) -> None:
    assert gateway.call("GET", path, headers={"Host": "mlflow.example.com"}).status == 200
    for host in ("evil.example.com", "mlflow.example.com:1", "127.0.0.1", "xmlflow.example.com", "mlflow.example.com."):
        answer = gateway.call("GET", path, headers={"Host": host})
        assert (answer.status, answer.body["error_code"]) == (403, "PERMISSION_DENIED")
    assert b" 403 " in gateway.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())


@HOSTED
def test_the_host_of_an_absolute_request_target_counts(gateway: Gateway, path: str) -> None:
    def ask(target: str, host: str) -> bytes:
        return gateway.raw(f"GET http://{target}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    evil, good = ask("evil", gateway.host), ask(gateway.host, "evil")
    assert b" 403 " in evil
    assert json.loads(good.partition(b"\r\n\r\n")[2])["headers"][0] == ["Host", gateway.host]


def test_probes_need_no_public_host(gateway: Gateway) -> None:
    for path, status in (("/live", "live"), ("/ready", "ready")):
        answer = gateway.call("GET", path, headers={"Host": "10.0.0.7"})
        assert (answer.status, answer.body) == (200, {"status": status})


def test_ready_while_one_tracking_replica_is(gateway: Gateway, tracking: tuple[Upstream, Upstream]) -> None:
    first, second = tracking
    first.ready = False
    until(lambda: all(gateway.call("GET", "/ready").status == 200 for _ in range(10)), "ready with one replica")
    second.ready = False
    until(lambda: gateway.call("GET", "/ready").status == 503, "not ready without any")
    answer = gateway.call("GET", "/ready")
    assert answer.body["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert gateway.call("GET", "/live").status == 200
    second.ready = True
    until(lambda: gateway.call("GET", "/ready").status == 200, "ready again")


def test_ready_does_not_depend_on_the_other_services(gateway: Gateway) -> None:
    gateway.upstreams["registry"][0].stop()
    gateway.upstreams["artifacts"][0].stop()
    assert gateway.call("GET", "/ready").status == 200
