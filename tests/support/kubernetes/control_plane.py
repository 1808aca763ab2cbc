"""A real Kubernetes on free ports of 127.0.0.1: etcd, API server, controllers, scheduler, and kwok for the kubelets.

Nodes and pods have no machine behind them: kwok says that they are ready, finish or fail, by its stages (stages.yaml).
Everything else is Kubernetes itself: admission with Pod Security and policies, RBAC, the controllers, the scheduler.
All data is in one folder and goes with it; what a killed owner has left is ended by the next start.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import requests
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from filelock import FileLock, Timeout

from components.emulators import certificates
from tests.support.ports import first_of_free_ports
from tests.support.waiting import until
from tools.kubernetes.programs import Programs

ZONE: Final = "topology.kubernetes.io/zone"
PODS: Final = "100.64.0.0/16"
SERVICES: Final = "100.65.0.0/20"
"""The ranges of pods and services on Azure."""

ADMIN: Final = "admin"
PATIENCE_SECONDS: Final = 120

_STAGES: Final = Path(__file__).with_name("stages.yaml")
_CONTROLLERS, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
# kwok's own stages wait for seconds, to look like a kubelet.
_STAGE_MILLISECONDS: Final = 100
# Pods that an annotation speaks of are left to the stages of this project.
_POD: Final = '.metadata.annotations["kwok.mlflow-platform/pod"]'
_SPOKEN_OF: Final[Mapping[str, Mapping[str, Any]]] = {
    "pod-ready": {"key": _POD, "operator": "NotIn", "values": ["unready", "waiting", "failed"]},
    "pod-complete": {"key": _POD, "operator": "DoesNotExist"},
}


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of kwok. `taints` are as in Kubernetes."""

    name: str
    zone: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    cpu: str = "4"
    memory: str = "16Gi"

    def manifest(self) -> dict[str, Any]:
        """The node as Kubernetes knows it."""
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        size = {"cpu": self.cpu, "memory": self.memory, "ephemeral-storage": "128Gi", "pods": "250"}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": {**labels, ZONE: self.zone, **self.labels}},
            "spec": {"taints": [dict(taint) for taint in self.taints]},
            "status": {"capacity": size, "allocatable": size},
        }


def three_zones(region: str = "westeurope", *, each: int = 2) -> tuple[Node, ...]:
    """Nodes in three zones of an Azure region, `each` in every zone."""
    return tuple(Node(name=f"node-{zone}-{n}", zone=f"{region}-{zone}") for zone in (1, 2, 3) for n in range(each))


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """An issuer of tokens that the API server believes, such as the stand-in for Entra.

    `discovery_url` is where its OpenID configuration is, if not below `url`; `ca` are the certificates in PEM that
    vouch for its address. A token's user is `PREFIX` and the claim `username`, its groups the claim `groups`.
    """

    url: str
    audiences: Sequence[str]
    ca: str
    discovery_url: str | None = None
    username: str = "oid"
    groups: str = "groups"
    prefix: str = ""

    def configuration(self) -> dict[str, Any]:
        """The issuer in the API server's structured configuration."""
        issuer = {
            "url": self.url,
            "audiences": list(self.audiences),
            "audienceMatchPolicy": "MatchAny",
            "certificateAuthority": self.ca,
        }
        if self.discovery_url is not None:
            issuer["discoveryURL"] = self.discovery_url
        claims = {"username": self.username, "groups": self.groups}
        mappings = {name: {"claim": claim, "prefix": self.prefix} for name, claim in claims.items()}
        return {"issuer": issuer, "claimMappings": mappings}


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A running Kubernetes: its address, its folder, and the users that have a token."""

    folder: Path
    programs: Programs
    port: int
    tokens: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """What was started, by the program's name."""

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate in PEM that vouches for the server."""
        return self.folder / "certificates" / "ca.pem"

    @property
    def path(self) -> str:
        """A PATH on which the provider and kubectl come first."""
        return os.pathsep.join([*map(str, self.programs.folders), os.environ.get("PATH", "")])

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """The file by which kubectl and the provider reach the server as this user."""
        return self.folder / f"{user.replace(':', '-')}.kubeconfig"

    def kubectl(self, *arguments: str, user: str = ADMIN, given: str | None = None) -> str:
        """Run kubectl to its end and return what it wrote. Raises AssertionError with its words if it failed."""
        own = [f"--kubeconfig={self.kubeconfig(user)}", f"--cache-dir={self.folder / 'kubectl'}"]
        done = subprocess.run(
            [self.programs.kubectl, *own, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *manifests: Mapping[str, Any], user: str = ADMIN) -> str:
        """Create or change objects by server-side apply, and return what kubectl wrote."""
        objects = {"apiVersion": "v1", "kind": "List", "items": [dict(manifest) for manifest in manifests]}
        return self.kubectl("apply", "--server-side", "-f", "-", user=user, given=json.dumps(objects))

    def get(self, *arguments: str, user: str = ADMIN) -> Any:
        """An object or a list of objects, as `kubectl get` names it."""
        return json.loads(self.kubectl("get", "-o", "json", *arguments, user=user))

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str | None = None
    ) -> requests.Response:
        """Call the API server with a token; the administrator's if none is given."""
        bearer = self.tokens[ADMIN] if token is None else token
        return requests.request(
            method,
            f"{self.server}{path}",
            json=body,
            headers={"Authorization": f"Bearer {bearer}"},
            verify=str(self.ca),
            timeout=PATIENCE_SECONDS,
        )

    def trust(self, *issuers: Issuer) -> None:
        """Believe these issuers, and no other, from now on: some ten seconds, by the poll of the server itself."""
        before = self._reloads()
        _write_authentication(self.folder, issuers)
        until(lambda: self._reloads() > before, "the API server reads its issuers again", PATIENCE_SECONDS, pause=0.5)

    def _reloads(self) -> float:
        """How often the server has read its issuers again, by its own count of those that went well."""
        name = "apiserver_authentication_config_controller_automatic_reloads_total{"
        lines = self.request("GET", "/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and 'status="success"' in line)

    def alive(self) -> bool:
        """True. Raises AssertionError with the last words of a program that has ended."""
        for name, process in self.processes.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.log(name)[-3000:]}"
        return True

    def log(self, program: str) -> str:
        """What a program has written."""
        return (self.folder / f"{program}.log").read_text(errors="replace")


