"""What answers and processes say about the platform: pure functions, and what they are given."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from tests.end_to_end.fuzz.asking import Answer, Request

# What a service may grow by between the end of the warm-up and the end of the run. 20 MiB were measured in 300 s with
# 18687 requests; a leak of 10 kB a request is above the limit.
GROWTH_MIB: Final = 128

_TRACEBACK: Final = b"Traceback (most recent call last)"
# What a database and a blob store say of rights and statements is for the log.
_INSIDE: Final = re.compile(rb"\[SQL: |psycopg2\.|sqlalche\.me|permission denied for|AuthorizationPermissionMismatch")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One request that both, or only the platform, fail to answer: its shortest example, and how often."""

    operation: str
    cause: str
    example: str
    answer: str
    stock: str


@dataclass(kw_only=True)
class Findings:
    """What a run found, collected as it goes."""

    statuses: Counter[int] = field(default_factory=Counter)
    requests: int = 0
    broken_http: int = 0
    ours: dict[tuple[str, str], Failure] = field(default_factory=dict)
    stocks: dict[tuple[str, str], Failure] = field(default_factory=dict)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    once: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    memory: tuple[dict[str, float], dict[str, float]] = field(default=({}, {}))

    def answered(self, request: Request, answer: Answer) -> None:
        """Count an answer of the platform and note what no answer of it may be."""
        self.requests += 1
        self.statuses[answer.status] += 1
        if request.is_http and (said := misshapen(answer)) is not None:
            self.broken.append(f"{request}: {said}")

    def compared(self, request: Request, answer: Answer, stock: Answer, *, mine: bool, logged: str = "") -> None:
        """Note a failure: the platform's own, with what it `logged`, or one that stock MLflow shares."""
        # What stock MLflow logs says more than what either answers.
        cause = answer.cause if mine else stock.cause
        key = (request.operation, cause)
        self.counted[key] += 1
        failure = Failure(
            operation=request.operation,
            cause=cause,
            example=str(request),
            answer=f"{answer.cause}{logged}",
            stock=stock.cause if stock.failed else str(stock.status),
        )
        kept = self.ours if mine else self.stocks
        if key not in kept or len(failure.example) < len(kept[key].example):
            kept[key] = failure

    @property
    def classes(self) -> dict[str, int]:
        """Answers by the first digit of their status."""
        counted: Counter[str] = Counter()
        for status, times in self.statuses.items():
            counted["no answer" if status == 0 else f"{status // 100}xx"] += times
        return dict(sorted(counted.items()))


def worse(answer: Answer, stock: Answer) -> bool:
    """Whether the platform fails where stock MLflow does not. A 501 refuses what stock MLflow refuses otherwise."""
    refused = answer.status == HTTPStatus.NOT_IMPLEMENTED and stock.status >= HTTPStatus.BAD_REQUEST
    return answer.failed and not stock.failed and not refused


def misshapen(answer: Answer) -> str | None:
    """Why an answer does not come from the platform, whatever its status. Silence is judged elsewhere."""
    if answer.status and not answer.headers.get("x-request-id"):
        return f"{answer.status} without X-Request-Id"
    if _TRACEBACK in answer.body:
        return f"{answer.status} with a traceback in its body"
    if found := _INSIDE.search(answer.body):
        return f"{answer.status} with {found[0].decode()!r} in its body"
    return None


def restarted(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """The processes that are gone or are not the same, by their pids."""
    return [
        f"{name} was process {pid} and is {after.get(name, 'gone')}"
        for name, pid in before.items()
        if after.get(name) != pid
    ]


def grown(warm: Mapping[str, float], end: Mapping[str, float], limit: float = GROWTH_MIB) -> list[str]:
    """The processes that grew by more than `limit` MiB."""
    return [
        f"{name} grew from {warm[name]:.0f} to {size:.0f} MiB, more than {limit:g}"
        for name, size in end.items()
        if name in warm and size - warm[name] > limit
    ]
