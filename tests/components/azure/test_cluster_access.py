"""The way to a cluster: what Azure says of it, the rights that are waited for, and no credential anywhere."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.output import Unknown

from components.azure import cluster_access
from components.azure.arm import Answer, Arm, ArmError
from components.azure.cluster_access import (
    Address,
    ClusterAccessError,
    ClusterAccessProvider,
    Reach,
    Right,
    address,
    kubeconfig,
    looked_at,
    needed,
)
from components.emulators import certificates

CLUSTER = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks-dev-blue"
RIGHTS = needed("shop")


def azure(answer: Mapping[str, Any] | ArmError) -> Arm:
    """Azure, which answers this, or refuses."""

    class Azure(Arm):
        def post(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:  # noqa: ARG002 - the signature
            assert path == f"{CLUSTER}/listClusterUserCredential?api-version=2025-09-01&format=exec"
            if isinstance(answer, ArmError):
                raise answer
            return Answer(200, {}, answer)

    return Azure(api_version="", endpoint="https://azure.invalid")


def credentials(cluster: Mapping[str, str]) -> Mapping[str, Any]:
    """As REST reference, "Managed Clusters - List Cluster User Credentials", has it."""
    document = yaml.safe_dump(
        {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {**cluster}}]}
    )
    return {"kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(document.encode()).decode()}]}


def test_azure_says_where_a_cluster_is() -> None:
    found = address(
        azure(credentials({"server": "https://aks.example:443", "certificate-authority-data": "Q0E="})), CLUSTER
    )
    assert found == Address(server="https://aks.example:443", authority="Q0E=")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (ArmError("403 AuthorizationFailed", 403), "Azure Kubernetes Service Cluster User Role"),
        (ArmError("404 ResourceNotFound", 404), "its address is not known. 404"),
        ({"kubeconfigs": []}, "no kubeconfig of the known form"),
        (credentials({"server": "https://aks.example"}), "no kubeconfig of the known form"),
    ],
)
def test_an_address_that_nobody_gets_says_why(answer: Mapping[str, Any] | ArmError, says: str) -> None:
    with pytest.raises(ClusterAccessError, match=f"Cluster aks-dev-blue: .*{says}"):
        address(azure(answer), CLUSTER)


@dataclass
class Server:
    """An API server that answers reviews of access. `denied` are resources that the caller has no right on."""

    denied: set[str] = field(default_factory=set)
    status: int = 201
    asked: list[Mapping[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    at: Address = field(default_factory=lambda: Address(server="", authority=""))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    certificates.ensure(tmp_path)
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            spec = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["spec"]["resourceAttributes"]
            made.asked.append(spec)
            made.tokens.add(self.headers["Authorization"])
            body = json.dumps({"status": {"allowed": spec["resource"] not in made.denied}}).encode()
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    folder = tmp_path / "certificates"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    authority = base64.b64encode((folder / "ca.pem").read_bytes()).decode()
    made.at = Address(server=f"https://127.0.0.1:{listener.server_address[1]}", authority=authority)
    yield made
    listener.shutdown()
    listener.server_close()


@dataclass
class Clock:
    """Time that passes by sleeping alone; `then` happens at the first sleep."""

    now: float = 0.0
    sleeps: int = 0
    then: Any = None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps += 1
        if self.then:
            self.then()


def reach(clock: Clock, patience: float = 60) -> Reach:
    return Reach(patience=patience, token=lambda scope: f"for {scope}", clock=lambda: clock.now, sleep=clock.sleep)


def test_a_cluster_is_reached_when_every_right_is_there(server: Server) -> None:
    clock = Clock()
    reach(clock).wait(CLUSTER, server.at, RIGHTS)
    assert clock.sleeps == 0
    assert server.tokens == {"Bearer for 6dae42f8-4368-4678-94ff-3960e28e3630/.default"}
    assert {"verb": "create", "resource": "deployments", "group": "apps", "namespace": "shop"} in server.asked
    assert {"verb": "create", "resource": "namespaces"} in server.asked


def test_a_right_that_azure_honours_late_is_waited_for(server: Server) -> None:
    server.denied = {"deployments"}
    clock = Clock(then=server.denied.clear)
    reach(clock).wait(CLUSTER, server.at, RIGHTS)
    assert clock.sleeps == 1


def test_a_right_that_does_not_come_is_named_within_a_minute(server: Server) -> None:
    server.denied = {"deployments", "namespaces"}
    clock = Clock()
    with pytest.raises(ClusterAccessError) as refused:
        reach(clock, patience=cluster_access.PATIENCE_SECONDS).wait(CLUSTER, server.at, RIGHTS)
    assert clock.now == cluster_access.PATIENCE_SECONDS < 60
    assert "may not create namespaces in the whole cluster; create deployments.apps in namespace shop" in str(
        refused.value
    )
    assert "Azure Kubernetes Service RBAC Cluster Admin" in str(refused.value)


def test_a_cluster_that_is_out_of_reach_says_where_to_run(server: Server) -> None:
    away = Address(server="https://127.0.0.1:9", authority=server.at.authority)
    with pytest.raises(ClusterAccessError, match=r"cannot be reached .*from its network or a peer of it only"):
        reach(Clock(), patience=0).wait(CLUSTER, away, RIGHTS)


def test_a_cluster_that_does_not_answer_is_given_up_within_a_minute(server: Server) -> None:
    clock = Clock()
    away = Address(server="https://127.0.0.1:9", authority=server.at.authority)
    with pytest.raises(ClusterAccessError, match="cannot be reached"):
        reach(clock, patience=cluster_access.PATIENCE_SECONDS).wait(CLUSTER, away, RIGHTS)
    assert clock.now == cluster_access.PATIENCE_SECONDS < 60


def test_a_server_that_is_not_the_clusters_gets_no_token(server: Server, tmp_path: Path) -> None:
    """Another authority vouches for it: whoever listens there is somebody else."""
    other = tmp_path / "other"
    certificates.ensure(other)
    authority = base64.b64encode((other / "certificates" / "ca.pem").read_bytes()).decode()
    with pytest.raises(ClusterAccessError, match="cannot be reached"):
        reach(Clock(), patience=0).wait(CLUSTER, Address(server=server.at.server, authority=authority), RIGHTS)
    assert server.tokens == set()


def test_a_caller_of_another_tenant_is_sent_to_sign_in(server: Server) -> None:
    server.status = 401
    with pytest.raises(ClusterAccessError, match=r"answers 401\. Sign in as somebody of the cluster's tenant"):
        reach(Clock(), patience=0).wait(CLUSTER, server.at, RIGHTS)


STATE = {"clusterId": CLUSTER, "issuer": "https://issuer/1", "namespace": "shop"}


def test_a_preview_asks_the_cluster_and_a_recreated_one_is_another(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulumi's own provider would preview from memory where it reaches none."""
    asked: list[Any] = []
    monkeypatch.setattr(Reach, "wait", lambda self, *given: asked.append((self.patience, given)))
    olds = {**STATE, "server": server.at.server, "authority": server.at.authority}
    provider = ClusterAccessProvider()
    assert provider.diff(CLUSTER, olds, {**STATE}).changes is False
    assert asked == [(cluster_access.PREVIEW_SECONDS, (CLUSTER, server.at, looked_at("shop")))]
    recreated = provider.diff(CLUSTER, olds, {**STATE, "issuer": "https://issuer/2"})
    assert (recreated.changes, recreated.replaces) == (True, ["issuer"])
    # Who runs it from a new address may not reach the cluster before the update.
    moved = provider.diff(CLUSTER, {**olds, "ranges": ["20.1.2.3/32"]}, {**STATE, "ranges": ["20.1.2.4/32"]})
    assert (moved.changes, moved.replaces) == (True, [])
    assert len(asked) == 1


