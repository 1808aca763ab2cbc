"""The program's own values in a stack's file, and nobody else's."""

from __future__ import annotations

from delivery.drift.keep import keep
from delivery.preview.differences import Difference
from delivery.preview.plan import Op, State, Step
from delivery.promote.history import read
from delivery.promote.stack_files import Files
from delivery.pulumi.project import own_values, project_name
from delivery.repository import Repository
from tests.support.plane import REPOSITORY

PROJECT = "mlflow-platform"
VALUES = {
    "profile": "dev",
    "location": "westeurope",
    "tags": {"owner": "a", "costCenter": "b", "dataClassification": "internal"},
    "image": {"digest": "none"},
}
# A provider's values stand in the same file, as docs/azure.md says.
DOCUMENT = {
    "config": {**{f"{PROJECT}:{key}": value for key, value in VALUES.items()}, "azure-native:subscriptionId": "1"}
}


def test_the_projects_values_lose_their_namespace_and_those_of_providers_are_left_out() -> None:
    assert own_values(DOCUMENT, PROJECT) == VALUES
    assert own_values({}, PROJECT) == own_values({"config": None}, PROJECT) == {}
    assert project_name(REPOSITORY) == PROJECT


def test_a_providers_value_is_no_unknown_setting_of_a_promotion() -> None:
    content = f"config:\n  azure-native:subscriptionId: '1'\n  {PROJECT}:profile: dev\n".encode()
    files = Files(repository=Repository(REPOSITORY), commit="HEAD")
    assert files.values("dev", content) == {"profile": "dev"}


def test_of_a_history_no_secret_is_read() -> None:
    config = {
        f"{PROJECT}:profile": {"value": "dev", "secret": False},
        f"{PROJECT}:tags": {"value": '{"owner": "a"}', "secret": False},
        f"{PROJECT}:password": {"value": "v1:x", "secret": True},
        "azure-native:subscriptionId": {"value": "1", "secret": False},
    }
    (update,) = read([{"kind": "update", "config": config}], PROJECT)
    assert update.values == {"profile": "dev", "tags": {"owner": "a"}}


def test_what_azure_has_can_be_kept_beside_a_providers_value() -> None:
    difference = Difference(path="storage.storageSizeGB", before=32, after=64)
    server = "urn:pulumi:dev::mlflow-platform::azure-native:dbforpostgresql:Server::postgres-server"
    step = Step(
        op=Op.UPDATE, urn=server, type="azure-native:dbforpostgresql:Server", before=State(inputs={}), after=None
    )
    found = keep(step, [difference], own_values(DOCUMENT, PROJECT), "dev")
    assert found is not None
    assert (len(found.commands), found.refused) == (1, ())
