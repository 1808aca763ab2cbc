"""Numbers as Kubernetes writes them, and what all workloads need together. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from components.compute.contract import Scale


class Sized(Protocol):
    """Anything with a size: the spec of a service or a job, or what one is made from."""

    @property
    def cpu(self) -> float: ...

    @property
    def memory_mib(self) -> int: ...


class Scaled(Sized, Protocol):
    """A size of which there are several."""

    @property
    def scale(self) -> Scale: ...


@dataclass(frozen=True, kw_only=True)
class Quota:
    """The most that all pods of a namespace ask for together: cores, MiB of memory, and pods."""

    cpu: float
    memory_mib: int
    pods: int


def quota_of(services: Iterable[Scaled], jobs: Iterable[Sized]) -> Quota:
    """Return what workloads need at their largest: each service twice, each job once.

    A pod counts until it is gone: in a roll-out all of the previous ones may drain while all of the new ones run.
    """
    pods: list[tuple[Sized, int]] = [(each, 2 * max(least(each.scale), each.scale.maximum)) for each in services]
    pods += [(each, 1) for each in jobs]
    return Quota(
        cpu=sum(requested(each.cpu) * count for each, count in pods),
        memory_mib=sum(each.memory_mib * count for each, count in pods),
        pods=sum(count for _, count in pods),
    )


def requested(cpu: float) -> float:
    """Return the cores that are kept free for a pod: half of those that it may use."""
    return cpu / 2


def least(scale: Scale) -> int:
    """Return the least number of replicas: without one nothing would ever start another."""
    return max(1, scale.minimum)


def cores(cpu: float) -> str:
    """Return cores as the API server writes them back."""
    thousandths = round(cpu * 1000)
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def mebibytes(mib: int) -> str:
    """Return memory or disk as the API server writes it back."""
    return f"{mib // 1024}Gi" if mib % 1024 == 0 else f"{mib}Mi"
