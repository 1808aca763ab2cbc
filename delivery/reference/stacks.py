"""docs/stacks.md: what each Azure stack is made of and what it costs."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from delivery.cost.catalogue import Group
from delivery.cost.estimate import Estimate, estimate
from delivery.cost.load import IDLE, WORKING
from delivery.cost.prices import NOTICE
from delivery.cost.report import IDLE_REPLICAS, LEFT_OUT, LOG_LINES
from delivery.cost.resources import read
from delivery.offline_azure.running import REPOSITORY, must
from delivery.offline_azure.session import offline

STACKS: Final = ("bootstrap", "dev", "staging", "prod")
DOCUMENT = REPOSITORY / "docs" / "stacks.md"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stack as its offline preview shows it: the type of each resource that a provider makes, and what it costs.

    `types` are by the Pulumi name of the resource, `cost` is of a month, idle and at the standard load.
    """

    types: Mapping[str, str]
    cost: Estimate


def render() -> str:
    """Return the document, from an offline preview of each stack. Raises RuntimeError if the engine fails."""
    return document({stack: plan(preview(stack)) for stack in STACKS})


@functools.cache
def preview(stack: str) -> dict[str, Any]:
    """Return what the engine's preview of a stack prints as JSON, against an empty offline Azure."""
    with offline(stack) as product:
        printed = must(product.preview("--json")).text
    # Warnings are printed around the document.
    found: dict[str, Any] = json.JSONDecoder().raw_decode(printed[printed.index("{") :])[0]
    return found


def plan(previewed: Mapping[str, Any]) -> Plan:
    """Return the plan that a preview shows."""
    states = [step["newState"] for step in previewed["steps"]]
    types = {state["urn"].rpartition("::")[2]: str(state["type"]) for state in states if state.get("custom")}
    return Plan(types=types, cost=estimate(read(previewed), IDLE, WORKING))


def document(plans: Mapping[str, Plan]) -> str:
    """Return the document of these plans, which are by the stack's name."""
    return "\n".join(_lines(plans)) + "\n"


def _lines(plans: Mapping[str, Plan]) -> Iterator[str]:
    made = {stack: plan.types for stack, plan in plans.items()}
    yield "# The Azure stacks"
    yield ""
    yield "Written by `mlflow-platform reference` from the stacks' files, as they are made with an image."
    yield "`make preview STACK=prod` shows one as the engine would make it; DIFF=1 adds every property."
    yield ""
    yield from _cost({stack: plan.cost for stack, plan in plans.items()})
    yield ""
    yield "## Resources"
    yield ""
    yield from _counts(made)
    yield ""
    yield "### Each by its Pulumi name"
    yield ""
    yield f"| name | type | {' | '.join(STACKS)} |"
    yield f"|---|---|{'---|' * len(STACKS)}"
    kinds = {name: kind for found in made.values() for name, kind in found.items()}
    for name, kind in sorted(kinds.items(), key=lambda item: (item[1], item[0])):
        marks = " | ".join("x" if name in made[stack] else "" for stack in STACKS)
        yield f"| {name} | {_short(kind)} | {marks} |"


def _cost(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    yield "## What a month costs"
    yield ""
    yield f"In USD, from idle to the load below. {NOTICE}"
    yield ""
    yield f"| | {' | '.join(STACKS)} |"
    yield f"|---|{'---|' * len(STACKS)}"
    for group in Group:
        ranges = []
        for found in estimates.values():
            lines = found.groups().get(group, [])
            ranges.append(_range(sum(line.idle_usd for line in lines), sum(line.load_usd for line in lines)))
        yield f"| {group.value} | {' | '.join(ranges)} |"
    totals = [_range(found.idle_usd, found.load_usd) for found in estimates.values()]
    yield f"| **total** | {' | '.join(f'**{total}**' for total in totals)} |"
    yield ""
    yield "What costs most:"
    yield ""
    yield "| stack | resource | what | idle | at load |"
    yield "|---|---|---|---|---|"
    for stack, found in estimates.items():
        for line in sorted(found.lines, key=lambda line: (-line.load_usd, line.resource, line.what))[:5]:
            yield f"| {stack} | {line.resource} | {line.what} | {line.idle_usd:.0f} | {line.load_usd:.0f} |"
    yield ""
    load = next(iter(estimates.values())).load
    yield (
        f"The load: every service at {load.scale:.0%} of the way from its least to its most replicas for "
        f"{load.active_hours:g} hours a month, {load.requests:g} million requests, {load.log_gb:g} GB of other logs, "
        f"{load.blob_gb:g} GB of artifacts. {LOG_LINES} {IDLE_REPLICAS} Left out: {LEFT_OUT}."
    )
    yield ""
    yield "For another load, or what another configuration costs: `mlflow-platform cost --help`."


def _counts(made: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    counts = {stack: Counter(found.values()) for stack, found in made.items()}
    yield f"| type | {' | '.join(STACKS)} |"
    yield f"|---|{'---|' * len(STACKS)}"
    for kind in sorted({kind for found in counts.values() for kind in found}):
        yield f"| {_short(kind)} | {' | '.join(str(counts[stack][kind] or '') for stack in STACKS)} |"
    yield f"| **all** | {' | '.join(f'**{len(made[stack])}**' for stack in STACKS)} |"


def _range(least: float, most: float) -> str:
    return f"{least:.0f}" if round(least) == round(most) else f"{least:.0f} to {most:.0f}"


def _short(kind: str) -> str:
    return kind.removeprefix("azure-native:").removeprefix("pulumi-python:dynamic/")
