"""Two workers never choose the same port."""

from __future__ import annotations

import socket

import pytest

from tests.support import ports


def test_workers_have_parts_of_the_range_that_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    found = {}
    for worker in ("gw0", "gw1", "gw2"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        found[worker] = {ports.first_of_free_ports(60) for _ in range(20)}
    middle = (ports.LOWEST + ports.HIGHEST) // 2
    assert all(port >= ports.LOWEST and port + 60 <= middle for port in found["gw0"] | found["gw2"])
    assert all(middle <= port and port + 60 <= ports.HIGHEST for port in found["gw1"])


def test_a_port_that_is_taken_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = ports.free_port()
    monkeypatch.setattr("random.randrange", lambda *_: taken)
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        with pytest.raises(RuntimeError, match="no 1 consecutive free ports"):
            ports.first_of_free_ports(1)
    assert ports.first_of_free_ports(1) == taken


def test_a_port_refuses_when_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not ports.refuses(port)
    assert ports.refuses(port)


def test_a_connection_that_was_reset_was_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(*_: object, **__: object) -> socket.socket:
        raise ConnectionResetError

    monkeypatch.setattr(socket, "create_connection", reset)
    assert ports.refuses(1)
