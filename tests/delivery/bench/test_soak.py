"""What a soak finds: a value that was lost, memory and connections that grow; and its files."""

from __future__ import annotations

import json
import math
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import pytest

from delivery.bench import plots, report, soak_report, soaking
from delivery.bench.command import bench
from delivery.bench.load import Acknowledged, Interval, Values
from delivery.bench.ours import Platform, Replica
from delivery.bench.soak import Kill, Sample, Soak, aims
from delivery.bench.soaking import Watched
from delivery.bench.store import compare
from delivery.bench.values import Remembered, compared
from delivery.cli import run
from delivery.outcome import CommandError, ExitCode

# A run as the load tool notes it, and as the tables have it.
WANTED = Acknowledged(
    runs={"a": {"metrics": 2, "params": 1, "finished": 0}},
    values={"a": Values(metrics=[("loss", 0, 1.0), ("loss", 1, 0.5)], params=[("parameter-0", "0")])},
)
FOUND = Remembered(
    metrics={"loss": [(0, 10, 1.0), (1, 11, 0.5)]}, latest={"loss": (1, 11, 0.5)}, params={"parameter-0": "0"}
)


def soaked(found: Remembered = FOUND, metrics: int = 2, **changes: object) -> Soak:
    """A soak after which the tables had this of the run, and so many metrics by their count."""
    back = compare(WANTED, replace(WANTED, runs={"a": {**WANTED.runs["a"], "metrics": metrics}}))
    values, differences = compared(WANTED.values, {"a": found})
    one = Soak(
        facts={"cores": "2"},
        seconds=120,
        replicas=3,
        spared="tracking",
        carried=100,
        asked=60,
        accepted=7200,
        kinds={},
        failed={},
        back=back,
        values=values,
        differences=differences,
        kills=[Kill(at=45, replica="tracking-2", seconds=6.5), Kill(at=90, replica="tracking-3", seconds=5)],
        unwatched=[],
        samples=[Sample(at=at, memory={"gateway": 50, "tracking": 250}, connections=40) for at in range(0, 120, 10)],
        interval=5,
        intervals={0: Interval(milliseconds=[1.0] * 300, failed=0), 2: Interval(milliseconds=[9.0], failed=2)},
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def growing(by: float) -> list[Sample]:
    return [Sample(at=at, memory={"tracking": 100 * (1 + by * at)}, connections=round(40 + by * at)) for at in range(9)]


def test_a_soak_that_stored_everything_and_stayed_flat_reaches_its_aims() -> None:
    found = aims(soaked())
    assert [one.reached for one in found] == [True] * 7
    assert found[0].figure == "4 counted, 4 values compared: 0 lost, 0 altered, 0 twice"
    assert found[5].figure == "2 kills, ready again after 5.0 to 6.5 s"


@pytest.mark.parametrize(
    "soak",
    [
        soaked(metrics=1),
        soaked(replace(FOUND, metrics={"loss": [(0, 10, 1.0), (1, 11, 0.25)]}, latest={"loss": (1, 11, 0.25)})),
        soaked(replace(FOUND, latest={"loss": (0, 10, 1.0)})),
        soaked(replace(FOUND, params={})),
        soaked(metrics=3),
        soaked(metrics=53, kinds={"502": 1}, failed={"log-batch": 1}),
        soaked(metrics=3, kinds={"502": 1}, failed={"log-parameter": 1}),
    ],
    ids=["lost", "value", "latest", "parameter", "twice", "twice, beside what failed", "twice, beside another call"],
)
def test_a_soak_finds_what_is_lost_altered_or_stored_twice(soak: Soak) -> None:
    assert not soak.whole
    assert [one.reached for one in aims(soak)] == [False, True, True, True, True, True, True]


def test_a_failed_request_may_have_been_carried_out() -> None:
    assert soaked(metrics=52, kinds={"502": 1}, failed={"log-batch": 1}).whole


@pytest.mark.parametrize(("by", "memory", "connections"), [(0.01, True, True), (0.1, False, True), (5, False, False)])
def test_what_grows_is_not_flat(by: float, memory: bool, connections: bool) -> None:
    found = aims(soaked(samples=growing(by)))
    assert [one.reached for one in found[2:5]] == [memory, memory, connections]


def test_the_memory_of_the_replica_that_lives_on_is_judged_by_itself() -> None:
    """Of the others each process is new after a minute or two, and the gateway's share hides what one replica gains."""
    samples = [
        Sample(at=at, memory={"gateway": 5000, "tracking": 100 + 10 * at, "tracking-2": 250}, connections=40)
        for at in range(9)
    ]
    found = aims(soaked(samples=samples))
    assert [one.reached for one in found] == [True, True, False, True, True, True, True]
    assert (found[2].aim.split(":")[0], found[2].figure) == (
        "memory of tracking, which is not killed, is flat",
        "170 against 140 MiB, at most 180",
    )


def test_no_soak_kills_the_replica_whose_memory_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "_KILL_EVERY", 0)
    killed: list[str] = []

    class Up:
        def own(self, count: int) -> list[Replica]:
            return [Replica(name=f"replica-{number}", pid=0, port=0) for number in range(count)]

    class Seen(Watched):
        def kill(self, replica: Replica, stopped: threading.Event) -> None:
            killed.append(replica.name)
            self.kills.append(Kill(at=0, replica=replica.name, seconds=1))
            if len(killed) == 4:
                stopped.set()

    soaking._kill(Seen(cast("Platform", Up())), threading.Event(), math.inf, lambda _: None)
    assert killed == ["replica-1", "replica-2"] * 2


