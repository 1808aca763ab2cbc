"""Commands of the engine: one to its end and read, or one on this terminal."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from delivery.outcome import CommandError

Ended = TypeVar("Ended")


class EngineError(CommandError):
    """A command of the engine failed. `code` is the exit code to end with."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a command ended: its exit code, what it wrote to stdout, and all that it printed."""

    code: int
    out: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Engine:
    """`pulumi` in one folder with one environment. `options` follow every command, such as the stack's name.

    Ctrl-C on a terminal reaches the engine as well, which ends in good order: every command waits for that and raises
    KeyboardInterrupt then. What ends this process otherwise, such as SIGTERM, interrupts the engine first.
    """

    folder: Path
    environment: Mapping[str, str]
    options: tuple[str, ...] = ()

    def run(self, *arguments: str, timeout: float | None = None) -> Result:
        """Run a command to its end, without colours, and return what it printed.

        `timeout` is in seconds (default: none); subprocess.TimeoutExpired is raised after it, and the engine killed.
        """
        command = [*self._command(arguments), "--color=never"]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, cwd=self.folder, env=dict(self.environment), stdout=pipe, stderr=pipe, text=True
        ) as child:
            try:
                out, err = _at_its_end(child, lambda: child.communicate(timeout=timeout))
            except subprocess.TimeoutExpired:
                child.kill()
                raise
        return Result(code=child.returncode, out=out, text=out + err)

    def must(self, *arguments: str) -> Result:
        """Run a command that has to succeed. Raises EngineError with what it printed."""
        result = self.run(*arguments)
        if result.code != 0:
            line = " ".join(["pulumi", *arguments[:2], *self.options[:2]])
            raise EngineError(f"`{line}` failed with exit code {result.code}.\n{result.text.strip()}")
        return result

    def cancel(self) -> None:
        """Take every lock off the stack, such as the one that a killed engine left."""
        self.must("cancel", "--yes")

    def show(self, *arguments: str) -> int:
        """Run a command on this terminal; return its exit code."""
        with subprocess.Popen(self._command(arguments), cwd=self.folder, env=dict(self.environment)) as child:
            return _at_its_end(child, child.wait)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["pulumi", *arguments, *self.options, "--non-interactive"]


def _at_its_end(child: subprocess.Popen[str] | subprocess.Popen[bytes], wait: Callable[[], Ended]) -> Ended:
    """What `wait` returns when the engine has ended."""
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            ended = wait()
        except KeyboardInterrupt as raised:
            interrupt = raised
        except SystemExit:
            child.send_signal(signal.SIGINT)
            wait()
            raise
        else:
            if interrupt is not None:
                raise interrupt
            return ended
