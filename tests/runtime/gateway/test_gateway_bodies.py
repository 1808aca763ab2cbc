"""Size limits, streaming both ways, and compression."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from tests.runtime.gateway.stack import ARTIFACT_PATH, TRACKING_PATH, Gateway, Request, Seen, Upstream, tell
from tests.support.waiting import until

MIB = 1024 * 1024
Pair = tuple[Upstream, Upstream]


def post_head(gateway: Gateway, *fields: str) -> bytes:
    return "\r\n".join([f"POST {TRACKING_PATH} HTTP/1.1", f"Host: {gateway.host}", *fields, "", ""]).encode()


def tell_after_the_body(pair: Pair) -> None:
    for replica in pair:
        replica.behave = lambda request: tell(request) if list(request.body()) else None


def all_seen(pair: Pair) -> list[Seen]:
    return [request for replica in pair for request in replica.seen]


def test_an_announced_size_over_the_limit_is_refused_before_any_of_it_is_sent(gateway: Gateway, tracking: Pair) -> None:
    for field in ("", "Expect: 100-continue"):
        fields = [f"Content-Length: {MIB + 1}", *filter(None, [field])]
        answer = gateway.raw(post_head(gateway, *fields))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"above the limit of 1 MiB" in answer
    assert all_seen(tracking) == []


def test_a_body_of_the_limit_passes(gateway: Gateway) -> None:
    assert gateway.call("POST", TRACKING_PATH, bytes(MIB)).body["size"] == MIB
    assert gateway.call("POST", TRACKING_PATH, iter([bytes(MIB)])).body["size"] == MIB


def test_a_chunked_body_is_cut_at_the_limit(gateway: Gateway, tracking: Pair) -> None:
    read: list[int] = []
    cut_off = threading.Event()

    def count(request: Request) -> None:
        try:
            for part in request.body():
                read.append(len(part))
        finally:
            cut_off.set()

    for replica in tracking:
        replica.behave = count
    answer = upload(gateway, TRACKING_PATH, 64 * MIB, chunked=True)
    assert answer.status == 413
    assert answer.json() == {
        "error_code": "INVALID_PARAMETER_VALUE",
        "message": "The body of the request is above the limit of 1 MiB.",
        "request_id": answer.headers["X-Request-Id"],
    }
    assert cut_off.wait(30)
    assert sum(read) <= MIB


def test_the_larger_limit_is_for_artifact_uploads_only(gateway: Gateway) -> None:
    body = bytes(MIB + 1)
    assert gateway.call("PUT", ARTIFACT_PATH, body).body["size"] == len(body)
    assert gateway.call("PUT", TRACKING_PATH, body).status == 413
    assert gateway.call("POST", "/api/2.0/mlflow-artifacts/mpu/create/x", body).status == 413
    head = f"PUT {ARTIFACT_PATH} HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Length: {600 * MIB + 1}\r\n\r\n"
    assert b"above the limit of 600 MiB" in gateway.raw(head.encode())


def bad_chunk(gateway: Gateway) -> None:
    with gateway.connect() as connection:
        connection.sendall(post_head(gateway, "Transfer-Encoding: chunked") + b"5\r\nhello\r\nnone\r\n")
        assert connection.recv(100)


def oversize(gateway: Gateway) -> None:
    assert gateway.call("POST", TRACKING_PATH, iter([bytes(MIB + 1)])).status == 413


def leave(gateway: Gateway) -> None:
    with gateway.connect() as connection:
        connection.sendall(post_head(gateway, "Content-Length: 9999") + b"hello")


def reset(gateway: Gateway) -> None:
    with gateway.connect() as connection:
        connection.sendall(post_head(gateway, "Content-Length: 9999") + b"hello")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("misbehave", [bad_chunk, oversize, leave, reset])
def test_a_bad_client_takes_no_replica_out_of_rotation(gateway: Gateway, tracking: Pair, misbehave: object) -> None:
    assert callable(misbehave)
    for _ in range(10):
        misbehave(gateway)
    reached = {gateway.call("GET", "/").body["upstream"] for _ in range(16)}
    assert reached == {replica.name for replica in tracking}


@pytest.mark.parametrize(
    ("length", "body"),
    [
        ("Content-Length: 100", b"ten bytes."),
        *(
            ("Transfer-Encoding: chunked", body)
            for body in (
                b"5\r\nab",
                b"z\r\nab\r\n",
                b"\r\n",
                b"-1\r\n",
                b"f" * 17 + b"\r\n",
                b"2\r\nabX\r\n",
                b"2;" + b"x" * 4094,
                b"0\r\nX: \x00\r\n\r\n",
                b"0\r\n: x\r\n\r\n",
                b"2\n{}\n0\n\n",
                b"2\rx\r\n{}\r\n",
                b"0\r\n\r",
            )
        ),
    ],
)
def test_a_body_that_is_broken_is_the_clients_fault(gateway: Gateway, tracking: Pair, length: str, body: bytes) -> None:
    tell_after_the_body(tracking)
    with gateway.connect() as connection:
        connection.sendall(post_head(gateway, length) + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    # Caddy may notice the end of the connection before that of the body, and calls that 499.
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 499 ")), answer
    assert (b"The body of the request ended" in answer) is answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("misbehave", [leave, reset])
def test_a_client_that_leaves_its_body_is_no_failure_of_a_service(
    gateway: Gateway, tracking: Pair, misbehave: object
) -> None:
    assert callable(misbehave)
    tell_after_the_body(tracking)

    def statuses() -> list[int]:
        return [line["status"] for line in gateway.log() if line.get("request", {}).get("method") == "POST"]

    before = len(statuses())
    for _ in range(20):
        misbehave(gateway)
    until(lambda: len(statuses()) == before + 20, "every request is in the log")
    assert set(statuses()[before:]) <= {400, 499}


def peak_memory(gateway: Gateway) -> int:
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@on_linux
def test_a_large_upload_streams_through(gateway: Gateway) -> None:
    size, part = 512 * MIB, bytes(MIB)
    first_byte, sizes = threading.Event(), []

    def drain(request: Request) -> None:
        total = 0
        for received in request.body():
            first_byte.set()
            total += len(received)
        sizes.append(total)
        request.reply(200, b"")

    gateway.upstreams["artifacts"][0].behave = drain

    def send() -> Iterator[bytes]:
        yield part
        assert first_byte.wait(30), "the service waits for the end of the upload"
        for _ in range(size // MIB - 1):
            yield part

    before = peak_memory(gateway)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    headers = {"Host": gateway.host, "Content-Length": str(size)}
    connection.request("PUT", ARTIFACT_PATH, send(), headers)
    assert connection.getresponse().status == 200
    connection.close()
    assert sizes == [size]
    assert peak_memory(gateway) - before < 64 * MIB


@on_linux
def test_a_large_download_streams_through(gateway: Gateway) -> None:
    size, part = 512 * MIB, bytes(MIB)

    def pour(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(size))
        request.end_headers()
        for _ in range(size // MIB):
            request.wfile.write(part)

    gateway.upstreams["artifacts"][0].behave = pour
    before = peak_memory(gateway)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request("GET", ARTIFACT_PATH, headers={"Host": gateway.host})
    response = connection.getresponse()
    received = sum(iter(lambda: len(response.read(MIB)), 0))
    connection.close()
    assert received == size
    assert peak_memory(gateway) - before < 64 * MIB


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/event-stream"])
def test_a_streamed_answer_arrives_as_it_is_made(gateway: Gateway, tracking: Pair, content_type: str) -> None:
    client_has_first = threading.Event()

    def stream(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Type", content_type)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"5\r\nfirst\r\n")
        assert client_has_first.wait(30)
        request.wfile.write(b"4\r\nlast\r\n0\r\n\r\n")

    for replica in tracking:
        replica.behave = stream
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("GET", "/", headers={"Host": gateway.host, "Accept-Encoding": "gzip"})
    response = connection.getresponse()
    assert response.read(5) == b"first"
    client_has_first.set()
    assert response.read() == b"last"
    connection.close()


def test_an_answer_that_breaks_off_is_not_passed_for_whole(gateway: Gateway, tracking: Pair) -> None:
    def half(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"half")
        request.wfile.flush()
        request.cut()

    for replica in tracking:
        replica.behave = half
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        gateway.call("GET", "/")
    assert len(all_seen(tracking)) == 1


def upload(gateway: Gateway, path: str, size: int, *, chunked: bool) -> urllib3.BaseHTTPResponse:
    """Send a large body as MLflow's client does: by urllib3, which reads the answer even if it could not send all."""
    parts = (bytes(MIB) for _ in range(size // MIB))
    headers = {"Host": gateway.host, **({} if chunked else {"Content-Length": str(size)})}
    return urllib3.PoolManager().request(
        "PUT", f"http://127.0.0.1:{gateway.port}{path}", body=parts, headers=headers, retries=False, timeout=30
    )


@pytest.mark.parametrize("chunked", [True, False])
def test_a_client_in_the_middle_of_a_body_over_the_limit_reads_why(gateway: Gateway, chunked: bool) -> None:
    answer = upload(gateway, TRACKING_PATH, 64 * MIB, chunked=chunked)
    assert answer.status == 413
    assert "above the limit of 1 MiB" in answer.json()["message"]


@pytest.mark.parametrize("chunked", [True, False])
def test_a_service_can_refuse_an_upload_before_its_end(gateway: Gateway, chunked: bool) -> None:
    def refuse(request: Request) -> None:
        request.reply(403, b"no")
        for _ in request.body():
            pass

    gateway.upstreams["artifacts"][0].behave = refuse
    answer = upload(gateway, ARTIFACT_PATH, 64 * MIB, chunked=chunked)
    assert (answer.status, answer.data) == (403, b"no")


TEXT = json.dumps(["compressible"] * 1000).encode()


@pytest.mark.parametrize(
    ("path", "fields", "compressed"),
    [
        ("/", {"Content-Type": "application/json"}, True),
        ("/static-files/a.js", {"Content-Type": "text/javascript; charset=utf-8"}, True),
        ("/api/2.0/mlflow/webhooks", {"Content-Type": "application/json"}, True),
        ("/", {"Content-Type": "application/octet-stream"}, False),
        ("/get-artifact", {"Content-Type": "text/plain", "Content-Disposition": "attachment"}, False),
        (ARTIFACT_PATH, {"Content-Type": "application/json"}, False),
    ],
)
def test_what_is_compressed(gateway: Gateway, path: str, fields: dict[str, str], compressed: bool) -> None:
    for group in gateway.upstreams.values():
        for replica in group:
            replica.behave = lambda request: request.reply(200, TEXT, fields)
    answer = gateway.call("GET", path, headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    assert (gzip.decompress(answer.content) if compressed else answer.content) == TEXT
    assert gateway.call("GET", path).content == TEXT


def test_the_replica_is_asked_for_what_the_client_accepts(gateway: Gateway) -> None:
    answer = gateway.call("GET", "/", headers={"Accept-Encoding": "br"}).body
    assert ["Accept-Encoding", "br"] in answer["headers"]


def test_requests_after_each_other_share_a_connection(gateway: Gateway, tracking: Pair) -> None:
    for replica in tracking:
        replica.behave = tell
    for _ in range(20):
        gateway.call("POST", "/", b"{}")
    peers = {request.peer for request in all_seen(tracking)}
    until(lambda: len(all_seen(tracking)) == 20, "all requests arrived")
    assert len(peers) <= 8
