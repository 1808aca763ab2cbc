"""The roll-out of a Deployment as Pulumi sees it: a dynamic resource around plain functions.

Its provider is pickled into the state by reference, so its code is here and in `roll_out`, and what it holds is
nothing. The state holds names, a hash, and the API server's address and authority: no value of a variable, no token.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from components.azure.arm import ArmError, default_token
from components.azure.cluster_access import SCOPE, Address, call
from components.compute.aks.roll_out import Get, RollOutError, Wanted, complete, wait_until_rolled_out
from components.compute.dynamic import Provider


def spec_hash(spec: str) -> str:
    """Return the fingerprint of a Deployment's spec, as JSON."""
    return hashlib.sha256(spec.encode()).hexdigest()


class RolledOutProvider(Provider):
    """A Deployment that was rolled out. It is looked at again when its spec changes or a roll-out of it is under way.

    A generation alone tells nothing: the scaler makes some as well, and a revision that somebody made by hand goes by
    one. A look that failed is not in the state and is repeated by the next `up`. There is nothing to delete.
    """

    errors = (RollOutError, ArmError)

    def create(self, props: dict[str, Any]) -> CreateResult:
        self._wait(props)
        return CreateResult(f"{props['namespace']}/{props['deployment']}", props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        self._wait(news)
        return UpdateResult(news)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        if any(olds.get(key) != news.get(key) for key in ("namespace", "deployment", "spec")):
            return DiffResult(changes=True)
        same = all(olds.get(key) == news.get(key) for key in ("uid", "generation"))
        return DiffResult(changes=not same and not self._is_complete(news))

    def _is_complete(self, props: dict[str, Any]) -> bool:
        """Whether the very generation is rolled out; one that a preview foresees is not there yet."""
        generation = props.get("generation")
        if not isinstance(generation, int | float):
            return False
        try:
            found = _get(props)(_wanted(props).path)
        except (ArmError, OSError, ValueError):  # `update` says what is wrong
            return False
        return complete(found) and found["metadata"]["generation"] >= generation

    def _wait(self, props: dict[str, Any]) -> None:
        with self.message_only():
            wait_until_rolled_out(_get(props), _wanted(props))


class RolledOut(Resource, name="RolledOut", module="aks"):
    """A Deployment of which every pod is the latest revision's and available.

    The provider's own waiting may end with the previous revision's status. `metadata` is the Deployment's, from the API
    server.
    """

    def __init__(
        self,
        name: str,
        *,
        server: pulumi.Input[str],
        authority: pulumi.Input[str],
        namespace: str,
        deployment: str,
        spec: pulumi.Input[str],
        metadata: pulumi.Output[Mapping[str, Any]],
        seconds: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "server": server,
            "authority": authority,
            "namespace": namespace,
            "deployment": deployment,
            "spec": spec,
            "uid": metadata.apply(lambda of: of.get("uid")),
            "generation": metadata.apply(lambda of: of.get("generation")),
            "seconds": seconds,
        }
        super().__init__(RolledOutProvider(), name, inputs, opts)


def _get(props: Mapping[str, Any]) -> Get:
    at = Address(server=props["server"], authority=props["authority"])
    return functools.partial(_ask, at)


def _ask(at: Address, path: str) -> Any:
    try:
        token = default_token(SCOPE)
    except ArmError as error:
        # In passing, as any answer that does not come: a roll-out takes longer than a token lives.
        raise ConnectionError(f"no token for it: {error}") from None
    return call(at, token, path)


def _wanted(props: Mapping[str, Any]) -> Wanted:
    return Wanted(namespace=props["namespace"], deployment=props["deployment"], seconds=float(props["seconds"]))
