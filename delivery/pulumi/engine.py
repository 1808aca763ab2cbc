"""Commands of the engine: one to its end and read, or one on this terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self, TextIO, TypeVar

from delivery.outcome import CommandError
from delivery.pulumi.installation import REPOSITORY, users_environment
from delivery.terminal import Unheard, say

Ended = TypeVar("Ended")
Child = TypeVar("Child", subprocess.Popen[str], subprocess.Popen[bytes])

_LOOK_SECONDS: Final = 0.2


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

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **self._where())

        def wait(child: subprocess.Popen[str]) -> tuple[int, str, str]:
            try:
                out, err = child.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                child.kill()
                raise
            return child.returncode, out, err

        code, out, err = _to_its_end(start, wait)
        return Result(code=code, out=out, text=out + err)

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

    def show(self, *arguments: str, stream: TextIO | None = None) -> int:
        """Run a command on this terminal, or with its output to a stream; return its exit code.

        In a workflow or pipeline its lines are passed on, so that the agent obeys none of them.
        """
        if stream is None and isinstance(sys.stdout, Unheard):
            return self.pass_on(*arguments, line=lambda one: say(one.removesuffix("\n")))

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(self._command(arguments), stdout=stream, **self._where())

        return _to_its_end(start, subprocess.Popen[bytes].wait)

    def pass_on(self, *arguments: str, line: Callable[[str], None]) -> int:
        """Run a command, pass on each line that it prints as it comes, errors too, and return its exit code."""

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                self._command(arguments),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **self._where(),
            )

        def wait(child: subprocess.Popen[str]) -> int:
            for one in child.stdout or ():
                line(one)
            return child.wait()

        return _to_its_end(start, wait)

    def follow(self, *arguments: str, event: Callable[[Mapping[str, Any]], None]) -> Result:
        """Run a command to its end, pass on each event of the engine as it comes, and return what it printed."""
        lines: list[str] = []
        with tempfile.TemporaryDirectory(prefix="mlflow-platform-events-") as folder:
            log = Path(folder) / "events.json"
            command = [*self._command(arguments), "--color=never", "--event-log", str(log)]

            def start() -> subprocess.Popen[str]:
                # The engine has the option only among those for debugging.
                return subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    **self._where(PULUMI_DEBUG_COMMANDS="true"),
                )

            def wait(child: subprocess.Popen[str]) -> int:
                lines.extend(child.stdout or ())
                return child.wait()

            with _passed_on(log, event):
                code = _to_its_end(start, wait)
        text = "".join(lines)
        return Result(code=code, out=text, text=text)

    def _where(self, **variables: str) -> dict[str, Any]:
        """Return where the engine runs: in a process group of its own where this process ignores SIGINT.

        A script's background command does. The engine does not ignore it even then: Ctrl-C on the script would end it.
        """
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return {"cwd": self.folder, "env": {**self.environment, **variables}, "process_group": 0 if ignored else None}

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["pulumi", *arguments, *self.options, "--non-interactive"]


def users_engine(stack: str, repository: Path = REPOSITORY) -> Engine:
    """Return the engine for the commands on a repository's stack, in the environment of this machine's user."""
    return Engine(folder=repository, environment=users_environment(), options=("--stack", stack))


def version(engine: Engine) -> str:
    """The engine's version, such as `3.274.1`. Raises EngineError if it does not run."""
    return replace(engine, options=()).must("version").out.strip().removeprefix("v")


def state_url(engine: Engine) -> str:
    """The URL of the state that the engine is logged in to. Raises EngineError if it is to none."""
    return str(json.loads(replace(engine, options=()).must("whoami", "--json").out)["url"])


@contextmanager
def _passed_on(log: Path, event: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Pass on each line of a growing file of JSON, until the block and the file have ended."""
    ended = threading.Event()

    def follow() -> None:
        position, over = 0, False
        while not over:
            over = ended.wait(_LOOK_SECONDS)
            whole, separator, _ = (log.read_bytes()[position:] if log.exists() else b"").rpartition(b"\n")
            position += len(whole) + len(separator)
            for line in whole.splitlines():
                event(json.loads(line))

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _to_its_end(start: Callable[[], Child], wait: Callable[[Child], Ended]) -> Ended:
    """Start the engine and return what `wait` returns when it has ended.

    A signal that ends this process is handled after that: one that is raised within `wait` leaves it halfway.
    """
    with _HeldSignals() as signals, start() as child:
        signals.reach(child)
        return wait(child)


class _HeldSignals:
    """Holds back what ends this process until the engine has ended, and interrupts the engine once.

    Only a main thread has handlers, so elsewhere nothing is held.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._came: list[int] = []
        self._to_interrupt: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(signal.getsignal(number)):
                    self._handlers[number] = signal.signal(number, self._hold)
        return self

    def reach(self, engine: subprocess.Popen[Any]) -> None:
        """Interrupt this engine, now if SIGTERM has come already. Ctrl-C reaches it by itself."""
        self._to_interrupt.append(engine)
        self._interrupt()

    def _hold(self, number: int, _: object) -> None:
        self._came.append(number)
        self._interrupt()

    def _interrupt(self) -> None:
        if signal.SIGTERM in self._came:
            # A signal may come between two lines here: who takes the engine out interrupts it.
            with suppress(IndexError):
                self._to_interrupt.pop().send_signal(signal.SIGINT)

    def __exit__(self, *raised: object) -> None:
        try:
            self._put_back()
        finally:  # a signal may have come, and been raised, when only its handler was back
            self._put_back()
        for number in self._came:
            self._handlers[number](number, None)

    def _put_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
