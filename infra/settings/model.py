"""The only reader of pulumi.Config: a stack's configuration becomes one frozen Settings, or one message with every
problem in it.

The engine itself rejects neither unknown keys nor what is wrong inside an object, so both are rejected here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from components.compute.contract import Role, Scale
from components.mlflow.limits import LIMITS, Limits
from components.mlflow.topology import Size
from infra.settings import azure_reading as azure
from infra.settings import guardrails
from infra.settings.azure import AzureSettings
from infra.settings.profiles import PROFILES, ComputeKind, ProfileName
from infra.settings.reader import AUTO, Reader, SettingsError

__all__ = ["Limits", "LocalSettings", "Settings", "SettingsError", "load", "parse"]

# The ports from portBase on that belong to the local stack: the first one of each service and how many it has.
LOCAL_PORTS = 60
LOCAL_PORT_OFFSETS = {Role.GATEWAY: 0, Role.REGISTRY: 10, Role.ARTIFACTS: 20, Role.TRACKING: 30}
LOCAL_REPLICAS = {Role.GATEWAY: 1, Role.REGISTRY: 10, Role.ARTIFACTS: 10, Role.TRACKING: 30}

# What passes artifacts on needs room for them (mlflow_runtime/artifacts/memory.py).
_LEAST_MEMORY_MIB = {Role.ARTIFACTS: 512}

_SERVICES = (Role.GATEWAY, Role.TRACKING, Role.REGISTRY, Role.ARTIFACTS)
_KEYS = ("profile", "compute", *_SERVICES, "limits", "local", *azure.KEYS)
_AVAILABLE = (ComputeKind.LOCAL, ComputeKind.CONTAINER_APPS)
# Names of resources are made of it, and no type of Azure takes a hyphen at the end or two in a row everywhere.
_STACK_NAME = re.compile(r"(?!.*--)[a-z]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """Of the local stack alone: its first port, its folder, and the lifetime of its identities' tokens in seconds.

    `image` names an image that this machine has; without one the working tree's environment runs.
    """

    port_base: int = 5500
    state_directory: Path = Path(".local")
    token_seconds: int = 3600
    image: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides what a stack is. `azure` is None exactly where compute is local."""

    stack: str
    profile: ProfileName
    compute: ComputeKind
    sizes: Mapping[Role, Size]
    limits: Limits
    local: LocalSettings
    azure: AzureSettings | None = None


def load() -> Settings:
    """The settings of the running program's stack. Raises SettingsError."""
    return parse(_configuration(), pulumi.get_stack())


def parse(values: Mapping[str, Any], stack: str) -> Settings:
    """Settings from configuration values without their namespace. Raises SettingsError with every problem found."""
    reader = Reader(stack)
    reader.only("", values, _KEYS)
    if not _STACK_NAME.fullmatch(stack):
        reader.problem(
            "stack",
            stack,
            "1 to 20 lower-case letters, digits and single '-', a letter first and no '-' last",
            "rename the stack",
        )
    profile = reader.choice("profile", values.get("profile"), ProfileName)
    compute = _compute(reader, values, profile)
    defaults = PROFILES[profile or ProfileName.LOCAL]
    sizes = {role: _size(reader, role, values.get(role, {}), defaults.sizes[role]) for role in _SERVICES}
    metrics_seconds = azure.metrics_seconds(reader, values)
    limits = _limits(reader, values.get("limits", {}), defaults.database_pool, metrics_seconds)
    local = _local(reader, values.get("local", {}))
    on_azure = azure.read(reader, values, stack, defaults.azure) if defaults.azure and compute else None
    _only_where_used(reader, values, compute)
    if compute is ComputeKind.LOCAL:
        _check_local_replicas(reader, sizes)
    if profile is not None and compute is not None:
        guardrails.check(
            reader,
            profile=profile,
            compute=compute,
            sizes=sizes,
            azure=on_azure,
            database_pool=limits.database_pool,
        )
    reader.finish()
    assert profile is not None  # noqa: S101 - for the type checker: finish() raised if it is
    assert compute is not None  # noqa: S101
    return Settings(
        stack=stack, profile=profile, compute=compute, sizes=sizes, limits=limits, local=local, azure=on_azure
    )


def _compute(reader: Reader, values: Mapping[str, Any], profile: ProfileName | None) -> ComputeKind | None:
    given = values.get("compute", AUTO)
    compute = reader.choice("compute", given, ComputeKind) if given != AUTO else None
    if given == AUTO and profile is not None:
        compute = PROFILES[profile].compute
    if compute is None or profile is None:
        return compute
    if (compute is ComputeKind.LOCAL) != (profile is ProfileName.LOCAL):
        reader.problem(
            "compute",
            str(compute),
            "local with profile local, container_apps or aks with dev, staging and prod",
            f"with profile {profile} remove it or choose another",
        )
    elif compute not in _AVAILABLE:
        reader.problem("compute", str(compute), f"{', '.join(_AVAILABLE)} in this version", "choose another profile")
    return compute


