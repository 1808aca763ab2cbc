"""The paths of the types: each is that of the ARM schemas' own table, and every type of the stacks has one."""

from __future__ import annotations

import re

import pytest

from delivery.azure_types import paths
from delivery.azure_types.type_tokens import short, versionless
from tests.support.arm import needs_schemas
from tests.support.arm_schemas import bodies
from tests.support.stacks import STACKS, graph


def anonymous(path: str) -> str:
    """A path with empty braces, but for the resource group's; a scope is a scope under either of its names."""
    path = path.replace("{resourceUri}", "{scope}").replace("blobServices/default", "blobServices/{}")
    return re.sub(r"{(?!resourceGroupName|scope)\w+}", "{}", path).lstrip("/")


def differences(type_token: str, path: str) -> list[str]:
    """What the table of the schemas says otherwise of a type's path."""
    row = bodies.table()[type_token]
    found = []
    if anonymous(path) != (expected := anonymous(row["idTemplate"])):
        found.append(f"{anonymous(path)} is not {expected}")
    own = {"subscriptionId", bodies.name_argument(type_token)}
    if set(paths.inputs(path)) | own != {*row["pathArgs"]} | own:
        found.append(f"{paths.inputs(path)} are not {row['pathArgs']}")
    return found


@needs_schemas
def test_a_path_is_the_one_of_the_schemas_table() -> None:
    known = {token: path for token in bodies.table() if (path := paths.path(token))}
    assert len(known) > 30
    assert {token: found for token, path in known.items() if (found := differences(token, path))} == {}


@needs_schemas
@pytest.mark.parametrize("wrong", ["managedIdentities/{vaultName}", "vaults/{name}", "vaults/{vaultName}/secrets/{a}"])
def test_another_path_is_noticed(wrong: str) -> None:
    token = "azure-native:keyvault:Vault"
    path = paths.path(token)
    assert path is not None
    assert differences(token, path.replace("vaults/{vaultName}", wrong)) != []


@pytest.mark.parametrize("stack", STACKS)
def test_every_type_of_a_stack_has_a_path(stack: str) -> None:
    recorded = graph(stack)
    types = {recorded.type(name) for name in recorded.names if recorded.type(name).startswith("azure-native:")}
    assert types
    assert [token for token in types if paths.path(token) is None] == []


def test_a_token_is_known_with_and_without_its_version() -> None:
    assert short("azure-native:storage/v20240101:StorageAccount") == "storage:StorageAccount"
    assert versionless("azure-native:storage/v20240101:StorageAccount") == "azure-native:storage:StorageAccount"
    assert paths.path("azure-native:cache:Redis") is None
    assert paths.path("random:index/randomId:RandomId") is None
