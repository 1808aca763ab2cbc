"""One measurement by the load tool: what it sends, and what it noted."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from delivery.outcome import CommandError

SCRIPT: Final = Path(__file__).with_name("load.cjs")
SPANS: Final = 50
"""Spans of one exported trace."""
SAMPLE: Final = 8
"""Of so many runs, one has its values compared and not only counted."""

_MARK: Final = bytes(range(0xA0, 0xB0))
# Node starts, and the last clients end, within these seconds beside the load itself.
_AROUND_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one measurement sends.

    `clients` send the calls of `scenario` (a name of load.cjs) to `url` for `seconds`, after `warm` seconds that do not
    count, or each of them `turns` times if that is not 0. A request without an answer after `timeout` seconds has
    failed. `values` are what the scenario needs: ids of an experiment or a run, sizes. Of one run in `sample`, what was
    acknowledged is noted value by value. With `rate` all clients together send at most so many requests a second, else
    each its next one when it has the answer. With `interval` answers are noted for each so many seconds too.
    """

    url: str
    scenario: str
    clients: int
    seconds: float
    timeout: float
    headers: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict)
    turns: int = 0
    warm: float = 0
    sample: int = SAMPLE
    rate: float = 0
    interval: float = 0


@dataclass(frozen=True, kw_only=True)
class Call:
    """The answers to one kind of call.

    `milliseconds` are of accepted answers within the time; `outside` were accepted before it began or after its end.
    `failed` counts other statuses than 200, `wrong` answers that were not what the call asks for.
    """

    milliseconds: Sequence[float]
    outside: int
    failed: Mapping[str, int]
    wrong: int


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The times of accepted answers of some seconds, and how many requests failed in them."""

    milliseconds: Sequence[float]
    failed: int


@dataclass(frozen=True, kw_only=True)
class Values:
    """What was acknowledged of a run: metrics as key, step and value, parameters as key and value.

    Of a batch it has the last metric of each key.
    """

    metrics: Sequence[tuple[str, int, float]] = ()
    params: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """What the server said that it stored: of each run its metrics, parameters and ends, the traces, the artifacts.

    `values` are of the runs of the sample only.
    """

    runs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    values: Mapping[str, Values] = field(default_factory=dict)
    traces: Sequence[str] = ()
    artifacts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What the load tool noted in one measurement. `unanswered` requests were sent and got no answer.

    `intervals` are by their number, from the first request on, those with an answer or a failure.
    """

    seconds: float
    calls: Mapping[str, Call]
    unanswered: int
    acknowledged: Acknowledged
    cpu_seconds: float
    intervals: Mapping[int, Interval] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Requests that were answered as they should within the time."""
        return sum(len(call.milliseconds) for call in self.calls.values())

    @property
    def failed(self) -> Mapping[str, int]:
        """By call: requests with another answer than they should have had."""
        return {name: sum(call.failed.values()) + call.wrong for name, call in self.calls.items()}

    @property
    def errors(self) -> int:
        """Requests without an answer, or with another one than they should have had."""
        return self.unanswered + sum(self.failed.values())


def run(tool: Path, node: Path, job: Job) -> Noted:
    """Send the load. Raises CommandError if the load tool fails."""
    document = {
        "tool": str(tool),
        "url": job.url,
        "scenario": job.scenario,
        "clients": job.clients,
        "seconds": job.seconds,
        "timeout": job.timeout,
        "turns": job.turns,
        "warm": job.warm,
        "sample": job.sample,
        "rate": job.rate,
        "interval": job.interval,
        "headers": dict(job.headers),
        **job.values,
    }
    try:
        done = subprocess.run(
            [node, SCRIPT],
            input=json.dumps(document),
            capture_output=True,
            text=True,
            check=False,
            timeout=job.warm + job.seconds + job.timeout + _AROUND_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"bench: the load tool did not end {job.scenario} within {error.timeout:.0f} s.") from error
    if done.returncode != 0:
        raise CommandError(f"bench: the load tool failed in {job.scenario}: {done.stderr.strip()[-2000:]}")
    return noted(json.loads(done.stdout))


def noted(document: Mapping[str, Any]) -> Noted:
    """Read what load.cjs wrote."""
    calls = {
        name: Call(milliseconds=call["ms"], outside=call["outside"], failed=call["failed"], wrong=call["wrong"])
        for name, call in document["calls"].items()
    }
    return Noted(
        seconds=document["seconds"],
        calls=calls,
        unanswered=document["sent"] - document["answered"],
        acknowledged=_acknowledged(document["acknowledged"]),
        cpu_seconds=document["cpu"],
        intervals={
            int(number): Interval(milliseconds=each["ms"], failed=each["failed"])
            for number, each in document["intervals"].items()
        },
    )


def _acknowledged(document: Mapping[str, Any]) -> Acknowledged:
    values = {
        run: Values(
            metrics=[(key, step, value) for key, step, value in each["metrics"]],
            params=[(key, value) for key, value in each["params"]],
        )
        for run, each in document["values"].items()
    }
    return Acknowledged(**{**document, "values": values})


def trace_template(now: float | None = None) -> Mapping[str, str]:
    """An OTLP export of one trace of 50 spans, and the mark that stands for the trace's id in it."""
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

    began = int((time.time() if now is None else now) * 1e9)
    root = (1).to_bytes(8, "big")
    spans = [
        Span(
            trace_id=_MARK,
            span_id=(number + 1).to_bytes(8, "big"),
            parent_span_id=b"" if number == 0 else root,
            name=f"step-{number}",
            start_time_unix_nano=began + number * 1_000_000,
            end_time_unix_nano=began + (number + 1) * 1_000_000,
        )
        for number in range(SPANS)
    ]
    body = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]).SerializeToString()
    return {"body": base64.b64encode(body).decode(), "mark": _MARK.hex()}
