"""What each command of the local stack does. Each returns the process's exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from components.compute.local.containers import find_image, remove_all
from components.compute.local.launch import running
from components.compute.local.processes import answers
from components.compute.local.supervisor import Supervisor
from delivery.local.configuration import REPOSITORY, STACK, LocalStack, shell
from delivery.local.engine import exclusive, pulumi, select

WORKING_TREE = "working-tree"


def up(stack: LocalStack, *, image: str | None, smoke_too: bool) -> int:
    """Bring the stack to what the program says, check it, and say how to use it.

    `image` is kept in the stack's configuration file, as `local.image`.
    """
    started = time.monotonic()
    with exclusive(stack):
        chosen = find_image(image) if image and image != WORKING_TREE else None
        _say(f"Bringing up stack {STACK} in {stack.root}")
        select(stack)
        if image == WORKING_TREE:
            pulumi(stack, ["config", "rm", "--path", "local.image", *_config(stack)])
        elif image and chosen:
            _say(f"From image {chosen.identifier}: MLflow {chosen.mlflow}, revision {chosen.revision}")
            pulumi(stack, ["config", "set", "--path", "local.image", image, *_config(stack)])
        pulumi(stack, ["up", "--yes", "--suppress-permalink=true", *_config(stack)])
    _say(f"All services are ready after {time.monotonic() - started:.0f} s")
    if smoke_too:
        code = smoke(stack, [])
        if code != 0:
            return code
    _say(f"MLflow's UI:       {stack.url}")
    _say(f"Point a client at: export MLFLOW_TRACKING_URI={stack.url}")
    return 0


def down(stack: LocalStack) -> int:
    """Stop every process. Data, configuration and state stay."""
    with exclusive(stack):
        Supervisor(stack.layout).shutdown()
        remove_all(stack.layout.root)
    _say("Stopped. The data is kept: `make up` brings it back, `make destroy` removes it.")
    return 0


def destroy(stack: LocalStack, *, confirmed: bool) -> int:
    """Remove the stack with its data."""
    if not confirmed and not _confirm(f"Remove stack {STACK} and all runs, models and artifacts in {stack.root}?"):
        _say("Nothing was removed.")
        return 1
    with exclusive(stack):
        select(stack)
        pulumi(stack, ["destroy", "--yes", "--skip-preview", "--suppress-permalink=true", *_config(stack)])
        Supervisor(stack.layout).shutdown()
        remove_all(stack.layout.root)
        shutil.rmtree(stack.layout.sockets, ignore_errors=True)
        for entry in stack.root.iterdir():
            _remove(entry)
    _say(f"Stack {STACK} and its data are gone.")
    return 0


def status(stack: LocalStack, *, as_json: bool) -> int:
    """Show each process; 0 when all of them run and answer, 1 when not."""
    rows = _processes(stack)
    healthy = bool(rows) and all(row["ready"] for row in rows)
    if as_json:
        _say(json.dumps({"url": stack.url, "healthy": healthy, "processes": rows}, indent=2))
    elif not rows:
        _say("The stack is not up; `make up` brings it up.")
    else:
        for row in rows:
            ready = "ready" if row["ready"] else "NOT READY"
            where = f"pid {row['pid'] or '-':<8} port {row['port']}{_shown_image(row)}"
            _say(f"{row['name']:<14} {row['state']:<9} {ready:<10} {where}")
        _say(f"{stack.url} is {'healthy' if healthy else 'NOT healthy: see `make logs`'}")
    return 0 if healthy else 1


def logs(stack: LocalStack, *, services: list[str], follow: bool, lines: int) -> int:
    """Show the end of the processes' logs, all of them or those of some services."""
    known = sorted(stack.layout.logs.glob("*.log"))
    chosen = [path for path in known if not services or path.stem in services]
    if not chosen:
        names = ", ".join(path.stem for path in known) or "none yet"
        raise FileNotFoundError(f"No log of {', '.join(services) or 'any service'} in {stack.layout.logs}: {names}.")
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, chosen)]
    return subprocess.run(command, check=False).returncode


def smoke(stack: LocalStack, arguments: list[str]) -> int:
    """Run the smoke program against the stack's gateway."""
    command = [sys.executable, "-m", "delivery.smoke", stack.url, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode


def env(stack: LocalStack) -> int:
    """Print the exports with which plain `pulumi` commands work on the stack."""
    stack.environment()
    select(stack)
    _say(shell(stack.exports()))
    return 0


def _processes(stack: LocalStack) -> list[dict[str, Any]]:
    supervisor = Supervisor(stack.layout)
    alive = supervisor.alive()
    states, pids = (supervisor.states(), supervisor.pids()) if alive else ({}, {})
    return [
        _row(path, states.get(path.stem, "STOPPED"), pids.get(path.stem))
        for path in sorted(stack.layout.processes.glob("*.json"))
    ]


def _row(path: Path, state: str, pid: int | None) -> dict[str, Any]:
    document = json.loads(path.read_text())
    port = int(document["env"]["PORT"])
    # supervisord calls a process RUNNING a second after its start; it may be ready before that. And what answers on the
    # port may be one that outlived its supervisor and is about to be replaced.
    launched = running(path.with_suffix(".pid"))
    own = state in ("RUNNING", "STARTING") and launched is not None and launched.pid == pid
    ready = own and (document["ready"] is None or answers(port, document["ready"], timeout=5))
    image = document["image"] if document.get("limits") else None
    return {"name": document["name"], "state": state, "ready": ready, "pid": pid, "port": port, "image": image}


def _shown_image(row: dict[str, Any]) -> str:
    return f"  image {row['image'].removeprefix('sha256:')[:12]}" if row["image"] else ""


def _config(stack: LocalStack) -> list[str]:
    return ["--config-file", str(stack.config_file)]


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        _say(f"{question} Not asked: there is no terminal. Say `make destroy YES=1` to go ahead.")
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _remove(entry: Path) -> None:
    # The lock is held until the end; whoever waits for it must find the same file.
    if entry.name == "update.lock":
        return
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}{os.linesep}")
    sys.stdout.flush()
