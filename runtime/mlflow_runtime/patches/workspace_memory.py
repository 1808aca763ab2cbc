"""With access control, what a process of MLflow remembers between requests is remembered for each workspace.

MLflow 3.17.2 remembers for a minute which webhooks an event calls, by the event alone (`_webhook_cache` in
mlflow/webhooks/delivery.py): an event of one team would go to another team's address, with what was written. And it
remembers the budgets of that workspace whose request read them last (`maybe_refresh_budget_policies` in
mlflow/gateway/budget.py): for ten minutes no other team's budget would count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cachetools import TTLCache
from mlflow.gateway import budget
from mlflow.server import handlers
from mlflow.utils.workspace_context import ServerWorkspaceContext, get_request_workspace
from mlflow.webhooks import delivery

# As MLflow has it: more than there are kinds of events.
_EVENTS = 1000


def install(workspaces: Sequence[str]) -> None:
    """Remember webhooks for each workspace, and budgets of all `workspaces`, in this process."""
    delivery._get_or_create_webhook_cache = _of_each_workspace()
    refresh = _of_all(budget.maybe_refresh_budget_policies, workspaces)
    # The handlers have a name of their own for it.
    budget.maybe_refresh_budget_policies = handlers.maybe_refresh_budget_policies = refresh


def _of_each_workspace() -> Callable[[int], Any]:
    # No more than the workspaces of the settings: the gate admits no other.
    kept: dict[str | None, Any] = {}

    def webhooks(ttl_seconds: int) -> Any:
        return kept.setdefault(get_request_workspace(), TTLCache(maxsize=_EVENTS, ttl=ttl_seconds))

    return webhooks


def _of_all(refresh: Callable[[Any], None], workspaces: Sequence[str]) -> Callable[[Any], None]:
    return lambda store: refresh(_Budgets(store, workspaces))


class _Budgets:
    """A tracking store, as far as a refresh of budgets asks it, whose budgets are those of each workspace.

    MLflow's tracker applies a budget to the requests of its own workspace, and shows each workspace its own.
    """

    def __init__(self, store: Any, workspaces: Sequence[str]) -> None:
        self._store = store
        self._workspaces = workspaces

    def list_budget_policies(self) -> list[Any]:
        found: list[Any] = []
        for workspace in self._workspaces:
            with ServerWorkspaceContext(workspace):
                found += self._store.list_budget_policies()
        return found

    def sum_gateway_trace_cost(self, **options: Any) -> Any:
        return self._store.sum_gateway_trace_cost(**options)
