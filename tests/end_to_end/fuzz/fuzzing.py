"""A run: requests are made and sent to a local stack, what it fails to answer is put to stock MLflow too."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.end_to_end.fuzz import known, stock
from tests.end_to_end.fuzz.asking import Answer, Request, ask
from tests.end_to_end.fuzz.broken import Broken, broken, wrong
from tests.end_to_end.fuzz.broken import send as send_broken
from tests.end_to_end.fuzz.generating import requests
from tests.end_to_end.fuzz.judging import Findings, grown, restarted, worse
from tests.support.local_stack import RunningStack

# Requests that are made for the things of one round; then new ones are made, since some requests delete them.
ROUND: Final = 400
_CLIENTS: Final = 6
_SERVICES: Final = ("gateway", "tracking", "tracking-2", "registry", "artifacts")

# Requests that are no HTTP, after each round of the others.
_BROKEN: Final = 40

Report = Callable[[str], None]


def _generating(number: int, examples: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Have a test of Hypothesis' made `examples` times, the same ones for the same number, without judging any."""
    made = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: made(seed(number)(test))


@dataclass(kw_only=True)
class Fuzzing:
    """The run on one stack. `compare` answers a request as stock MLflow does."""

    stack: RunningStack
    compare: Callable[[Request], Answer]
    findings: Findings = field(default_factory=Findings)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def round(self, number: int, examples: int = ROUND) -> None:
        """Send one round of requests, the same for the same number where the stack is in the same state."""
        things = known.make(self.stack.url)
        sent: set[tuple[str, str, bytes | None]] = set()

        with ThreadPoolExecutor(_CLIENTS) as clients:
            answers: list[Future[None]] = []

            @_generating(number, examples)
            @given(requests(things))
            def make(request: Request) -> None:
                if (key := (request.method, request.target, request.body)) not in sent:
                    sent.add(key)
                    answers.append(clients.submit(self.send, request))

            make()
            for answer in answers:
                answer.result()

    def round_of_broken(self, number: int, examples: int = _BROKEN) -> None:
        """Send what is no HTTP. Any answer will do that does not name the server as the culprit."""
        with ThreadPoolExecutor(_CLIENTS) as clients:
            sent: list[tuple[Broken, Future[Answer | None]]] = []

            @_generating(number, examples)
            @given(broken(urlsplit(self.stack.url).netloc))
            def make(request: Broken) -> None:
                sent.append((request, clients.submit(send_broken, self.stack.url, request)))

            make()
            for request, answer in sent:
                self.findings.broken_http += 1
                if (said := wrong(answer.result())) is not None:
                    self.findings.broken.append(f"{request}: {said}")

    def send(self, request: Request) -> None:
        """Send one request and judge the answer."""
        answer = ask(self.stack.url, request)
        with self._lock:
            self.findings.answered(request, answer)
        # A refusal of what is no HTTP may overtake its body, and then nothing is read but the end of the connection.
        if not answer.failed or (not request.is_http and not answer.silent):
            return
        # One after the other, so that what stock MLflow logs meanwhile is about this request.
        with self._lock:
            theirs = self.compare(request)
            if theirs.failed:
                self.findings.compared(request, answer, theirs, mine=False)
                return
            # State and chance differ between two requests: only what fails here twice, and there never, is a finding.
            again, theirs = ask(self.stack.url, request), self.compare(request)
            if worse(again, theirs):
                self.findings.compared(request, again, theirs, mine=True, logged=self.logged(again))
            else:
                said = f"{answer.cause}{self.logged(answer)}"
                self.findings.once.append(f"{request}: {said}; again {again.status}, stock {theirs.status}")

    def logged(self, answer: Answer) -> str:
        """Return what the stack's processes logged of a failure, since its answer does not say it."""
        if (number := answer.headers.get("x-request-id")) is None:
            return ""
        entries = (entry for process in _SERVICES for entry in self.stack.log_entries(process, number))
        own = (entry for entry in entries if entry.get("request_id") == number)
        reported = (entry.get("error") or error_of(str(entry.get("exception"))) for entry in own)
        return f" ({next(filter(None, reported), 'no error is logged yet')})"

    def memory(self) -> dict[str, float]:
        """Resident memory of the gateway and the services, MiB."""
        pids = self.stack.supervisor.pids()
        return {name: psutil.Process(pids[name]).memory_info().rss / (1 << 20) for name in _SERVICES if name in pids}


@contextmanager
def comparing(stack: RunningStack, folder: Path) -> Iterator[Callable[[Request], Answer]]:
    """Stock MLflow for the block. Its failures are recognised by the error in its log."""
    log = folder / "stock.log"
    with stock.serving(stack, folder) as url:

        def compare(request: Request) -> Answer:
            begin = log.stat().st_size
            answer = ask(url, request.unpacked)
            if not answer.failed:
                return answer
            with log.open("rb") as written:
                written.seek(begin)
                reason = error_of(written.read().decode(errors="replace"))
            return Answer(status=answer.status, body=reason.encode() if reason else answer.body)

        yield compare


def error_of(log: str) -> str | None:
    """The error at the end of the last traceback in a log, in one line, or None where there is none."""
    _, found, after = log.rpartition("Traceback (most recent call last)")
    error = re.search(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Violation|\w+)): ?(.*)$", after, re.MULTILINE)
    return f"{error[1]}: {error[2]}".strip() if found and error else None


def fuzz(stack: RunningStack, folder: Path, *, seconds: float, first: int, report: Report) -> Findings:
    """Send requests for about `seconds` and look at the processes before, after the warm-up, and at the end."""
    with comparing(stack, folder) as compare:
        run = Fuzzing(stack=stack, compare=compare)
        before = stack.supervisor.pids()
        begun, number, warm = time.monotonic(), first, None
        while (spent := time.monotonic() - begun) < seconds:
            run.round(number)
            run.round_of_broken(number)
            number += 1
            if warm is None and spent > seconds / 4:
                warm = run.memory()
            report(f"{run.findings.requests} requests, {run.findings.classes}, {len(run.findings.ours)} findings")
        run.findings.memory = (warm or {}, run.memory())
    found = run.findings
    found.broken += restarted(before, stack.supervisor.pids()) + grown(*found.memory)
    if (status := stack.run("status")).returncode:
        found.broken.append(f"not every process is ready at the end: {status.stdout}")
    return found
