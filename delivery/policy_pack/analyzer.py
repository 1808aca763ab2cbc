"""The rules of `infra.guardrails` behind the engine's protocol for policy packs: no rule is written twice.

A rule over one resource is checked as the engine registers it, in a preview too; a rule over all of them at the end.
What the settings decide, and waivers, come from the stack's configuration, which the engine hands over. It is served
by the protocol of Pulumi's own SDK: the package `pulumi-policy` needs an older protobuf than the program does.

Source: proto/pulumi/analyzer.proto of pulumi/pulumi.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format  # type: ignore[import-untyped]
from pulumi.runtime import rpc
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2

from delivery.offline_azure.values import UNKNOWN as UNKNOWN_ON_THE_WIRE
from delivery.offline_azure.values import known
from infra.guardrails import RULES, ResourceRule, types
from infra.guardrails.enforcement import facts, waived
from infra.guardrails.resource import UNKNOWN, Facts, Resource, Stack
from infra.guardrails.rule import Broken, said
from infra.settings.load import parsed
from infra.settings.problems import SettingsError

NAME: Final = "mlflow-platform"
VERSION: Final = "1.0.0"
_LARGEST_MESSAGE: Final = 400 * 1024 * 1024  # as the engine's: a stack's resources come in one


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """One policy pack for one run of the engine. Method names are the protocol's.

    Until a stack is configured, and for one of another program, every rule applies as in production.
    """

    def __init__(self, rules: Sequence[ResourceRule] = RULES) -> None:
        self._rules = rules
        self._facts, self._waived = Facts(), frozenset[str]()
        self._levels: dict[str, Any] = {}

    def Handshake(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return analyzer_pb2.AnalyzerInfo(
            name=NAME, version=VERSION, supportsConfig=True, policies=[_info(rule) for rule in self._rules]
        )

    def Configure(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Take the enforcement levels that a policy group, or --policy-pack-config, sets."""
        self._levels = {rule: config.enforcementLevel for rule, config in request.policyConfig.items()}
        return empty_pb2.Empty()

    def ConfigureStack(self, request: Any, _context: Any) -> Any:  # noqa: N802
        if request.project == NAME:
            try:
                settings = parsed(request.config, request.project, request.stack)
            except SettingsError:  # which the program itself says
                return analyzer_pb2.AnalyzerStackConfigureResponse()
            self._facts, self._waived = facts(settings), frozenset(waived(settings))
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Analyze(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return self._answer([_resource(request)], whole=False)

    def AnalyzeStack(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return self._answer([_resource(one) for one in request.resources], whole=True)

    def Remediate(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return analyzer_pb2.RemediateResponse()

    def Cancel(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def _answer(self, resources: Sequence[Resource], *, whole: bool) -> Any:
        stack = Stack(facts=self._facts, resources=resources)
        found = [
            self._diagnostic(rule, resource, broken)
            for rule in self._rules
            if rule.whole is whole and rule.id not in self._waived
            for resource in resources
            for broken in rule.broken(resource, stack)
        ]
        return analyzer_pb2.AnalyzeResponse(diagnostics=[one for one in found if one is not None])

    def _diagnostic(self, rule: ResourceRule, resource: Resource, broken: Broken) -> Any:
        level = self._levels.get(rule.id, analyzer_pb2.MANDATORY)
        if level == analyzer_pb2.DISABLED:
            return None
        value = "nothing" if broken.value is None else repr(said(broken.value))
        return analyzer_pb2.AnalyzeDiagnostic(
            policyName=rule.id,
            policyPackName=NAME,
            policyPackVersion=VERSION,
            description=_description(rule),
            message=(
                f"{resource.name}.{broken.path}: {value} is not allowed; allowed: {broken.allowed}. {rule.remedy} "
                f"Why: {rule.link}."
            ),
            enforcementLevel=level,
            urn=str(resource.key),
        )


def serve(rules: Sequence[ResourceRule] = RULES) -> tuple[grpc.Server, int]:
    """Start the policy pack on 127.0.0.1; return the running server and its port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)]
    )
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(rules), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def _info(rule: ResourceRule) -> Any:
    kind = analyzer_pb2.POLICY_TYPE_STACK if rule.whole else analyzer_pb2.POLICY_TYPE_RESOURCE
    return analyzer_pb2.PolicyInfo(
        name=rule.id,
        description=_description(rule),
        enforcementLevel=analyzer_pb2.MANDATORY,
        policy_type=kind,
        remediation_steps=rule.remedy,
        url=rule.link,
    )


def _description(rule: ResourceRule) -> str:
    return f"Refuses {rule.refuses}. {rule.reason}"


def _resource(sent: Any) -> Resource:
    """Return a resource that the engine sends, with its inputs or, at the end, its outputs."""
    dependencies: Mapping[str, Any] = getattr(sent, "propertyDependencies", {})
    return Resource(
        key=sent.urn,
        name=sent.name,
        type=types.versionless(sent.type),
        inputs=_known(known(json_format.MessageToDict(sent.properties))),
        refers={path: frozenset(found.urns) for path, found in dependencies.items() if found.urns},
        protect=sent.options.protect,
        parent=_name(getattr(sent, "parent", "") or sent.options.parent),
    )


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item) for item in value]
    # In a longer text too: what is behind it is not known.
    if value is UNKNOWN_ON_THE_WIRE or (isinstance(value, str) and rpc.UNKNOWN in value):
        return UNKNOWN
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]
