"""What this platform wants to be compared with stock MLflow, and whether a run shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from delivery.bench.plan import GATE, OURS, OURS_DIRECT, STOCK_POSTGRES, heading
from delivery.bench.results import Latency, Measurement, Summary, ratio, summaries
from delivery.bench.scaling import REPLICAS, Carried, limit, scaling

HOT = ("log-metric", "log-parameter", "log-batch")


@dataclass(frozen=True, kw_only=True)
class Aim:
    """One aim, the figure of this run, and whether it is reached."""

    aim: str
    figure: str
    reached: bool


def aims(
    measurements: Sequence[Measurement], carried: Sequence[Carried], share: float | None, processors: int
) -> list[Aim]:
    """Return each aim that the run has figures for, on a machine with so many processors.

    `share` is the requests/s by PostgreSQL's own statements/s.
    """
    found = {(one.scenario, one.clients, one.setup): one for one in summaries(measurements)}
    made: list[Aim] = []
    for scenario, clients in dict.fromkeys((one.scenario, one.clients) for one in measurements):
        stock, ours = (found.get((scenario, clients, setup)) for setup in (STOCK_POSTGRES, OURS[2]))
        if stock is None or ours is None:
            continue
        if (scenario, clients) == ("logging", 16):
            made += _many(stock, ours, ratio(measurements, scenario, clients, OURS[2], STOCK_POSTGRES))
        if (scenario, clients) == ("logging", 1):
            made += _one(stock, ours)
        if scenario == "logging" and clients >= 64:
            made.append(_whole(ours))
        if scenario == "reads":
            made += _reads(stock, ours)
    direct, behind = (found.get(("logging", 1, setup)) for setup in (OURS_DIRECT, OURS[1]))
    if direct and behind:
        made.append(_gateway(direct, behind))
    for clients in (1, 16):
        off, on = (found.get(("access", clients, setup)) for setup in GATE)
        if off and on:
            made += _access(off, on, ratio(measurements, "access", clients, *reversed(GATE)))
    if share is not None:
        aim = "logging, 16 clients: at least half as many requests/s as PostgreSQL itself logs single metrics"
        made.append(Aim(aim=aim, figure=f"{share:.2f} of it", reached=share >= 0.5))
    return [*made, *_scaling(carried, processors)]


def _whole(ours: Summary) -> Aim:
    return Aim(
        aim=f"logging, {ours.clients} clients: nothing fails and nothing is lost",
        figure=f"{ours.errors:,} failed, {ours.lost:,} lost of {ours.acknowledged:,}, {ours.altered:,} altered",
        reached=ours.errors == ours.lost == ours.altered == 0,
    )


def _many(stock: Summary, ours: Summary, times: float | None) -> Iterator[Aim]:
    if times is not None:
        yield Aim(
            aim="logging, 16 clients: at least 8 times the requests/s of stock on PostgreSQL",
            figure=f"{times:.2f} times",
            reached=times >= 8,
        )
    yield Aim(
        aim="with at most its memory",
        figure=f"{ours.memory_mib:,.0f} against {stock.memory_mib:,.0f} MiB",
        reached=ours.memory_mib <= stock.memory_mib,
    )
    for call in ("create", "update"):
        if _both(stock, ours, call):
            share = ours.calls[call].p95 / stock.calls[call].p95
            yield Aim(
                aim=f"logging, 16 clients: p95 of {call} at most a quarter of stock's",
                figure=f"{share:.2f} of it ({_milliseconds(ours.calls[call].p95, stock.calls[call].p95)})",
                reached=share <= 0.25,
            )


def _one(stock: Summary, ours: Summary) -> Iterator[Aim]:
    for call in HOT:
        if _both(stock, ours, call):
            p50, other = ours.calls[call].p50, stock.calls[call].p50
            yield Aim(
                aim=f"logging, 1 client: p50 of {call} at most 1.5 ms and a sixth of stock's",
                figure=f"{_milliseconds(p50, other)}, {p50 / other:.2f} of it",
                reached=p50 <= 1.5 and p50 <= other / 6,
            )


def _reads(stock: Summary, ours: Summary) -> Iterator[Aim]:
    times = {call: stock.calls[call].p95 / ours.calls[call].p95 for call in ours.calls if _both(stock, ours, call)}
    if times:
        figures = ", ".join(f"{call} {value:.2f}" for call, value in times.items())
        yield Aim(
            aim="reads: p95 of stock is no smaller in any call, and at least 3 times as large in three",
            figure=f"stock's p95 by ours: {figures}",
            reached=min(times.values()) >= 1 and sum(value >= 3 for value in times.values()) >= 3,
        )


def _gateway(direct: Summary, behind: Summary) -> Aim:
    values = {call: behind.calls[call].p50 / direct.calls[call].p50 for call in HOT if _both(direct, behind, call)}
    return Aim(
        aim="the gateway adds at most 10 % to the p50 of the hot calls (1 client, 1 replica)",
        figure=", ".join(f"{call} {(value - 1) * 100:+.0f} %" for call, value in values.items()),
        reached=bool(values) and max(values.values()) <= 1.1,
    )


def _access(off: Summary, on: Summary, times: float | None) -> Iterator[Aim]:
    name = heading("access control", off.clients)
    for call in ("get-run", "log-metric"):
        if _both(off, on, call):
            share = on.calls[call].p50 / off.calls[call].p50 - 1
            yield Aim(
                aim=f"{name}: p50 of {call} within 5 % of that without",
                figure=f"{share * 100:+.1f} % ({on.calls[call].p50:.2f} against {off.calls[call].p50:.2f} ms)",
                reached=abs(share) <= 0.05,
            )
    if times is not None:
        gate = (on.cpu - on.gateway_cpu) / on.rate - (off.cpu - off.gateway_cpu) / off.rate
        yield Aim(
            aim=f"{name}: requests/s within 5 % of those without",
            figure=f"{(times - 1) * 100:+.1f} %; {gate * 1000:+.2f} ms of a processor a request",
            reached=abs(times - 1) <= 0.05,
        )


def _scaling(carried: Sequence[Carried], processors: int) -> Iterator[Aim]:
    most = max(REPLICAS)
    for one in carried:
        times = scaling(carried, hot_path=one.hot_path).get(most)
        if one.replicas == most and times is not None:
            name = "hot path" if one.hot_path else "hot path off"
            yield Aim(
                aim=f"limited replicas, {name}: at least 3.5 times the concurrent runs from 1 to {most}",
                figure=f"{times:.2f} times; {limit(one, processors)}",
                reached=times >= 3.5,
            )


def _both(first: Summary, second: Summary, call: str) -> bool:
    """Whether both have answers of a call."""
    none = Latency(p50=0, p95=0, p99=0, count=0)
    return min(first.calls.get(call, none).count, second.calls.get(call, none).count) > 0


def _milliseconds(ours: float, stock: float) -> str:
    return f"{ours:.2f} against {stock:.1f} ms"
