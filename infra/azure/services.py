"""What runs on Azure, on whichever backend: the topology of a stack's settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.compute.contract import Ingress, WorkloadIdentity
from components.mlflow.access import AccessControl
from components.mlflow.roles import Role
from components.mlflow.topology import DataAddresses, GatewayTls, Topology
from infra.settings.access import AccessMode
from infra.settings.model import Settings

POSTGRES_PORT = 5432
SSLMODE = "verify-full"

# Each container has a network of its own.
_PORT = 8080
_METRICS_PORT = 8081


def topology(
    settings: Settings,
    *,
    identities: Mapping[Role, WorkloadIdentity],
    data: DataAddresses,
    host: pulumi.Input[str],
    tls: GatewayTls | None = None,
    clients_reach_blob: bool,
) -> Topology:
    """Return the services, whose gateway is called by the name `host` and takes TLS itself where `tls` says so."""
    return Topology(
        sizes=settings.sizes,
        ports=dict.fromkeys(settings.sizes, _PORT),
        identities=identities,
        data=data,
        public_hosts=[host],
        ingress=Ingress.PUBLIC,
        limits=settings.limits,
        clients_reach_blob=clients_reach_blob,
        gateway_metrics_port=_METRICS_PORT,
        gateway_tls=tls,
        access=_access(settings),
    )


def _access(settings: Settings) -> AccessControl | None:
    chosen = settings.access
    if chosen.mode is AccessMode.NONE:
        return None
    return AccessControl(
        # The settings refuse this mode without both; the services would not start.
        tenant_id=chosen.tenant_id or "",
        client_id=chosen.client_id or "",
        teams=settings.teams,
        shares=settings.shares,
        groups=chosen.groups,
        blocked=chosen.blocked,
        contact=chosen.contact or "",
    )
