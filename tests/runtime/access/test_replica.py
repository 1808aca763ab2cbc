"""One more replica: a budget that another one took rejects its model calls, and its record outlives it."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import TEAMS, Member, Teams
from tests.runtime.access.test_signed_in import RUNS, audited_by
from tests.support import json_server, warm
from tests.support.answer import Answer
from tests.support.json_server import JsonServer
from tests.support.services import PUBLIC_HOST, Service, eventually

GATEWAY = "/api/3.0/mlflow/gateway"
PROVIDERS_KEY = "key-of-the-provider"
TOKENS = 10_000_000
"""What each answer of the model took: dollars, by the price of any model."""
CLIENTS = 8


class Provider(JsonServer):
    """A model that answers every question the same, and remembers the headers that came with it."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[dict[str, str]] = []

    def respond(self, request: json_server.Request) -> json_server.Answer:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        answer = {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": TOKENS, "completion_tokens": 0, "total_tokens": TOKENS},
        }
        return 200, answer, {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def replica(teams: Teams) -> Service:
    """It may ask a model on this machine, and reads budgets at every model call. A test kills it."""
    changes = {
        "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http",
        "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_GATEWAY_BUDGET_REFRESH_INTERVAL": "0",
    }
    return teams.platform.start("tracking", ready=True, **teams.settings, **changes, **warm.COLD)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with made.serving():
        yield made


def ask(replica: Service, member: Member, path: str, body: Any) -> Answer:
    headers = {"Authorization": f"Bearer {member.token}", "X-MLFLOW-WORKSPACE": member.team}
    return replica.ask(path, body, headers=headers)


def endpoint(replica: Service, admin: Member, url: str) -> str:
    """Make an endpoint of a team's AI gateway for the model at an address; its name."""
    unique = uuid.uuid4().hex[:8]

    def made(path: str, **body: Any) -> Any:
        answer = ask(replica, admin, f"{GATEWAY}/{path}", body)
        assert answer.status == 200, (path, answer)
        return answer.body

    secret = made(
        "secrets/create",
        secret_name=f"secret-{unique}",
        secret_value={"api_key": PROVIDERS_KEY},
        provider="openai",
        auth_config={"api_base": f"{url}/v1"},
    )["secret"]
    definition = made(
        "model-definitions/create",
        name=f"def-{unique}",
        secret_id=secret["secret_id"],
        provider="openai",
        model_name="gpt-4o",
    )["model_definition"]
    model = {"model_definition_id": definition["model_definition_id"], "linkage_type": "PRIMARY", "weight": 1}
    name = f"end-{unique}"
    made("endpoints/create", name=name, model_configs=[model])
    return name


def forget(admin: Member, budget: str) -> None:
    admin.made(f"{GATEWAY}/budgets/delete", {"budget_policy_id": budget}, method="DELETE")


def test_a_budget_of_another_replica_rejects_the_model_calls_of_its_team(
    teams: Teams, replica: Service, provider: Provider
) -> None:
    admins = {team: Member(teams, team, Role.ADMIN) for team in TEAMS}
    for admin in admins.values():  # other tests leave some
        for each in admin.made(f"{GATEWAY}/budgets/list").get("budget_policies", ()):
            forget(admin, each["budget_policy_id"])
    names = {team: endpoint(replica, admin, provider.url) for team, admin in admins.items()}

    def call(team: str) -> Answer:
        question = {"messages": [{"role": "user", "content": "Is it so?"}]}
        return ask(replica, admins[team], f"/gateway/{names[team]}/mlflow/invocations", question)

    assert {team: call(team).status for team in TEAMS} == dict.fromkeys(TEAMS, 200)
    assert len(provider.headers) == len(TEAMS)
    # The team's key, and nothing of who asked.
    assert {each["authorization"] for each in provider.headers} == {f"Bearer {PROVIDERS_KEY}"}

    own, other = TEAMS
    wanted = {"budget_unit": "USD", "budget_amount": 1.0, "duration": {"unit": "DAYS", "value": 1}}
    wanted |= {"budget_action": "REJECT", "target_scope": "WORKSPACE"}
    budget = admins[own].made(f"{GATEWAY}/budgets/create", wanted)["budget_policy"]["budget_policy_id"]
    # What a call cost is in the database a moment after its answer.
    eventually(lambda: call(own).status != 200, "the budget of the other replica counts")
    asked = len(provider.headers)
    rejected = call(own)
    assert (rejected.status, "Budget limit exceeded" in rejected.content.decode()) == (429, True)
    assert len(provider.headers) == asked, "a rejected call asked the model"
    assert call(other).status == 200
    assert len(provider.headers) == asked + 1
    forget(admins[own], budget)
    assert call(own).status == 200


def test_whoever_has_an_answer_has_a_record_after_a_kill(teams: Teams, replica: Service) -> None:
    member = Member(teams, TEAMS[0], Role.CONTRIBUTOR)
    experiment = member.made("/api/2.0/mlflow/experiments/create", {"name": f"e-{uuid.uuid4().hex}"})["experiment_id"]
    run = member.made(f"{RUNS}/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    acknowledged: set[str] = set()
    stop = threading.Event()

    def log(client: int) -> None:
        headers = {
            "Host": PUBLIC_HOST,
            "Content-Type": "application/json",
            "Authorization": f"Bearer {member.token}",
            "X-MLFLOW-WORKSPACE": member.team,
        }
        connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=30)
        for number in itertools.count():
            if stop.is_set():
                return
            request_id = f"killed-{client}-{number}"
            metric = json.dumps({"run_id": run, "key": f"m{client}", "value": 1.0, "timestamp": number})
            try:
                connection.request("POST", f"{RUNS}/log-metric", metric, {**headers, "X-Request-Id": request_id})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return
            assert answer.status == 200, answer.status
            acknowledged.add(request_id)

    threads = [threading.Thread(target=log, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(acknowledged) > 50 * CLIENTS, "a load of acknowledged changes")
    finally:
        replica.program.kill()
        stop.set()
        for thread in threads:
            thread.join()
    changed = [line for line in audited_by(replica) if line["message"] == "changed" and line["status"] == 200]
    assert acknowledged - {line["request_id"] for line in changed} == set()
