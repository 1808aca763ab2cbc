"""What the program spares the SDK: URNs of aliases, while the engine gets each alias as before, and messages."""

from __future__ import annotations

import logging

import pulumi
import pulumi.log
import pulumi.resource
import pytest
from pulumi.runtime.resource import collapse_alias_to_urn
from pulumi_azure_native import managedidentity

from infra import sdk
from tests.support import recorder

FORMER = "azure-native:managedidentity/v20230131:UserAssignedIdentity"
REGISTERED = "resource registration successful"
"""What the SDK says after each."""

messages = pulumi.log.debug


def recorded() -> tuple[set[str], list[object]]:
    """Return the types of the aliases that the engine gets of an identity, and the URNs that the SDK worked out."""
    made: list[pulumi.Resource] = []

    def program() -> None:
        made.append(
            managedidentity.UserAssignedIdentity("id", resource_group_name="rg", resource_name_="id-mlflow"),
        )

    graph = recorder.record(program, preview=False)
    return {alias.spec.type for alias in graph.named("id").aliases}, [
        urn for urn in made[0]._aliases if urn is not None
    ]


def test_the_engine_gets_each_alias_and_the_sdk_works_out_no_urn(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, urns = recorded()
    assert FORMER in sent
    assert urns == []
    monkeypatch.setattr(sdk, "spare", lambda: None)
    monkeypatch.setattr(pulumi.resource, "collapse_alias_to_urn", collapse_alias_to_urn)
    as_before, urns = recorded()
    assert sent == as_before
    assert len(urns) >= len(sent) > 1


def test_the_sdk_sends_its_debug_messages_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.delenv(sdk.DEBUG, raising=False)
    monkeypatch.setattr(pulumi.log, "debug", messages)
    recorded()
    assert REGISTERED not in caplog.text
    monkeypatch.setattr(pulumi.log, "debug", messages)
    monkeypatch.setenv(sdk.DEBUG, "1")
    recorded()
    assert REGISTERED in caplog.text
