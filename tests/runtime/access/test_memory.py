"""What a service remembers between requests, a team gets of its own alone."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import TEAMS, Member, Teams
from tests.support.services import eventually

M2 = "/api/2.0/mlflow"
BUDGETS = "/api/3.0/mlflow/gateway/budgets"
IS_PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}


def address(team: str) -> str:
    """Where a team's webhook sends: nowhere, so that each call ends as an error in the log."""
    return f"https://{team}.invalid/called"


def webhook(teams: Teams, team: str) -> None:
    """Have new prompts of a team call its address. Written as a row, since MLflow would resolve the host at once."""
    webhook_id = str(uuid.uuid4())
    with teams.platform.plane.superuser("registry") as cursor:
        cursor.execute(
            "insert into webhooks (webhook_id, name, url, status, creation_timestamp, last_updated_timestamp,"
            " workspace) values (%s, %s, %s, 'ACTIVE', 1, 1, %s)",
            (webhook_id, f"w-{webhook_id}", address(team), team),
        )
        cursor.execute(
            "insert into webhook_events (webhook_id, entity, action) values (%s, 'prompt', 'created')", (webhook_id,)
        )


def test_an_event_calls_the_webhooks_of_its_own_team(teams: Teams) -> None:
    for team in TEAMS:
        webhook(teams, team)

    def called() -> dict[str, int]:
        log = teams.services["registry"].log
        return {team: len(re.findall(f"Failed to send webhook to {re.escape(address(team))}", log)) for team in TEAMS}

    for team in TEAMS:
        member = Member(teams, team, Role.REGISTRAR)
        member.made(f"{M2}/registered-models/create", {"name": f"p-{uuid.uuid4().hex}", "tags": [IS_PROMPT]})
    eventually(lambda: sum(called().values()) == len(TEAMS), "a call for each team")
    assert called() == dict.fromkeys(TEAMS, 1)


def budget_of_all_teams(teams: Teams) -> str:
    """Have a budget from before access control, whose scope is GLOBAL, and return its id."""
    budget = str(uuid.uuid4())
    with teams.platform.plane.superuser("tracking") as cursor:
        cursor.execute(
            "insert into budget_policies (budget_policy_id, budget_unit, budget_amount, duration_unit, duration_value,"
            " target_scope, budget_action, created_at, last_updated_at, workspace)"
            " values (%s, 'USD', 1, 'DAYS', 1, 'GLOBAL', 'REJECT', 1, 1, 'default')",
            (budget,),
        )
    return budget


@pytest.mark.parametrize("last", TEAMS)
def test_the_budgets_of_every_team_count_whoever_asked_last(teams: Teams, last: str) -> None:
    def admin(team: str) -> Member:
        return Member(teams, team, Role.ADMIN)

    def made(team: str) -> str:
        wanted = {"budget_unit": "USD", "budget_amount": 1.0, "duration": {"unit": "DAYS", "value": 1}}
        wanted |= {"budget_action": "REJECT", "target_scope": "WORKSPACE"}
        return str(admin(team).made(f"{BUDGETS}/create", wanted)["budget_policy"]["budget_policy_id"])

    def counted(team: str) -> set[Any]:
        return {each["budget_policy_id"] for each in admin(team).made(f"{BUDGETS}/windows").get("windows", ())}

    of_all = budget_of_all_teams(teams)
    own = {team: made(team) for team in sorted(TEAMS, key=lambda team: team == last)}
    seen = {team: counted(team) & {of_all, *own.values()} for team in TEAMS}
    assert seen == {team: {budget} for team, budget in own.items()}
