"""Lives of stacks with `compute: aks`: the real engine, provider and API server, and the offline Azure."""

from __future__ import annotations

import re

import pytest

from delivery.offline_azure.product import Product
from delivery.offline_azure.rest import BEARER
from delivery.offline_azure.running import NO_CHANGES_EXPECTED, must
from tests.end_to_end.azure.living import Cloud, done, steps
from tests.end_to_end.kubernetes.stacks import (
    CREDENTIALS,
    TOUCHED,
    an_update_of_the_cluster_replaces_neither_it_nor_the_way_in,
    nothing_is_left,
    one_more_replica,
    outputs,
    stack_of,
    timed,
    who_may_only_look_changes_nothing,
)
from tests.support.advice import REPOSITORY
from tests.support.kubernetes.control_plane import ControlPlane
from tests.support.stacks import waived

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1800)]


def lives(plane: ControlPlane, product: Product) -> None:
    """Nothing changes by itself, a setting changes its own alone, a change by hand is found, no credential is kept."""
    namespace = f"mlflow-{product.stack}"
    must(product.preview("--expect-no-changes", "--diff"))

    gateway = plane.get("service", "gateway", "-n", namespace)
    exported = product.run("stack", "export").out
    found = outputs(product)
    assert found["url"] == f"https://{namespace}.internal"
    assert [each["ip"] for each in gateway["status"]["loadBalancer"]["ingress"]] == [found["gateway_address"]]
    assert "kubernetes-token" in exported
    assert CREDENTIALS.findall(exported) == []
    assert not [token for token in (BEARER, *plane.tokens.values()) if token in exported]

    one_more_replica(plane, product)
    assert done(product.up()) == dict.fromkeys(TOUCHED, "updated")

    plane.kubectl("set", "env", "deployment/tracking", "-n", namespace, "MLFLOW_RUNTIME_MAX_IN_FLIGHT=9")
    drifted = product.refresh("--expect-no-changes", "--diff")
    assert drifted.code == NO_CHANGES_EXPECTED, drifted.text
    assert "blue-tracking-pods" in drifted.text


def looked_at_as_the_runbook_says(plane: ControlPlane, stack: str) -> None:
    """Run each kubectl command of docs/runbooks/aks.md as whoever deploys; each finds something."""
    names = {"STACK": stack, "NODE": plane.get("pods", "-n", f"mlflow-{stack}")["items"][0]["spec"]["nodeName"]}
    written = (REPOSITORY / "docs" / "runbooks" / "aks.md").read_text()
    commands = re.findall(r"(?:^|(?<=`))kubectl ([^`\n]+)", written, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        words = re.sub("STACK|NODE", lambda found: names[found[0]], command).split()
        assert plane.kubectl(*words, user="deploy"), command


@pytest.mark.parametrize("stack", [pytest.param("dev", marks=pytest.mark.core), "staging", "prod"])
def test_a_life(cloud: Cloud, plane: ControlPlane, stack: str) -> None:
    product = stack_of(cloud, plane, stack, compute="aks")
    assert set(steps(product.preview("--json")).values()) == {"create"}
    timed(f"up of {stack}", product.up)
    print(f"{stack}: {len(cloud.azure.resources)} resources of Azure")
    looked_at_as_the_runbook_says(plane, stack)
    if stack != "dev":  # a test of test_moves.py has dev's
        who_may_only_look_changes_nothing(cloud, plane, product)
        an_update_of_the_cluster_replaces_neither_it_nor_the_way_in(product)
    lives(plane, product)
    if stack != "dev":
        product.configure(protect="false", waivers=waived("prod-protected") if stack == "prod" else None)
        must(product.up())
    timed(f"destroy of {stack}", product.destroy)
    assert cloud.azure.resources == {}
    nothing_is_left(plane, f"mlflow-{stack}")
