"""The component's graph, as the engine would get it: what is made, under what, after what."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks


class Recorder(mocks.MockMonitor):
    """Keeps every registration that the program sends."""

    def __init__(self, answers: mocks.Mocks) -> None:
        super().__init__(answers)
        self.requests: list[Any] = []
        self.outputs: dict[str, set[str]] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        self.outputs[request.urn.split("::")[-1]] = set(request.outputs.fields)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def named(self, name: str) -> Any:
        return next(request for request in self.requests if request.name == name)

    def dependencies(self, name: str) -> set[str]:
        return {urn.split("::")[-1] for urn in self.named(name).dependencies}


class Echo(mocks.Mocks):
    """Every resource gets its own inputs back."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"nothing is looked up, {args.token} neither")


@pytest.fixture(params=[False, True], ids=["up", "preview"])
def recorded(request: pytest.FixtureRequest) -> Recorder:
    asyncio.set_event_loop(asyncio.new_event_loop())
    recorder = Recorder(Echo())
    pulumi.runtime.set_mocks(Echo(), project="mlflow-platform", stack="local", preview=request.param, monitor=recorder)
    return recorder


def bring_up(values: dict[str, Any] | None = None) -> None:
    from infra.program import main

    pulumi.runtime.set_all_config({f"mlflow-platform:{key}": str(value) for key, value in (values or {}).items()})
    pulumi.runtime.test(main)()


def test_prepare_is_after_the_data_and_before_every_service(recorded: Recorder) -> None:
    bring_up({"profile": "local"})
    assert {"postgres", "azure", "artifacts"} <= recorded.dependencies("prepare")
    for service in ("tracking", "registry"):
        assert "prepare" in recorded.dependencies(service)
    assert {"tracking", "registry"} <= recorded.dependencies("gateway")


def test_children_are_under_their_component_which_registers_its_outputs(recorded: Recorder) -> None:
    bring_up({"profile": "local"})
    assert recorded.named("prepare").parent.endswith("::mlflow")
    assert recorded.named("gateway").parent.endswith("::mlflow")
    assert recorded.named("postgres").parent.endswith("::data")
    assert recorded.outputs["mlflow"] == {"url"}
    assert recorded.outputs["data"] == {"database_host", "blob_container_url", "key_vault_url"}


def test_a_setting_reaches_only_what_it_is_about(recorded: Recorder) -> None:
    bring_up({"profile": "local", "limits": '{"maxBodyMib": 7}'})
    bodies = {
        request.name: dict(request.object["env"]).get("MLFLOW_RUNTIME_MAX_BODY_MIB")
        for request in recorded.requests
        if "env" in request.object
    }
    # The gateway counts what comes, the services that unpack it what it unpacks to.
    assert {name: size for name, size in bodies.items() if size} == dict.fromkeys(
        ("gateway", "tracking", "registry"), "7"
    )


def test_no_input_holds_a_header_or_a_token(recorded: Recorder) -> None:
    bring_up({"profile": "local"})
    environments = [dict(request.object["env"]) for request in recorded.requests if "env" in request.object]
    assert len(environments) == 8
    for environment in environments:
        assert not {name for name in environment if "HEADER" in name or "PASSWORD" in name or "TOKEN" in name}
