"""How a program reaches an AKS cluster: its address and certificate authority, once who deploys has the rights.

Nothing secret comes of it: a kubeconfig has a command in it by which each caller gets a token of their own. The cluster
has no local accounts, so Azure knows no other.

Sources: azure-rest-api-specs, Microsoft.ContainerService 2025-09-01, ManagedClusters_ListClusterUserCredentials (query
`format`, answer); Kubernetes, "Authorization Overview" (SelfSubjectAccessReview); Microsoft Learn, "Use Azure RBAC for
Kubernetes Authorization" (assignments take up to five minutes), "Use kubelogin to authenticate" (the server's id).
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult
from pulumi.output import Unknown

from components.azure.arm import Arm, ArmError, default_token
from components.compute.dynamic import Provider

API_VERSION = "2025-09-01"
SERVER_APPLICATION = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""Entra's id of every AKS cluster with managed Entra integration: tokens are asked for it."""

SCOPE = f"{SERVER_APPLICATION}/.default"
CREDENTIAL_VERSION = "client.authentication.k8s.io/v1"
"""Of what a command for tokens prints."""

_POLL_SECONDS = 5.0
# An update never grants its own caller a right: whoever lacks one learns it within a minute, however young a new
# assignment is. A new cluster's name is known everywhere before that; from outside of its network it is never reached.
PATIENCE_SECONDS = 45.0
# A preview waits for nobody: what was reached before is, or something is wrong.
PREVIEW_SECONDS = 30.0
_CALL_SECONDS = 10


class ClusterAccessError(RuntimeError):
    """A cluster cannot be reached, or a right is missing. The message says which, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Right:
    """What a caller may do: `verb` on a `resource` of a `group`, in a `namespace` or, without one, in all of it."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""

    @property
    def words(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''} {where}"


def needed(namespace: str) -> Sequence[Right]:
    """Return what an update of a stack does: the rights that stand for all others of the same roles."""
    return (
        Right(verb="create", resource="namespaces"),
        Right(verb="create", resource="validatingadmissionpolicies", group="admissionregistration.k8s.io"),
        Right(verb="create", resource="deployments", group="apps", namespace=namespace),
        Right(verb="create", resource="networkpolicies", group="networking.k8s.io", namespace=namespace),
    )


def looked_at(namespace: str) -> Sequence[Right]:
    """Return what a preview does, which who may only look runs too."""
    return (
        Right(verb="get", resource="namespaces", namespace=namespace),
        Right(verb="get", resource="deployments", group="apps", namespace=namespace),
        Right(verb="get", resource="networkpolicies", group="networking.k8s.io", namespace=namespace),
    )


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a cluster's API server is, and who signs its certificate (PEM, in base64)."""

    server: str
    authority: str


