"""Keys and passwords: whoever has one is anybody."""

from __future__ import annotations

from infra.guardrails import types
from infra.guardrails.rule import properties

shared_keys = properties(
    {
        types.STORAGE: {"allowSharedKeyAccess": (False,), "isLocalUserEnabled": (None, False)},
        types.REGISTRY: {"adminUserEnabled": (False,)},
        types.WORKSPACE: {"features.disableLocalAuth": (True,)},
    }
)

database_passwords = properties(
    {types.SERVER: {"authConfig.passwordAuth": ("Disabled",), "authConfig.activeDirectoryAuth": ("Enabled",)}}
)

local_accounts = properties(
    {
        types.CLUSTER: {
            "disableLocalAccounts": (True,),
            "aadProfile.managed": (True,),
            "aadProfile.enableAzureRBAC": (True,),
        }
    }
)

access_policies = properties({types.VAULT: {"properties.enableRbacAuthorization": (True,)}})
