"""The budgets of all workspaces are read as one, in a thread; what is wrong with those of one stops no other's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities.gateway_budget_policy import (
    BudgetAction,
    BudgetDuration,
    BudgetDurationUnit,
    BudgetTargetScope,
    BudgetUnit,
    GatewayBudgetPolicy,
)
from mlflow.gateway import budget_tracker
from mlflow.gateway.budget_tracker import BudgetTracker
from mlflow.gateway.budget_tracker.in_memory import InMemoryBudgetTracker
from mlflow.utils.workspace_context import get_request_workspace
from starlette.types import Receive, Scope, Send

from mlflow_runtime.patches.workspace_memory import Budgets, Refreshed
from tests.support.asgi import ask, scope

WORKSPACES = ("default", "team-a", "team-b")


def policy(
    name: str,
    workspace: str,
    target: BudgetTargetScope = BudgetTargetScope.WORKSPACE,
    unit: BudgetDurationUnit = BudgetDurationUnit.DAYS,
    value: int = 1,
) -> GatewayBudgetPolicy:
    return GatewayBudgetPolicy(
        budget_policy_id=name,
        budget_unit=BudgetUnit.USD,
        budget_amount=1,
        duration=BudgetDuration(unit, value),
        target_scope=target,
        budget_action=BudgetAction.REJECT,
        created_at=1,
        last_updated_at=1,
        workspace=workspace,
    )


@dataclass
class Store:
    """A tracking store that gives a workspace its own budgets, or none where it `fails`."""

    policies: list[GatewayBudgetPolicy] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)
    threads: list[int] = field(default_factory=list)

    def list_budget_policies(self) -> list[GatewayBudgetPolicy]:
        self.threads.append(threading.get_ident())
        workspace = get_request_workspace()
        if workspace in self.fails:
            raise RuntimeError("no connection")
        return [each for each in self.policies if each.workspace == workspace]

    def sum_gateway_trace_cost(self, **_: Any) -> float:
        return 0


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> BudgetTracker:
    found = InMemoryBudgetTracker()
    monkeypatch.setattr(budget_tracker, "_budget_tracker", found)
    return found


def counted(tracker: BudgetTracker) -> set[str]:
    return {each.policy.budget_policy_id for each in tracker.get_all_windows()}


def test_a_budget_of_every_team_counts_for_none(tracker: BudgetTracker) -> None:
    store = Store([policy("old", "default", BudgetTargetScope.GLOBAL), policy("a", "team-a")])
    Budgets(WORKSPACES).refresh(store)
    assert counted(tracker) == {"a"}


@pytest.mark.parametrize(
    ("unit", "value"),
    [(BudgetDurationUnit.DAYS, 0), (BudgetDurationUnit.DAYS, 2**31 - 1), (BudgetDurationUnit.MONTHS, 200_000)],
)
def test_a_budget_whose_time_cannot_be_reckoned_stops_no_other(
    tracker: BudgetTracker, caplog: pytest.LogCaptureFixture, unit: BudgetDurationUnit, value: int
) -> None:
    wrong = policy("wrong", "team-a", unit=unit, value=value)
    Budgets(WORKSPACES).refresh(Store([wrong, policy("a", "team-a"), policy("b", "team-b")]))
    assert counted(tracker) == {"a", "b"}
    assert "budget wrong of workspace team-a does not count" in caplog.text


def test_a_workspace_that_cannot_be_read_keeps_its_budgets_and_is_asked_again_in_a_minute(
    tracker: BudgetTracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr(budget_tracker, "time", SimpleNamespace(monotonic=lambda: now))
    budgets, store = Budgets(WORKSPACES), Store([policy("a", "team-a")])
    budgets.refresh(store)
    store.policies += [policy("a-2", "team-a"), policy("b", "team-b")]
    store.fails.add("team-a")
    now = 601
    budgets.refresh(store)
    assert counted(tracker) == {"a", "b"}
    assert "the budgets of team-a were not read" in caplog.text
    store.fails.clear()
    now += 59
    budgets.refresh(store)
    assert counted(tracker) == {"a", "b"}
    now += 1
    budgets.refresh(store)
    assert counted(tracker) == {"a", "a-2", "b"}


def test_a_refresh_under_way_does_not_undo_a_new_budget(
    tracker: BudgetTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Store):
        """Answers for the last workspace when it may."""

        def list_budget_policies(self) -> list[GatewayBudgetPolicy]:
            found = super().list_budget_policies()
            if get_request_workspace() == WORKSPACES[-1]:
                read.set()
                go_on.wait(30)
            return found

    read, go_on, made = threading.Event(), threading.Event(), threading.Event()
    budgets, store = Budgets(WORKSPACES), Slow()
    monkeypatch.setattr(BudgetTracker, "invalidate", budgets.after_a_refresh(BudgetTracker.invalidate))

    def create() -> None:
        """Do what MLflow's handler does."""
        store.policies.append(policy("new", "team-a"))
        made.set()
        tracker.invalidate()
        budgets.refresh(store)

    with ThreadPoolExecutor() as threads:
        under_way = threads.submit(budgets.refresh, store)
        assert read.wait(30)
        creating = threads.submit(create)
        assert made.wait(30)
        go_on.set()
        under_way.result(30)
        creating.result(30)
    assert counted(tracker) == {"new"}


def test_requests_to_models_wait_for_one_refresh_in_a_thread(tracker: BudgetTracker) -> None:
    budgets, store = Budgets(WORKSPACES), Store([policy("a", "team-a")])

    async def mlflow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": ",".join(counted(tracker)).encode()})

    async def several() -> list[bytes]:
        app = Refreshed(mlflow, lambda: budgets.refresh(store))
        paths = ["/api/2.0/mlflow/runs/get", *["/gateway/chat/mlflow/invocations"] * 5]
        return [body for _, _, body in await asyncio.gather(*(ask(app, scope(path)) for path in paths))]

    assert asyncio.run(several()) == [b"", *[b"a"] * 5]
    assert len(store.threads) == len(WORKSPACES)
    assert threading.get_ident() not in store.threads
