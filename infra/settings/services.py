"""The size of each service."""

from __future__ import annotations

from components.compute.contract import Scale
from components.mlflow.topology import Size
from infra.settings.fields import Number, Section, Whole, bounded


class ServiceSize(Section):
    """What one replica of a service has, and how many replicas there are."""

    cpu: Number = bounded("Cores of a replica", 0.25, 64, unit="cores")
    memory_mib: Whole = bounded("Memory of a replica", 256, 262144, unit="MiB")
    spool_mib: Whole = bounded("Disk of a replica for artifacts in passing", 0, 1048576, unit="MiB")
    min_replicas: Whole = bounded(
        "Least number of replicas. On one machine it is the number of replicas, at least 1", 0, 100
    )
    max_replicas: Whole = bounded("Largest number of replicas; minReplicas if that is larger and it is not set", 1, 100)
    concurrency: Whole = bounded(
        "Requests a second for each replica, on average of 15 seconds, beyond which another replica starts; on AKS the "
        "processors decide",
        1,
        1000,
        default=Scale.concurrency,
    )

    @property
    def size(self) -> Size:
        """Return the size as the topology takes it."""
        return Size(
            cpu=self.cpu,
            memory_mib=self.memory_mib,
            spool_mib=self.spool_mib,
            scale=Scale(minimum=self.min_replicas, maximum=self.max_replicas, concurrency=self.concurrency),
        )


class ArtifactsSize(ServiceSize):
    """What one replica of artifacts has, and how many replicas there are."""

    # Room for what it passes on (mlflow_runtime/artifacts/memory.py).
    memory_mib: Whole = bounded("Memory of a replica", 512, 262144, unit="MiB")
