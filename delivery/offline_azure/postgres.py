"""What Azure Database for PostgreSQL does beside storing its inputs: owners of databases, a server's first minutes.

Sources: hashicorp/terraform-provider-azurerm issue 27895 (databases of `azuresu`), Azure/azure-postgresql issue 127
(AadAuthOperationCannotBePerformedWhenServerIsNotAccessible right after the server is made).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import ADMINISTRATOR, DATABASE, SERVER
from delivery.offline_azure.addresses import own_name
from delivery.offline_azure.errors import RefusedError

AZURE_OWNER: Final = "azuresu"
"""Azure's own superuser. Nobody can act as it, so nobody can grant on its databases or take them over."""

SETTLING_CALLS: Final = 1
"""How many calls for an administrator a new server refuses. On Azure it is a matter of minutes."""

_PASSWORDS: Final = "Enabled"

Resources = Mapping[str, dict[str, Any]]


def noted(type_token: str, identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Any]:
    """Return what Azure knows of a new resource beside its inputs: the owner of a database, that a server settles."""
    if type_token == SERVER:
        return {"settling": SETTLING_CALLS}
    if type_token != DATABASE:
        return {}
    server = resources.get(_server(identifier).lower(), {}).get("inputs", {})
    passwords = (server.get("authConfig") or {}).get("passwordAuth", _PASSWORDS) == _PASSWORDS
    login = server.get("administratorLogin")
    return {"owner": login if passwords and login else AZURE_OWNER}


def not_accessible(type_token: str, identifier: str, resources: Resources) -> RefusedError | None:
    """Return why a server refuses a call for an administrator in its first minutes; count the call."""
    if type_token != ADMINISTRATOR:
        return None
    server = resources.get(_server(identifier).lower(), {})
    if server.get("settling", 0) == 0:
        return None
    server["settling"] -= 1
    message = (
        f"The server '{own_name(_server(identifier))}' is not in an accessible state to perform Azure AD Principal "
        "operation. Please make sure the server is accessible before executing Azure AD Principal operations."
    )
    return RefusedError(409, "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible", message)


def locked_out(job: Mapping[str, Any], resources: Resources) -> list[str]:
    """Return the IDs of the databases that a job names and cannot administer, as they belong to Azure's superuser.

    A job names a server by its host and a database by its name, each in the value of an environment variable.
    """
    values = set(_environment(job))
    hosts = {host for value in values for host in re.findall(r"@([a-z0-9-]+)\.postgres\.database\.azure\.com", value)}
    return [
        str(one["id"])
        for one in resources.values()
        if one.get("owner") == AZURE_OWNER and own_name(one["id"]) in values and own_name(_server(one["id"])) in hosts
    ]


def _environment(job: Mapping[str, Any]) -> Iterator[str]:
    for container in job["body"].get("properties", {}).get("template", {}).get("containers") or []:
        for variable in container.get("env") or []:
            yield str(variable.get("value", ""))


def _server(child: str) -> str:
    """Return the ID of the server that a child belongs to."""
    return child.rsplit("/", 2)[0]
