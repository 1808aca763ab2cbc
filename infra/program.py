"""The program: settings -> data plane -> compute -> MLflow -> outputs."""

from __future__ import annotations

import pulumi

from components.compute.local.processes import HOST
from components.mlflow.platform import Platform, PlatformArgs
from components.mlflow.topology import DataPlane, Topology
from infra import local, outputs, settings


def main() -> None:
    """Describe the stack. Bad configuration ends it before anything is created."""
    try:
        chosen = settings.load()
    except settings.SettingsError as error:
        # RunError is shown to the user as it is, without a traceback.
        raise pulumi.RunError(str(error)) from None

    data = local.data_plane(chosen)
    topology = Topology(
        sizes=chosen.sizes,
        ports=local.ports(chosen),
        identities=local.workload_identities(chosen),
        data=DataPlane(
            database_host=data.database_host,
            sslmode="disable",  # the local server listens on 127.0.0.1 only and its build has no TLS
            blob_container_url=data.blob_container_url,
            key_vault_url=data.key_vault_url,
        ),
        public_hosts=local.public_hosts(chosen),
        bind_host=HOST,
        max_body_mib=chosen.limits.max_body_mib,
        max_artifact_mib=chosen.limits.max_artifact_mib,
        grace_seconds=chosen.limits.grace_seconds,
    )
    platform = Platform("mlflow", PlatformArgs(compute=local.compute(chosen), topology=topology, data=data.resources))
    outputs.export(chosen, platform)
