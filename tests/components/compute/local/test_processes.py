"""Real processes under a real supervisord: started, rolled, killed, hung, and brought back."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.compute.local import processes
from components.compute.local.processes import ProcessError, ProcessGroup
from components.compute.local.supervisor import StuckError, Supervisor, SupervisorError
from tests.support.waiting import until

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{os.getpid()} {os.environ['MESSAGE']} {os.environ.get('IDENTITY_HEADER', '')}".encode())
    def log_message(self, *arguments):
        pass
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def group(tmp_path: Path, free_ports: Callable[[int], int]) -> Iterator[ProcessGroup]:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    base = free_ports(3)
    described = ProcessGroup(
        root=str(tmp_path / "state"),
        name="web",
        command=[sys.executable, str(script)],
        env={"MESSAGE": "one"},
        ports=[base, base + 1],
        priority=100,
        image="sha256:0",
        ready="/",
        live="/",
        live_period=1,
        live_timeout=1,
        live_failures=2,
        start_seconds=20,
        stop_seconds=5,
    )
    yield described
    Supervisor(described.layout).shutdown()
    shutil.rmtree(described.layout.sockets)


def changed(group: ProcessGroup, **changes: Any) -> ProcessGroup:
    return replace(group, **changes)


def ask(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode().split(" ")


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    until(condition, "the awaited state of the processes", seconds, not_yet=(OSError,))


def test_replicas_run_and_a_second_apply_touches_none(group: ProcessGroup) -> None:
    processes.apply(group)
    before = [ask(port)[0] for port in group.ports]
    assert processes.status(group) == {"web": "running", "web-2": "running"}
    processes.apply(group)
    assert [ask(port)[0] for port in group.ports] == before


def test_processes_run_in_the_stacks_folder_and_not_in_a_checkout(group: ProcessGroup) -> None:
    processes.apply(group)
    pids = Supervisor(group.layout).pids()
    assert {"web", "web-2", "keeper"} <= pids.keys()
    assert {psutil.Process(pid).cwd() for pid in pids.values()} == {str(group.layout.logs)}


def test_a_changed_variable_restarts_the_replicas_one_after_the_other(group: ProcessGroup) -> None:
    processes.apply(group)
    before = {port: ask(port)[0] for port in group.ports}
    after = changed(group, env={"MESSAGE": "two"})
    assert processes.status(after) == {"web": "changed", "web-2": "changed"}
    processes.apply(after)
    for port in group.ports:
        pid, message, _ = ask(port)
        assert message == "two"
        assert pid != before[port]


SHARING = SERVER.replace(
    "http.server.ThreadingHTTPServer((",
    "http.server.ThreadingHTTPServer.allow_reuse_port = True\nhttp.server.ThreadingHTTPServer((",
)


@pytest.mark.skipif(sys.platform != "linux", reason="needs to see who listens")
def test_a_lone_replica_that_shares_its_port_is_replaced_without_a_gap(group: ProcessGroup, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SHARING)
    lone = changed(group, ports=group.ports[:1], shares_port=True)
    processes.apply(lone)
    (port,) = lone.ports
    before, stop, connected = ask(port), threading.Event(), []

    def connect() -> None:
        while not stop.is_set():
            socket.create_connection(("127.0.0.1", port)).close()
            connected.append(port)
            time.sleep(0.01)  # the server's queue of connections holds five

    with ThreadPoolExecutor() as pool:
        caller = pool.submit(connect)
        processes.apply(changed(lone, env={"MESSAGE": "two"}))
        stop.set()
        caller.result()
    assert len(connected) > 20
    assert (before[1], ask(port)[1]) == ("one", "two")
    supervisor = Supervisor(lone.layout)
    assert int(ask(port)[0]) == supervisor.pids()["web"]
    assert supervisor.states().keys() == {"keeper", "web"}


def test_scaling_leaves_the_first_replica_alone(group: ProcessGroup) -> None:
    processes.apply(changed(group, ports=group.ports[:1]))
    first = ask(group.ports[0])[0]
    processes.apply(group)
    assert ask(group.ports[0])[0] == first
    processes.apply(changed(group, ports=group.ports[:1]))
    assert ask(group.ports[0])[0] == first
    with pytest.raises(OSError, match="refused"):
        ask(group.ports[1])


def test_a_killed_process_is_back_by_itself(group: ProcessGroup) -> None:
    processes.apply(group)
    pid = int(ask(group.ports[0])[0])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: int(ask(group.ports[0])[0]) != pid)


def test_a_hanging_process_is_killed_and_back(group: ProcessGroup) -> None:
    processes.apply(group)
    pid = int(ask(group.ports[0])[0])
    eventually(lambda: "keeper" in Supervisor(group.layout).pids())
    time.sleep(2)  # until the keeper has seen the process answer once
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: int(ask(group.ports[0])[0]) != pid)


def test_a_killed_supervisor_comes_back_with_everything(group: ProcessGroup) -> None:
    processes.apply(group)
    supervisor = Supervisor(group.layout)
    written = group.layout.supervisor_pid.read_text
    before = int(written())
    eventually(lambda: supervisor.states()["keeper"] == "RUNNING")
    os.kill(before, signal.SIGKILL)
    # supervisord writes its file in two steps.
    eventually(lambda: written().strip() not in ("", str(before)) and supervisor.alive())
    eventually(lambda: processes.status(group) == {"web": "running", "web-2": "running"})
    eventually(lambda: all(ask(port) for port in group.ports))
    eventually(lambda: {int(ask(port)[0]) for port in group.ports} == {supervisor.pids()[n] for n in ("web", "web-2")})


def test_a_stopped_process_is_seen_and_repaired(group: ProcessGroup) -> None:
    processes.apply(group)
    Supervisor(group.layout).stop_process("web-2")
    assert processes.status(group) == {"web": "running", "web-2": "stopped"}
    processes.apply(group)
    assert processes.status(group) == {"web": "running", "web-2": "running"}


def test_after_shutdown_nothing_listens_and_apply_brings_it_back(group: ProcessGroup) -> None:
    processes.apply(group)
    Supervisor(group.layout).shutdown()
    for port in group.ports:
        with pytest.raises(OSError, match="refused"):
            ask(port)
    assert set(processes.status(group).values()) == {"stopped"}
    processes.apply(group)
    assert all(ask(port) for port in group.ports)


def test_a_shutdown_goes_by_priority_and_stops_equals_at_once(group: ProcessGroup, tmp_path: Path) -> None:
    slow = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit()))\n"
    (tmp_path / "server.py").write_text(SERVER.replace('print("listening"', slow + 'print("listening"'))
    store = changed(group, name="store", ports=[group.ports[1] + 1], priority=50)
    for one in (store, group):
        processes.apply(one)
    supervisor = Supervisor(group.layout)
    ended: list[set[str]] = []
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(supervisor.shutdown)
        while not stopping.done():
            with contextlib.suppress(SupervisorError):
                states = supervisor.states()
                ended.append({name for name, state in states.items() if state in ("STOPPING", "STOPPED")} - {"keeper"})
            time.sleep(0.02)  # each stop takes a second
        stopping.result()
    assert {"web", "web-2"} in ended
    assert {"web"} not in ended or {"web-2"} not in ended
    assert not any("store" in names and not {"web", "web-2"} <= names for names in ended)


# At a stop it waits for the stop of the other replica, and then takes another second.
TOGETHER = """
import pathlib, signal, time
def stop(*_):
    here = pathlib.Path(__file__).parent
    (here / os.environ["PORT"]).touch()
    while len([*here.glob("[0-9]*")]) < 2:
        time.sleep(0.02)
    time.sleep(1)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
