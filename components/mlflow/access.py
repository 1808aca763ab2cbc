"""Access control as the services get it: who may sign in, and which teams there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

ROLES: Final = ("Reader", "Contributor", "Registrar", "Admin")
"""Roles in a workspace, the least first; each may all that the one before it may."""

PLATFORM_ADMIN: Final = "Platform.Admin"
"""The app role that makes its holder Admin in every workspace."""

DEFAULT_WORKSPACE: Final = "default"
"""The workspace of every stack. It holds what was written before there was access control."""

RESERVED_WORKSPACES: Final = ("ajax-api", "api", "static-files", "workspaces")
"""Names that MLflow 3.17.2 refuses (WorkspaceNameValidator in mlflow/store/workspace/abstract_store.py)."""


@dataclass(frozen=True, kw_only=True)
class AccessControl:
    """Tokens of Entra decide who is let in.

    They are those of `tenant_id` for the application `client_id`. `teams` are workspaces beside `default`, and `shares`
    has for a workspace, or a part of one as the runtime names it, the others whose members read it. Roles come
    from the token's app roles, or from its groups if `groups` maps any: group id to roles, such as `team-a.Reader`.
    `blocked` are object ids that are refused whatever their token says, `contact` is the address in refusals, and
    `authority` is Entra's address where it is not that of Azure's public cloud.
    """

    tenant_id: str
    client_id: str
    teams: Sequence[str] = ()
    shares: Mapping[str, Sequence[str]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    blocked: Sequence[str] = ()
    contact: str = ""
    authority: str = ""

    def settings(self) -> dict[str, str]:
        """Return the settings of a service by their names, without those that have no value."""
        found = {
            "ACCESS_MODE": "entra",
            "ACCESS_TENANT_ID": self.tenant_id,
            "ACCESS_CLIENT_ID": self.client_id,
            "ACCESS_SHARES": ",".join(f"{team}={each}" for team, readers in self.shares.items() for each in readers),
            "ACCESS_GROUPS": ",".join(f"{group}={role}" for group, roles in self.groups.items() for role in roles),
            "ACCESS_BLOCKED": ",".join(self.blocked),
            "ACCESS_CONTACT": self.contact,
            "ACCESS_AUTHORITY": self.authority,
            **self.workspaces(),
        }
        return {name: value for name, value in found.items() if value}

    def workspaces(self) -> dict[str, str]:
        """Return the setting that says which workspaces there are beside `default`, none if there are none."""
        return {"ACCESS_TEAMS": ",".join(self.teams)} if self.teams else {}
