"""One object of a cluster as a resource of Pulumi's Kubernetes provider, just as it is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi


class ClusterObject(pulumi.CustomResource):
    """An object by its `apiVersion` and `kind`.

    The SDK's own classes would take every field apart and put it together again; what a review of the manifests has
    seen is what the provider gets. `metadata` is the API server's, once the object is there.
    """

    metadata: pulumi.Output[Mapping[str, Any]]

    def __init__(self, name: str, rendered: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(token(rendered), name, dict(rendered), opts)


def token(rendered: Mapping[str, Any]) -> str:
    """Return the type token of an object: the provider calls the group that Kubernetes leaves nameless `core`."""
    version = rendered["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{rendered['kind']}"
