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
    recorded = graph("dev", bootstrappedBy="bootstrap")
    looked_up = {str(recorded.outputs(f"identity-{role}")["id"]).lower() for role in Role}
    groups = {f"/subscriptions/{key.split('/')[2]}/resourcegroups/rg-mlflow-dev" for key in looked_up}
    assert looked_up | groups <= azure.resources.keys()
    assert len(azure.resources) == len(Role) + 2
