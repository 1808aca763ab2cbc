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
from tests.delivery.bench.measured import ONE, STEP

VERSION_ONE = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
"""
VERSION_TWO = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"


def carrying(most: int, first: int = 16, stride: float = 2.0, steps: int = 99) -> list[Step]:
    """The steps of a search on replicas that carry so many runs."""
    left = iter(range(steps - 1, -1, -1))
    return scaling.search(
        lambda clients: replace(STEP, clients=clients, p95=SLO_MILLISECONDS + (clients > most)),
        lambda: next(left) > 0,
        first,
        stride,
    )


@pytest.mark.parametrize(
    ("most", "found"), [(0, None), (1, 1), (3, 3), (4, 4), (15, 15), (16, 16), (100, 96), (300, 288), (5000, 1024)]
)
def test_the_search_ends_near_the_most_that_is_within(most: int, found: int | None) -> None:
    one = Carried(setup="limited-1", replicas=1, hot_path=True, steps=carrying(most))
    assert (one.most.clients if one.most else None) == found
    assert one.settled
    assert len(one.steps) <= 10


@pytest.mark.parametrize("most", [100, 85, 120, 60, 170])
def test_a_search_that_begins_near_the_end_takes_few_steps(most: int) -> None:
    one = Carried(setup="limited-4", replicas=4, hot_path=True, steps=carrying(most, 100, 1.25))
    assert one.most
    assert 0.9 * most <= one.most.clients <= most
    assert len(one.steps) <= 6
    assert one.settled


def test_a_search_without_time_says_that_it_did_not_end() -> None:
    one = Carried(setup="limited-4", replicas=4, hot_path=True, steps=carrying(100, steps=2))
    assert [step.clients for step in one.steps] == [16, 32]
    assert not one.settled


def test_a_search_begins_at_what_the_nearest_replicas_let_expect() -> None:
    before = [
        Carried(setup="", replicas=replicas, hot_path=True, steps=[replace(STEP, clients=clients)])
        for replicas, clients in ((1, 30), (4, 100))
    ]
    assert [scaling._expected(before, replicas=number, hot_path=True) for number in (2, 3, 4)] == [60, 75, 100]
    assert scaling._expected(before, replicas=2, hot_path=False) is None


@pytest.mark.parametrize(
    "step",
    [
        replace(STEP, p95=SLO_MILLISECONDS + 1),
        replace(STEP, errors=1),
        replace(STEP, lost=1),
        replace(STEP, altered=1),
        replace(STEP, twice=1),
        replace(STEP, p95=math.nan),
    ],
    ids=["slow", "error", "lost", "altered", "twice", "no answer"],
)
def test_a_step_is_not_within(step: Step) -> None:
    assert not step.within


def test_a_step_adds_up_the_processors_of_all_who_worked() -> None:
    one = scaling.step(
        replace(ONE, cpu=0.7, gateway_cpu=0.2, database_cpu=0.4, tool_cpu=0.1, lost=1, altered=2, twice=3)
    )
    assert (one.clients, one.rate, one.p95, one.lost, one.altered, one.twice) == (16, 2.0, 10.0, 1, 2, 3)
    assert (one.replicas_cpu, one.busy) == pytest.approx((0.5, 1.2))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (replace(STEP, replicas_cpu=0.9, machine_cpu=1.9), "the replicas are the limit"),
        (replace(STEP, replicas_cpu=0.7, machine_cpu=1.9), "the machine is the limit"),
        (replace(STEP, errors=1), "no concurrent run was within"),
    ],
)
def test_what_stops_more_replicas_is_named(step: Step, said: str) -> None:
    assert scaling.limit(Carried(setup="", replicas=4, hot_path=True, steps=[step]), 2).endswith(said)


def test_more_replicas_are_compared_with_one_of_their_own_kind() -> None:
    found = [
        Carried(setup="", replicas=replicas, hot_path=hot_path, steps=carrying(most))
        for replicas, hot_path, most in ((1, True, 32), (4, True, 112), (1, False, 0), (4, False, 8))
    ]
    assert scaling.scaling(found, hot_path=True) == {1: 1.0, 4: 3.5}
    assert scaling.scaling(found, hot_path=False) == {}
    assert carried_table(found).splitlines()[2:] == [
        "| 1, hot path | 32 | 1.00 | 100 | 500 | 34 | 1.50 | 0.80 | 0.30 | 0.30 | 0.10 | 1.60 |",
        "| 4, hot path | 112 | 3.50 | 100 | 500 | 120 | 1.50 | 0.80 | 0.30 | 0.30 | 0.10 | 1.60 |",
        "| 1, hot path off | none | - | - | - | 1 | - | - | - | - | - | - |",
        "| 4, hot path off | 8 | - | 100 | 500 | 9 | 1.50 | 0.80 | 0.30 | 0.30 | 0.10 | 1.60 |",
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
