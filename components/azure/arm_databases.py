"""Databases that an earlier version made through ARM: forgotten by the engine and left on Azure.

A database that ARM makes on a server without passwords belongs to Azure's own superuser, whose rights nobody has
(hashicorp/terraform-provider-azurerm issue 27895), so no program makes one any more. A stack that has one in its state
would delete it, with its data, as soon as the program no longer names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_azure_native import dbforpostgresql

_DATABASE = "azure-native:dbforpostgresql:Database"


class OlderDatabases:
    """The databases in the prior state of a component, and how they leave it.

    The first `up` registers each once more, with the inputs that it has in the state: nothing of it changes, but it is
    unprotected and retained on deletion from there on. The second `up` no longer names it, so the engine forgets it and
    calls Azure for nothing. A new stack has none of them.

        older = OlderDatabases()
        super().__init__(..., ResourceOptions.merge(opts, ResourceOptions(state_migrations=[older.read])))
        older.retain(self)
    """

    def __init__(self) -> None:
        self._found: list[Mapping[str, Any]] = []

    def read(self, args: pulumi.StateMigrationArgs) -> None:
        """Read the prior state; change nothing in it. The engine calls this before it answers the registration."""
        self._found = [one for one in args.old_state if one["type"] == _DATABASE and not one.get("retainOnDelete")]

    def retain(self, parent: pulumi.Resource) -> None:
        """Register what `read` found as children of `parent`, so that no later `up` deletes it on Azure."""
        # What the state holds is known once the parent is registered, in a preview too. It adds nothing to Azure.
        parent.urn.apply(lambda _: [_retained(one, parent) for one in self._found])


def _retained(state: Mapping[str, Any], parent: pulumi.Resource) -> dbforpostgresql.Database:
    given = {key: value for key, value in state["inputs"].items() if not key.startswith("__")}
    pulumi.log.warn(
        f"database {given['databaseName']!r} was made through ARM by an earlier version. It stays on Azure: this `up` "
        "marks it as retained, and the next one forgets it. From then on the job prepare alone makes databases.",
        parent,
    )
    return dbforpostgresql.Database(
        str(state["urn"]).rsplit("::", 1)[-1],
        database_name=given["databaseName"],
        server_name=given["serverName"],
        resource_group_name=given["resourceGroupName"],
        charset=given.get("charset"),
        collation=given.get("collation"),
        # Not protected: the engine refuses to forget what is.
        opts=pulumi.ResourceOptions(parent=parent, protect=False, retain_on_delete=True),
    )
