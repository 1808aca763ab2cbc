"""What the tests' Kubernetes does as a cluster of Azure would: zones, rights, admission, roll-outs, addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.end_to_end.kubernetes.objects import deployment, job, namespace, pod
from tests.support.kubernetes.control_plane import ZONE, ControlPlane
from tests.support.waiting import T, until
from tools.kubernetes import programs

PATIENCE = 120


def eventually(probe: Callable[[], T], what: str, *, not_yet: tuple[type[Exception], ...] = ()) -> T:
    """Return the first true value of a probe that runs kubectl."""
    return until(probe, what, PATIENCE, not_yet=not_yet, pause=0.3)


@pytest.fixture
def space(kubernetes: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test, with Pod Security `restricted`."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    kubernetes.apply(namespace(name))
    account = ("serviceaccounts", "-n", name, "--field-selector=metadata.name=default")
    eventually(lambda: kubernetes.get(*account)["items"], "the namespace's service account")
    yield name
    kubernetes.kubectl("delete", "namespace", name, "--wait=false")


def pods(kubernetes: ControlPlane, space: str) -> list[dict[str, Any]]:
    found = kubernetes.get("pods", "-n", space)["items"]
    return [one for one in found if "deletionTimestamp" not in one["metadata"]]


def ready(one: dict[str, Any]) -> bool:
    return {"type": "Ready", "status": "True"}.items() <= next(
        (condition for condition in one["status"].get("conditions", []) if condition["type"] == "Ready"), {}
    ).items()


def refusal(kubernetes: ControlPlane, *arguments: str, **given: str) -> str:
    """What kubectl says of a command that is refused."""
    with pytest.raises(AssertionError) as refused:
        kubernetes.kubectl(*arguments, **given)
    return str(refused.value)


def test_the_version_is_the_pinned_one_and_nodes_are_in_three_zones(kubernetes: ControlPlane) -> None:
    assert kubernetes.request("GET", "/version").json()["gitVersion"] == f"v{programs.version()}"
    zones = [node["metadata"]["labels"][ZONE] for node in kubernetes.get("nodes")["items"]]
    assert sorted(zones) == sorted(2 * ["westeurope-1", "westeurope-2", "westeurope-3"])


def test_a_user_may_do_what_rbac_says_and_no_more(kubernetes: ControlPlane, space: str) -> None:
    words = refusal(kubernetes, "get", "pods", "-n", space, user="alice")
    assert 'User "alice" cannot list resource "pods"' in words
    kubernetes.kubectl("create", "rolebinding", "team", "--clusterrole=view", "--group=team", "-n", space)
    assert pods(kubernetes, space) == []
    eventually(
        lambda: kubernetes.kubectl("get", "pods", "-n", space, user="alice") == "",
        "the group may look",
        not_yet=(AssertionError,),
    )
    words = refusal(kubernetes, "create", "configmap", "x", "-n", space, user="alice")
    assert 'User "alice" cannot create resource "configmaps"' in words


def test_a_pod_that_breaks_restricted_is_refused_with_the_reason(kubernetes: ControlPlane, space: str) -> None:
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest": allowPrivilegeEscalation'):
        kubernetes.apply(pod(space, "open", restricted=False))


def test_an_admission_policy_refuses_an_image_without_digest(kubernetes: ControlPlane, space: str) -> None:
    group = "admissionregistration.k8s.io/v1"
    expression = "object.spec.containers.all(c, c.image.contains('@sha256:'))"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": space}}
    kubernetes.apply(
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": space},
            "spec": {
                "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
                "validations": [{"expression": expression, "message": "name the image by digest"}],
            },
        },
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": space},
            "spec": {"policyName": space, "validationActions": ["Deny"]},
        },
    )
    try:
        # The policy is compiled some moments after it was created.
        path = f"/api/v1/namespaces/{space}/pods?dryRun=All"
        tagged = pod(space, "tagged", image="registry.example/mlflow:latest")
        eventually(lambda: "name the image by digest" in kubernetes.request("POST", path, tagged).text, "it refuses")
        kubernetes.apply(pod(space, "pinned"))
    finally:
        for kind in ("validatingadmissionpolicy", "validatingadmissionpolicybinding"):
            kubernetes.kubectl("delete", kind, space)


def test_a_roll_out_whose_pods_are_not_ready_stops_and_the_old_ones_serve(kubernetes: ControlPlane, space: str) -> None:
    kubernetes.apply(deployment(space, "tracking", replicas=3))
    kubernetes.kubectl("rollout", "status", "deployment/tracking", "-n", space, "--timeout=120s")
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"][ZONE] for node in kubernetes.get("nodes")["items"]}
    assert len({nodes[one["spec"]["nodeName"]] for one in pods(kubernetes, space)}) == 3

    kubernetes.apply(deployment(space, "tracking", replicas=3, annotations={"kwok.mlflow-platform/pod": "unready"}))
    events = ("events", "-n", space, "--field-selector=reason=Unhealthy")
    eventually(lambda: kubernetes.get(*events)["items"], "the new pod's probe fails")
    found = pods(kubernetes, space)
    assert (len(found), sum(map(ready, found))) == (4, 3)

    kubernetes.apply(deployment(space, "tracking", replicas=3))
    kubernetes.kubectl("rollout", "status", "deployment/tracking", "-n", space, "--timeout=120s")
    eventually(lambda: list(map(ready, pods(kubernetes, space))) == [True] * 3, "back")


def test_a_pod_can_become_unready_and_ready_again(kubernetes: ControlPlane, space: str) -> None:
    kubernetes.apply(pod(space, "gateway"))
    eventually(lambda: list(map(ready, pods(kubernetes, space))) == [True], "ready")
    kubernetes.kubectl("annotate", "pod", "gateway", "-n", space, "kwok.mlflow-platform/pod=unready")
    eventually(lambda: list(map(ready, pods(kubernetes, space))) == [False], "unready")
    kubernetes.kubectl("annotate", "pod", "gateway", "-n", space, "kwok.mlflow-platform/pod-")
    eventually(lambda: list(map(ready, pods(kubernetes, space))) == [True], "ready again")


def test_a_pod_that_does_not_start_says_its_reason(kubernetes: ControlPlane, space: str) -> None:
    said = {"pod": "waiting", "reason": "ImagePullBackOff", "message": "no such digest"}
    annotations = {f"kwok.mlflow-platform/{name}": value for name, value in said.items()}
    kubernetes.apply(pod(space, "registry", annotations=annotations))

    def waiting() -> dict[str, str]:
        (found,) = pods(kubernetes, space)
        statuses = found["status"].get("containerStatuses", [{}])
        state: dict[str, str] = statuses[0].get("state", {}).get("waiting", {})
        return state

    eventually(lambda: waiting() == {"reason": "ImagePullBackOff", "message": "no such digest"}, "it waits")


def test_a_job_completes_and_one_that_fails_keeps_its_last_words(kubernetes: ControlPlane, space: str) -> None:
    said = {"pod": "failed", "exit-code": "3", "message": "schema is newer than the image"}
    annotations = {f"kwok.mlflow-platform/{name}": value for name, value in said.items()}
    kubernetes.apply(job(space, "good"), job(space, "bad", annotations=annotations))
    kubernetes.kubectl("wait", "job/good", "--for=condition=complete", "-n", space, "--timeout=120s")
    kubernetes.kubectl("wait", "job/bad", "--for=condition=failed", "-n", space, "--timeout=120s")
    (failed,) = kubernetes.get("pods", "-n", space, "-l", "job-name=bad")["items"]
    ended = failed["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (3, "schema is newer than the image")


def test_a_budget_holds_while_a_zone_is_drained(kubernetes: ControlPlane, space: str) -> None:
    kubernetes.apply(
        deployment(space, "gateway", replicas=3),
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "gateway", "namespace": space},
            "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "gateway"}}},
        },
    )
    kubernetes.kubectl("rollout", "status", "deployment/gateway", "-n", space, "--timeout=120s")
    eventually(
        lambda: kubernetes.get("pdb", "gateway", "-n", space)["status"].get("currentHealthy") == 3,
        "the budget has counted",
    )
    drain = ("drain", "-l", f"{ZONE}=westeurope-1", "--pod-selector=app=gateway", "--timeout=3s")
    try:
        assert "Cannot evict pod as it would violate the pod's disruption budget" in refusal(kubernetes, *drain)
        kubernetes.kubectl(
            "patch", "pdb", "gateway", "-n", space, "--type=merge", "-p", '{"spec": {"minAvailable": 2}}'
        )
        kubernetes.kubectl(*drain[:-1], "--timeout=120s")
    finally:
        kubernetes.kubectl("uncordon", "-l", f"{ZONE}=westeurope-1")


def test_a_service_gets_the_address_that_it_asks_for_and_the_pods_behind_it(
    kubernetes: ControlPlane, space: str
) -> None:
    annotation = {"service.beta.kubernetes.io/azure-load-balancer-ipv4": "10.20.0.200"}
    kubernetes.apply(
        pod(space, "gateway"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "gateway", "namespace": space, "annotations": annotation},
            "spec": {"type": "LoadBalancer", "selector": {"app": "gateway"}, "ports": [{"port": 443}]},
        },
    )
    eventually(
        lambda: (
            kubernetes.get("service", "gateway", "-n", space)["status"]["loadBalancer"].get("ingress", [{}])[0]["ip"]
            == "10.20.0.200"
        ),
        "the address",
        not_yet=(KeyError,),
    )
    slices = ("endpointslices", "-n", space, "-l", "kubernetes.io/service-name=gateway")
    eventually(lambda: kubernetes.get(*slices)["items"][0]["endpoints"], "the pod behind it", not_yet=(LookupError,))
