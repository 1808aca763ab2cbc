"""The rules inside the program: one message with every problem, before anything is registered."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pulumi
import pytest
from pulumi_azure_native import app, authorization, keyvault, managedidentity, monitor, network, storage

from infra.guardrails import RULES
from infra.guardrails.enforcement import enforced, passed, waiver_command
from infra.settings import guardrails
from infra.settings.model import Settings, parse
from infra.tags import tags
from tests.support import recorder
from tests.support.recorder import Graph, record
from tests.support.stacks import configuration, graph

WAIVER = {"owner": "ml-platform", "reason": "a tool of last year still signs in by its key", "expires": "DAY"}


def settings(*waived: str, protect: bool = False) -> Settings:
    day = str(date.today() + timedelta(days=30))
    given = {rule: {**WAIVER, "expires": day} for rule in waived}
    guarded = {"protect": "true", "purgeProtection": "true"} if protect else {}
    return parse(configuration("dev", waivers=given, **guarded), "dev")


def account(name: str, **wrong: Any) -> storage.StorageAccount:
    return storage.StorageAccount(
        name,
        **{
            "resource_group_name": "rg",
            "kind": storage.Kind.STORAGE_V2,
            "sku": storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
            "tags": tags(settings()),
            "allow_blob_public_access": False,
            "allow_cross_tenant_replication": False,
            "allowed_copy_scope": storage.AllowedCopyScope.AAD,
            "allow_shared_key_access": False,
            "minimum_tls_version": storage.MinimumTlsVersion.TLS1_2,
            "public_network_access": storage.PublicNetworkAccess.DISABLED,
            "network_rule_set": storage.NetworkRuleSetArgs(default_action=storage.DefaultAction.DENY),
            **wrong,
        },
    )


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what has been registered, in order, also where the program fails."""
    names: list[str] = []
    register = recorder._Monitor.RegisterResource

    def noted(self: Any, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            names.append(request.name)
        return register(self, request)

    monkeypatch.setattr(recorder._Monitor, "RegisterResource", noted)
    return names


def run(make: Callable[[], object], *waived: str, protect: bool = False) -> None:
    def program() -> None:
        with enforced(settings(*waived, protect=protect)):
            make()

    record(program, preview=False, stack="dev")


def refused(make: Callable[[], object], *waived: str, protect: bool = False) -> str:
    with pytest.raises(pulumi.RunError) as caught:
        run(make, *waived, protect=protect)
    return str(caught.value)


def with_logs(**wrong: Any) -> None:
    from components.azure.diagnostics import send

    made = account("one", **wrong)
    send("one-logs", target_id=made.id, workspace_id="/w", parent=made, metrics=())


def test_every_problem_is_in_one_message_and_nothing_is_registered(registered: list[str]) -> None:
    def make() -> None:
        account("good")
        with_logs(allow_shared_key_access=True, minimum_tls_version=storage.MinimumTlsVersion.TLS1_0)
        managedidentity.UserAssignedIdentity("two", resource_group_name="rg", tags={"owner": "a"})

    message = refused(make)
    first, *problems = message.splitlines()
    assert first == "The resources of stack dev cannot be made:"
    assert [line.split(":")[0].strip(" -") for line in problems] == [
        "good.logs",
        "one.allowSharedKeyAccess",
        "one.minimumTlsVersion",
        "two.tags",
    ]
    assert problems[1].startswith(
        "  - one.allowSharedKeyAccess: 'true' is not allowed; allowed: false; change it, or waive the rule: `pulumi "
    )
    assert problems[1].endswith(". Why: docs/guardrails.md#shared-keys.")
    assert "waive" not in problems[3]
    assert registered == []


def test_a_program_that_keeps_the_rules_is_registered(registered: list[str]) -> None:
    run(with_logs)
    assert registered == ["one", "one-logs"]


def test_a_problem_names_the_line_that_makes_the_resource() -> None:
    from components.azure.storage_account import create

    def make() -> None:
        create(
            "one",
            account_name="a",
            resource_group_name="rg",
            location="westeurope",
            tags=tags(settings()),
            sku=storage.SkuName.STANDARD_LRS,
            public=True,
            network=storage.NetworkRuleSetArgs(default_action=storage.DefaultAction.DENY),
            opts=pulumi.ResourceOptions(),
        )

    assert re.search(r"change it where it is made, components/azure/storage_account\.py:\d+", refused(make))


def test_a_waiver_lets_a_resource_pass(registered: list[str]) -> None:
    run(lambda: with_logs(allow_shared_key_access=True), "shared-keys")
    assert registered == ["one", "one-logs"]
    assert "one.allowSharedKeyAccess" in refused(lambda: with_logs(allow_shared_key_access=True), "old-tls")


def test_a_waiver_that_no_resource_needs_is_refused(registered: list[str]) -> None:
    message = refused(with_logs, "shared-keys")
    assert "waivers.shared-keys" in message
    assert "run `pulumi config rm --path waivers.shared-keys -s dev`" in message
    assert registered == []


def test_a_value_that_is_known_later_is_looked_at_before_its_resource_is_registered(registered: list[str]) -> None:
    def make(tail: str) -> None:
        identity = managedidentity.UserAssignedIdentity("who", resource_group_name="rg", tags=tags(settings()))
        image = identity.name.apply(lambda name: f"{name}{tail}")
        app.Job(
            "job",
            resource_group_name="rg",
            tags=tags(settings()),
            template=app.JobTemplateArgs(containers=[app.ContainerArgs(name="main", image=image)]),
        )

    run(lambda: make(f"@sha256:{'0' * 64}"))
    assert registered == ["who", "job"]
    registered.clear()
    assert "job.template.containers[0].image: 'who:latest' is not allowed" in refused(lambda: make(":latest"))
    assert registered == ["who"]


def test_a_program_that_fails_registers_nothing(registered: list[str]) -> None:
    def make() -> None:
        account("one")
        raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        run(make)
    assert registered == []


def test_a_stack_on_one_machine_has_no_resource_to_look_at(registered: list[str]) -> None:
    def program() -> None:
        with enforced(parse({"profile": "local"}, "local")):
            account("one", allow_shared_key_access=True)

    record(program, preview=False)
    assert registered == ["one"]


def test_protection_comes_from_the_parent_too() -> None:
    def make(protect: bool) -> None:
        above = pulumi.ComponentResource("test:a:B", "above", opts=pulumi.ResourceOptions(protect=protect))
        vault = keyvault.Vault(
            "one",
            resource_group_name="rg",
            tags=tags(settings()),
            properties=keyvault.VaultPropertiesArgs(
                tenant_id="t",
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_purge_protection=True,
                public_network_access="Disabled",
                network_acls=keyvault.NetworkRuleSetArgs(default_action="Deny"),
            ),
            opts=pulumi.ResourceOptions(parent=above),
        )
        monitor.DiagnosticSetting("logs", resource_uri=vault.id, workspace_id="/w")
        authorization.ManagementLockByScope("lock", scope=vault.id, level=authorization.LockLevel.CAN_NOT_DELETE)

    run(lambda: make(True), protect=True)
    assert "one.protect: 'false' is not allowed" in refused(lambda: make(False), protect=True)


def test_what_is_looked_up_is_not_made() -> None:
    run(lambda: managedidentity.UserAssignedIdentity.get("one", "/subscriptions/s/resourceGroups/rg/providers/x/y/one"))


def test_the_rules_change_nothing_of_what_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    def registrations(recorded: Graph) -> dict[str, object]:
        return {name: (recorded.dependencies(name), recorded.options(name)) for name in recorded.names}

    guarded = registrations(graph("dev"))
    monkeypatch.setattr("infra.program.enforced", lambda _: contextlib.nullcontext())
    assert registrations(graph("dev", nameGeneration="bare")) == guarded


def test_what_takes_no_tags_needs_none(registered: list[str]) -> None:
    run(
        lambda: network.Subnet(
            "subnet", resource_group_name="rg", virtual_network_name="vnet", address_prefix="10.0.0.0/28"
        )
    )
    assert registered == ["subnet"]


def test_the_offered_waiver_is_one_command() -> None:
    command = waiver_command("shared-keys", "prod", date(2026, 11, 29))
    assert command == (
        "pulumi config set-all --path --plaintext 'waivers.shared-keys.owner=TEAM' --plaintext "
        "'waivers.shared-keys.reason=why the stack needs it, and what ends that' --plaintext "
        "'waivers.shared-keys.expires=2026-12-29' -s prod"
    )


def test_a_stack_says_how_many_rules_looked_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    resources, chosen = len(RULES), settings()
    applied = sum(rule.applies(chosen) for rule in guardrails.RULES)
    assert passed(chosen) == f"guardrails: {applied + resources} passed, 0 waived"
    assert passed(settings("shared-keys")) == f"guardrails: {applied + resources - 1} passed, 1 waived"
    prod = parse(configuration("prod"), "prod")
    assert passed(prod) == f"guardrails: {len(guardrails.RULES) + resources} passed, 0 waived"
    lines: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lines.append)
    run(lambda: None)
    refused(lambda: account("store", allow_shared_key_access=True))
    assert lines == [passed(chosen)], "what is refused has not passed"
