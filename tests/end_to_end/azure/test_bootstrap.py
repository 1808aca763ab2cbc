"""The bootstrap stack's life on the offline Azure, and the first deployment of a stack that depends on it.

A second file backend stands for the account with the state, and a passphrase for the vault's key.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from delivery.bootstrap.moving import Move
from delivery.bootstrap.places import Here, Target
from delivery.offline_azure.running import REPOSITORY, must
from delivery.pulumi.engine import Engine
from tests.end_to_end.azure.living import Cloud, failed
from tests.support.arm import needs_schemas

pytestmark = [needs_schemas, pytest.mark.timeout(1200)]
DIGEST = "sha256:" + "7" * 64


def checkout(folder: Path) -> Path:
    """The program, with stack files of its own: one stack is to be served."""
    folder.mkdir()
    for name in ("__main__.py", "Pulumi.yaml", "components", "infra"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "stacks").mkdir()
    file = yaml.safe_load((REPOSITORY / "stacks" / "Pulumi.bootstrap.yaml").read_text())
    file["config"]["mlflow-platform:bootstrap"]["stacks"] = ["dev"]
    (folder / "stacks" / "Pulumi.bootstrap.yaml").write_text(yaml.safe_dump(file))
    return folder


def test_a_bootstrap_and_the_first_deployment_on_it(cloud: Cloud, tmp_path: Path) -> None:
    dev, azure = cloud.stack("dev"), cloud.azure
    repository = checkout(tmp_path / "checkout")
    target = Target(backend=f"file://{tmp_path / 'account'}", secrets_provider="passphrase")
    (tmp_path / "account").mkdir()
    here = Here(folder=tmp_path / "here", stack="bootstrap", repository=repository, environment=dev.environment)
    move = Move(here=here, up=lambda at: at.pulumi.must("up", "--yes", "--skip-preview") and None, target=target)
    list(move.run())
    found = move.finished()
    assert found is not None
    outputs = found.outputs
    assert {"state_account", "key_vault", "build_registry_id", "dev_deploy_client_id", "build_client_id"} <= {*outputs}

    # As it is in its account: nothing to do, nothing that differs on Azure, and nothing to be destroyed.
    environment = {**here.environment, "PULUMI_BACKEND_URL": target.backend}
    engine = Engine(folder=repository, environment=environment, options=("--stack", "bootstrap"))
    must(engine.run("preview", "--refresh", "--expect-no-changes"))
    there = dict(azure.resources)
    assert "cannot be deleted" in failed(engine.run("destroy", "--yes"))
    assert azure.resources == there

    # A stack on it is made without a right on the subscription: neither a group nor an identity is created.
    dev.configure(bootstrappedBy="bootstrap", image={"digest": DIGEST, "source": outputs["build_registry_id"]})
    azure.publish(f"{outputs['build_registry_id']}/mlflow-platform@{DIGEST}")
    assert "https://mlflow-gateway." in must(dev.up()).text
    made = [one for key, one in azure.resources.items() if key not in there]
    outside = [one["id"] for one in made if "/resourcegroups/rg-mlflow-dev/" not in one["id"].lower()]
    assert outside == []
    must(dev.preview("--refresh", "--expect-no-changes"))
