"""A Kubernetes of one's own: it starts on free ports, believes chosen issuers, and leaves nothing, however it ends."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jwt
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from components.emulators import certificates
from tests.support.kubernetes.control_plane import Issuer, control_plane, root
from tests.support.ports import free_port
from tests.support.waiting import until
from tools.kubernetes import programs

pytestmark = pytest.mark.kubernetes

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE = 120
AUDIENCE = "6dae42f8-4368-4678-94ff-3960e28e3630"


def of(folder: Path) -> list[psutil.Process]:
    """The programs that run for a folder."""
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if any(f"={folder}/" in argument for argument in one.info["cmdline"] or ())]


def listened(connections: Iterable[Any]) -> set[int]:
    return {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}


class Looking:
    """`make kubernetes` in another process."""

    def __init__(self, folder: Path, name: str) -> None:
        self.output = folder / name
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                # In the background of a shell SIGINT is ignored, and it ends by it all the same.
                ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "tests.support.kubernetes"],
                cwd=REPOSITORY,
                env={**os.environ, "TMPDIR": str(folder)},
                stdout=output,
                stderr=output,
            )
        self.kubeconfig = Path(until(self._kubeconfig, "it prints how to reach it", PATIENCE))

    def _kubeconfig(self) -> str:
        assert self.process.poll() is None, self.said()
        found = re.search(r"export KUBECONFIG=(\S+)", self.said())
        return "" if found is None else found[1]

    def said(self) -> str:
        return self.output.read_text()

    def nodes(self) -> list[str]:
        kubectl = [str(programs.cached().kubectl), f"--kubeconfig={self.kubeconfig}", "get", "nodes", "-o", "name"]
        return subprocess.check_output(kubectl, text=True).split()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def test_a_killed_one_is_cleaned_by_the_next_start_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    killed = Looking(tmp_path, "killed")
    folder = killed.kubeconfig.parent
    killed.end(signal.SIGKILL)
    left = of(folder)
    ports = set().union(*(listened(process.net_connections("tcp")) for process in left))
    assert {Path(process.exe()).name for process in left} == {"etcd", "kwok", *programs.SERVERS}
    assert len(ports) == 3, ports

    looking = Looking(tmp_path, "looking")
    assert f"ended 5 processes that a killed control plane has left in {folder}" in looking.said()
    assert of(folder) == []
    assert not folder.exists()
    assert len(looking.nodes()) == 6

    assert looking.end(signal.SIGINT) == 0
    assert looking.said().splitlines()[-1] == "ended"
    assert of(looking.kubeconfig.parent) == []
    assert sorted(path.name for path in looking.kubeconfig.parents[1].iterdir()) == [".lock"]
    assert listened(psutil.net_connections("tcp")).isdisjoint(ports)


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[tuple[Issuer, rsa.RSAPrivateKey]]:
    """An issuer that names Entra and publishes its key elsewhere, as a stand-in does; with its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    url, port = "https://sts.windows.net/00000000-0000-0000-0000-0000000000ff/", free_port()
    here = f"https://127.0.0.1:{port}"
    documents = {
        "/.well-known/openid-configuration": {"issuer": url, "jwks_uri": f"{here}/keys"},
        "/keys": {"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]},
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(documents[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write nothing into the test's output."""

    made = certificates.ensure(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server, made.server_key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        discovery = f"{here}/.well-known/openid-configuration"
        yield Issuer(url=url, audiences=[AUDIENCE], ca=made.authority.read_text(), discovery_url=discovery), key
        server.shutdown()


def test_tokens_of_a_trusted_issuer_are_believed_from_then_on(signed: tuple[Issuer, rsa.RSAPrivateKey]) -> None:
    issuer, key = signed
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": AUDIENCE, "oid": "deployer", "groups": ["platform"], "iat": now, "nbf": now}
    token = jwt.encode({**claims, "exp": now + 3600}, key, "RS256", {"kid": "one"})
    foreign = jwt.encode({**claims, "aud": "another", "exp": now + 3600}, key, "RS256", {"kid": "one"})
    with control_plane(programs.cached(), nodes=()) as plane:
        review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        assert plane.request("POST", review, body, token=token).status_code == 401
        plane.trust(issuer)
        answer = until(lambda: accepted(plane.request("POST", review, body, token=token)), "it is believed", PATIENCE)
        user = answer["status"]["userInfo"]
        assert (user["username"], user["groups"]) == ("deployer", ["platform", "system:authenticated"])
        assert plane.request("POST", review, body, token=foreign).status_code == 401
        folder = plane.folder
    assert (of(folder), folder.exists(), folder.parent == root()) == ([], False, True)


def accepted(answer: Any) -> Any:
    return answer.json() if answer.status_code == 201 else None
