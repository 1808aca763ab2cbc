"""The settings of a stack: its file's values become one frozen Settings, or one message with every problem in them.

The engine itself rejects neither unknown keys nor what is wrong inside an object, so both are rejected here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from components.mlflow.limits import LIMITS, Limits
from components.mlflow.roles import SERVICES, Role
from components.mlflow.topology import Size
from infra.settings import consistency, guardrails
from infra.settings.access import AccessPart, AccessSettings
from infra.settings.azure import AzureSettings
from infra.settings.bootstrap import BootstrapFile
from infra.settings.fields import NOT_SET, Section, Whole, bounded, described, keys
from infra.settings.local import LocalPart, LocalSettings
from infra.settings.problems import Problems, SettingsError, path
from infra.settings.profiles import PROFILES, ComputeKind, Profile, ProfileName
from infra.settings.reading import known_keys, read
from infra.settings.services import ArtifactsSize, ServiceSize

__all__ = ["Limits", "LocalSettings", "Settings", "SettingsError", "parse"]


def _limit_fields() -> dict[str, Any]:
    """Return a field for each limit but the seconds between metrics, whose key is monitoring.metricsSeconds."""
    return {
        name: (Whole, bounded(limit.meaning, limit.least, limit.most, unit=limit.unit, default=getattr(Limits, name)))
        for name, limit in LIMITS.items()
        if name != "metrics_seconds"
    }


_LIMITS = "What the services accept, and how a replica stops."
if TYPE_CHECKING:
    LimitSettings = Section
else:
    LimitSettings = create_model("LimitSettings", __base__=Section, __doc__=_LIMITS, **_limit_fields())


class Kind(Section):
    """What decides on the rest of a stack's file."""

    profile: ProfileName = described("The table of defaults to start from", example=ProfileName.DEV)
    compute: ComputeKind | None = described("Where the services run; auto takes the profile's", default=None)


class Common(AccessPart, Kind):
    """The settings of every stack."""

    gateway: ServiceSize
    tracking: ServiceSize
    registry: ServiceSize
    artifacts: ArtifactsSize
    limits: LimitSettings


class LocalFile(Common, LocalPart):
    """The file of a stack on one machine."""


class AzureFile(Common, AzureSettings):
    """The file of a stack on Azure."""


KEYS: Mapping[str, FieldInfo] = {
    **keys(Common),
    **keys(LocalPart),
    **keys(AzureSettings),
    "bootstrap": keys(BootstrapFile)["bootstrap"],
}
"""Every top-level key of a stack's file."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides what a stack is. `azure` is None exactly where compute is local.

    `teams` are the workspaces beside `default`, none with access mode none; `shares` says who reads what of them,
    `quotas` has GiB of artifacts that one of them should not exceed.
    `checkout` is the GitHub repository whose workflow runs the program, empty if none does.
    """

    stack: str
    profile: ProfileName
    compute: ComputeKind
    sizes: Mapping[Role, Size]
    limits: Limits
    local: LocalSettings
    azure: AzureSettings | None = None
    access: AccessSettings = field(default_factory=AccessSettings)
    teams: Sequence[str] = ()
    shares: Mapping[str, Sequence[str]] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)
    checkout: str = ""


def parse(
    values: Mapping[str, Any],
    stack: str,
    *,
    secrets: Sequence[str] = (),
    checkout: str = "",
    today: date | None = None,
) -> Settings:
    """Return the settings of configuration values without their namespace.

    `secrets` are the paths of values that the stack's file encrypts; `today` decides which waivers have expired
    (default: the clock's day). Raises SettingsError with every problem found.
    """
    problems = Problems(stack, values)
    consistency.refuse_secrets(problems, values, secrets)
    for key in values.keys() - KEYS.keys():
        problems.note(key, values[key], known_keys(key, KEYS), problems.remove(path(key)))
    given = {key: value for key, value in values.items() if value not in NOT_SET}
    profile = next((name for name in ProfileName if name == given.get("profile")), None)
    kind = read(problems, Kind, {}, _only(Kind, given))
    defaults = PROFILES[profile or ProfileName.LOCAL]
    chosen = kind.model_copy(update={"compute": kind.compute or defaults.compute})
    model = Common if profile is None else LocalFile if defaults.azure is None else AzureFile
    if profile is not None:
        _refuse_unused(problems, model, given, chosen.compute)
    fallback = _only(model, _defaults(chosen, defaults, given, stack))
    file = read(problems, model, fallback, _only(model, given, without=Kind))
    azure = file if isinstance(file, AzureFile) else None
    settings = Settings(
        stack=stack,
        profile=chosen.profile,
        compute=chosen.compute or defaults.compute,
        sizes={role: _fitted(problems, role, file, given).size for role in SERVICES},
        limits=_limits(file, azure),
        local=file.local if isinstance(file, LocalFile) else LocalSettings(),
        azure=azure,
        access=file.access,
        teams=file.teams,
        shares=file.shares,
        quotas=file.quotas,
        checkout=checkout,
    )
    consistency.check(problems, settings)
    guardrails.check(problems, settings, today or datetime.now(UTC).date())
    problems.finish()
    return settings


def _only(
    model: type[BaseModel], given: Mapping[str, Any], *, without: type[BaseModel] | None = None
) -> Mapping[str, Any]:
    wanted = keys(model).keys() - (keys(without).keys() if without else set())
    return {key: value for key, value in given.items() if key in wanted}


def _defaults(kind: Kind, profile: Profile, given: Mapping[str, Any], stack: str) -> Mapping[str, Any]:
    github = {"deployEnvironment": stack, "previewEnvironment": f"{stack}-preview"}
    return {
        **profile.values(),
        **kind.model_dump(),
        **({"github": github} if "github" in given else {}),
    }


def _refuse_unused(
    problems: Problems, model: type[BaseModel], given: Mapping[str, Any], compute: ComputeKind | None
) -> None:
    """No key that decides nothing."""
    if model is AzureFile and "aks" in given and compute is not ComputeKind.AKS:
        problems.note("aks", given["aks"], "only with compute aks", problems.remove("aks"))
    where = "compute local" if model is AzureFile else "compute container_apps or aks"
    for key in given.keys() & KEYS.keys() - keys(model).keys():
        only = "profile bootstrap" if key == "bootstrap" else where
        problems.note(key, given[key], f"only with {only}", problems.remove(key))


def _fitted(problems: Problems, role: Role, file: Common, given: Mapping[str, Any]) -> ServiceSize:
    """Return a size whose replicas fit each other: more at least than the profile's most raise that too."""
    size: ServiceSize = getattr(file, role.value)
    least, most = size.min_replicas, size.max_replicas
    if least <= most:
        return size
    table = given.get(role.value)
    if not isinstance(table, Mapping) or "maxReplicas" not in table:
        return size.model_copy(update={"max_replicas": least})
    problems.note(
        f"{role}.minReplicas",
        least,
        f"at most maxReplicas, {most}",
        f"lower the one or raise the other: `{problems.set(f'{role}.maxReplicas', least)}`",
    )
    return size.model_copy(update={"min_replicas": most})


def _limits(file: Common, azure: AzureSettings | None) -> Limits:
    logged = {"metrics_seconds": azure.monitoring.metrics_seconds} if azure else {}
    return Limits(**file.limits.model_dump(), **logged)
