"""From what Pulumi prints to a report: what is read, what is refused, and what the exit code says."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery import cli
from delivery.cost import command, prices
from delivery.cost.resources import InputError, read
from tests.support.command_line import mlflow_platform

ZONE = {"type": "azure-native:privatedns:PrivateZone", "inputs": {}}
GROUP = {"type": "azure-native:resources:ResourceGroup", "inputs": {}}
VAULT = {"type": "azure-native:keyvault:Vault", "inputs": {}}
UNHEARD_OF = {"type": "azure-native:cache:Redis", "inputs": {}}


def state(resource: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    """As in a deployment or a step."""
    return {"urn": f"urn:pulumi:dev::mlflow::{resource['type']}::{name}", "custom": True, **resource, **more}


def step(op: str, resource: dict[str, Any], name: str) -> dict[str, Any]:
    which = "oldState" if op.startswith("delete") else "newState"
    new = state(resource, name)
    return {"op": op, "urn": new["urn"], which: new}


def preview(*steps: dict[str, Any], same: int = 0) -> dict[str, Any]:
    return {"steps": list(steps), "changeSummary": {"same": same} if same else {}}


def export(*states: dict[str, Any]) -> dict[str, Any]:
    return {"version": 3, "deployment": {"resources": list(states)}}


def found(document: object) -> list[tuple[str, str]]:
    return [(resource.name, resource.type.rpartition(":")[2]) for resource in read(document)]


def run(document: object, tmp_path: Path, *options: str) -> int:
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document))
    return cli.run(["cost", str(file), *options])


def test_a_plain_list_is_read() -> None:
    named = {**ZONE, "name": "names"}
    assert found([named, VAULT]) == [("names", "PrivateZone"), ("Vault", "Vault")]


def test_an_exported_stack_is_read_without_what_is_not_azures_or_not_its_own() -> None:
    document = export(
        state({"type": "pulumi:pulumi:Stack"}, "dev", custom=False),
        state({"type": "pulumi:providers:azure-native", "inputs": {}}, "default"),
        state({"type": "mlflow:azure:Network"}, "network", custom=False),
        state({"type": "pulumi-python:dynamic/container_apps:JobExecution", "inputs": {}}, "prepare"),
        state(ZONE, "zone"),
        state(VAULT, "somebody-elses", external=True),
        state(VAULT, "old", delete=True),
    )
    assert found(document) == [("zone", "PrivateZone")]


def test_what_is_neither_azures_nor_the_engines_is_kept_to_be_named() -> None:
    assert found([{"type": "kubernetes:core/v1:Service", "inputs": {}, "name": "web"}]) == [("web", "Service")]


def test_a_preview_gives_what_will_be_there() -> None:
    document = preview(
        step("same", {"type": "pulumi:pulumi:Stack", "custom": False}, "dev"),
        step("create", ZONE, "new"),
        step("update", VAULT, "changed"),
        step("same", GROUP, "kept"),
        step("delete", VAULT, "gone"),
        step("create-replacement", ZONE, "replaced"),
        step("replace", ZONE, "replaced"),
        step("delete-replaced", ZONE, "replaced"),
        step("read", VAULT, "somebody-elses"),
        same=2,
    )
    assert [name for name, _ in found(document)] == ["new", "changed", "kept", "replaced"]


def test_a_preview_without_what_does_not_change_is_refused() -> None:
    with pytest.raises(InputError, match=r"leaves out 6 resources .*--show-sames"):
        read(preview(step("same", {"type": "pulumi:pulumi:Stack", "custom": False}, "dev"), same=7))


def test_the_api_version_in_a_type_does_not_matter() -> None:
    [resource] = read([{"type": "azure-native:network/v20240501:NatGateway", "inputs": {}}])
    assert resource.type == "azure-native:network:NatGateway"


@pytest.mark.parametrize("document", [{}, {"steps": 1}, "text", None, 3, {"deployment": []}])
def test_a_document_of_another_kind_is_refused(document: object) -> None:
    with pytest.raises(InputError, match="pulumi stack export"):
        read(document)


@pytest.mark.parametrize("entry", [1, {}, {"type": 2}])
def test_an_entry_that_is_no_resource_is_refused(entry: object) -> None:
    with pytest.raises(InputError, match="no resource"):
        read([entry])


def test_the_text_says_what_it_is_worth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([{**ZONE, "name": "names"}, {**GROUP, "name": "group"}], tmp_path, "--log-gb", "7") == 0
    text = capsys.readouterr().out
    assert "names: zone" in text
    assert "0.5 / zone-month" in text
    assert "management of Azure resources is not billed: group" in text
    assert "7 GB of other logs" in text
    assert prices.NOTICE in text
    assert "Not priced" not in text


def test_groups_and_totals_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = {"type": "azure-native:network:PrivateEndpoint", "inputs": {}}
    basic = {"type": "azure-native:containerregistry:Registry", "inputs": {"sku": {"name": "Basic"}}}
    assert run([ZONE, endpoint, basic], tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    sums = [line.split() for line in lines if line.strip() and len(line.split()) == 2 and line.startswith(" ")]
    assert sums == [["5.08", "5.08"], ["7.80", "8.80"]]
    assert next(line for line in lines if line.startswith("total")).split()[1:] == ["12.88", "13.88"]
    assert "About 13 to 14 USD a month." in lines


def test_what_has_no_price_is_named_and_changes_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([ZONE, {**UNHEARD_OF, "name": "cache"}], tmp_path) == 1
    text = capsys.readouterr().out
    assert "cache (azure-native:cache:Redis): no price for this type" in text
    assert "USD a month, and 1 resource without a price." in text


def test_json_holds_every_number_and_where_it_is_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([{**VAULT, "name": "vault"}, GROUP, UNHEARD_OF], tmp_path, "--json", "--vault-operations", "20000") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["monthly"] == {"idle": 0, "load": pytest.approx(0.06), "complete": False}
    assert document["lines"] == [
        {
            "group": "storage",
            "resource": "vault",
            "what": "operations",
            "unit": "10,000 operations",
            "unitPrice": 0.03,
            "source": "https://azure.microsoft.com/pricing/details/key-vault/",
            "quantity": {"idle": 0, "load": 2},
            "monthly": {"idle": 0, "load": pytest.approx(0.06)},
        }
    ]
    assert [one["resource"] for one in document["free"]] == ["ResourceGroup"]
    assert [one["type"] for one in document["notPriced"]] == ["azure-native:cache:Redis"]
    assert document["load"]["load"]["vault_operations"] == 20000
    assert "no quote" in document["notice"]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps([ZONE])))
    assert cli.run(["cost", "-"]) == 0
    assert "PrivateZone: zone" in capsys.readouterr().out


def test_an_empty_stack_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([], tmp_path) == 0
    assert "About 0 to 0 USD a month." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("not json", [], "is not JSON"),
        ("{}", [], "neither a preview"),
        ("[]", ["--scale", "2"], "scale: 2; allowed: 0 to 1"),
        ("[]", ["--scale", "much"], "Invalid value for '--scale'"),
        ("[]", ["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_wrong_usage_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, options: list[str], message: str
) -> None:
    file = tmp_path / "document.json"
    file.write_text(content)
    assert cli.run(["cost", str(file), *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_a_file_that_is_not_there_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cost", str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_help_says_when_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cost", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "It fails if something has no price" in said
    assert "--active-hours" in said


def test_a_reader_who_has_seen_enough_causes_no_complaint(tmp_path: Path) -> None:
    file = tmp_path / "document.json"
    file.write_text(json.dumps([ZONE] * 5000))
    program = subprocess.Popen(
        mlflow_platform("cost", str(file)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    complaint = program.stderr.read()
    assert program.wait(timeout=60) == 0
    assert complaint == ""


def test_a_stack_is_planned_and_priced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planned: list[str] = []

    def plan(stack: str) -> Any:
        planned.append(stack)
        return preview(step("create", ZONE, "names"))

    monkeypatch.setattr(command, "_planned", plan)
    assert cli.run(["cost", "prod"]) == 0
    assert planned == ["prod"]
    assert "names" in capsys.readouterr().out
