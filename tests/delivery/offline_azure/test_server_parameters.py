"""Which server parameters the offline Azure takes, and what a default and a deletion do."""

from __future__ import annotations

import pytest

from components.azure.postgres_args import PARAMETERS
from delivery.offline_azure import server_parameters
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError

CONFIGURATION = "azure-native:dbforpostgresql:Configuration"


@pytest.fixture
def azure(azure: Azure) -> Azure:
    """With a server."""
    placed = {"resourceGroupName": "rg", "location": "westeurope", "serverName": "psql"}
    azure.create("azure-native:dbforpostgresql:Server", placed)
    return azure


def parameter(name: str, value: str) -> dict[str, str]:
    return {"resourceGroupName": "rg", "serverName": "psql", "configurationName": name, "value": value}


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_the_platforms_parameters_can_be_set(azure: Azure, name: str) -> None:
    assert azure.create(CONFIGURATION, parameter(name, PARAMETERS[name]))["inputs"]["value"] == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("log_conections", "ServerParameterDoesNotExist"),
        ("log_connections", "ServerParameterIsReadOnly"),
        ("log_disconnections", "ServerParameterIsReadOnly"),
    ],
)
def test_others_are_refused(azure: Azure, name: str, code: str) -> None:
    with pytest.raises(RefusedError, match=f'Code="{code}".*{name}'):
        azure.create(CONFIGURATION, parameter(name, "on"))


def test_a_default_does_not_undo_a_change_by_hand(azure: Azure) -> None:
    made = azure.create(CONFIGURATION, parameter("log_checkpoints", "on"))["id"]
    azure.change(made, value="off")
    assert azure.update(CONFIGURATION, made, parameter("log_checkpoints", "on"))["inputs"]["value"] == "off"
    other = azure.create(CONFIGURATION, parameter("log_lock_waits", "on"))["id"]
    azure.change(other, value="off")
    assert azure.update(CONFIGURATION, other, parameter("log_lock_waits", "on"))["inputs"]["value"] == "on"


def test_a_deleted_parameter_has_its_default_again(azure: Azure) -> None:
    made = azure.create(CONFIGURATION, parameter("work_mem", "16384"))["id"]
    azure.delete(CONFIGURATION, made)
    assert azure.read(CONFIGURATION, made) is None
    assert server_parameters.PARAMETERS["work_mem"][0] == "4096"
    azure.create(CONFIGURATION, parameter("work_mem", "8192"))
