"""The load tool's own ceiling: the same calls against a server that does nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.compute.local.processes import HOST
from delivery.bench import load
from delivery.bench.load import Job
from delivery.bench.measure import Tool
from delivery.bench.processes import Processes
from delivery.bench.results import Latency, latency

# What the logging scenario needs of an answer.
_ANSWER = json.dumps({"run": {"info": {"run_id": "none"}}})


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What the load tool itself reaches: accepted requests a second, percentiles, seconds of a processor a second."""

    clients: int
    rate: float
    latency: Latency
    tool_cpu: float


def ceilings(tool: Tool, processes: Processes, folder: Path, clients: Iterable[int], seconds: float) -> list[Ceiling]:
    """Measure the logging scenario against the gateway's own program with a fixed answer."""
    port = processes.free_ports()
    file = folder / "fixed-answer.json"
    file.write_text(json.dumps(_configuration(port)))
    command: list[str | Path] = [Path(sys.executable).with_name("caddy"), "run", "--config", file]
    processes.start("fixed-answer", command, {"PATH": os.environ["PATH"], "HOME": str(folder)}, folder)
    processes.await_ready("fixed-answer", port, "/")
    return [_ceiling(tool, f"http://{HOST}:{port}", number, seconds) for number in clients]


def _ceiling(tool: Tool, url: str, clients: int, seconds: float) -> Ceiling:
    job = Job(
        url=url,
        scenario="logging",
        clients=clients,
        seconds=seconds,
        timeout=tool.timeout,
        headers={},
        values={"experiment": "0"},
    )
    noted = load.run(tool.package, tool.node, job)
    return Ceiling(
        clients=clients,
        rate=noted.accepted / noted.seconds,
        latency=latency(value for call in noted.calls.values() for value in call.milliseconds),
        tool_cpu=noted.cpu_seconds / noted.seconds,
    )


def _configuration(port: int) -> dict[str, object]:
    answer = {
        "handler": "static_response",
        "status_code": 200,
        "headers": {"Content-Type": ["application/json"]},
        "body": _ANSWER,
    }
    server = {
        "listen": [f"{HOST}:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [answer]}],
    }
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"fixed": server}}}}
