"""The only reader of pulumi.Config: a stack's configuration becomes one frozen Settings, or one message with every
problem in it.

The engine itself rejects neither unknown keys nor what is wrong inside an object, so both are rejected here.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from components.compute.contract import Role, Scale
from components.mlflow.topology import Size
from infra.profiles import PROFILES, ComputeKind, ProfileName

# The ports from portBase on that belong to the local stack: the first one of each service and how many it has.
LOCAL_PORTS = 60
LOCAL_PORT_OFFSETS = {Role.GATEWAY: 0, Role.REGISTRY: 10, Role.ARTIFACTS: 20, Role.TRACKING: 30}
LOCAL_REPLICAS = {Role.GATEWAY: 1, Role.REGISTRY: 10, Role.ARTIFACTS: 10, Role.TRACKING: 30}

_AUTO = "auto"
_SERVICES = (Role.GATEWAY, Role.TRACKING, Role.REGISTRY, Role.ARTIFACTS)
_KEYS = ("profile", "compute", *_SERVICES, "limits", "local")
_AVAILABLE = (ComputeKind.LOCAL,)
_STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_E = TypeVar("_E", bound=enum.StrEnum)


class SettingsError(ValueError):
    """The stack's configuration cannot be used. The message lists every problem."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may send, in MiB, and how long a stopping replica has, in seconds."""

    max_body_mib: int = 64
    max_artifact_mib: int = 10240
    grace_seconds: int = 30


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """Of the local stack alone: its first port, its folder, and the lifetime of its identities' tokens in seconds."""

    port_base: int = 5500
    state_directory: Path = Path(".local")
    token_seconds: int = 3600


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides what a stack is."""

    stack: str
    profile: ProfileName
    compute: ComputeKind
    sizes: Mapping[Role, Size]
    limits: Limits
    local: LocalSettings


def load() -> Settings:
    """The settings of the running program's stack. Raises SettingsError."""
    return parse(_configuration(), pulumi.get_stack())


def parse(values: Mapping[str, Any], stack: str) -> Settings:
    """Settings from configuration values without their namespace. Raises SettingsError with every problem found."""
    reader = _Reader(stack)
    reader.only("", values, _KEYS)
    if not _STACK_NAME.fullmatch(stack):
        reader.problem("stack", stack, "1 to 20 lower-case letters, digits and '-', a letter first", "rename the stack")
    profile = reader.choice("profile", values.get("profile"), ProfileName)
    compute = _compute(reader, values, profile)
    defaults = PROFILES[profile or ProfileName.LOCAL].sizes
    sizes = {role: _size(reader, role, values.get(role, {}), defaults[role]) for role in _SERVICES}
    limits = _limits(reader, values.get("limits", {}))
    local = _local(reader, values.get("local", {}))
    if compute is ComputeKind.LOCAL:
        _check_local_replicas(reader, sizes)
    elif values.get("local"):
        reader.problem("local", values["local"], "only with compute local", "remove it from the stack's file")
    reader.finish()
    assert profile is not None  # noqa: S101 - for the type checker: finish() raised if it is
    assert compute is not None  # noqa: S101
    return Settings(stack=stack, profile=profile, compute=compute, sizes=sizes, limits=limits, local=local)


class _Reader:
    """Reads values and collects what is wrong with them."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self._problems: list[str] = []

    def problem(self, field: str, value: object, allowed: str, remedy: str) -> None:
        self._problems.append(f"{field}: {value!r} is not allowed; allowed: {allowed}; {remedy}.")

    def finish(self) -> None:
        if self._problems:
            lines = "\n".join(f"  - {problem}" for problem in self._problems)
            raise SettingsError(f"The configuration of stack {self._stack} cannot be used:\n{lines}")

    def only(self, prefix: str, values: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        for key in values.keys() - set(keys):
            self.problem(f"{prefix}{key}", values[key], f"the keys {', '.join(keys)}", self._remedy(f"{prefix}{key}"))

    def table(self, field: str, value: object, keys: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.problem(field, value, f"an object with the keys {', '.join(keys)}", self._remedy(field))
            return {}
        self.only(f"{field}.", value, keys)
        return value

    def choice(self, field: str, value: object, kind: type[_E]) -> _E | None:
        try:
            return kind(str(value))
        except ValueError:
            allowed = ", ".join(kind)
            self.problem(field, value, allowed, f"pulumi config set {field} VALUE -s {self._stack}")
            return None

    def integer(self, field: str, value: object, least: int, most: int) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.problem(field, value, f"a whole number from {least} to {most}", self._remedy(field))
            return least
        return value

    def number(self, field: str, value: object, least: float, most: float) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if isinstance(value, bool) or not least <= number <= most:
            self.problem(field, value, f"a number from {least} to {most}", self._remedy(field))
            return least
        return number

    def _remedy(self, field: str) -> str:
        return f"mend it with `pulumi config set|rm --path {field} -s {self._stack}`"


def _compute(reader: _Reader, values: Mapping[str, Any], profile: ProfileName | None) -> ComputeKind | None:
    given = values.get("compute", _AUTO)
    compute = reader.choice("compute", given, ComputeKind) if given != _AUTO else None
    if given == _AUTO and profile is not None:
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


def _size(reader: _Reader, role: Role, value: object, default: Size) -> Size:
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
        memory_mib=reader.integer(f"{role}.memoryMib", table.get("memoryMib", default.memory_mib), 256, 262144),
        spool_mib=reader.integer(f"{role}.spoolMib", table.get("spoolMib", default.spool_mib), 0, 1048576),
        scale=Scale(minimum=minimum, maximum=maximum, concurrency=concurrency),
    )


def _limits(reader: _Reader, value: object) -> Limits:
    table = reader.table("limits", value, ("maxBodyMib", "maxArtifactMib", "graceSeconds"))
    default = Limits()
    return Limits(
        max_body_mib=reader.integer("limits.maxBodyMib", table.get("maxBodyMib", default.max_body_mib), 1, 1024),
        max_artifact_mib=reader.integer(
            "limits.maxArtifactMib", table.get("maxArtifactMib", default.max_artifact_mib), 1, 102400
        ),
        grace_seconds=reader.integer("limits.graceSeconds", table.get("graceSeconds", default.grace_seconds), 3, 600),
    )


def _check_local_replicas(reader: _Reader, sizes: Mapping[Role, Size]) -> None:
    """On one machine a service has a fixed number of replicas, each with a port of its own."""
    for role, most in LOCAL_REPLICAS.items():
        replicas = sizes[role].scale.minimum
        if not 1 <= replicas <= most:
            field = f"{role}.minReplicas"
            reader.problem(field, replicas, f"1 to {most} with compute local", "choose a number in that range")


def _local(reader: _Reader, value: object) -> LocalSettings:
    table = reader.table("local", value, ("portBase", "stateDirectory", "tokenSeconds"))
    default = LocalSettings()
    directory = table.get("stateDirectory", str(default.state_directory))
    if not isinstance(directory, str) or not directory.strip():
        reader.problem("local.stateDirectory", directory, "a folder's path", "give one or remove it")
        directory = str(default.state_directory)
    return LocalSettings(
        port_base=reader.integer("local.portBase", table.get("portBase", default.port_base), 1024, 65535 - LOCAL_PORTS),
        state_directory=Path(directory),
        token_seconds=reader.integer("local.tokenSeconds", table.get("tokenSeconds", default.token_seconds), 5, 86400),
    )


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
