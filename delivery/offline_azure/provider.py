# ruff: noqa: ARG002 - the protocol fixes the methods' parameters
"""The azure-native provider of the offline Azure, which the engine uses by `PULUMI_DEBUG_PROVIDERS`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from delivery.azure_types.type_tokens import short, versionless
from delivery.offline_azure import addresses, automatic_names, computed_outputs, defaults, immutable, sdk_types
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import HalfDoneError, RefusedError
from delivery.offline_azure.retrying import repeated
from delivery.offline_azure.values import UNKNOWN, Json, known, merged

VERSION: Final = "3.29.0"
_CREATE_FIRST: Final = "__createBeforeDelete"
_OWN_RESOURCES: Final = {
    "network:NetworkSecurityGroup": ("securityRules",),
    "network:RouteTable": ("routes",),
    "network:VirtualNetwork": ("subnets", "virtualNetworkPeerings"),
}
Kind = provider_pb2.PropertyDiff.Kind


def plain(struct: struct_pb2.Struct) -> dict[str, Json]:
    """Return the engine's properties as JSON: secrets opened, unknowns as `UNKNOWN`, whole numbers as integers."""

    def whole(value: Json) -> Json:
        if isinstance(value, dict):
            return {key: whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [whole(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    read: dict[str, Json] = whole(known(json_format.MessageToDict(struct)))
    return {key: value for key, value in read.items() if not key.startswith("__")}


def wire(value: Mapping[str, Json]) -> struct_pb2.Struct:
    def sent(item: Json) -> Json:
        if item is UNKNOWN:
            return rpc.UNKNOWN
        if isinstance(item, Mapping):
            return {key: sent(inner) for key, inner in item.items()}
        return [sent(inner) for inner in item] if isinstance(item, list) else item

    return json_format.ParseDict(sent(value), struct_pb2.Struct())


def unknown(value: Json) -> Json:
    """Return the same object with every value unknown."""
    return {key: unknown(item) for key, item in value.items()} if isinstance(value, dict) else UNKNOWN


def outputs(
    type_token: str,
    identifier: str,
    inputs: Mapping[str, Json],
    answer: Mapping[str, Json],
    filled: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Return the outputs of a resource: its inputs, without its address, what Azure filled in and what it computed.

    `answer` is what Azure knows of this one resource and not of its kind.
    """
    of_address = {*addresses.names(type_token), *addresses.SCOPES} - sdk_types.outputs_of(type_token)
    given = merged(filled or {}, _answered(defaults.answered(type_token, inputs)))
    shown = {key: value for key, value in given.items() if key not in of_address}
    shown = merged(merged(shown, computed_outputs.computed(type_token, identifier, inputs)), answer)
    return {"type": addresses.arm_type(identifier), **shown}


def outputs_of(resource: Mapping[str, Any]) -> dict[str, Json]:
    filled = resource.get("filled", {})
    return outputs(resource["type"], resource["id"], resource["inputs"], resource.get("answer", {}), filled)


# Of a resource that is updated in place azure-native previews these and its inputs (its provider.go, `Update`).
_STABLE: Final = ("name", "location")


def preview_outputs(type_token: str, inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return the outputs of a resource that is about to be created or updated: all that is no input is unknown."""
    computed = unknown(computed_outputs.computed(type_token, "unknown", inputs))
    shown = merged(_answered(inputs), computed)
    return {**dict.fromkeys(sdk_types.outputs_of(type_token) - shown.keys(), UNKNOWN), **shown}


def _answered(inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return the inputs in the shape of the answer. The SDK fails on identities that come back as a list."""
    if not isinstance(inputs.get("identity"), dict) or "userAssignedIdentities" not in inputs["identity"]:
        return dict(inputs)
    identity = {**inputs["identity"], "userAssignedIdentities": computed_outputs.identities(inputs) or UNKNOWN}
    return {**inputs, "identity": identity}


def refreshed(
    type_token: str, inputs: Mapping[str, Json], before: Mapping[str, Json], after: Mapping[str, Json]
) -> dict[str, Json]:
    """Return the inputs with what changed in Azure's answer since the previous one, as the provider reads a resource.

    So what Azure wrote back at once is no difference, and what it chooses again later is one.
    """

    def moved(given: Json, old: Json, new: Json) -> Json:
        if not isinstance(old, dict) or not isinstance(new, dict):
            return given if old == new else new
        result = dict(given) if isinstance(given, dict) else {}
        for key in old.keys() | new.keys():
            if key not in new:
                result.pop(key, None)
            elif old.get(key) != new[key]:
                result[key] = moved(result.get(key), old.get(key), new[key])
        return result

    # Resources of their own that nobody wrote into their parent are no inputs of it (the provider's
    # removeUnsetSubResourceProperties).
    apart = [key for key in _OWN_RESOURCES.get(short(type_token), ()) if key not in inputs]
    answers = [{key: value for key, value in answer.items() if key not in apart} for answer in (before, after)]
    kept = [sdk_types.as_inputs(type_token, answer) for answer in answers]
    return moved(dict(inputs), *kept)  # type: ignore[no-any-return]


def changes(old: Json, new: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the paths whose values differ, each with add, delete or update."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{path}.{key}" if path else key
            if key not in new:
                yield inner, "delete"
            elif key not in old:
                yield inner, "add"
            else:
                yield from changes(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from changes(before, after, f"{path}[{index}]")
    elif old != new:
        yield path, "update"


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the engine from an `Azure`. Method names are the protocol's."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        type_token, news, olds = _token(request.urn), plain(request.news), plain(request.olds)
        own = addresses.names(type_token)[-1]
        if own not in news and own in sdk_types.inputs_of(type_token):
            made = automatic_names.name(type_token, request.urn.rsplit("::", 1)[1], request.randomSeed)
            # A resource without a name of its own keeps the one that was made up for it.
            news[own] = olds.get(own, made.text)
            if _flag(request.olds) if own in olds else made.random:
                news[_CREATE_FIRST] = True
        return provider_pb2.CheckResponse(inputs=wire(news))

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        type_token, old, new = _token(request.urn), plain(request.old_inputs), plain(request.news)
        immutables = immutable.replacing(type_token)
        # A refresh leaves it to the provider to pass over what the program ignores.
        ignored = frozenset(request.ignoreChanges)
        found = {path: kind for path, kind in changes(old, new) if not immutable.replaces(path, ignored)}
        replaced = [path for path in found if immutable.replaces(path, immutables)]
        detailed = {
            path: provider_pb2.PropertyDiff(
                kind=getattr(Kind, f"{kind}_replace".upper() if path in replaced else kind.upper()), inputDiff=True
            )
            for path, kind in found.items()
        }
        kinds = provider_pb2.DiffResponse
        return provider_pb2.DiffResponse(
            changes=kinds.DIFF_SOME if found else kinds.DIFF_NONE,
            replaces=replaced,
            diffs=sorted({re.split(r"[.\[]", path)[0] for path in found}),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            # Whatever was changed, also the name: the provider creates first only what has a random name.
            deleteBeforeReplace=bool(replaced) and not _flag(request.old_inputs),
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        type_token, inputs = _token(request.urn), plain(request.properties)
        if request.preview:
            self._asked(context, lambda: self._azure.check(type_token, inputs))
            return provider_pb2.CreateResponse(properties=wire(preview_outputs(type_token, inputs)))
        try:
            made = self._asked(context, lambda: self._azure.create(type_token, inputs))
        except HalfDoneError as half:
            left = self._azure.resources[addresses.address(type_token, inputs).lower()]
            shown = merged(outputs_of(left), computed_outputs.state(type_token, "Failed"))
            detail = provider_pb2.ErrorResourceInitFailed(
                id=left["id"], properties=wire(shown), reasons=[str(half)], inputs=wire(inputs)
            )
            _abort_with(context, str(half), detail)
        return provider_pb2.CreateResponse(id=made["id"], properties=wire(outputs_of(made)))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        type_token = _token(request.urn)
        found = self._asked(context, lambda: self._azure.read(type_token, request.id))
        if found is None:
            return provider_pb2.ReadResponse()
        shown, known = outputs_of(found), plain(request.inputs)
        inputs = refreshed(type_token, known, plain(request.properties), shown) if known else found["inputs"]
        return provider_pb2.ReadResponse(id=found["id"], properties=wire(shown), inputs=wire(inputs))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        type_token, inputs = _token(request.urn), plain(request.news)
        if request.preview:
            self._asked(context, lambda: self._azure.check(type_token, inputs))
            stable = {key: value for key, value in plain(request.olds).items() if key in _STABLE}
            return provider_pb2.UpdateResponse(properties=wire({**preview_outputs(type_token, inputs), **stable}))
        changed = self._asked(context, lambda: self._azure.update(type_token, request.id, inputs))
        return provider_pb2.UpdateResponse(properties=wire(outputs_of(changed)))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._asked(context, lambda: self._azure.delete(_token(request.urn), request.id))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        match request.tok:
            case "azure-native:authorization:getClientConfig":
                return provider_pb2.InvokeResponse(**{"return": wire(computed_outputs.client())})
            case "azure-native:authorization:getClientToken":
                return provider_pb2.InvokeResponse(**{"return": wire({"token": "offline"})})
        module, name = request.tok.removeprefix("azure-native:").split(":")
        type_token, args = f"azure-native:{module}:{name.removeprefix('get')}", plain(request.args)
        identifier = addresses.address(type_token, args)
        found = self._asked(context, lambda: self._azure.read(type_token, identifier))
        if found is None:
            context.abort(grpc.StatusCode.UNKNOWN, f'Status=404 Code="ResourceNotFound" Message="{identifier}"')
            raise AssertionError("unreachable")
        shown = {"id": found["id"], **outputs_of(found)}
        return provider_pb2.InvokeResponse(**{"return": wire(shown)})

    def _asked(self, context: Any, ask: Callable[[], Any]) -> Any:
        try:
            return repeated(ask)
        except RefusedError as refused:
            context.abort(grpc.StatusCode.UNKNOWN, str(refused))
            raise


def serve(azure: Azure, port: int = 0) -> tuple[grpc.Server, int]:
    """Start the provider on 127.0.0.1; return the running server and its port. Stop it with `.stop(None)`."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(azure), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


def _flag(inputs: struct_pb2.Struct) -> bool:
    """Return whether the provider made up a random name for these inputs, which it notes in them."""
    return bool(json_format.MessageToDict(inputs).get(_CREATE_FIRST))


def _token(urn: str) -> str:
    return versionless(urn.split("::")[2].split("$")[-1])


def _abort_with(context: Any, message: str, detail: Any) -> None:
    """End the call with a detail, by which the engine keeps what is half done in its state."""
    packed = any_pb2.Any()
    packed.Pack(detail)
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=message, details=[packed])
    context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
    context.abort(code, message)
