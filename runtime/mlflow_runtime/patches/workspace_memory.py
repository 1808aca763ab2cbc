"""Keep what a process of MLflow remembers between requests apart for each workspace.

MLflow 3.17.2 remembers for a minute which webhooks an event calls, by the event alone (`_webhook_cache` in
mlflow/webhooks/delivery.py): an event of one team would go to another team's address, with what was written. And it
remembers the budgets of that workspace whose request read them last (`maybe_refresh_budget_policies` in
mlflow/gateway/budget.py): for ten minutes no other team's budget would count. It reads them on the event loop, where
those of all teams would hold up every request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from anyio import to_thread
from cachetools import TTLCache
from fastapi import FastAPI
from mlflow.entities.gateway_budget_policy import BudgetTargetScope
from mlflow.environment_variables import MLFLOW_GATEWAY_BUDGET_REFRESH_INTERVAL
from mlflow.gateway import budget, budget_tracker
from mlflow.gateway.budget_tracker import BudgetTracker
from mlflow.server import gateway_api, handlers
from mlflow.utils.workspace_context import ServerWorkspaceContext, get_request_workspace
from mlflow.webhooks import delivery
from starlette.types import ASGIApp, Receive, Scope, Send

# As MLflow has it: more than there are kinds of events.
_EVENTS: Final = 1000
_AI_GATEWAY: Final = "/gateway/"
# A workspace whose budgets could not be read is asked again after this time, and not at each request.
_RETRY_SECONDS: Final = 60

_log = logging.getLogger(__name__)


def install(workspaces: Sequence[str], app: FastAPI) -> None:
    """Remember webhooks for each workspace, and budgets of all `workspaces`, in this process. `app` is MLflow's."""
    delivery._get_or_create_webhook_cache = _of_each_workspace()
    budgets = Budgets(workspaces)
    BudgetTracker.invalidate = budgets.after_a_refresh(BudgetTracker.invalidate)
    # The handlers of the API are in threads, and have a name of their own for it.
    handlers.maybe_refresh_budget_policies = budgets.refresh
    # Those of the AI gateway are on the event loop, and find it done.
    budget.maybe_refresh_budget_policies = lambda _store: None
    app.add_middleware(Refreshed, refresh=lambda: budgets.refresh(gateway_api._get_store()))


def _of_each_workspace() -> Callable[[int], Any]:
    # No more than the workspaces of the settings: the gate admits no other.
    kept: dict[str | None, Any] = {}

    def webhooks(ttl_seconds: int) -> Any:
        return kept.setdefault(get_request_workspace(), TTLCache(maxsize=_EVENTS, ttl=ttl_seconds))

    return webhooks


class Budgets:
    """Reads the budgets of all workspaces for MLflow's tracker, one refresh at a time. Threads may share it.

    The tracker applies a budget to the requests of its own workspace, and shows each workspace its own.
    """

    def __init__(self, workspaces: Sequence[str]) -> None:
        self._workspaces = workspaces
        self._lock = threading.Lock()

    def refresh(self, store: Any) -> None:
        """Read the budgets of each workspace, and what was spent, if that is due. It blocks.

        A workspace whose budgets cannot be read keeps those that it had.
        """
        with self._lock:
            tracker = budget_tracker.get_budget_tracker()
            if not tracker.needs_refresh():
                return
            found: list[Any] = []
            unread = False
            for workspace in self._workspaces:
                try:
                    found += _of_workspace(store, workspace)
                except Exception:  # noqa: BLE001 - whatever it is, the other workspaces have theirs
                    unread = True
                    found += (each.policy for each in tracker.get_all_windows() if each.policy.workspace == workspace)
                    _log.warning("the budgets of %s were not read; it keeps those it had", workspace, exc_info=True)
            windows = tracker.refresh_policies(found)
            tracker.backfill_spend(budget.calculate_existing_cost_for_windows(store, windows))
            if unread:
                tracker._last_refresh_time += _RETRY_SECONDS - MLFLOW_GATEWAY_BUDGET_REFRESH_INTERVAL.get()

    def after_a_refresh(self, invalidate: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return `invalidate`, which a change of a budget calls, for after the refresh that is under way.

        That refresh may have read before the change, and would have the new refresh taken for done.
        """

        def waiting(tracker: Any) -> None:
            with self._lock:
                invalidate(tracker)

        return waiting


def _of_workspace(store: Any, workspace: str) -> list[Any]:
    """Return the budgets of a workspace that can count."""
    with ServerWorkspaceContext(workspace):
        found = store.list_budget_policies()
    # One of scope GLOBAL is from before access control, and would count for every team.
    return [each for each in found if each.target_scope != BudgetTargetScope.GLOBAL and _has_a_window(each)]


def _has_a_window(policy: Any) -> bool:
    """Return whether a budget's duration can be reckoned. MLflow takes any in an update, such as 0, and then fails."""
    try:
        start = budget_tracker._compute_window_start(policy.duration, datetime.now(UTC))
        budget_tracker._compute_window_end(policy.duration, start)
    except (ValueError, OverflowError) as error:
        _log.warning("budget %s of workspace %s does not count: %s", policy.budget_policy_id, policy.workspace, error)
        return False
    return True


class Refreshed:
    """ASGI middleware: a request to the AI gateway finds budgets refreshed, by a thread and not on the event loop."""

    def __init__(self, app: ASGIApp, refresh: Callable[[], None]) -> None:
        self._app = app
        self._refresh = refresh
        # Requests wait here while one asks, and not in threads.
        self._asking = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks_a_model = scope["type"] == "http" and scope["path"].startswith(_AI_GATEWAY)
        if asks_a_model and budget_tracker.get_budget_tracker().needs_refresh():
            async with self._asking:
                await to_thread.run_sync(self._refresh)
        await self._app(scope, receive, send)
