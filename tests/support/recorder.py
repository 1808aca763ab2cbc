"""Runs a program without an engine and keeps what it registered: the graph that the engine would have got.

    graph = record(lambda: Thing("thing", ThingArgs(...)), preview=True)
    assert graph.inputs("thing-account")["allowSharedKeyAccess"] is False
    assert graph.options("thing-account").protect

In a preview nothing that Azure computes is known (ids, names of Azure's choice, client ids), as with the real provider:
such values arrive in `inputs` and `outputs` as UNKNOWN, or as part of nothing at all. Assert on the graph, never inside
an `apply`, which a preview skips.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, Unpack
from unittest import mock

import pulumi
from google.protobuf import json_format  # type: ignore[import-untyped]
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import resource_pb2, source_pb2

from delivery.offline_azure import computed_outputs
from delivery.offline_azure.addresses import SUBSCRIPTION, TENANT
from delivery.offline_azure.values import merged
from infra import sdk

SUBSCRIPTION_ID = SUBSCRIPTION
TENANT_ID = TENANT

_Given = ParamSpec("_Given")
_Arguments = TypeVarTuple("_Arguments")
_Answer = TypeVar("_Answer")

_SIGNATURE = "4dabf18193072939515e22adb298388d"  # the key by which a wire value says what it is
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"

_NAME_INPUTS = {
    "StorageAccount": "accountName",
    "BlobContainer": "containerName",
    "UserAssignedIdentity": "resourceName",
    "Workbook": "resourceName",
}
"""Types whose own name is given under an input that is not called after the type."""


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
"""Stands in the recorded graph for a value that only Azure will tell."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the program asked the engine to do with a resource. Resources are given by their Pulumi names."""

    parent: str
    protect: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    delete_before_replace: bool
    deleted_with: str
    create_timeout: str


