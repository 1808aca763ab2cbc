"""A lock on a resource whose loss would be a loss of data."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import authorization

LOCK_NAME = "do-not-delete"

_NOTES = "Holds data. Taken off by the program alone: set protect to false, run an up, then delete."


def lock(
    name: str, *, scope: pulumi.Input[str], parent: pulumi.Resource, over: Sequence[pulumi.Resource] = ()
) -> authorization.ManagementLockByScope:
    """Make Azure refuse the deletion of a resource and of everything under it, whoever asks.

    Pulumi's own `protect` holds for this program only; the lock holds for the portal, the CLI and other programs too.
    It says nothing about contents: rows, blobs and secrets are kept by backups, versions and soft delete. While it is
    there, Azure also refuses to delete what has the resource as its scope, such as a role assignment. So a stack with
    locks is taken down in two steps: an `up` with `protect` off, which removes the locks, and then the `destroy`.
    `over` are the resources under the locked one, and those that have it as their scope, such as its diagnostic
    setting. The deploying identity needs Microsoft.Authorization/locks/* (`AzureRole.LOCKS_CONTRIBUTOR`).

        lock("vault-lock", scope=vault.id, parent=self, over=[setting])

    Source: Microsoft Learn, "Lock your resources to protect your infrastructure".
    """
    return authorization.ManagementLockByScope(
        name,
        lock_name=LOCK_NAME,
        scope=scope,
        level=authorization.LockLevel.CAN_NOT_DELETE,
        notes=_NOTES,
        # Hidden edge: what is made after them is deleted before them, so the lock is gone when their turn comes.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(over)),
    )