def address(arm: Arm, cluster_id: str) -> Address:
    """Ask Azure where a cluster is. Raises ClusterAccessError."""
    try:
        answer = arm.post(f"{cluster_id}/listClusterUserCredential?api-version={API_VERSION}&format=exec")
    except ArmError as error:
        advice = (
            " Run, with your object id for ID: az role assignment create --role 'Azure Kubernetes Service Cluster User "
            f"Role' --assignee-object-id ID --scope {cluster_id}"
            if error.status == 403
            else ""
        )
        raise ClusterAccessError(f"Cluster {_name(cluster_id)}: its address is not known. {error}.{advice}") from None
    try:
        encoded = answer.body["kubeconfigs"][0]["value"]
        # A kubeconfig is YAML, and Azure's is no JSON.
        import yaml

        cluster = yaml.safe_load(base64.b64decode(encoded))["clusters"][0]["cluster"]
        return Address(server=cluster["server"], authority=cluster["certificate-authority-data"])
    except (LookupError, TypeError, ValueError) as error:
        raise ClusterAccessError(
            f"Cluster {_name(cluster_id)}: Azure's answer has no kubeconfig of the known form ({error}). Run "
            "`az aks get-credentials` to see what it says."
        ) from None


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Asks a cluster whether the caller has rights. `token` gives a token of a scope; clock and sleep are for tests.

    `patience` is for a cluster that is new and for rights that Azure honours some moments late.
    """

    patience: float
    token: Callable[[str], str] = field(default_factory=lambda: default_token)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait(self, cluster_id: str, at: Address, rights: Sequence[Right]) -> None:
        """Wait until the caller has every right. Raises ClusterAccessError when the patience is over."""
        began = self.clock()
        while problem := self._problem(cluster_id, at, rights):
            if self.clock() - began >= self.patience:
                raise ClusterAccessError(problem)
            self.sleep(_POLL_SECONDS)

    def _problem(self, cluster_id: str, at: Address, rights: Sequence[Right]) -> str:
        """What keeps the caller out, in words; empty if nothing does."""
        name = _name(cluster_id)
        try:
            missing = [right.words for right in rights if not self._allowed(at, right)]
        except urllib.error.HTTPError as error:
            return (
                f"Cluster {name}: {at.server} answers {error.code}. Sign in as somebody of the cluster's tenant: "
                "`az login --tenant TENANT`."
            )
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            return (
                f"Cluster {name}: {at.server} cannot be reached ({reason}). A private cluster is reached from its "
                "network or a peer of it only: run this on a machine or a runner that is there. Of a public one, name "
                "this address in its authorized ranges."
            )
        except ArmError as error:
            return f"Cluster {name}: no token for it. {error}"
        if not missing:
            return ""
        role = "RBAC Reader" if all(right.verb == "get" for right in rights) else "RBAC Cluster Admin"
        return (
            f"Cluster {name}: who runs this may not {'; '.join(missing)}. Azure can take five minutes to honour a new "
            "assignment: run this again then. Without one, run, with your object id for ID: az role assignment create "
            f"--role 'Azure Kubernetes Service {role}' --assignee-object-id ID --scope {cluster_id}"
        )

    def _allowed(self, at: Address, right: Right) -> bool:
        attributes = {
            "verb": right.verb,
            "resource": right.resource,
            **({"group": right.group} if right.group else {}),
            **({"namespace": right.namespace} if right.namespace else {}),
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = call(at, self.token(SCOPE), "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        return bool(answer["status"]["allowed"])


def call(at: Address, token: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Return what an API server answers to a GET, or to a POST of `body`. Raises OSError or ValueError without one."""
    request = urllib.request.Request(  # noqa: S310 - an address of Azure's, https
        f"{at.server.rstrip('/')}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    trusted = ssl.create_default_context(cadata=base64.b64decode(at.authority).decode())
    try:
        with urllib.request.urlopen(request, timeout=_CALL_SECONDS, context=trusted) as answer:  # noqa: S310
            return json.loads(answer.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"the answer is broken off ({error!r})") from None


class ClusterAccessProvider(Provider):
    """The way to a cluster. It is looked for again when the cluster is another one, also one of the same name.

    Each preview and update asks the cluster once more: Pulumi's Kubernetes provider says nothing if it cannot
    reach one, and previews from memory. A preview asks for the rights to look alone; what an update lacks, the cluster
    says at the first object. The state holds address, authority and issuer, which are not secret.
    """

    errors = (ClusterAccessError, ArmError)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["clusterId"], self._reached(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._reached(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        # A preview of an update of the cluster does not know its issuer; a cluster that is recreated has no id then.
        compared = ["clusterId"] if isinstance(news.get("issuer"), Unknown) else ["clusterId", "issuer"]
        replaces = [key for key in compared if _folded(olds.get(key)) != _folded(news.get(key))]
        if news.get("beside"):
            self._refuse_another_place(olds, news)
        changes = bool(replaces) or any(olds.get(key) != news.get(key) for key in ("namespace", "ranges"))
        # Ranges that are about to change may be why the cluster is out of reach until then.
        if not replaces and olds.get("ranges") == news.get("ranges"):
            changes = self._looked_at(olds, news["namespace"]) or changes
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def _refuse_another_place(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> None:
        """Refuse another cluster or namespace: what has one name in both would be changed where it is not."""
        with self.message_only():
            if any(_folded(olds[key]) != _folded(news[key]) for key in ("clusterId", "namespace")):
                raise ClusterAccessError(
                    f"Cluster {_name(news['clusterId'])}, namespace {news['namespace']}: got the names of what runs in "
                    f"{olds['clusterId']}, namespace {olds['namespace']}; expected others, as a move takes. "
                    f"{news['beside']}"
                )

    def _looked_at(self, olds: dict[str, Any], namespace: str) -> bool:
        """Ask the cluster where it was; return whether it has another address or authority since, as after a rotation
        of its certificates. Raises ClusterAccessError."""
        at = Address(server=olds["server"], authority=olds["authority"])
        with self.message_only():
            try:
                Reach(patience=PREVIEW_SECONDS).wait(olds["clusterId"], at, looked_at(namespace))
            except ClusterAccessError:
                if not _moved(olds["clusterId"], at):
                    raise
                return True
        return False

    def _reached(self, props: dict[str, Any]) -> dict[str, Any]:
        with self.message_only():
            at = address(Arm(api_version=API_VERSION), props["clusterId"])
            Reach(patience=PATIENCE_SECONDS).wait(props["clusterId"], at, needed(props["namespace"]))
        return props | {"server": at.server, "authority": at.authority}


def _folded(value: Any) -> Any:
    """Azure's ids ignore case."""
    return value.lower() if isinstance(value, str) else value


def _moved(cluster_id: str, at: Address) -> bool:
    """Whether Azure knows another address or authority. Who may not ask learns why the cluster did not answer."""
    try:
        return address(Arm(api_version=API_VERSION, patience=PREVIEW_SECONDS), cluster_id) != at
    except (ClusterAccessError, ArmError):
        return False


class ClusterAccess(Resource, name="ClusterAccess", module="aks"):
    """A cluster that was reached, with every right that an update needs; objects in it depend on this.

    `issuer` is of the cluster: another one means another cluster, also if its name is the same. `ranges` are those from
    which its API server is reached. With `beside`, what a person does for a move, another `cluster_id` (plain then) or
    `namespace` is refused; without it the caller names objects by their cluster.

        access = ClusterAccess("access", cluster_id=cluster.id, issuer=cluster.issuer, namespace="shop")
        provider = kubernetes.Provider("cluster", kubeconfig=access.kubeconfig(["kubelogin", "get-token", ...]), ...)
    """

    server: pulumi.Output[str]
    authority: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        cluster_id: pulumi.Input[str],
        issuer: pulumi.Input[str],
        namespace: str,
        ranges: Sequence[str] = (),
        beside: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "clusterId": cluster_id,
            "issuer": issuer,
            "namespace": namespace,
            "ranges": list(ranges),
            "beside": beside,
            "server": None,
            "authority": None,
        }
        super().__init__(ClusterAccessProvider(), name, inputs, opts)

    def kubeconfig(self, command: Sequence[str]) -> pulumi.Output[str]:
        """The kubeconfig by which each caller signs in as themselves, with what `command` prints."""
        return pulumi.Output.all(self.server, self.authority).apply(
            lambda of: kubeconfig(Address(server=of[0], authority=of[1]), command)
        )


def kubeconfig(at: Address, command: Sequence[str]) -> str:
    """Return a kubeconfig without a credential. `command`, found by PATH, prints an ExecCredential for its caller."""
    name = "cluster"
    plugin = {
        "apiVersion": CREDENTIAL_VERSION,
        "command": command[0],
        "args": [*command[1:]],
        "interactiveMode": "Never",
    }
    cluster = {"server": at.server, "certificate-authority-data": at.authority}
    document: Mapping[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"exec": plugin}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, sort_keys=True)


def _name(cluster_id: str) -> str:
    return cluster_id.rsplit("/", 1)[-1]