class Graph:
    """The registrations of one run, by the resources' Pulumi names. A name that two types share cannot be asked for."""

    def __init__(self, requests: Sequence[Any], outputs: Mapping[str, Any]) -> None:
        self._requests, self._outputs = requests, outputs
        self._sent: dict[str, dict[str, Any]] = {}

    @property
    def names(self) -> list[str]:
        """Every resource and component, in the order of registration."""
        return [request.name for request in self._requests]

    def named(self, name: str) -> Any:
        """The registration as it went over the wire."""
        found = self._by_name.get(name, [])
        if len(found) != 1:
            raise KeyError(f"{len(found)} resources have the name {name!r}; there are {self.names}")
        return found[0]

    def of_type(self, token: str) -> list[str]:
        """Names of the resources of a type token."""
        return [request.name for request in self._requests if request.type == token]

    def everywhere(self, key: str) -> dict[str, Any]:
        """An input of each resource that has it, by type and name."""
        values = [
            (f"{request.type}::{request.name}", _plain(json_format.MessageToDict(request.object)))
            for request in self._requests
        ]
        return {resource: inputs[key] for resource, inputs in values if key in inputs}

    def type(self, name: str) -> str:
        """The type token, such as azure-native:network:Subnet."""
        return str(self.named(name).type)

    def is_custom(self, name: str) -> bool:
        """Whether a provider makes it; components are not."""
        return bool(self.named(name).custom)

    def inputs(self, name: str) -> dict[str, Any]:
        """Its inputs, camelCase, whole numbers as int, secrets unwrapped, what is not known as UNKNOWN."""
        values = _plain(self._object(name))
        assert isinstance(values, dict)
        return values

    def secret_inputs(self, name: str) -> set[str]:
        """The inputs at the root that are marked secret."""
        values = self._object(name)
        return {key for key, value in values.items() if isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET}

    def outputs(self, name: str) -> dict[str, Any]:
        """What a component registered as its outputs; KeyError where it never did."""
        return dict(self._outputs[name])

    def registered(self, name: str) -> set[str] | None:
        """The names of the outputs that a component registered; None where it never did."""
        return set(self._outputs[name]) if name in self._outputs else None

    def dependencies(self, name: str) -> set[str]:
        """What it waits for, by value or by depends_on."""
        return {_name(urn) for urn in self.named(name).dependencies}

    def options(self, name: str) -> Options:
        request = self.named(name)
        return Options(
            parent=_name(request.parent),
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            delete_before_replace=request.deleteBeforeReplace,
            deleted_with=_name(request.deletedWith),
            create_timeout=request.customTimeouts.create,
        )

    def children(self, name: str) -> list[str]:
        """What has it as its parent."""
        return [child for child in self.names if self.options(child).parent == name]

    @functools.cached_property
    def _by_name(self) -> Mapping[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for request in self._requests:
            found.setdefault(request.name, []).append(request)
        return found

    def _object(self, name: str) -> Mapping[str, Any]:
        """The inputs as they went over the wire, read once; every test gets values of its own from them."""
        if name not in self._sent:
            self._sent[name] = json_format.MessageToDict(self.named(name).object)
        return self._sent[name]


def record(
    program: Callable[[], Any],
    *,
    preview: bool,
    computed: Mapping[str, Mapping[str, Any]] | None = None,
    lookups: Mapping[str, Mapping[str, Any]] | None = None,
    answers: mocks.Mocks | None = None,
    shared_names: bool = False,
    project: str = "test",
    stack: str = "test",
) -> Graph:
    """Run a program and give its graph; its exceptions come through.

    `computed` adds, by type token, outputs that Azure would compute, in an `up` only. `lookups` answers invokes by
    token; a program that looks up anything else fails. `answers` are the answers of somebody else in place of all of
    these. Raise ValueError if two resources have the same name, unless
    `shared_names`.
    """
    answers = answers or _Azure(preview=preview, computed=computed or {}, lookups=lookups or {})
    monitor = _Monitor(answers)

    def run() -> None:
        sdk.spare()  # as the program does
        # A stack of its own, with none of the transformations that another run put on its.
        pulumi.runtime.settings.ROOT.set(None)
        loop = _Loop()
        asyncio.set_event_loop(loop)
        pulumi.runtime.set_mocks(answers, project=project, stack=stack, preview=preview, monitor=monitor)
        try:
            pulumi.runtime.test(lambda: program() and None)()
        finally:
            loop.close()

    # No graph holds the lines of the program that registered it, and they take a quarter of a recording.
    with mock.patch("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace):
        # Pulumi keeps what belongs to a run in context variables.
        contextvars.copy_context().run(run)
    graph = Graph(monitor.requests, monitor.outputs)
    repeated = sorted(name for name, found in graph._by_name.items() if len(found) > 1)
    if repeated and not shared_names:
        raise ValueError(f"more than one resource has the name {repeated}")
    return graph


def shared(recording: Callable[_Given, Graph]) -> Callable[_Given, Graph]:
    """Record once for equal arguments: tests only look at a graph. Arguments that show no value record each time."""
    graphs: dict[str, Graph] = {}

    @functools.wraps(recording)
    def found(*given: _Given.args, **named: _Given.kwargs) -> Graph:
        key = repr((given, sorted(named.items())))
        if " at 0x" in key:
            return recording(*given, **named)
        if key not in graphs:
            graphs[key] = recording(*given, **named)
        return graphs[key]

    return found


class _Loop(asyncio.SelectorEventLoop):
    """Answers a call of the engine where it is made: the answers are at hand, and a thread for each takes longer.

    So no two registrations are under way at once. Those of the real engine are.
    """

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002
        func: Callable[[Unpack[_Arguments]], _Answer],
        *args: *_Arguments,
    ) -> asyncio.Future[_Answer]:
        answer: asyncio.Future[_Answer] = self.create_future()
        try:
            answer.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - as an executor does
            answer.set_exception(error)
        return answer


class _Monitor(mocks.MockMonitor):
    def __init__(self, answers: mocks.Mocks) -> None:
        super().__init__(answers)
        self.requests: list[Any] = []
        self.outputs: dict[str, Any] = {}

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802
        # The engine has these, the mocks do not; without prior state nothing calls them.
        info = super().GetDeploymentInfo(request)  # type: ignore[no-untyped-call]
        info.supportedFeatures.append(resource_pb2.RESOURCE_MONITOR_FEATURE_STATE_MIGRATIONS)
        return info

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        if request.type != "pulumi:pulumi:Stack":
            self.requests.append(request)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        self.outputs[_name(request.urn)] = _plain(json_format.MessageToDict(request.outputs))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Azure(mocks.Mocks):
    """Gives inputs back; after an `up` also an id, the physical name and what the offline Azure computes."""

    def __init__(
        self, *, preview: bool, computed: Mapping[str, Mapping[str, Any]], lookups: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._preview, self._computed, self._lookups = preview, computed, lookups

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        inputs = _as_answered(args.inputs)
        if args.resource_id:  # what exists is looked up, in a preview too
            name = str(args.resource_id).rsplit("/", 1)[-1]
            return args.resource_id, {**computed_outputs.computed(args.typ, args.resource_id, inputs), "name": name}
        if self._preview or not args.custom:
            return None, inputs
        group = args.inputs.get("resourceGroupName", "none")
        kind = args.typ.removeprefix("azure-native:").replace(":", "/")
        identifier = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{group}/providers/{kind}/{args.name}"
        state = {
            **merged(computed_outputs.computed(args.typ, identifier, inputs), inputs),
            "name": _physical_name(args),
        }
        return identifier, {**state, **self._computed.get(args.typ, {})}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        if args.token not in self._lookups:
            raise AssertionError(f"the program looks up {args.token}, which `lookups` does not answer")
        return dict(self._lookups[args.token]), []


def _as_answered(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Azure takes user-assigned identities as a list of ids and answers with an object that has them as keys."""
    identity = inputs.get("identity")
    if not isinstance(identity, Mapping) or not isinstance(identity.get("userAssignedIdentities"), list):
        return dict(inputs)
    return {**inputs, "identity": {**identity, "userAssignedIdentities": computed_outputs.identities(inputs)}}


def _physical_name(args: mocks.MockResourceArgs) -> Any:
    kind = args.typ.split(":")[-1]
    wanted = _NAME_INPUTS.get(kind, f"{kind}Name").lower()
    return next((value for key, value in args.inputs.items() if key.lower() == wanted), args.name)


def _name(urn: str) -> str:
    return urn.split("::")[-1]


def _plain(value: Any) -> Any:
    if value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        if value.get(_SIGNATURE) in (_SECRET, _OUTPUT):
            return _plain(value["value"]) if "value" in value else UNKNOWN
        return {key: _plain(item) for key, item in value.items()}
    return value
