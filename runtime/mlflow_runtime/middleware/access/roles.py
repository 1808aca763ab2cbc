"""Roles in workspaces, from the claims of a token. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
        return _TITLES[self]


_TITLES: Final = {role: role.name.capitalize() for role in Role}
_BY_TITLE: Final = {title: role for role, title in _TITLES.items()}


@dataclass(frozen=True, kw_only=True)
class Part:
    """What of a workspace is shared with a caller who has no role in it.

    `models` are names of registered models, or how names begin with `*` behind it. `experiments` are the ids of those
    whose artifacts are shared.
    """

    models: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()

    def has_model(self, name: str | None) -> bool:
        """Return whether a registered model is among those shared; a request without a name is for none."""
        if not name:
            return False
        return any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in self.models)

    def has_artifacts(self, path: str, workspace: str) -> bool:
        """Return whether a path of artifacts, which leads nowhere upwards, is below a shared experiment's folder.

        By MLflow's rule a path may leave out the folder of its workspace.
        """
        found = re.match(rf"(?:workspaces/{re.escape(workspace)}/)?([0-9]+)(?:/|$)", path)
        return found is not None and found[1] in self.experiments


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


def parts_shared_with(
    own: Mapping[str, Role],
    models: Mapping[tuple[str, str], tuple[str, ...]],
    experiments: Mapping[tuple[str, str], tuple[str, ...]],
) -> Mapping[str, Part]:
    """Return what is shared of each workspace with who has these roles. Both tell the readers of a team's thing."""
    found: dict[str, Part] = {}
    for team in sorted({team for team, _ in (*models, *experiments)} - own.keys()):
        part = Part(models=_read(own, models, team), experiments=_read(own, experiments, team))
        if part != Part():
            found[team] = part
    return found


def _read(own: Mapping[str, Role], shares: Mapping[tuple[str, str], tuple[str, ...]], owner: str) -> tuple[str, ...]:
    return tuple(
        thing for (team, thing), readers in shares.items() if team == owner and not own.keys().isdisjoint(readers)
    )


def _texts(claim: Any) -> list[str]:
    return [value for value in claim if isinstance(value, str)] if isinstance(claim, list) else []
