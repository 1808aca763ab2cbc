"""Heads of requests: as long as the gateway's limit, however they are cut into sends."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from mlflow_runtime.gateway.config import MAX_HEADER_BYTES
from mlflow_runtime.middleware.head_limit import LIMIT_KIB
from tests.support.services import PUBLIC_HOST, Service, gateway

KIB = 1024


@pytest.fixture(scope="module")
def port(tracking: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a gateway before a real service."""
    with gateway(tmp_path_factory.mktemp("heads"), f"127.0.0.1:{tracking.port}") as made:
        yield made


def head(size: int, where: str) -> bytes:
    """A request of `size` bytes, most of them in its target, in one header, or in many."""
    target, end = "/api/2.0/mlflow/experiments/get?experiment_id=0", f"Host: {PUBLIC_HOST}\r\nConnection: close\r\n"
    left = size - len(f"GET {target} HTTP/1.1\r\n{end}\r\n")
    if where == "target":
        return f"GET {target}&x={'y' * (left - 3)} HTTP/1.1\r\n{end}\r\n".encode()
    if where == "cookie":
        return f"GET {target} HTTP/1.1\r\n{end}Cookie: {'c' * (left - 10)}\r\n\r\n".encode()
    many = "".join(f"X-Many: {'m' * 990}\r\n" for _ in range(left // 1000))
    return f"GET {target} HTTP/1.1\r\n{end}{many}X-Last: {'l' * (left % 1000 - 10)}\r\n\r\n".encode()


def answer(port: int, request: bytes, cut: int) -> bytes:
    """The whole answer to a request that is sent in two parts, the second when the first was read."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request[:cut])
        time.sleep(0.05)
        connection.sendall(request[cut:])
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize("where", ["cookie", "many", "target"])
@pytest.mark.parametrize("size", [17 * KIB, 33 * KIB, 60 * KIB, LIMIT_KIB * KIB])
def test_a_head_up_to_the_limit_is_answered(port: int, tracking: Service, size: int, where: str) -> None:
    request = head(size, where)
    assert len(request) == size
    for through in (port, tracking.port):
        for cut in (size // 3, size - 100):
            assert answer(through, request, cut).startswith(b"HTTP/1.1 200 "), (through == port, cut)


@pytest.mark.parametrize("where", ["cookie", "many", "target"])
@pytest.mark.parametrize("size", [(LIMIT_KIB + 5) * KIB, 100 * KIB, MAX_HEADER_BYTES])
def test_a_head_beyond_the_limit_gets_a_whole_431(port: int, tracking: Service, size: int, where: str) -> None:
    """Whole: the connection ends behind the body and is not reset."""
    request = head(size, where)
    for through in (port, tracking.port):
        for cut in (17 * KIB, size - 100):
            start, _, body = answer(through, request, cut).partition(b"\r\n\r\n")
            assert start.startswith(b"HTTP/1.1 431 "), (through == port, cut)
            assert f"allowed: {LIMIT_KIB} KiB" in json.loads(body)["message"]