def _size(reader: Reader, role: Role, value: object, default: Size) -> Size:
    table = reader.table(role, value, ("cpu", "memoryMib", "spoolMib", "minReplicas", "maxReplicas", "concurrency"))
    scale = default.scale
    minimum = reader.integer(f"{role}.minReplicas", table.get("minReplicas", scale.minimum), 0, 100)
    maximum = reader.integer(f"{role}.maxReplicas", table.get("maxReplicas", max(scale.maximum, minimum)), 1, 100)
    if minimum > maximum:
        reader.problem(
            f"{role}.minReplicas", minimum, f"at most maxReplicas, {maximum}", "lower the one or raise the other"
        )
        minimum = maximum
    concurrency = reader.integer(f"{role}.concurrency", table.get("concurrency", scale.concurrency), 1, 1000)
    return replace(
        default,
        cpu=reader.number(f"{role}.cpu", table.get("cpu", default.cpu), 0.25, 64),
        memory_mib=reader.integer(
            f"{role}.memoryMib", table.get("memoryMib", default.memory_mib), _LEAST_MEMORY_MIB.get(role, 256), 262144
        ),
        spool_mib=reader.integer(f"{role}.spoolMib", table.get("spoolMib", default.spool_mib), 0, 1048576),
        scale=Scale(minimum=minimum, maximum=maximum, concurrency=concurrency),
    )


def _limits(reader: Reader, value: object, database_pool: int, metrics_seconds: int) -> Limits:
    default = Limits(database_pool=database_pool, metrics_seconds=metrics_seconds)
    keys = {_camel(name): name for name in LIMITS if name != "metrics_seconds"}
    table = reader.table("limits", value, tuple(keys))
    given = {
        name: reader.integer(f"limits.{key}", table[key], LIMITS[name].least, LIMITS[name].most)
        for key, name in keys.items()
        if key in table
    }
    return replace(default, **given)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _only_where_used(reader: Reader, values: Mapping[str, Any], compute: ComputeKind | None) -> None:
    """No key that decides nothing. Empty objects are the schema's defaults."""
    local = compute is ComputeKind.LOCAL
    for key in azure.KEYS if local else ("local",):
        if values.get(key) and values[key] != azure.DEFAULTS.get(key):
            where = "compute container_apps or aks" if local else "compute local"
            reader.problem(key, values[key], f"only with {where}", "remove it from the stack's file")


def _check_local_replicas(reader: Reader, sizes: Mapping[Role, Size]) -> None:
    """On one machine a service has a fixed number of replicas, each with a port of its own."""
    for role, most in LOCAL_REPLICAS.items():
        replicas = sizes[role].scale.minimum
        if not 1 <= replicas <= most:
            field = f"{role}.minReplicas"
            reader.problem(field, replicas, f"1 to {most} with compute local", "choose a number in that range")


def _local(reader: Reader, value: object) -> LocalSettings:
    table = reader.table("local", value, ("portBase", "stateDirectory", "tokenSeconds", "image"))
    default = LocalSettings()
    directory = table.get("stateDirectory", str(default.state_directory))
    if not isinstance(directory, str) or not directory.strip():
        reader.problem("local.stateDirectory", directory, "a folder's path", "give one or remove it")
        directory = str(default.state_directory)
    return LocalSettings(
        port_base=reader.integer("local.portBase", table.get("portBase", default.port_base), 1024, 65535 - LOCAL_PORTS),
        state_directory=Path(directory),
        token_seconds=reader.integer("local.tokenSeconds", table.get("tokenSeconds", default.token_seconds), 5, 86400),
        image=_image(reader, table.get("image")),
    )


def _image(reader: Reader, value: object) -> str | None:
    """Anything by which podman finds an image, so that no option of podman's can be given in its place."""
    if value is None:
        return None
    allowed = "a name, NAME@sha256:… or an id of an image that this machine has"
    return reader.text("local.image", value, r"[A-Za-z0-9][A-Za-z0-9._/:@-]*", allowed) or None


def _configuration() -> dict[str, Any]:
    """Every value of the project's namespace; objects arrive as JSON texts."""
    prefix = f"{pulumi.get_project()}:"
    values = {
        key.removeprefix(prefix): value
        for key, value in {**get_config_env(), **CONFIG.get()}.items()
        if key.startswith(prefix)
    }
    return {key: _decoded(value) for key, value in values.items()}


def _decoded(value: str) -> Any:
    if not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
