"""Where in a cluster the workloads run, and what stands around them. Plain but for values that Azure chooses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.compute.aks.quantities import Quota
from components.compute.image import Image

# Kubernetes, "Object Names and IDs": RFC 1123 labels.
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
"""Ranges of virtual networks and their peers. The last has pods too, which no range of a policy matches on Cilium."""


@dataclass(frozen=True, kw_only=True)
class Frontend:
    """The address at which clients reach the service with public ingress, and who they are.

    `address` is one of `subnet`, a subnet's name in the cluster's network; both are plain, so the address is known
    before the load balancer is there. `clients` are ranges; none means every private one. `public`: an address on the
    internet instead, which the namespace's admission policy then lets through; `address` and `subnet` are not used.
    """

    host: str
    address: str = ""
    subnet: str = ""
    clients: Sequence[str] = ()
    public: bool = False

    def __post_init__(self) -> None:
        if self.public == bool(self.address or self.subnet):
            raise ValueError(
                f"Frontend.address, subnet: got {self.address!r} and {self.subnet!r} with public {self.public}; "
                "expected both for a private frontend and neither for a public one. Correct them."
            )
        for given in (*([self.address] if self.address else []), *self.clients):
            try:
                ipaddress.IPv4Network(given)
            except ValueError as error:
                raise ValueError(
                    f"Frontend: {given!r} is no IPv4 address or range ({error}); write it as 10.0.0.0/8."
                ) from error

    @property
    def client_ranges(self) -> Sequence[str]:
        """The ranges that may call."""
        return tuple(self.clients) or PRIVATE_RANGES


@dataclass(frozen=True, kw_only=True)
class Place:
    """One namespace of a cluster. Raise ValueError for a name that Kubernetes refuses.

    - `image`: what every pod runs. Nodes pull it with their own identity.
    - `database`, `stores`: the ranges of the database server and of the private endpoints for blobs and secrets.
    - `quota`: the most that its pods may ask for together.
    - `tenant_id`, `authority`: where pods exchange their token for one of their identity.
    - `environment`: what the platform adds to every container.
    """

    namespace: str
    image: Image
    tenant_id: pulumi.Input[str]
    database: str
    stores: str
    frontend: Frontend
    quota: Quota
    authority: str = "https://login.microsoftonline.com/"
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ValueError(
                f"Place.namespace: got {self.namespace!r}; expected 1 to 63 lower-case letters, digits and hyphens, no "
                "hyphen at either end. Choose another."
            )
        for name, given in (("database", self.database), ("stores", self.stores)):
            try:
                ipaddress.IPv4Network(given)
            except ValueError as error:
                raise ValueError(
                    f"Place.{name}: {given!r} is no IPv4 range ({error}); write it as 10.0.0.0/28."
                ) from error
