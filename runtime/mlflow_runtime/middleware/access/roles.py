"""Roles in workspaces, from the claims of a token. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, Final

PLATFORM_ADMIN: Final = "Platform.Admin"
"""The app role that makes its holder Admin in every workspace."""


class Role(IntEnum):
    """What a caller is in one workspace; each may all that the one before it may."""

    READER = 1
    CONTRIBUTOR = 2
    REGISTRAR = 3
    ADMIN = 4

    @property
    def title(self) -> str:
        """The word for it in an app role."""
        return self.name.capitalize()


_BY_TITLE: Final = {role.title: role for role in Role}


def values_of(claims: Mapping[str, Any], groups: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the role values of a token: its app roles, or what `groups` makes of its groups if that maps any."""
    if not groups:
        return _texts(claims.get("roles"))
    return [role for group in _texts(claims.get("groups")) for role in groups.get(group, ())]


def has_too_many_groups(claims: Mapping[str, Any]) -> bool:
    """Whether Entra left the groups out, as it does above 200 (Microsoft Learn, "Configure group claims ...").

    A token says so in either of two ways, by the flow that it came by.
    """
    elsewhere = claims.get("_claim_names")
    return "groups" not in claims and ("hasgroups" in claims or (isinstance(elsewhere, dict) and "groups" in elsewhere))


def roles_of(values: Iterable[str], workspaces: Iterable[str]) -> Mapping[str, Role]:
    """Return the highest role in each of `workspaces` that `values` name. Values that mean nothing here count for none.

    An app role may be there for another stack's teams, so an unknown workspace is no mistake of the token.
    """
    names = tuple(workspaces)
    found: dict[str, Role] = {}
    for value in values:
        if value == PLATFORM_ADMIN:
            return dict.fromkeys(names, Role.ADMIN)
        name, _, title = value.rpartition(".")
        role = _BY_TITLE.get(title)
        if role is not None and name in names:
            found[name] = max(role, found.get(name, role))
    return found


def shared_with(own: Mapping[str, Role], shares: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return the workspaces that who has these roles reads as a member of another one.

    What is shared with those is not shared on.
    """
    return frozenset(team for team, readers in shares.items() if team not in own and not own.keys().isdisjoint(readers))


def _texts(claim: Any) -> list[str]:
    return [value for value in claim if isinstance(value, str)] if isinstance(claim, list) else []