"""


def test_removed_replicas_stop_at_once_and_supervisord_idles_meanwhile(group: ProcessGroup, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER.replace('print("listening"', TOGETHER + 'print("listening"'))
    processes.apply(group)
    supervisord = psutil.Process(int(group.layout.supervisor_pid.read_text()))
    before = supervisord.cpu_times()
    processes.remove(group)
    after = supervisord.cpu_times()
    log = (group.layout.logs / "supervisord.log").read_text()
    assert [name for name in ("web", "web-2") if f"stopped: {name} (exit status 0)" not in log] == []
    assert after.user + after.system - before.user - before.system < 0.2, "processor time of a second of waiting"


DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""


def test_a_process_that_does_not_end_is_named_and_nobody_waits_for_it_without_an_end(
    group: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server.py").write_text(SERVER.replace('print("listening"', DEAF + 'print("listening"'))
    processes.apply(changed(group, stop_seconds=2))
    monkeypatch.setattr("components.compute.local.supervisor._AFTER_KILL_SECONDS", 0.5 - 2)  # before the kill
    with pytest.raises(StuckError, match=r"^web, web-2: got no end .*supervisord\.log"):
        Supervisor(group.layout).shutdown()


def test_a_process_that_cannot_start_is_reported_with_the_end_of_its_log(group: ProcessGroup) -> None:
    broken = changed(group, command=[sys.executable, "-c", "raise SystemExit('no such table: runs')"], start_seconds=8)
    with pytest.raises(ProcessError, match="no such table: runs"):
        processes.apply(broken)


def test_a_process_that_ends_some_time_after_each_start_is_not_waited_for(group: ProcessGroup) -> None:
    """A service that is refused by its database has loaded its libraries by then."""
    program = "import time; time.sleep(1.2); raise SystemExit('password authentication failed')"
    broken = changed(group, command=[sys.executable, "-c", program], ports=group.ports[:1], start_seconds=300)
    with pytest.raises(ProcessError, match=r"\(it ended 4 times\)(.|\n)*password authentication failed"):
        processes.apply(broken)


def test_a_port_that_somebody_else_holds_is_a_conflict_and_an_own_one_is_not(group: ProcessGroup) -> None:
    assert processes.port_conflicts(group) == []
    with socket.socket() as other:
        other.bind(("127.0.0.1", group.ports[0]))
        other.listen()
        (conflict,) = processes.port_conflicts(group)
        assert f"port {group.ports[0]} on 127.0.0.1 is taken by" in conflict
        assert f"pid {os.getpid()}" in conflict
    processes.apply(group)
    assert processes.port_conflicts(group) == []


def test_the_identity_header_comes_from_its_file_and_stays_out_of_what_is_written(
    group: ProcessGroup, tmp_path: Path
) -> None:
    header = tmp_path / "header"
    header.write_text("very-private\n")
    processes.apply(changed(group, identity_header=str(header)))
    assert ask(group.ports[0])[2] == "very-private"
    written = [path for path in group.layout.root.rglob("*") if path.is_file()]
    assert written
    assert not any("very-private" in path.read_text(errors="replace") for path in written)


def test_the_environment_of_the_caller_stays_out(group: ProcessGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESSAGE", "from the caller")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    processes.apply(group)
    pid = ask(group.ports[0])[0]
    environment = Path(f"/proc/{pid}/environ")
    if environment.exists():
        assert b"PULUMI" not in environment.read_bytes()
    assert ask(group.ports[0])[1] == "one"


def test_what_a_killed_process_left_in_its_spool_is_gone_when_it_is_back(group: ProcessGroup) -> None:
    processes.apply(group)
    left = group.layout.spool / "web" / "half-an-upload"
    left.write_text("x")
    pid = int(ask(group.ports[0])[0])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: int(ask(group.ports[0])[0]) != pid)
    assert not left.exists()


def test_the_supervisor_is_found_from_a_shell_with_another_tmpdir(
    group: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Supervisor(group.layout).start()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert Supervisor(group.layout).alive()


def test_a_folder_of_another_user_is_not_used_for_the_supervisors_socket(
    group: ProcessGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.layout.sockets.mkdir(exist_ok=True)
    owner = group.layout.sockets.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(SupervisorError, match="not a folder of this user"):
        Supervisor(group.layout).start()


def test_a_link_is_not_used_for_the_supervisors_socket(group: ProcessGroup, tmp_path: Path) -> None:
    group.layout.sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(SupervisorError, match="not a folder of this user"):
            Supervisor(group.layout).start()
    finally:
        group.layout.sockets.unlink()
        group.layout.sockets.mkdir()
