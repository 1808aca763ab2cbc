"""Which sizes a replica can have. Pure: a setting is checked with no library of Azure.

Limits from Microsoft Learn: "Containers in Azure Container Apps" (allocations), "Use storage mounts in Azure Container
Apps" (ephemeral storage).
"""

from __future__ import annotations

import math

_CPU_STEP = 0.25
_MOST_CPU = 4.0
_MIB_PER_CPU = 2048
# Ephemeral storage of a replica, in MiB, by the cores that it has at most.
_EPHEMERAL_MIB = ((0.25, 1024), (0.5, 2048), (1.0, 4096), (_MOST_CPU, 8192))


def check(name: str, *, cpu: float, memory_mib: int, spool_mib: int) -> None:
    """Raise ValueError for a size that no replica can have; for programs that refuse it before they make anything."""
    check_resources(name, cpu, memory_mib)
    most = next((mib for cores, mib in _EPHEMERAL_MIB if cpu <= cores), _EPHEMERAL_MIB[-1][1])
    if spool_mib > most:
        raise ValueError(
            f"{name}.spoolMib: {spool_mib} is more than a replica with {cpu:g} cores has; allowed: at most {most} MiB; "
            f"lower it or give {name}.cpu more cores."
        )


def check_resources(name: str, cpu: float, memory_mib: int) -> None:
    """Raise ValueError for cores and memory that are no combination of the Consumption workload profile."""
    if not (_CPU_STEP <= cpu <= _MOST_CPU and (cpu / _CPU_STEP).is_integer()):
        raise ValueError(
            f"{name}.cpu: {cpu:g} is no size of Container Apps; allowed: {_CPU_STEP} to {_MOST_CPU:g} cores in steps "
            f"of {_CPU_STEP}; set {name}.cpu to {_nearest_cpu(cpu):g}."
        )
    wanted = int(cpu * _MIB_PER_CPU)
    if memory_mib != wanted:
        raise ValueError(
            f"{name}.memoryMib: {memory_mib} does not go with {cpu:g} cores; allowed: 2 GiB per core, {wanted} MiB; "
            f"set {name}.memoryMib to {wanted} or {name}.cpu to {_nearest_cpu(memory_mib / _MIB_PER_CPU):g}."
        )


def _nearest_cpu(cpu: float) -> float:
    return min(_MOST_CPU, max(_CPU_STEP, math.ceil(cpu / _CPU_STEP) * _CPU_STEP))
