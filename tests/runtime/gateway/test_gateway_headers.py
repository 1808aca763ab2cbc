"""Headers that pass, headers that do not, and what is logged of a request."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from mlflow_runtime.gateway.headers import DROPPED_FROM_REQUESTS
from tests.runtime.gateway.stack import Gateway, Upstream

Pair = tuple[Upstream, Upstream]

FORGED = [
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Prefix",
    "X-Auth-Request-User",
    "X-Remote-User",
    "Remote-User",
    "X-MS-CLIENT-PRINCIPAL",
    "X-MS-CLIENT-PRINCIPAL-NAME",
    "X-MS-TOKEN-AAD-ID-TOKEN",
    "X-MLFLOW-AUTH-USER",
    "X-Real-IP",
    "Forwarded",
    "Proxy",
    "X-Original-URL",
    "X-HTTP-Method-Override",
    "Upgrade",
]


def reported(gateway: Gateway, *fields: str) -> dict[str, str]:
    """The headers that a service gets, names in lower case, of a request with these raw header lines."""
    head = "\r\n".join(["GET / HTTP/1.1", f"Host: {gateway.host}", *fields, "Connection: close", "", ""])
    answer = gateway.raw(head.encode())
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    headers = json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]
    names = [name.lower() for name, _ in headers]
    assert len(names) == len(set(names))
    return {name.lower(): value for name, value in headers}


@pytest.mark.parametrize("write", [str, str.lower, str.upper, lambda name: name.replace("-", "_")])
def test_forged_identity_is_dropped_however_it_is_written(gateway: Gateway, write: object) -> None:
    assert callable(write)
    headers = reported(gateway, *(f"{write(name)}: forged" for name in FORGED))
    assert not {name: value for name, value in headers.items() if "forged" in value}


def test_every_dropped_header_is_dropped(gateway: Gateway) -> None:
    names = [name.replace("*", "a") for name in DROPPED_FROM_REQUESTS]
    assert "forged" not in " ".join(reported(gateway, *(f"{name}: forged" for name in names)).values())


@pytest.mark.parametrize("name", ["X_MS_CLIENT_PRINCIPAL", "X-MS_CLIENT-PRINCIPAL", "Content_Length", "X_Any", "_"])
def test_no_name_with_an_underscore_passes(gateway: Gateway, name: str) -> None:
    assert name.lower() not in reported(gateway, f"{name}: forged")


def test_what_mlflow_needs_passes(gateway: Gateway) -> None:
    fields = {
        "authorization": "Bearer t",
        "cookie": "a=b",
        "origin": "http://localhost",
        "x-mlflow-workspace": "w",
        "content-encoding": "gzip",
        "x-databricks-route": "r",
        "traceparent": "00-1",
    }
    headers = reported(gateway, *(f"{name}: {value}" for name, value in fields.items()))
    assert fields.items() <= headers.items()
    assert headers["host"] == gateway.host


def test_the_service_gets_the_real_client(gateway: Gateway) -> None:
    headers = reported(gateway, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "X-Forwarded-Proto: gopher")
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == gateway.host
    assert headers["x-forwarded-proto"] == "http"


def test_a_client_cannot_have_the_gateway_s_own_headers_dropped(gateway: Gateway) -> None:
    headers = reported(gateway, "Connection: X-Request-Id, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto")
    assert {"x-request-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"} <= set(headers)


def test_every_answer_has_an_id_of_the_gateway_s_making(gateway: Gateway, tracking: Pair) -> None:
    for replica in tracking:
        replica.behave = lambda request: request.reply(
            200, request.headers["X-Request-Id"].encode(), {"X-Request-Id": "the service's"}
        )
    first = gateway.call("GET", "/", headers={"X-Request-Id": "mine"})
    second = gateway.call("GET", "/")
    refused = gateway.call("GET", "/a/../b")
    ids = [answer.headers.get_all("X-Request-Id") for answer in (first, second, refused)]
    assert [len(each or []) for each in ids] == [1, 1, 1]
    assert len({uuid.UUID(each[0]) for each in ids if each}) == 3
    assert first.content.decode() == first.headers["X-Request-Id"]


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/a/../b", 400), ("/live", 200)])
def test_security_headers(gateway: Gateway, tracking: Pair, path: str, status: int) -> None:
    for replica in tracking:
        replica.behave = lambda request: request.reply(
            200, b"", {"Server": "uvicorn", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN"}
        )
    answer = gateway.call("GET", path)
    assert answer.status == status
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "Server" not in answer.headers
    assert "Via" not in answer.headers
    if path == "/":
        assert answer.headers.get_all("X-Frame-Options") == ["SAMEORIGIN"]


@pytest.mark.parametrize("path", ["/", "/a/../b"])
def test_hsts_only_behind_https(gateway: Gateway, path: str) -> None:
    assert "Strict-Transport-Security" not in gateway.call("GET", path).headers
    behind_https = gateway.call("GET", path, headers={"X-Forwarded-Proto": "https"})
    assert re.match(r"max-age=\d+", behind_https.headers["Strict-Transport-Security"])


def test_the_service_gets_the_public_scheme(gateway: Gateway) -> None:
    assert reported(gateway, "X-Forwarded-Proto: https")["x-forwarded-proto"] == "https"


def test_the_access_log_says_what_happened(gateway: Gateway) -> None:
    sent = {"User-Agent": "tester/1", "X-Forwarded-For": "9.9.9.9"}
    answer = gateway.call("POST", "/api/2.0/mlflow/webhooks", b"{}", sent)
    line = gateway.access(answer)
    replica = gateway.upstreams["registry"][0]
    expected = {
        "logger": "http.log.access",
        "status": 200,
        "bytes_read": 2,
        "size": len(answer.content),
        "request_id": answer.headers["X-Request-Id"],
        "service": "registry",
        "upstream": replica.address,
        "retries": 0,
        "user_agent": "tester/1",
        "forwarded_for": "9.9.9.9",
    }
    assert expected.items() <= line.items()
    assert line["request"] == {
        "remote_ip": "127.0.0.1",
        "proto": "HTTP/1.1",
        "method": "POST",
        "host": gateway.host,
        "uri": "/api/2.0/mlflow/webhooks",
    }
    assert isinstance(line["duration"], float)
    assert re.match(r"\d{4}-\d\d-\d\dT", line["ts"])


def test_no_secret_reaches_the_log(gateway: Gateway, tracking: Pair) -> None:
    def answer_with_cookie(status: int) -> None:
        for replica in tracking:
            replica.behave = lambda request: request.reply(
                status, b"", {"Set-Cookie": "s=SECRET", "Location": "/?t=SECRET"}
            )

    fields = {
        "Authorization": "Bearer SECRET",
        "Cookie": "a=SECRET",
        "X-Api-Key": "SECRET",
        "Referer": "https://x/?sig=SECRET",
    }
    for status in (200, 302, 500):
        answer_with_cookie(status)
        for path in ("/x?sig=SECRET&token=SECRET", "/x?%73ig=SECRET?SECRET", "//x?sig=SECRET"):
            gateway.access(gateway.call("GET", path, headers=fields))
    for replica in tracking:
        replica.behave = lambda request: request.cut()
    gateway.access(gateway.call("POST", "/x?sig=SECRET", b"SECRET", fields))
    assert "SECRET" not in gateway.log_file.read_text()


def test_the_reason_of_a_failure_is_logged(gateway: Gateway, tracking: Pair) -> None:
    for replica in tracking:
        replica.behave = lambda request: request.cut()
    line = gateway.access(gateway.call("POST", "/", b"{}"))
    assert (line["status"], line["level"]) == (502, "error")
    # EOF, a reset or a closed connection: whichever side of the connection notices first.
    assert re.search(r"EOF|reset|closed|broken pipe", line["error"])


def test_probes_are_not_logged(gateway: Gateway) -> None:
    for path in ("/live", "/ready"):
        gateway.call("GET", path)
    gateway.access(gateway.call("GET", "/last"))
    assert not {"/live", "/ready"} & {line["request"]["uri"] for line in gateway.log() if "request" in line}


@pytest.mark.parametrize(("path", "status"), [("/a/../b", 400), ("/metrics", 404)])
def test_an_error_of_the_gateways_own_names_its_id(gateway: Gateway, path: str, status: int) -> None:
    answer = gateway.call("GET", path)
    assert answer.status == status
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]
    assert gateway.access(answer)["status"] == status
