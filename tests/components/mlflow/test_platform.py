"""The component's graph, as the engine would get it: what is made, under what, after what."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.mlflow.roles import SERVICES, Role
from tests.support.recorder import Graph, record

DATA = 3
"""Processes of the data plane."""


def bring_up(preview: bool, **values: Any) -> Graph:
    from infra.program import main

    def program() -> None:
        config = {"profile": "local", **values}
        pulumi.runtime.set_all_config({f"mlflow-platform:{key}": str(value) for key, value in config.items()})
        main()

    return record(program, preview=preview, project="mlflow-platform", stack="local", shared_names=True)


@pytest.fixture(params=[False, True], ids=["up", "preview"])
def preview(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_prepare_is_after_the_data_and_before_every_service(preview: bool) -> None:
    graph = bring_up(preview)
    assert {"postgres", "azure", "artifacts"} <= graph.dependencies("prepare")
    for service in ("tracking", "registry"):
        assert "prepare" in graph.dependencies(service)
    assert {"tracking", "registry"} <= graph.dependencies("gateway")


def test_children_are_under_their_component_which_registers_its_outputs(preview: bool) -> None:
    graph = bring_up(preview)
    assert graph.options("prepare").parent == graph.options("gateway").parent == "mlflow"
    assert graph.options("postgres").parent == "data"
    assert graph.registered("mlflow") == {"url"}
    assert graph.registered("data") == {"database_host", "blob_container_url", "key_vault_url"}


def test_a_setting_reaches_only_what_it_is_about(preview: bool) -> None:
    environments = bring_up(preview, limits='{"maxBodyMib": 7}').everywhere("env")
    with_limit = {
        name.rpartition("::")[2]: env["MLFLOW_RUNTIME_MAX_BODY_MIB"]
        for name, env in environments.items()
        if "MLFLOW_RUNTIME_MAX_BODY_MIB" in env
    }
    # The gateway counts what comes, the services that unpack it what it unpacks to.
    assert with_limit == dict.fromkeys(("gateway", "tracking", "registry"), "7")


def test_no_input_holds_a_header_or_a_token(preview: bool) -> None:
    environments = bring_up(preview).everywhere("env")
    assert len(environments) == DATA + len(Role)
    for environment in environments.values():
        assert not {name for name in environment if "HEADER" in name or "PASSWORD" in name or "TOKEN" in name}


def test_every_service_is_run(preview: bool) -> None:
    running = bring_up(preview).of_type("pulumi-python:dynamic/local:ProcessGroup")
    assert {role.value for role in SERVICES} <= set(running)
