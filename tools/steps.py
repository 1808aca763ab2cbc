"""Long steps of the tools, reported as they happen: one line every few seconds, and a failure whose last line says why.

Everything here goes to stderr; stdout belongs to the result of a tool. Standard library only, because the tools run
before anything is installed.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

OLDEST_PYTHON = (3, 11)
if sys.version_info < OLDEST_PYTHON:  # here, because every tool imports this first and other modules fail obscurely
    sys.exit(
        "{} is Python {}; {} or newer is needed. Call this with such a Python (with make: PYTHON=python3.12)".format(
            sys.executable, ".".join(map(str, sys.version_info[:3])), ".".join(map(str, OLDEST_PYTHON))
        )
    )

_SECONDS_BETWEEN_LINES = 4.0
_LINES_SHOWN_OF_A_FAILURE = 25


class ToolError(Exception):
    """What went wrong, what was given and what to do next, for the user who called the tool."""


class Report:
    """Lines `tool 1:05 text` on stderr, with the time since the tool started."""

    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._start = time.monotonic()
        self._last = self._start

    def __call__(self, text: str) -> None:
        """Print `text` now."""
        self._last = time.monotonic()
        minutes, seconds = divmod(int(self._last - self._start), 60)
        print(f"{self._tool} {minutes}:{seconds:02d} {text}", file=sys.stderr, flush=True)

    def tick(self, text: str) -> None:
        """Print the text if the last line is some seconds old, so that callers may tick as often as they like."""
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self(text)


def main(tool: str, body: Callable[[Report], None]) -> int:
    """Run the body of a tool and return its exit code: 0, or 1 after a `ToolError`, or 130 after Ctrl-C.

    SIGTERM is turned into an exception, so that a terminated tool ends its children and removes its half-made files.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        body(Report(tool))
    except ToolError as error:
        print(f"{tool}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{tool}: interrupted; nothing half-made is kept, call it again", file=sys.stderr)
        return 130
    return 0


def run(
    command: Sequence[str | Path],
    *,
    doing: str,
    report: Report,
    remedy: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    counted: Callable[[str], bool] = bool,
    total: int | None = None,
    unit: str = "",
) -> list[str]:
    """Run a command to its end and return the lines that it wrote on stdout and stderr.

    While it runs, progress is the number of `unit`, if one is given, that is of lines for which `counted` is true, of
    `total` where it is known. Raises `ToolError`, with the last lines and the `remedy`, when the command does not start
    or fails.
    """
    report(doing)
    lines: list[str] = []
    done = 0
    of_total = "" if total is None else f" of {total}"
    with _started(command, cwd, env) as process:
        try:
            for line in _lines_or_ticks(process):
                if line is not None:
                    lines.append(line)
                    done += counted(line)
                report.tick(f"{doing}: {done}{of_total} {unit}" if unit else f"still {doing}")
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        shown = "\n".join(f"  {line}" for line in lines[-_LINES_SHOWN_OF_A_FAILURE:])
        raise ToolError(f"{doing} failed (exit code {process.returncode}):\n{shown}\n{remedy}")
    return lines


def output(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> str:
    """Stdout of a short command, stripped. Raises `ToolError` if it cannot start, fails or takes too long."""
    shown = " ".join(str(part) for part in command)
    try:
        result = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"`{shown}` does not run: {error}") from error
    if result.returncode != 0:
        raise ToolError(f"`{shown}` failed (exit code {result.returncode}): {result.stderr.strip()[-500:]}")
    return result.stdout.strip()


def _started(command: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str] | None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise ToolError(f"`{command[0]}` does not start: {error}") from error


def _lines_or_ticks(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """Lines of the process until it ends; None whenever it has been silent for a second."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip("\n"))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _terminated(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)
