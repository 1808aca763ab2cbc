"""What every test run does: interrupts work, tests stay together by their group, and quick ones start no process."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.support import bytecode, issued, schedule, warm
from tests.support.ports import first_of_free_ports as first_of_free_ports
from tests.support.process_guard import allowing_processes, refusing_processes

if TYPE_CHECKING:
    from tests.support.kubernetes.control_plane import ControlPlane

if threading.current_thread() is threading.main_thread():
    # In the background of a shell SIGINT is ignored, and children inherit that: no process could be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Processes keep the bytecode of what they import, as they do for a user: without it each compiles the product again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# MLflow's client changes a variable in a thread of its telemetry, and whoever reads all variables then gets a KeyError.
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")

# The engine starts hundreds of times, and half of a start was looking for garbage among what stays.
os.environ.setdefault("GOGC", "400")

# An example that takes its time says that the machine is busy, and nothing of the product.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def free_ports() -> Callable[[int], int]:
    """Gives the first of N consecutive ports that nobody listens on."""
    return first_of_free_ports


@pytest.fixture(autouse=True)
def _own_traceback_limit() -> Iterator[None]:
    """Undo what a dynamic provider sets in its own process, which is that of all tests here."""
    yield
    vars(sys).pop("tracebacklimit", None)


@pytest.fixture(scope="session", autouse=True)
def _no_token_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Look once more, after all tests of this process, for what Entra issued to them."""
    yield
    left = issued.left_in(tmp_path_factory.getbasetemp()) if issued.number() else []
    assert left == [], "these files have a token or a code that Entra issued"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose output or error has a token that Entra issued, and do not show it."""
    report = yield
    if not issued.number():
        return report
    shown = [report.longreprtext, *(text for _, text in report.sections)]
    if any(issued.is_in(text.encode("utf-8", "replace")) for text in shown):
        report.outcome = "failed"
        report.longrepr = "The error or the output of this test has a token or a code that Entra issued."
        report.sections = []
    return report


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[ControlPlane]:
    """A real Kubernetes, and `alice` of the group `team` beside its administrator.

    The tests that ask for it share it, each in namespaces of its own.
    """
    from tests.support.kubernetes.control_plane import control_plane
    from tools.kubernetes import programs

    if names := [name for name in programs.missing() if name != programs.SCANNER]:
        pytest.fail(f"Kubernetes: {', '.join(names)} not built yet. Run: make test-aks", pytrace=False)
    with control_plane(programs.cached(), users={"alice": ["team"]}) as plane:
        yield plane


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--budgets", action="store_true", help="print the seconds of each line of .ci/budgets")


def pytest_configure(config: pytest.Config) -> None:
    """Let a run of several workers start the engine's programs warm; the tests of one file alone start them cold."""
    workers = config.getoption("numprocesses", None)  # none in a worker
    quick = "not processes" in config.getoption("markexpr")
    if workers and not quick and warm.VARIABLE not in os.environ and sys.platform == "linux":
        programs = ExitStack()
        programs.enter_context(warm.started())
        config.add_cleanup(programs.close)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start processes, and put the longest group first."""
    seconds = _budgets()
    files = dict.fromkeys(_file(item) for item in items)
    starting = {file for file in files if schedule.starts_processes(file)}
    for item in items:
        assert isinstance(item, pytest.Function)
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} has an address in its id, so workers differ in it; give it `ids`.")
        if schedule.KUBERNETES in item.fixturenames:
            item.add_marker(schedule.KUBERNETES)
        if _file(item) in starting or item.get_closest_marker(schedule.KUBERNETES):
            item.add_marker(schedule.PROCESSES)
    groups = {file: schedule.group(file, seconds) for file in files}
    ranks = {name: rank for rank, name in enumerate(schedule.order(groups.values(), seconds))}
    items.sort(key=lambda item: ranks[groups[_file(item)]])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for garbage less often, and never among modules and tests: that was half of a recorded program's time."""
    gc.disable()  # collecting makes none: looking for it was a quarter of its time
    try:
        if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS and (worker := _worker()):
            bytecode.compile_share(session.config, *worker)
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Keep the tests of a group on one worker. xdist's own groups do not work with pytest 9.2."""
    return _Groups(config, log)


class _Groups(LoadScopeScheduling):  # type: ignore[misc]  # xdist publishes no types
    def _split_scope(self, nodeid: str) -> str:
        return schedule.group(nodeid.partition("::")[0], _budgets())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse processes to a test that promises to start none, in its fixtures too."""
    if item.get_closest_marker(schedule.PROCESSES) is not None:
        return (yield)
    with refusing_processes() as refused:
        item.stash[_REFUSED] = refused
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Fail the test by its name, even where it caught the refusal."""
    with allowing_processes() if nextitem is None else nullcontext():  # the session's fixtures end in its last test
        yield
    if refused := item.stash.get(_REFUSED, []):
        pytest.fail(
            f"{item.nodeid}: got {refused}; expected no process. "
            f"Set STARTS_PROCESSES[{_file(item)!r}] = True in tests/support/schedule.py if it has to start one.",
            pytrace=False,
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how long each line of the budgets took, and warn by name where one outgrew it."""
    if not config.getoption("--budgets"):
        return
    seconds = _budgets()
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    durations = [(report.location[0], report.duration) for report in reports if isinstance(report, pytest.TestReport)]
    spent = schedule.spent(durations, seconds)
    terminalreporter.section("seconds by folder or file")
    for name, duration in sorted(spent.items(), key=lambda one: -one[1]):
        if duration >= 1:
            terminalreporter.line(f"{duration:6.0f}  {name}")
    for sentence in schedule.outgrown(spent, seconds):
        terminalreporter.line(f"WARNING: {sentence}", yellow=True)


_REFUSED = pytest.StashKey[list[str]]()


@functools.cache
def _budgets() -> dict[str, float]:
    return schedule.budgets(schedule.BUDGETS.read_text())


def _worker() -> tuple[int, int] | None:
    """The number of this worker, from 0, and of all; None in a process that is no worker."""
    if (name := os.environ.get("PYTEST_XDIST_WORKER")) is None:
        return None
    return int(name.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