@contextlib.contextmanager
def control_plane(
    programs: Programs,
    *,
    users: Mapping[str, Sequence[str]] | None = None,
    nodes: Sequence[Node] = three_zones(),
    issuers: Sequence[Issuer] = (),
    tokens: Mapping[str, str] | None = None,
) -> Iterator[ControlPlane]:
    """A Kubernetes that is ready, until the end of the block. `users` are names with their groups.

    `tokens` are those of users that another one has, too. The user `admin` may do everything, and what others may do is
    said by RBAC.
    """
    with _owned_folder() as folder:
        groups: dict[str, Sequence[str]] = {ADMIN: ["system:masters"], _CONTROLLERS: [], _SCHEDULER: []}
        groups |= users or {}
        known = {user: secrets.token_hex(16) for user in groups} | {**(tokens or {})}
        made = ControlPlane(folder=folder, programs=programs, port=first_of_free_ports(3), tokens=known)
        try:
            _prepare(made, groups, issuers)
            _start(made)
            _add_nodes(made, nodes)
            yield made
        finally:
            _end([psutil.Process(process.pid) for process in made.processes.values() if process.poll() is None])
            for process in made.processes.values():
                process.wait()


def _prepare(plane: ControlPlane, groups: Mapping[str, Sequence[str]], issuers: Sequence[Issuer]) -> None:
    """Write keys, certificates, tokens, kubeconfigs, issuers and stages."""
    certificates.ensure(plane.folder)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (plane.folder / "service-accounts.key").write_bytes(private)
    (plane.folder / "service-accounts.pub").write_bytes(public)
    with (plane.folder / "tokens.csv").open("w", newline="") as file:
        csv.writer(file).writerows([plane.tokens[user], user, user, ",".join(groups[user])] for user in groups)
    for user in groups:
        plane.kubeconfig(user).write_text(yaml.safe_dump(_kubeconfig(plane, user)))
    _write_authentication(plane.folder, issuers)
    (plane.folder / "stages.yaml").write_text(yaml.safe_dump_all(_stages(plane.programs)))


def _kubeconfig(plane: ControlPlane, user: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "kwok", "cluster": {"server": plane.server, "certificate-authority": str(plane.ca)}},
        ],
        "users": [{"name": user, "user": {"token": plane.tokens[user]}}],
        "contexts": [{"name": "kwok", "context": {"cluster": "kwok", "user": user}}],
        "current-context": "kwok",
    }


def _write_authentication(folder: Path, issuers: Sequence[Issuer]) -> None:
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [issuer.configuration() for issuer in issuers],
    }
    staged = folder / "authentication.yaml.new"
    staged.write_text(yaml.safe_dump(document))
    staged.replace(folder / "authentication.yaml")


def _stages(programs: Programs) -> list[dict[str, Any]]:
    """kwok's own stages without their waiting, and those of this project."""
    own = [yaml.safe_load(file.read_text()) for file in sorted((programs.kwok / "stages").rglob("*.yaml"))]
    for stage in own:
        if stage["spec"]["resourceRef"]["kind"] == "Pod":
            stage["spec"]["delay"] = {"durationMilliseconds": _STAGE_MILLISECONDS}
        if (condition := _SPOKEN_OF.get(stage["metadata"]["name"])) is not None:
            stage["spec"]["selector"]["matchExpressions"].append(dict(condition))
    return [*own, *yaml.safe_load_all(_STAGES.read_text())]


