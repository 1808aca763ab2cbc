"""The policy pack, started and obeyed by the real engine on the offline Azure.

The language host that is built from Go modules is older than the engine and starts no policy pack from its folder: that
way is shown by the command alone that the official host runs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import analyzer_pb2_grpc

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import Product
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.pulumi.installation import REPOSITORY
from tests.support.engine import Program, served

PACK = REPOSITORY / "delivery" / "policy_pack"
OPTION = ("--policy-pack", str(PACK / "__main__.py"))
AS_DOCUMENTED = ("--policy-pack", "delivery/policy_pack/__main__.py")
# A program of somebody else's, which no rule of the product's own program looks at.
SOURCE = """
from pulumi_azure_native import resources, storage

group = resources.ResourceGroup("group", resource_group_name="rg-other", location="westeurope", tags={"owner": "me"})
storage.StorageAccount(
    "account",
    resource_group_name=group.name,
    account_name="stother7f3a",
    location="westeurope",
    kind=storage.Kind.STORAGE_V2,
    sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
    allow_shared_key_access=True,
)
"""


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path / "azure.json")


def test_the_engine_stops_where_a_rule_is_broken(azure: Azure, tmp_path: Path) -> None:
    with served(azure) as port:
        program = Program.written(tmp_path, SOURCE, port)
        previewed = program.preview(*OPTION)
        assert previewed.code != 0
        assert "[mandatory]  shared-keys" in previewed.text, previewed.text
        assert "account.allowSharedKeyAccess: 'true' is not allowed; allowed: false." in previewed.text
        assert "docs/guardrails.md#shared-keys" in previewed.text
        up = program.up(*OPTION)
        # It stops at the first resource, which lacks its tags.
        assert up.code != 0
        assert "[mandatory]  missing-tags" in up.text
        assert "Traceback" not in up.text
    assert azure.resources == {}


def test_a_stack_of_the_product_passes(azure: Azure, tmp_path: Path) -> None:
    server, port = serve(azure)
    management = ManagementApi(azure)
    try:
        result = Product(tmp_path, "dev", port, management.url).preview(*AS_DOCUMENTED)
    finally:
        server.stop(None)
        management.close()
    assert result.code == 0, result.text
    assert "mlflow-platform@v1.0.0" in result.text
    assert "mandatory" not in result.text
    assert (
        " ".join(("pulumi preview", *AS_DOCUMENTED, "-s prod")) in (REPOSITORY / "docs" / "guardrails.md").read_text()
    )


@pytest.fixture
def started() -> Iterator[str]:
    """The first line of the pack, started as the official Python host does it."""
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(PACK)]
    process = subprocess.Popen(command, cwd=PACK, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline()
    process.kill()
    process.wait()


def test_the_official_host_finds_the_pack_at_its_port(started: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{int(started)}") as channel:
        info = analyzer_pb2_grpc.AnalyzerStub(channel).GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "mlflow-platform"
