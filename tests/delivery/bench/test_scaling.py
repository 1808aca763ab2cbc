"""Limited replicas: the search for what they carry, and the kernel's groups that limit them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from delivery.bench import quota, scaling
from delivery.bench.quota import QuotaError, VersionOne, VersionTwo, hierarchies, limited
from delivery.bench.report import carried_table
from delivery.bench.scaling import SLO_MILLISECONDS, Carried, Step
from tests.delivery.bench.measured import ONE

VERSION_ONE = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
"""
VERSION_TWO = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"


def carrying(most: int) -> list[Step]:
    """The steps of a search on replicas that carry so many runs."""
    return scaling.search(
        lambda clients: Step(
            clients=clients, rate=100, p95=SLO_MILLISECONDS + (clients > most), errors=0, lost=0, busy=1.5
        )
    )


@pytest.mark.parametrize(("most", "found"), [(0, None), (1, 1), (3, 3), (4, 4), (100, 96), (128, 128), (300, 288)])
def test_the_search_ends_near_the_most_that_is_within(most: int, found: int | None) -> None:
    one = Carried(setup="limited-1", replicas=1, hot_path=True, steps=carrying(most))
    assert (one.most.clients if one.most else None) == found
    assert len(one.steps) <= 11


@pytest.mark.parametrize(
    "step",
    [
        Step(clients=1, rate=1, p95=SLO_MILLISECONDS + 1, errors=0, lost=0, busy=1.5),
        Step(clients=1, rate=1, p95=1, errors=1, lost=0, busy=1.5),
        Step(clients=1, rate=1, p95=1, errors=0, lost=1, busy=1.5),
        Step(clients=1, rate=0, p95=math.nan, errors=0, lost=0, busy=1.5),
    ],
    ids=["slow", "error", "lost", "no answer"],
)
def test_a_step_is_not_within(step: Step) -> None:
    assert not step.within


def test_a_step_adds_up_the_processors_of_all_who_worked() -> None:
    one = scaling.step(replace(ONE, cpu=0.7, database_cpu=0.4, tool_cpu=0.1))
    assert (one.clients, one.rate, one.p95) == (16, 2.0, 10.0)
    assert one.busy == pytest.approx(1.2)


def test_more_replicas_are_compared_with_one_of_their_own_kind() -> None:
    found = [
        Carried(setup="", replicas=replicas, hot_path=hot_path, steps=carrying(most))
        for replicas, hot_path, most in ((1, True, 32), (4, True, 112), (1, False, 0), (4, False, 8))
    ]
    assert scaling.scaling(found, hot_path=True) == {1: 1.0, 4: 3.5}
    assert scaling.scaling(found, hot_path=False) == {}
    assert carried_table(found).splitlines()[2:] == [
        "| 1 | 32 | 1.00 | 100 | 500 | 1.50 | none | - | - | - | - |",
        "| 4 | 112 | 3.50 | 100 | 500 | 1.50 | 8 | - | 100 | 500 | 1.50 |",
    ]


def test_groups_are_made_where_the_controller_is() -> None:
    assert hierarchies(VERSION_ONE, "4:memory:/a\n1:cpuacct,cpu:/b\n0::/\n") == [
        VersionOne(Path("/sys/fs/cgroup/cpu,cpuacct/b"))
    ]
    top = Path("/sys/fs/cgroup")
    assert hierarchies(VERSION_TWO, "0::/user.slice/one\n") == [VersionTwo(top), VersionTwo(top / "user.slice" / "one")]
    assert hierarchies(VERSION_TWO, "0::/\n") == [VersionTwo(top)]
    assert hierarchies("proc /proc proc rw 0 0\n", "") == []


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_is_held_to_its_part_of_a_processor(tmp_path: Path, version: int) -> None:
    if version == 1:
        VersionOne(tmp_path).limit(tmp_path, 0.25)
        assert (tmp_path / "cpu.cfs_quota_us").read_text() == "25000"
        assert (tmp_path / "cpu.cfs_period_us").read_text() == "100000"
    else:
        (tmp_path / "group").mkdir()
        VersionTwo(tmp_path).limit(tmp_path / "group", 0.25)
        assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
        assert (tmp_path / "group" / "cpu.max").read_text() == "25000 100000"


def test_a_machine_that_limits_no_process_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts, own = tmp_path / "mounts", tmp_path / "own"
    monkeypatch.setattr(quota, "_MOUNTS", mounts)
    monkeypatch.setattr(quota, "_OWN", own)
    with pytest.raises(QuotaError, match="this system has no control groups"), limited({"a": 1}, 0.25):
        pass
    mounts.write_text(f"cgroup2 {tmp_path}/missing cgroup2 rw 0 0\n")
    own.write_text("0::/\n")
    with (
        pytest.raises(QuotaError, match=r"tried .*/missing/mlflow-platform-bench-a-.*: No such file"),
        limited({"a": 1}, 0.25),
    ):
        pass
    mounts.write_text("")
    with pytest.raises(QuotaError, match="no hierarchy with the controller cpu is mounted"), limited({"a": 1}, 0.25):
        pass
