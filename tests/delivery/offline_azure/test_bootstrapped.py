"""What the offline Azure has for a stack that a bootstrap stack has made group and identities for."""

from __future__ import annotations

from pathlib import Path

from components.mlflow.roles import Role
from delivery.offline_azure.bootstrapped import provide
from delivery.offline_azure.cloud import Azure
from tests.support.stacks import graph


def test_all_that_such_a_stack_looks_up_is_there(tmp_path: Path) -> None:
    azure = Azure(tmp_path / "azure.json")
    provide(azure, "dev", "westeurope")
    recorded = graph("dev", bootstrappedBy="bootstrap", compute="aks")
    of_cluster = ["cluster-nodes", "cluster-control-blue", "cluster-control-green"]
    looked_up = {str(recorded.outputs(f"identity-{each}")["id"]).lower() for each in (*Role, *of_cluster)}
    groups = {f"/subscriptions/{key.split('/')[2]}/resourcegroups/rg-mlflow-dev" for key in looked_up}
    assert looked_up | groups <= azure.resources.keys()
    assert len(azure.resources) == len(looked_up) + 2
