"""What access control lacks, and what of it decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from components.mlflow.access import DEFAULT_WORKSPACE, PLATFORM_ADMIN, RESERVED_WORKSPACES
from infra.settings.access import EXAMPLE_ID, AccessMode
from infra.settings.problems import Problems, path

if TYPE_CHECKING:
    from infra.settings.model import Settings


def check(problems: Problems, settings: Settings) -> None:
    """Record what is missing of access control, and what decides nothing."""
    access, teams = settings.access, settings.teams
    ids = {"access.tenantId": access.tenant_id, "access.clientId": access.client_id}
    if access.mode is AccessMode.NONE:
        given: dict[str, object] = {
            **ids,
            "access.groups": access.groups,
            "access.blocked": access.blocked,
            "access.contact": access.contact,
            "teams": teams,
            "shares": settings.shares,
            "quotas": settings.quotas,
        }
        for field, value in given.items():
            if value:
                problems.note(field, value, "only with access.mode entra", problems.remove(field))
        return
    for field, identifier in ids.items():
        if settings.azure is None and identifier is not None:
            allowed = "only on Azure, as a stack on one machine has an Entra of its own"
            problems.note(field, identifier, allowed, problems.remove(field))
        if settings.azure is not None and identifier is None:
            allowed = "a GUID with access.mode entra, that of docs/access.md#the-registration"
            problems.note(field, identifier, allowed, problems.set(field, EXAMPLE_ID))
    _each_fits(problems, "teams", teams, _not_the_platforms_own)
    _each_fits(problems, "access.blocked", access.blocked)
    known = (DEFAULT_WORKSPACE, *teams)
    _shares_name_teams(problems, settings.shares, known)
    _groups_name_teams(problems, access.groups, known)
    for team, quota in settings.quotas.items():
        if team not in known:
            field = path("quotas", team)
            problems.note(field, quota, f"one of {', '.join(known)} as the team", problems.remove(field))


def _not_the_platforms_own(team: str) -> str | None:
    own = (DEFAULT_WORKSPACE, *RESERVED_WORKSPACES)
    return f"another name, as {team} is the platform's own" if team in own else None


def _shares_name_teams(problems: Problems, shares: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
    for share, readers in shares.items():
        field, team = path("shares", share), share.partition("/")[0]
        if team not in known:
            problems.note(field, list(readers), f"one of {', '.join(known)} as the team", problems.remove(field))
            continue
        others = [each for each in known if each != team]
        allowed = f"other teams of the stack: {', '.join(others) or 'there are none'}"
        _each_fits(problems, field, readers, partial(_unless_in, others, allowed))


def _unless_in(known: Sequence[str], allowed: str, value: str) -> str | None:
    return None if value in known else allowed


def _groups_name_teams(problems: Problems, groups: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
    allowed = f"roles in the workspaces {', '.join(known)}"
    for group, roles in groups.items():
        _each_fits(problems, path("access", "groups", group), roles, partial(_role_in, known, allowed))


def _role_in(known: Sequence[str], allowed: str, role: str) -> str | None:
    return None if role == PLATFORM_ADMIN else _unless_in(known, allowed, role.rpartition(".")[0])


def _each_fits(
    problems: Problems, field: str, values: Sequence[str], allowed: Callable[[str], str | None] = lambda _: None
) -> None:
    """Record each item of a list that an earlier one equals, or for which `allowed` has words."""
    for index, value in enumerate(values):
        words = "each of them once" if value in values[:index] else allowed(value)
        if words is not None:
            item = f"{field}[{index}]"
            problems.note(item, value, words, problems.remove(item))
