"""The ACCESS_* settings of a service. Without `ACCESS_MODE=entra` there is no access control at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mlflow_runtime.addresses import split_https
from mlflow_runtime.environment import Reader, is_guid, list_of, variable
from mlflow_runtime.middleware.access.roles import PLATFORM_ADMIN, Role

MODES: Final = ("none", "entra")
AUTHORITY: Final = "https://login.microsoftonline.com"

DEFAULT_WORKSPACE: Final = "default"
"""Where MLflow keeps what was written before there were workspaces. Everybody's workspace if the roles say so."""

# As MLflow 3.17.2 has them: WorkspaceNameValidator in mlflow/store/workspace/abstract_store.py.
_WORKSPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])")
# Some of the names that MLflow allows, so that none needs an escape in a list.
SHARED_MODEL: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\*?"
SHARED_EXPERIMENT: Final = r"[0-9]{1,19}"
RESERVED: Final = frozenset({"workspaces", "api", "ajax-api", "static-files"})


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may sign in, and what their roles mean.

    `shares` has for a workspace the others whose members read it. `shared_models` and `shared_artifacts` have the same
    for a part of it: workspace and registered model, workspace and the experiment whose artifacts are read.

    Tokens are those of `tenant_id` for the application `client_id`, signed by the keys of `authority`. `workspaces` are
    the teams, `default` among them. Roles come from the token's app roles, or from its groups if `groups` maps any:
    group id to its roles, such as `team-a.Reader`. `blocked` are object ids that are refused whatever their token says.
    `contact` is the person or address that a refusal names.
    """

    authority: str
    tenant_id: str
    client_id: str
    workspaces: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    blocked: frozenset[str]
    contact: str
    shares: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shared_models: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    shared_artifacts: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """The issuer of v2.0 tokens (Microsoft Learn, "Access tokens in the Microsoft identity platform")."""
        return f"{self.authority}/{self.tenant_id}/v2.0"

    @property
    def keys_url(self) -> str:
        """Where the tenant's public keys are: `jwks_uri` of its v2.0 discovery document."""
        return f"{self.authority}/{self.tenant_id}/discovery/v2.0/keys"


def read(reader: Reader) -> Access | None:
    """Read the settings; None for `none`, with which all other ACCESS_* settings are refused as not read."""
    if reader.get("ACCESS_MODE", _mode, "none") != "entra":
        return None
    workspaces = (DEFAULT_WORKSPACE, *teams(reader))
    groups = _listed(reader.get("ACCESS_GROUPS", list_of(_group, optional=True)) or ())
    shares = _listed(reader.get("ACCESS_SHARES", list_of(_share, optional=True)) or ())
    owners = {share.partition("/")[0] for share in shares}
    for team in sorted((owners | {each for readers in shares.values() for each in readers}) - {*workspaces}):
        reader.refuse(
            variable("ACCESS_SHARES"), f"there is no workspace {team}; name those of {', '.join(workspaces)} alone."
        )
    for role in sorted({role for roles in groups.values() for role in roles} - {PLATFORM_ADMIN}):
        if (team := role.rpartition(".")[0]) not in workspaces:
            reader.refuse(
                variable("ACCESS_GROUPS"),
                f"the role {role} is in a workspace that does not exist; name one of {', '.join(workspaces)}, or add "
                f"{team} to {variable('ACCESS_TEAMS')}.",
            )
    return Access(
        authority=reader.get("ACCESS_AUTHORITY", _authority, AUTHORITY),
        tenant_id=reader.get("ACCESS_TENANT_ID", _guid),
        client_id=reader.get("ACCESS_CLIENT_ID", _guid),
        workspaces=workspaces,
        groups=groups,
        blocked=frozenset(reader.get("ACCESS_BLOCKED", list_of(_guid, optional=True)) or ()),
        shares={share: readers for share, readers in shares.items() if "/" not in share},
        shared_models=_parts(shares, "models"),
        shared_artifacts=_parts(shares, "artifacts"),
        contact=reader.get("ACCESS_CONTACT", _contact, "the administrators of this platform"),
    )


def teams(reader: Reader) -> tuple[str, ...]:
    """ACCESS_TEAMS: the workspaces beside `default`."""
    found = reader.get("ACCESS_TEAMS", list_of(workspace, optional=True)) or ()
    return tuple(team for team in found if team != DEFAULT_WORKSPACE)


def _listed(pairs: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return what each name of `NAME=VALUE` pairs has."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        found[name] = (*found.get(name, ()), value)
    return found


def _parts(shares: Mapping[str, tuple[str, ...]], kind: str) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Return the readers of each thing of a team, of the shares `TEAM/KIND/THING`."""
    named = ((share.split("/"), readers) for share, readers in shares.items())
    return {(parts[0], parts[2]): readers for parts, readers in named if parts[1:2] == [kind]}


def workspace(text: str) -> str:
    """Parse the name of a workspace, by MLflow's rules."""
    if not _WORKSPACE.fullmatch(text) or text in RESERVED:
        raise ValueError(
            "must be names of 2 to 63 lower-case letters, digits and inner hyphens, separated by commas, such as "
            f"team-a,team-b; not {', '.join(sorted(RESERVED))}."
        )
    return text


def _mode(text: str) -> str:
    if text not in MODES:
        raise ValueError(f"must be {' or '.join(MODES)}.")
    return text


def _guid(text: str) -> str:
    if not is_guid(text):
        raise ValueError("must be a GUID, such as 11111111-1111-1111-1111-111111111111.")
    return text.lower()


def _authority(text: str) -> str:
    parts = split_https(text)
    if parts is None or parts.path not in ("", "/"):
        raise ValueError(f"must be the address of Entra's sign-in, such as {AUTHORITY}.")
    return f"https://{parts.netloc}"


def _group(text: str) -> str:
    identifier, _, role = text.partition("=")
    name, _, level = role.rpartition(".")
    levels = [each.title for each in Role]
    if not is_guid(identifier) or not (role == PLATFORM_ADMIN or (_WORKSPACE.fullmatch(name) and level in levels)):
        raise ValueError(
            f"must be GROUP-ID=ROLE, separated by commas, such as 11111111-1111-1111-1111-111111111111=team-a.Reader; "
            f"ROLE is WORKSPACE.{'|'.join(levels)} or {PLATFORM_ADMIN}."
        )
    return f"{identifier.lower()}={role}"


def _share(text: str) -> str:
    share, _, reader = text.partition("=")
    found = re.fullmatch(rf"({_WORKSPACE.pattern})(?:/models/{SHARED_MODEL}|/artifacts/{SHARED_EXPERIMENT})?", share)
    if found is None or found[1] == reader or not _WORKSPACE.fullmatch(reader):
        raise ValueError(
            "must be TEAM=READER, two workspaces, separated by commas, such as models=team-a,models=team-b; in place "
            "of TEAM also TEAM/models/NAME, where `*` may end a name of letters, digits, `.`, `_` and `-`, and "
            "TEAM/artifacts/EXPERIMENT-ID."
        )
    return text


def _contact(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise ValueError("must be one printable line of at most 200 characters, such as ml-platform@example.com.")
    return text