def test_an_issuer_that_a_preview_does_not_know_is_no_other_cluster(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview of an update knows the inputs of the cluster alone, and an id where the cluster stays."""
    monkeypatch.setattr(Reach, "wait", lambda *_: None)
    olds = {**STATE, "server": server.at.server, "authority": server.at.authority}
    provider = ClusterAccessProvider()
    updated = provider.diff(CLUSTER, olds, {**STATE, "issuer": Unknown()})
    assert (updated.changes, updated.replaces) == (False, [])
    replaced = provider.diff(CLUSTER, olds, {**STATE, "clusterId": Unknown(), "issuer": Unknown()})
    assert (replaced.changes, replaced.replaces) == (True, ["clusterId"])


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, False),
        ({"clusterId": CLUSTER.upper()}, False),
        ({"clusterId": CLUSTER.replace("/rg/", "/rg-other/")}, True),
        ({"namespace": "shop-two"}, True),
    ],
    ids=str,
)
def test_another_place_under_the_same_names_is_refused_with_what_a_move_takes(
    server: Server, monkeypatch: pytest.MonkeyPatch, change: Mapping[str, str], refused: bool
) -> None:
    """Of a cluster of another owner: names of its own a cluster has anyway. The state of an earlier version has it."""
    monkeypatch.setattr(Reach, "wait", lambda *_: None)
    olds = {**STATE, "server": server.at.server, "authority": server.at.authority}
    news = {**STATE, **change}
    assert ClusterAccessProvider().diff(CLUSTER, olds, news).changes is refused
    # A preview does not know the issuer of another cluster.
    for issuer in (STATE["issuer"], Unknown()):
        asked = {**news, "issuer": issuer, "beside": "Run: this"}
        if not refused:
            assert ClusterAccessProvider().diff(CLUSTER, olds, asked).changes is False
            continue
        with pytest.raises(ClusterAccessError, match=rf"runs in {CLUSTER}, namespace shop; .*\. Run: this$"):
            ClusterAccessProvider().diff(CLUSTER, olds, asked)


@pytest.mark.parametrize("said", ["rotated", "the same", "forbidden"])
def test_a_preview_finds_a_new_authority_and_no_other_trouble(
    server: Server, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def out_of_reach(*_: Any) -> None:
        raise ClusterAccessError("Cluster aks-dev-blue: cannot be reached")

    monkeypatch.setattr(Reach, "wait", out_of_reach)
    authority = "cm90YXRlZA==" if said == "rotated" else server.at.authority
    there = credentials({"server": server.at.server, "certificate-authority-data": authority})
    forbidden = ArmError("403 AuthorizationFailed", 403)
    monkeypatch.setattr(cluster_access, "Arm", lambda **_: azure(forbidden if said == "forbidden" else there))
    olds = {**STATE, "server": server.at.server, "authority": server.at.authority}
    if said == "rotated":
        found = ClusterAccessProvider().diff(CLUSTER, olds, {**STATE})
        assert (found.changes, found.replaces) == (True, [])
    else:
        with pytest.raises(ClusterAccessError, match="cannot be reached"):
            ClusterAccessProvider().diff(CLUSTER, olds, {**STATE})


def test_who_may_only_look_gets_the_role_for_it_named(server: Server) -> None:
    server.denied = {"deployments"}
    with pytest.raises(ClusterAccessError, match=r"may not get deployments\.apps .*RBAC Reader' --assignee"):
        reach(Clock()).wait(CLUSTER, server.at, looked_at("shop"))


def test_a_kubeconfig_has_a_command_and_no_credential() -> None:
    document = json.loads(kubeconfig(Address(server="https://aks.example", authority="Q0E="), ["get-token", "--quiet"]))
    ((user),) = (each["user"] for each in document["users"])
    assert user == {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "get-token",
            "args": ["--quiet"],
            "interactiveMode": "Never",
        }
    }


def test_rights_are_said_as_kubectl_writes_them() -> None:
    assert Right(verb="create", resource="pods", namespace="shop").words == "create pods in namespace shop"
