"""Who is let in at the gateway of a stack, and its teams. Importing it loads no Pulumi."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from components.mlflow.access import DEFAULT_WORKSPACE, PLATFORM_ADMIN, RESERVED_WORKSPACES, ROLES
from infra.settings.fields import Section, Whole, described, text

_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GUID_WORDS = "a GUID in lower case, as in 11111111-1111-1111-1111-111111111111"
EXAMPLE_ID = "11111111-1111-1111-1111-111111111111"

# As MLflow has them: WorkspaceNameValidator in mlflow/store/workspace/abstract_store.py, version 3.17.2.
_NAME = r"[a-z0-9][-a-z0-9]{0,61}[a-z0-9]"
_NAME_WORDS = (
    "names of 2 to 63 lower-case letters, digits and inner hyphens, as in team-a; not "
    f"{', '.join((*RESERVED_WORKSPACES, DEFAULT_WORKSPACE))}"
)
# pydantic's expressions know no look-ahead: that of the reserved names is in access_rules.
_ROLE = rf"{_NAME}\.(?:{'|'.join(ROLES)})|{PLATFORM_ADMIN.replace('.', '[.]')}"
_ROLE_WORDS = f"WORKSPACE.{'|'.join(ROLES)} or {PLATFORM_ADMIN}"

# As the runtime has them: SHARED_MODEL and SHARED_EXPERIMENT of its middleware/access/settings.py.
SHARED_MODEL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\*?"
SHARED_EXPERIMENT = r"[0-9]{1,19}"

Guid = Annotated[str, Field(pattern=f"^{_GUID}$")]
TeamName = Annotated[str, Field(pattern=f"^{_NAME}$")]
Share = Annotated[str, Field(pattern=f"^{_NAME}(?:/models/{SHARED_MODEL}|/artifacts/{SHARED_EXPERIMENT})?$")]
Gib = Annotated[Whole, Field(ge=1, le=5_000_000)]
RoleName = Annotated[str, Field(pattern=f"^(?:{_ROLE})$")]


class AccessMode(enum.StrEnum):
    """Who is let in: everybody who reaches the gateway, or who signs in with Entra and has a role."""

    NONE = "none"
    ENTRA = "entra"


class AccessSettings(Section):
    """Who is let in at the gateway."""

    mode: AccessMode = described(
        "Who is let in at the gateway: none lets in everybody who reaches it, entra who signs in with a role. There is "
        "no way back once a team has data",
        default=AccessMode.NONE,
    )
    tenant_id: str | None = text(
        "Azure: the tenant whose people and applications sign in. Required with mode entra",
        _GUID,
        _GUID_WORDS,
        example=EXAMPLE_ID,
        default=None,
    )
    client_id: str | None = text(
        "Azure: the application registration of the stack. Required with mode entra",
        _GUID,
        _GUID_WORDS,
        example=EXAMPLE_ID,
        default=None,
    )
    groups: Mapping[Guid, tuple[RoleName, ...]] = described(
        "Roles by the groups in a token, in place of its app roles: the id of a group, and a list of its roles",
        f"ids of groups, each a list of {_ROLE_WORDS}",
        default={},
    )
    blocked: tuple[Guid, ...] = described(
        "Object ids of people and applications that are refused at once, whatever their token says",
        "GUIDs in lower case",
        example=EXAMPLE_ID,
        default=(),
    )
    contact: str | None = text(
        "The person or address that a refusal names as able to help",
        r"[!-~]([ -~]{0,198}[!-~])?",
        "1 to 200 ASCII characters, no space first or last, as in ml-platform@example.com",
        default=None,
    )


class AccessPart(Section):
    """The part of a stack's file that says who works in it."""

    access: AccessSettings = AccessSettings()
    teams: tuple[TeamName, ...] = described(
        "Teams that share the stack, each with a workspace of its own beside the workspace default. Only with "
        "access.mode entra",
        _NAME_WORDS,
        example="team-a",
        default=(),
    )
    shares: Mapping[Share, tuple[TeamName, ...]] = described(
        "What others read of a team, and a list of the teams whose members do by any role of their own: all of its "
        "workspace by the team's name, one registered model by TEAM/models/NAME, or those whose names begin so by "
        "TEAM/models/NAME*, an experiment's artifacts by TEAM/artifacts/ID",
        "teams, TEAM/models/NAME or TEAM/artifacts/EXPERIMENT-ID, each with a list of other teams",
        default={},
    )
    quotas: Mapping[TeamName, Gib] = described(
        "GiB of artifacts that a team or the workspace default should not exceed, by the report of "
        "mlflow-platform quotas: no upload is refused. Only with access.mode entra",
        "names of teams, each with a whole number of GiB from 1 to 5000000",
        default={},
    )
