"""The bootstrap stack's life on the offline Azure, and the first deployment of a stack that depends on it.

Azurite stands for the account with the state, by the engine's own azblob:// backend, and a passphrase for the vault's
key: a sign-in by identity and a vault are out of reach here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from delivery.bootstrap.moving import Move
from delivery.bootstrap.places import Here, Target
from delivery.offline_azure.running import REPOSITORY, must
from delivery.pulumi.engine import Engine
from tests.end_to_end.azure.living import Cloud, failed
from tests.support import blob_backend
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


@pytest.fixture
def blobs() -> Iterator[ExitStack]:
    """Ends what a test enters."""
    with ExitStack() as opened:
        yield opened


def test_a_bootstrap_and_the_first_deployment_on_it(cloud: Cloud, tmp_path: Path, blobs: ExitStack) -> None:
    dev, azure = cloud.stack("dev"), cloud.azure
    repository = checkout(tmp_path / "checkout")
    backend = blobs.enter_context(blob_backend.served(tmp_path / "blobs", "pulumi-bootstrap"))
    target = Target(backend=backend.url, secrets_provider="passphrase")
    environment = {**dev.environment, **backend.environment}
    here = Here(folder=tmp_path / "here", stack="bootstrap", repository=repository, environment=environment)
    move = Move(here=here, up=lambda at: at.pulumi.must("up", "--yes", "--skip-preview") and None, target=target)
    list(move.run())
    found = move.finished()
    assert found is not None
    outputs = found.outputs
    assert {"state_account", "key_vault", "build_registry_id", "dev_deploy_client_id", "build_client_id"} <= {*outputs}

    # As it is in its account: nothing to do, nothing that differs on Azure, and nothing to be destroyed.
    at = {**environment, "PULUMI_BACKEND_URL": target.backend}
    engine = Engine(folder=repository, environment=at, options=("--stack", "bootstrap"))
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
