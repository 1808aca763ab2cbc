"""What the topology gives each role is what the runtime's own readers take: every variable, and no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.mlflow import runtime_contract
from components.mlflow.access import AccessControl
from components.mlflow.roles import BACKENDS, Role
from components.mlflow.topology import VARIABLE_PREFIX, GatewayTls
from delivery.image.context import CHECKOUT
from mlflow_runtime import environment
from mlflow_runtime.environment import SettingsError
from mlflow_runtime.gateway import settings as gateway
from mlflow_runtime.prepare import settings as prepare
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import settings as service
from tests.support import role_environment

_ID = "11111111-1111-1111-1111-111111111111"
TOPOLOGY = replace(
    role_environment.TOPOLOGY,
    gateway_metrics_port=8081,
    gateway_tls=GatewayTls(secret="gateway-tls", made=True),
    public_origins=["https://portal.example.com"],
    access=AccessControl(
        tenant_id=_ID,
        client_id=_ID,
        teams=["team-a", "team-b"],
        shares={"team-a": ["team-b"]},
        groups={_ID: ["team-a.Reader", "Platform.Admin"]},
        blocked=[_ID],
        contact="ml-platform@example.com",
        authority="https://login.microsoftonline.com",
    ),
)
ROLES = (*BACKENDS, Role.GATEWAY, Role.PREPARE)
# May be without a value, or without effect where they are missing.
OPTIONAL = {
    *("MLFLOW_RUNTIME_PUBLIC_ORIGINS", "MLFLOW_RUNTIME_METRICS_PORT"),
    *(
        f"MLFLOW_RUNTIME_ACCESS_{name}"
        for name in ("MODE", "TEAMS", "SHARES", "GROUPS", "BLOCKED", "CONTACT", "AUTHORITY")
    ),
}


def given(role: Role) -> dict[str, str]:
    return role_environment.given(role, TOPOLOGY)


def whole(role: Role) -> dict[str, str]:
    return role_environment.whole(role, TOPOLOGY)


# One pair for each variable that some role gets.
GIVEN = [(role, name) for role in ROLES for name in given(role)]


def read(role: Role, env: Mapping[str, str]) -> Any:
    """Read an environment as the role's process does."""
    if role is Role.GATEWAY:
        return gateway.from_environment(env)
    if role is Role.PREPARE:
        return prepare.read(env)
    return service.read(ServiceRole(role.value), env)


def problems(role: Role, env: Mapping[str, str]) -> list[str]:
    """Return what the role's reader refuses, one line a problem."""
    try:
        read(role, env)
    except SettingsError as error:
        return str(error).splitlines()[1:]
    return []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_takes_what_it_is_given(role: Role) -> None:
    assert problems(role, whole(role)) == []


def test_both_sides_use_one_prefix() -> None:
    assert environment.PREFIX == VARIABLE_PREFIX


@pytest.mark.parametrize("role", ROLES)
def test_what_has_no_prefix_is_a_variable_that_platforms_set(role: Role) -> None:
    assert {name for name in given(role) if not name.startswith(VARIABLE_PREFIX)} <= environment.PLATFORM_VARIABLES


@pytest.mark.parametrize(("role", "name"), GIVEN)
def test_none_that_is_given_can_be_dropped(role: Role, name: str) -> None:
    env = whole(role)
    del env[name]
    refused = [line for line in problems(role, env) if line.startswith(f"{name}: is not set")]
    assert bool(refused) == (name not in OPTIONAL)


@pytest.mark.parametrize("role", ROLES)
def test_one_more_is_refused(role: Role) -> None:
    name = f"{VARIABLE_PREFIX}NOBODY_READS"
    assert problems(role, {**whole(role), name: "1"}) == [f"{name}: is not read by this role. Remove it."]


@pytest.mark.parametrize(("role", "name"), [pair for pair in GIVEN if pair[1].startswith(VARIABLE_PREFIX)])
def test_a_misspelt_one_is_refused_with_its_right_name(role: Role, name: str) -> None:
    env = whole(role)
    wrong = f"{name}S"
    env[wrong] = env.pop(name)
    assert f"{wrong}: is not read by this role. Rename it to {name}." in problems(role, env)


def _drop(env: dict[str, str]) -> None:
    del env[f"{VARIABLE_PREFIX}HOST"]


def _add(env: dict[str, str]) -> None:
    env[f"{VARIABLE_PREFIX}MAX_UPLOADS"] = "3"


def _misspell(env: dict[str, str]) -> None:
    env[f"{VARIABLE_PREFIX}HOSTS"] = env.pop(f"{VARIABLE_PREFIX}HOST")


# A topology that gave one too few, one too many, or one by a wrong name would turn the first test red.
@pytest.mark.parametrize("mutate", [_drop, _add, _misspell])
def test_a_mutated_topology_is_noticed(mutate: Callable[[dict[str, str]], None]) -> None:
    env = whole(Role.TRACKING)
    mutate(env)
    assert problems(Role.TRACKING, env) != []


def test_another_set_of_variables_is_another_contract() -> None:
    variables = {role.value: list(given(role)) for role in ROLES}
    found = runtime_contract.fingerprint(variables)
    assert runtime_contract.RECORDED[runtime_contract.CONTRACT] == found, (
        f"the variables of the roles have changed: add the line {runtime_contract.CONTRACT + 1}: {found!r} to RECORDED"
    )


@pytest.mark.parametrize("mutate", [_drop, _add, _misspell])
def test_each_change_of_the_variables_changes_the_fingerprint(mutate: Callable[[dict[str, str]], None]) -> None:
    variables = {role.value: given(role) for role in ROLES}
    before = runtime_contract.fingerprint(variables)
    mutate(variables[Role.TRACKING])
    assert runtime_contract.fingerprint(variables) != before


def test_an_image_is_labelled_with_the_contract() -> None:
    containerfile = (CHECKOUT / "runtime" / "Containerfile").read_text()
    assert f'{runtime_contract.LABEL}="${{CONTRACT}}"' in containerfile
