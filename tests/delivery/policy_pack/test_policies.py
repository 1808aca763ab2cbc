"""The policy pack by the engine's protocol: the same rules, unknown values, levels, waivers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import rpc
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from delivery.policy_pack.analyzer import serve
from infra.guardrails import RULES, types
from tests.support.recorder import Graph
from tests.support.registered import first, resources
from tests.support.stacks import PROJECT, STACKS, configuration, graph


@pytest.fixture
def pack() -> Iterator[Any]:
    server, port = serve()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield analyzer_pb2_grpc.AnalyzerStub(channel)
    server.stop(None)


def configured(pack: Any, stack: str, **values: Any) -> None:
    given = {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in configuration(stack, **values).items()
    }
    pack.ConfigureStack(analyzer_pb2.AnalyzerStackConfigureRequest(project=PROJECT, stack=stack, config=given))


def sent(recorded: Graph, name: str, kind: Any = analyzer_pb2.AnalyzerResource, **changed: Any) -> Any:
    """A resource as the engine sends it, with other properties where given."""
    request = recorded.named(name)
    given = json_format.ParseDict({**json_format.MessageToDict(request.object), **changed}, struct_pb2.Struct())
    options = analyzer_pb2.AnalyzerResourceOptions(protect=request.protect, parent=request.parent)
    found = kind(type=request.type, name=name, urn=urn(recorded, name), properties=given, options=options)
    if kind is analyzer_pb2.AnalyzerResource:
        for path, of in request.propertyDependencies.items():
            found.propertyDependencies[path].urns.extend(urn(recorded, one.split("::")[-1]) for one in of.urns)
    return found


def urn(recorded: Graph, name: str) -> str:
    request = recorded.named(name)
    return f"urn:pulumi:test::{PROJECT}::{request.type}::{name}"


def of_types(recorded: Graph) -> list[str]:
    return [name for name in recorded.names if recorded.is_custom(name)]


def rules(answer: Any) -> set[str]:
    return {one.policyName for one in answer.diagnostics}


def test_the_pack_has_every_rule_and_says_what_to_do(pack: Any) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty())
    assert (info.name, [one.name for one in info.policies]) == (PROJECT, [rule.id for rule in RULES])
    assert {one.enforcementLevel for one in info.policies} == {analyzer_pb2.MANDATORY}
    assert all(one.description and one.remediation_steps and one.url for one in info.policies)
    whole = {one.name for one in info.policies if one.policy_type == analyzer_pb2.POLICY_TYPE_STACK}
    assert whole == {rule.id for rule in RULES if rule.whole} != set()


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("stack", [*STACKS, "bootstrap"])
def test_no_stack_breaks_a_rule(pack: Any, stack: str, preview: bool) -> None:
    configured(pack, stack)
    recorded = graph(stack, preview=preview)
    for name in of_types(recorded):
        answer = pack.Analyze(sent(recorded, name, analyzer_pb2.AnalyzeRequest))
        assert list(answer.diagnostics) == [], name
    every = [sent(recorded, name) for name in of_types(recorded)]
    assert list(pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=every)).diagnostics) == []


def analyzed(pack: Any, **changed: Any) -> Any:
    recorded = graph("prod")
    name = first(resources(recorded), "STORAGE").name
    return pack.Analyze(sent(recorded, name, analyzer_pb2.AnalyzeRequest, **changed))


def test_a_broken_rule_is_a_diagnostic_that_stops_the_engine(pack: Any) -> None:
    configured(pack, "prod")
    (found,) = analyzed(pack, allowSharedKeyAccess=True).diagnostics
    assert (found.policyName, found.enforcementLevel) == ("shared-keys", analyzer_pb2.MANDATORY)
    assert found.urn.endswith("::store-account")
    assert found.message == (
        "store-account.allowSharedKeyAccess: 'true' is not allowed; allowed: false. Switch keys, local users and admin "
        "users off: identities sign in by Entra. Why: docs/guardrails.md#shared-keys."
    )


def test_what_is_not_known_breaks_no_rule(pack: Any) -> None:
    assert rules(analyzed(pack, allowSharedKeyAccess=rpc.UNKNOWN, minimumTlsVersion=f"TLS{rpc.UNKNOWN}")) == set()


def test_a_rule_over_all_resources_is_checked_at_the_end(pack: Any) -> None:
    configured(pack, "prod")
    recorded = graph("prod")
    names = [name for name in of_types(recorded) if name not in ("vault-logs", "store-lock")]
    answer = pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=[sent(recorded, name) for name in names]))
    assert {(one.policyName, one.urn.rpartition("::")[2]) for one in answer.diagnostics} == {
        ("no-logs", "vault-vault"),
        ("data-without-a-lock", "store-account"),
    }


def test_a_waiver_of_the_stack_holds_and_settings_decide(pack: Any) -> None:
    waiver = {"owner": "ml-platform", "reason": "an older tool signs in by its key", "expires": expires()}
    # The program itself would refuse a waiver that no resource needs; the pack only reads it.
    configured(pack, "dev", waivers={"shared-keys": waiver})
    assert rules(analyzed(pack, allowSharedKeyAccess=True, minimumTlsVersion="TLS1_0")) == {"old-tls"}
    recorded = graph("prod")
    public = sent(recorded, "images-registry", analyzer_pb2.AnalyzeRequest, publicNetworkAccess="Enabled")
    assert rules(pack.Analyze(public)) == set()
    configured(pack, "prod")
    assert rules(pack.Analyze(public)) == {"data-on-the-internet"}


def expires() -> str:
    from datetime import UTC, datetime, timedelta

    return str((datetime.now(UTC) + timedelta(days=30)).date())


def test_a_level_that_the_organization_sets_counts(pack: Any) -> None:
    levels: Mapping[str, Any] = {
        "shared-keys": analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.ADVISORY),
        "old-tls": analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.DISABLED),
    }
    pack.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=levels))
    (found,) = analyzed(pack, allowSharedKeyAccess=True, minimumTlsVersion="TLS1_0").diagnostics
    assert (found.policyName, found.enforcementLevel) == ("shared-keys", analyzer_pb2.ADVISORY)


def test_a_stack_of_another_program_is_held_to_every_rule(pack: Any) -> None:
    pack.ConfigureStack(
        analyzer_pb2.AnalyzerStackConfigureRequest(project="other", stack="dev", config={"other:a": "b"})
    )
    recorded = graph("dev")
    answer = pack.Analyze(sent(recorded, "store-account", analyzer_pb2.AnalyzeRequest))
    assert recorded.type("store-account") == types.STORAGE
    assert rules(answer) == {"data-without-protection"}
