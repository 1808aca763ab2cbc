"""Logs and alerts of resources."""

from __future__ import annotations

from collections.abc import Iterator

from infra.guardrails import types
from infra.guardrails.resource import Resource, Stack
from infra.guardrails.rule import Broken, properties
from infra.guardrails.watched import unwatched

# Types with logs or metrics that Azure sends only where a setting asks for it. An app's logs are its environment's.
WITH_LOGS = (
    types.ADDRESS,
    types.BLOB_SERVICE,
    types.ENVIRONMENT,
    types.NETWORK,
    types.NETWORK_RULES,
    *types.DATA,
)

alerts_are_on = properties(
    {
        types.ACTION_GROUP: {"enabled": (None, True)},
        types.LOG_ALERT: {"enabled": (None, True)},
        types.METRIC_ALERT: {"enabled": (True,)},
    }
)


def logs_are_sent(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse a resource whose logs go nowhere."""
    if unwatched(resource, stack.of_type(types.DIAGNOSTICS), "resourceUri"):
        yield Broken(path="logs", value=None, allowed="a diagnostic setting that sends them to the workspace")