def test_a_replica_that_did_not_serve_again_is_no_success() -> None:
    kills = [Kill(at=45, replica="tracking", seconds=6.5), Kill(at=90, replica="tracking-2", seconds=math.nan)]
    found = aims(soaked(kills=kills))[5]
    assert (found.figure, found.reached) == ("2 kills, ready again after 6.5 to 6.5 s; 1 not within 120 s", False)
    found = aims(soaked(kills=kills[1:]))[5]
    assert (found.figure, found.reached) == ("1 kills, none ready again; 1 not within 120 s", False)


def test_a_watcher_that_fails_leaves_the_load_its_results() -> None:
    def failing(stopped: threading.Event) -> None:
        raise ValueError("no connection")

    with soaking._beside(failing, lambda _: None) as failed:
        noted = "results"
    assert (noted, failed) == ("results", ["ValueError: no connection"])
    found = aims(soaked(unwatched=failed))[-1]
    assert (found.figure, found.reached) == ("ValueError: no connection", False)


@pytest.mark.parametrize(
    ("minutes", "allowed"), [("2", "greater than or equal to 3"), ("61", "less than or equal to 60")]
)
def test_a_soak_is_no_shorter_than_two_kills_and_no_longer_than_its_values_have_room(
    minutes: str, allowed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """All acknowledged values are in the load tool's memory until the end."""
    assert run(["bench", "--soak", minutes]) == ExitCode.USAGE
    assert allowed in capfd.readouterr().err


def test_too_few_samples_and_no_kill_show_nothing() -> None:
    found = aims(soaked(samples=growing(0)[:2], kills=[]))
    assert [one.reached for one in found] == [True, True, False, False, False, False, True]


@pytest.mark.parametrize(("accepted", "reached"), [(5760, True), (5759, False), (1000, False)])
def test_a_stack_that_answers_too_little_of_what_it_was_asked_is_no_success(accepted: int, reached: bool) -> None:
    found = aims(soaked(accepted=accepted))[1]
    assert (found.figure, found.reached) == (f"{accepted:,} of 7,200", reached)


@pytest.mark.parametrize(
    ("soak", "said"),
    [
        (soaked(accepted=1000), "1,000 of 7,200"),
        (soaked(kills=[]), "0 kills"),
        (soaked(samples=growing(5)), "connections to PostgreSQL are flat"),
        (soaked(metrics=1), "1 lost"),
    ],
    ids=["accepted", "kills", "connections", "lost"],
)
def test_a_soak_fails_unless_every_aim_is_reached(soak: Soak, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "run", lambda *_: soak)
    with pytest.raises(CommandError, match=re.escape(said)):
        bench(soak=3)
    monkeypatch.setattr(soaking, "run", lambda *_: soaked())
    assert bench(soak=3) == ExitCode.DONE


def test_many_points_are_a_line_over_an_axis_of_fifths() -> None:
    def shown(number: int) -> tuple[list[str | None], int]:
        drawn = ElementTree.fromstring(plots.lines("", "", "", {"": [(x, x) for x in range(number)]}))  # noqa: S314
        texts = [each.text for each in drawn.findall(".//{*}text") if each.get("y") == "362.0"]
        return texts, len(drawn.findall(".//{*}circle"))

    assert shown(3) == (["0", "1", "2"], 3)
    assert shown(101) == (["0", "20", "40", "60", "80", "100"], 0)


def test_the_files_of_a_soak_are_beside_those_of_a_whole_run(tmp_path: Path) -> None:
    written = report.write(soak_report.files(soaked()), tmp_path)
    assert {file.name for file in written} == {"soak.md", "soak.json", "soak-memory.svg", "soak-requests.svg"}
    text = (tmp_path / "soak.md").read_text()
    assert "| 100 | 60.0 | 7,200 | 1.00 | 0 | 2 | 4 | 0 | 0 |" in text
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert pictures == ["soak-memory.svg", "soak-requests.svg"]
    for picture in pictures:
        ElementTree.parse(tmp_path / picture)  # noqa: S314
    found = json.loads((tmp_path / "soak.json").read_text())
    # The second interval had neither an answer nor a failure; the last one is not whole.
    assert found["intervals"] == [{"at": 5, "rate": 60, "failed": 0, "p95": 1.0}]
    assert [one["reached"] for one in found["aims"]] == [True] * 7