def _start(plane: ControlPlane) -> None:
    """Start the programs and wait until the API server says that it is ready."""
    folder, servers = plane.folder, plane.programs.control_plane
    etcd, peer = (f"http://127.0.0.1:{plane.port + offset}" for offset in (1, 2))
    _run(
        plane,
        servers / "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    )
    _run(
        plane,
        servers / "kube-apiserver",
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",  # the Service `kubernetes` may not point to a loopback address
        f"--secure-port={plane.port}",
        f"--tls-cert-file={folder / 'certificates' / 'server.pem'}",
        f"--tls-private-key-file={folder / 'certificates' / 'server.key'}",
        f"--service-cluster-ip-range={SERVICES}",
        f"--service-account-issuer={plane.server}",
        f"--service-account-key-file={folder / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={folder / 'service-accounts.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--authentication-config={folder / 'authentication.yaml'}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",  # as on Azure: Pod Security refuses it, and says so
        "--profiling=false",
    )
    until(
        lambda: plane.alive() and plane.request("GET", "/readyz").ok,
        "the API server is ready",
        PATIENCE_SECONDS,
        not_yet=(requests.ConnectionError,),
    )
    _run(
        plane,
        servers / "kube-controller-manager",
        f"--kubeconfig={plane.kubeconfig(_CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--service-account-private-key-file={folder / 'service-accounts.key'}",
        f"--root-ca-file={plane.ca}",
        "--use-service-account-credentials",  # each controller has rights of its own
        "--node-monitor-grace-period=10m",  # a busy machine is no failed node
    )
    _run(
        plane,
        servers / "kube-scheduler",
        f"--kubeconfig={plane.kubeconfig(_SCHEDULER)}",
        "--leader-elect=false",
        "--secure-port=0",
    )
    _run(
        plane,
        plane.programs.kwok / "kwok",
        f"--kubeconfig={plane.kubeconfig()}",
        f"--config={folder / 'stages.yaml'}",
        "--manage-all-nodes=true",
        f"--cidr={PODS}",
        "--node-ip=10.0.0.1",
        "--node-port=0",
    )


def _run(plane: ControlPlane, program: Path, *arguments: str) -> None:
    with (plane.folder / f"{program.name}.log").open("wb") as log:
        plane.processes[program.name] = subprocess.Popen(
            [program, *arguments],
            cwd=plane.folder,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(plane.folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the owner alone, which ends them
        )


def _add_nodes(plane: ControlPlane, nodes: Sequence[Node]) -> None:
    """Create the nodes, and wait until pods are scheduled to them and have a service account."""
    for node in nodes:
        answer = plane.request("POST", "/api/v1/nodes", node.manifest())
        assert answer.ok, answer.text
    until(lambda: plane.alive() and _are_ready(plane, nodes), "the nodes are ready", PATIENCE_SECONDS)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    until(lambda: plane.request("GET", account).ok, "the service account of the default namespace", PATIENCE_SECONDS)


def _are_ready(plane: ControlPlane, nodes: Sequence[Node]) -> bool:
    ready = 0
    for node in plane.request("GET", "/api/v1/nodes").json()["items"]:
        conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", [])}
        taints = {taint["key"] for taint in node["spec"].get("taints", [])}
        ready += conditions.get("Ready") == "True" and "node.kubernetes.io/not-ready" not in taints
    return ready >= len(nodes)


def root() -> Path:
    """The folder of every control plane of this user."""
    return Path(tempfile.gettempdir()) / f"mlflow-platform-kubernetes-{os.getuid()}"


@contextlib.contextmanager
def _owned_folder() -> Iterator[Path]:
    """A new folder that is this process's own until the end of the block, and then gone."""
    clean_leftovers()
    with _guarded():
        folder = Path(tempfile.mkdtemp(prefix="plane-", dir=root()))
        owner = FileLock(_owner(folder))
        owner.acquire()
    try:
        yield folder
    finally:
        with _guarded():
            shutil.rmtree(folder)
            owner.release()
            _owner(folder).unlink()


def clean_leftovers() -> list[str]:
    """End what killed owners have left running, remove its files, and return one line for each folder."""
    said = []
    root().mkdir(mode=0o700, exist_ok=True)
    with _guarded():
        for folder in sorted(root().glob("plane-*")):
            if not folder.is_dir():
                continue
            try:
                with FileLock(_owner(folder), timeout=0):
                    left = [process for process in psutil.process_iter(["cmdline"]) if _is_of(process, folder)]
                    _end(left)
                    shutil.rmtree(folder)
                    said.append(f"ended {len(left)} processes that a killed control plane has left in {folder}")
            except Timeout:
                continue
            _owner(folder).unlink()
    return said


def _guarded() -> FileLock:
    """Held while folders of control planes are made and removed."""
    return FileLock(root() / ".lock", timeout=PATIENCE_SECONDS)


def _owner(folder: Path) -> Path:
    """The lock that the owner of a folder holds as long as it lives."""
    return folder.with_name(f"{folder.name}.owner")


def _is_of(process: psutil.Process, folder: Path) -> bool:
    """Whether this program of a control plane was started for the folder: it is in its arguments."""
    return any(f"={folder}/" in argument for argument in process.info["cmdline"] or ())


def _end(processes: Sequence[psutil.Process]) -> None:
    """End them at once: their data goes as well."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
