"""What is read from a state, what is written to it, and the report to a person: without an engine."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery.cli import run
from delivery.outcome import ExitCode
from delivery.recover import command, report, state
from delivery.recover.recovery import Found, Outcome, Recovered, Settled, reason, unfinished
from delivery.recover.state import Care, Pending

VAULT = "azure-native:keyvault:Vault"
PROVIDER = "urn:pulumi:dev::mlflow::pulumi:providers:azure-native::default"
PARENT = "urn:pulumi:dev::mlflow::mlflow:azure:KeyVault::vault"


def urn(type_: str, name: str) -> str:
    return f"urn:pulumi:dev::mlflow::{type_}::{name}"


def resource(type_: str = VAULT, name: str = "vault", **more: Any) -> dict[str, Any]:
    return {"urn": urn(type_, name), "type": type_, "custom": True, **more}


def exported(*resources: dict[str, Any], pending: tuple[tuple[str, dict[str, Any]], ...] = ()) -> dict[str, Any]:
    operations = [{"type": kind, "resource": one} for kind, one in pending]
    return {"version": 3, "deployment": {"resources": list(resources), "pending_operations": operations}}


GROUP = resource("azure-native:resources:ResourceGroup", "group", id="/subscriptions/of-group/resourceGroups/rg")


@pytest.mark.parametrize(
    ("operation", "type_", "care"),
    [
        ("creating", VAULT, Care.BRING_BACK),
        ("updating", VAULT, Care.REFRESH),
        ("deleting", VAULT, Care.REFRESH),
        ("reading", VAULT, Care.REPEAT),
        ("importing", VAULT, Care.REPEAT),
        ("creating", "pulumi-python:dynamic/container_apps:JobExecution", Care.REPEAT),
        ("updating", "pulumi-python:dynamic/container_apps:JobExecution", Care.REPEAT),
        ("creating", "pulumi:providers:azure-native", Care.REPEAT),
        ("creating", "random:index/randomId:RandomId", Care.UNKNOWN),
    ],
)
def test_what_an_interrupted_operation_needs(operation: str, type_: str, care: Care) -> None:
    (found,) = state.pending(exported(pending=((operation, resource(type_)),)))
    assert found.care == care


def test_what_several_killed_runs_left_is_there_once() -> None:
    first, last = resource(inputs={"vaultName": "old"}), resource(inputs={"vaultName": "new"})
    (found,) = state.pending(exported(pending=(("creating", first), ("creating", last))))
    assert found.resource["inputs"] == {"vaultName": "new"}
    assert state.pending({"version": 3, "deployment": None}) == []


def test_the_subscription_is_the_groups_the_providers_or_the_environments() -> None:
    provider = resource("pulumi:providers:azure-native", "default", inputs={"subscriptionId": "of-provider"})
    environ = {"ARM_SUBSCRIPTION_ID": "of-environment"}
    assert state.subscription(exported(provider, GROUP), environ) == "of-group"
    assert state.subscription(exported(provider), environ) == "of-provider"
    assert state.subscription(exported(), environ) == "of-environment"
    assert state.subscription(exported(), {"ARM_SUBSCRIPTION_ID": ""}) is None


def test_an_import_has_the_parent_and_the_provider_of_the_program() -> None:
    one = Pending(operation="creating", resource=resource(parent=PARENT, provider=f"{PROVIDER}::some-id"))
    entry = {"type": VAULT, "name": "vault", "id": "/id", "parent": PARENT, "provider": PROVIDER}
    assert state.import_entry(one, "/id") == entry


def test_what_was_imported_gets_what_the_program_said_of_it_and_keeps_what_azure_said() -> None:
    gone = urn(VAULT, "gone")
    goal = resource(
        protect=True,
        retainOnDelete=True,
        dependencies=[GROUP["urn"], gone],
        propertyDependencies={"resourceGroupName": [GROUP["urn"]], "tags": [gone], "vaultName": None},
        deletedWith=gone,
        inputs={"vaultName": "sent"},
    )
    imported = resource(id="/id", inputs={"vaultName": "read"})
    before = exported(GROUP, imported, pending=(("creating", goal),))
    after = state.restored(before, state.pending(before))
    assert after["deployment"] == {
        "resources": [
            GROUP,
            imported
            | {
                "protect": True,
                "retainOnDelete": True,
                "dependencies": [GROUP["urn"]],
                "propertyDependencies": {"resourceGroupName": [GROUP["urn"]], "tags": [], "vaultName": []},
            },
        ]
    }
    assert after["version"] == 3


def test_what_an_up_has_made_meanwhile_stays_as_it_is() -> None:
    made = resource(id="/id", propertyDependencies={}, protect=False)
    waiting = resource(id="/old", delete=True)
    before = exported(made, waiting, pending=(("creating", resource(protect=True)),))
    assert state.restored(before, state.pending(before))["deployment"]["resources"] == [made, waiting]
    assert state.known(before) == {made["urn"]: made}


def test_the_errors_of_the_engine_are_shown_once() -> None:
    text = """\
 =  azure-native:keyvault:Vault vault importing (0s) error: Status=403 Code="AuthorizationFailed".
    pulumi:pulumi:Stack dev running error: update failed: step application failed: Status=403
