"""Processes held to a part of a processor, as a container's limit does it: by the kernel's control groups.

Both versions of control groups are tried (docs.kernel.org, "CFS Bandwidth Control" and "Control Group v2"). Writing to
them takes root, or a group that the user was given with the controller `cpu`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

PERIOD_MICROSECONDS: Final = 100_000
"""The kernel's default, and that of container platforms."""

_MOUNTS: Final = Path("/proc/self/mounts")
_OWN: Final = Path("/proc/self/cgroup")


class QuotaError(RuntimeError):
    """This machine does not let this user limit processes. The message says what was tried."""


class Groups(Protocol):
    """One version of control groups: where groups are made, and what limits one."""

    @property
    def parent(self) -> Path:
        """The folder in which a group is made."""
        ...

    def limit(self, group: Path, cores: float) -> None:
        """Hold a group to so many processors."""
        ...


@dataclass(frozen=True)
class VersionOne:
    """The hierarchy of the controller `cpu`."""

    parent: Path

    def limit(self, group: Path, cores: float) -> None:
        """Hold a group to so many processors."""
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
        (group / "cpu.cfs_quota_us").write_text(str(_quota(cores)))


@dataclass(frozen=True)
class VersionTwo:
    """The one hierarchy, where the parent must hand the controller `cpu` on."""

    parent: Path

    def limit(self, group: Path, cores: float) -> None:
        """Hold a group to so many processors."""
        if not (group / "cpu.max").exists():
            (self.parent / "cgroup.subtree_control").write_text("+cpu")
        (group / "cpu.max").write_text(f"{_quota(cores)} {PERIOD_MICROSECONDS}")


def hierarchies(mounts: str, own: str) -> list[Groups]:
    """The places where groups with the controller `cpu` could be made, from the texts of /proc/self."""
    paths = {
        name: path for line in own.splitlines() for _, names, path in [line.split(":", 2)] for name in names.split(",")
    }
    found: list[Groups] = []
    for line in mounts.splitlines():
        _, folder, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and "cpu" in options.split(","):
            found.append(VersionOne(_below(folder, paths.get("cpu", "/"))))
        if kind == "cgroup2":
            # A group that holds processes hands no controller on; the topmost one of a machine does all the same.
            places = dict.fromkeys((Path(folder), _below(folder, paths.get("", "/"))))
            found.extend(VersionTwo(place) for place in places)
    return found


@contextlib.contextmanager
def limited(pids: Mapping[str, int], cores: float) -> Iterator[None]:
    """Hold each process to `cores` of a processor, and let all go after the block. Raises QuotaError."""
    try:
        groups = hierarchies(_MOUNTS.read_text(), _OWN.read_text())
    except OSError as error:
        raise QuotaError(f"{error.filename}: {error.strerror}; this system has no control groups") from error
    tried = []
    for each in groups:
        with contextlib.ExitStack() as made:
            try:
                for name, pid in pids.items():
                    made.enter_context(_group(each, name, pid, cores))
            except OSError as error:
                tried.append(f"{error.filename or each.parent}: {error.strerror}")
                continue
            yield
            return
    raise QuotaError(f"tried {'; '.join(tried) or 'nothing, as no hierarchy with the controller cpu is mounted'}")


@contextlib.contextmanager
def _group(groups: Groups, name: str, pid: int, cores: float) -> Iterator[None]:
    group = groups.parent / f"mlflow-platform-bench-{name}-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        groups.limit(group, cores)
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        with contextlib.suppress(OSError):
            for process in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    (groups.parent / "cgroup.procs").write_text(process)
        with contextlib.suppress(OSError):
            group.rmdir()


def _below(folder: str, path: str) -> Path:
    return Path(os.path.normpath(f"{folder}/{path}"))


def _quota(cores: float) -> int:
    return round(cores * PERIOD_MICROSECONDS)
