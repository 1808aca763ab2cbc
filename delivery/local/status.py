"""The processes of the local stack: which there are, and whether each is ready."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from components.compute.local.launch import running
from components.compute.local.processes import answers
from components.compute.local.supervisor import Supervisor
from delivery.local.configuration import LocalStack
from delivery.outcome import ExitCode
from delivery.terminal import interactive, say, table

_ANSWERS_SECONDS: Final = 5


def show(stack: LocalStack, *, as_json: bool) -> int:
    """Show each process: a document, a table on a terminal, else a line each. Fails unless all are ready."""
    rows = processes(stack)
    healthy = bool(rows) and all(row["ready"] for row in rows)
    if as_json:
        say(json.dumps({"url": stack.url, "healthy": healthy, "processes": rows}, indent=2))
    elif not rows:
        say("The stack is not up; `make up` brings it up.")
    else:
        _print(rows)
        say(f"{stack.url} is {'healthy' if healthy else 'NOT healthy: see `make logs`'}")
    return ExitCode.DONE if healthy else ExitCode.FAILED


def processes(stack: LocalStack) -> list[dict[str, Any]]:
    """Return name, state, readiness, pid, port and image of each process, by name."""
    supervisor = Supervisor(stack.layout)
    alive = supervisor.alive()
    states, pids = (supervisor.states(), supervisor.pids()) if alive else ({}, {})
    return [
        _row(path, states.get(path.stem, "STOPPED"), pids.get(path.stem))
        for path in sorted(stack.layout.processes.glob("*.json"))
    ]


def _row(path: Path, state: str, pid: int | None) -> dict[str, Any]:
    document = json.loads(path.read_text())
    env = document["env"]
    # A process without a port, such as one that runs a job on a schedule, says by a file that it is ready.
    port = int(env["PORT"]) if "PORT" in env else None
    # supervisord calls a process RUNNING a second after its start; it may be ready before that. And what answers on the
    # port may be one that outlived its supervisor and is about to be replaced.
    launched = running(path.with_suffix(".pid"))
    own = state in ("RUNNING", "STARTING") and launched is not None and launched.pid == pid
    if port is None:
        ready = own and Path(env["READY_FILE"]).exists()
    else:
        ready = own and (document["ready"] is None or answers(port, document["ready"], timeout=_ANSWERS_SECONDS))
    image = document["image"] if document.get("limits") else None
    return {"name": document["name"], "state": state, "ready": ready, "pid": pid, "port": port, "image": image}


def _print(rows: list[dict[str, Any]]) -> None:
    if interactive():
        table(
            ("process", "state", "ready", "pid", "port", "image"),
            [
                (
                    row["name"],
                    row["state"],
                    _ready(row),
                    str(row["pid"] or "-"),
                    str(row["port"] or "-"),
                    _image(row) or "-",
                )
                for row in rows
            ],
            ["green" if row["ready"] else "bold red" for row in rows],
        )
        return
    for row in rows:
        image = f"  image {_image(row)}" if row["image"] else ""
        where = f"pid {row['pid'] or '-':<8} port {row['port'] or '-'}{image}"
        say(f"{row['name']:<14} {row['state']:<9} {_ready(row):<10} {where}")


def _ready(row: dict[str, Any]) -> str:
    return "ready" if row["ready"] else "NOT READY"


def _image(row: dict[str, Any]) -> str:
    return str(row["image"] or "").removeprefix("sha256:")[:12]