Diagnostics:
    error: Status=403 Code="AuthorizationFailed".
"""
    assert reason(text) == 'Status=403 Code="AuthorizationFailed"'
    assert reason("error: update failed: x") == "update failed: x"
    assert reason("") == "the engine gave no reason"


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"provisioningState": "Succeeded"}, ""),
        ({"properties": {"provisioningState": "Creating"}}, "Azure says Creating"),
        ({"provisioningState": "Failed"}, "Azure says Failed"),
        ({"properties": {}}, ""),
        (None, ""),
    ],
)
def test_what_azure_has_not_finished_is_said(outputs: dict[str, Any] | None, said: str) -> None:
    assert unfinished({"outputs": outputs}) == said


CREATE = Pending(operation="creating", resource=resource())


def test_a_person_reads_what_was_found() -> None:
    text = report.found_text("prod", Found(lock="created by a@b (pid 1)", operations=[CREATE]))
    assert text.splitlines() == [
        "Stack prod: locked, created by a@b (pid 1); 1 interrupted operation.",
        "  creating vault (azure-native:keyvault:Vault): brought into the state if Azure has made it",
    ]
    assert "nothing to recover" in report.found_text("prod", Found(lock=None, operations=[]))
    assert "no interrupted operations" in report.found_text("prod", Found(lock="x", operations=[]))


def test_a_person_reads_what_was_done_and_what_comes_next() -> None:
    ones = [
        Settled(operation=CREATE, outcome=Outcome.IMPORTED, identifier="/id", note="Azure says Creating"),
        Settled(operation=CREATE, outcome=Outcome.FAILED, note="because"),
    ]
    text = report.done_text("prod", Recovered(backup=Path("/kept/prod.json"), settled=ones[:1]))
    assert "is in the state now; Azure says Creating; /id" in text
    assert "The previous state is in /kept/prod.json." in text
    assert "pulumi preview --refresh --stack prod" in text
    failed = report.done_text("prod", Recovered(backup=None, settled=ones))
    assert "NOT brought back; because" in failed
    assert "Next:" not in failed
    assert "The lock is off." in report.done_text("prod", Recovered(backup=None, settled=[]))


def test_a_program_reads_the_same() -> None:
    done = Recovered(backup=Path("/kept"), settled=[Settled(operation=CREATE, outcome=Outcome.FAILED, note="because")])
    document = json.loads(json.dumps(report.document("prod", Found(lock=None, operations=[CREATE]), done)))
    assert document["complete"] is False
    assert document["operations"] == [
        {
            "name": "vault",
            "type": VAULT,
            "urn": urn(VAULT, "vault"),
            "operation": "creating",
            "outcome": "failed",
            "id": None,
            "note": "because",
        }
    ]


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_has_its_words(outcome: Outcome) -> None:
    done = Recovered(backup=None, settled=[Settled(operation=CREATE, outcome=outcome)])
    assert "creating vault (azure-native:keyvault:Vault): " in report.done_text("dev", done)
    assert done.complete == (outcome != Outcome.FAILED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "STACK"),
        ([""], "mlflow-platform recover prod"),
        (["dev", "--config-file", "nowhere.yaml"], "nowhere.yaml is not a file"),
        (["dev", "--force"], "No such option: --force"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recover", *arguments]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_touched_before_somebody_says_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recoveries: list[Found] = []

    def recovered(_: object, found: Found) -> Recovered:
        recoveries.append(found)
        return Recovered(backup=None, settled=[])

    monkeypatch.setattr(command, "users_environment", dict)
    monkeypatch.setattr(command, "look", lambda _: Found(lock="created by a@b", operations=[]))
    monkeypatch.setattr(command, "bring_back", recovered)
    for answer, code in (("", ExitCode.FAILED), ("no\n", ExitCode.FAILED), ("y\n", ExitCode.DONE)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert recoveries == []
        assert run(["recover", "dev"]) == code
    assert len(recoveries) == 1
    said = capsys.readouterr().out
    assert said.index("locked, created by a@b") < said.index("no `pulumi` works on it anywhere")
    assert said.count("Nothing was changed.") == 2
