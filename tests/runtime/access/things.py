"""One thing of every kind in a team, each with the team's marker in what only its own team may read."""

from __future__ import annotations

import json
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.runtime.access.teams import Member

M2: Final = "/api/2.0/mlflow"
M3: Final = "/api/3.0/mlflow"
MCP_NAMESPACE: Final = "com.example"
"""What stands before a model's name in that of the MCP server of a team."""
MCP_VERSION: Final = "1.0.0"


@dataclass(frozen=True)
class Things:
    """`ids` are by the names of the fields that take them; `marker` is in values, and in no id and no name.

    `number` stands for it where a value is a number.
    """

    ids: Mapping[str, str]
    marker: str
    number: float

    def shown_in(self, content: bytes) -> bool:
        """Return whether an answer has a value of them."""
        return self.marker.encode() in content or str(self.number).encode() in content


def make(member: Member, marker: str) -> Things:
    """Make them as `member`, an Admin. Raises AssertionError where the platform does not make one."""
    unique = uuid.uuid4().hex[:8]
    tag = {"key": "k", "value": marker}

    def post(path: str, **body: Any) -> Any:
        return member.made(path, body)

    with member.teams.platform.plane.superuser("tracking") as cursor:
        # A number that nothing else in a row has.
        cursor.execute(
            "select setval('experiments_experiment_id_seq', nextval('experiments_experiment_id_seq') + 1234567)"
        )
    experiment = post(f"{M2}/experiments/create", name=f"e-{unique}", tags=[tag])["experiment_id"]
    info = post(f"{M2}/runs/create", experiment_id=experiment, start_time=1, tags=[tag])["run"]["info"]
    run = info["run_id"]
    number = zlib.crc32(marker.encode()) + 0.5
    metric = {"key": "m", "value": number, "timestamp": 1, "step": 0}
    post(f"{M2}/runs/log-batch", run_id=run, metrics=[metric], params=[{"key": "p", "value": marker}], tags=[tag])
    artifact = f"{experiment}/{run}/artifacts/a.txt"
    member.made(f"/api/2.0/mlflow-artifacts/artifacts/{artifact}", marker.encode(), method="PUT")
    logged = post(f"{M2}/logged-models", experiment_id=experiment, source_run_id=run, tags=[tag])["model"]["info"]
    name = f"model-{unique}"
    post(f"{M2}/registered-models/create", name=name, description=marker, tags=[tag])
    source = f"mlflow-artifacts:/workspaces/{member.team}/{experiment}/{run}/artifacts"
    post(f"{M2}/model-versions/create", name=name, source=source, run_id=run, description=marker)
    post(f"{M2}/registered-models/alias", name=name, alias="champion", version="1")
    _mcp_server(member, f"{MCP_NAMESPACE}/{name}", marker)
    webhook = _webhook(member, f"w-{unique}", marker)
    dataset = post(
        f"{M3}/datasets/create", name=f"d-{unique}", experiment_ids=[experiment], tags=json.dumps({"k": marker})
    )
    dataset_id = dataset["dataset"]["dataset_id"]
    record = {"inputs": {"question": marker}, "expectations": {"answer": marker}}
    post(f"{M3}/datasets/{dataset_id}/records", records=json.dumps([record]))
    trace = _trace(member, experiment, marker)
    assessment = _assessment(member, trace, marker)
    # So that the first is not valid, until somebody makes it so.
    _assessment(member, trace, marker, overrides=assessment)
    issue = post(f"{M3}/issues", experiment_id=experiment, name=f"i-{unique}", description=marker)
    scorer = post(
        f"{M3}/scorers/register",
        experiment_id=experiment,
        name=f"s-{unique}",
        serialized_scorer=json.dumps({"name": marker}),
    )
    secret = post(
        f"{M3}/gateway/secrets/create",
        secret_name=f"secret-{unique}",
        secret_value={"api_key": marker},
        provider="openai",
        auth_config={"base": marker},
    )["secret"]
    definition = post(
        f"{M3}/gateway/model-definitions/create",
        name=f"def-{unique}",
        secret_id=secret["secret_id"],
        provider="openai",
        model_name=marker,
    )["model_definition"]
    endpoint = post(
        f"{M3}/gateway/endpoints/create",
        name=f"end-{unique}",
        model_configs=[
            {"model_definition_id": definition["model_definition_id"], "linkage_type": "PRIMARY", "weight": 1}
        ],
        experiment_id=experiment,
    )["endpoint"]
    budget = post(
        f"{M3}/gateway/budgets/create",
        budget_unit="USD",
        budget_amount=5.0,
        duration={"unit": "DAYS", "value": 1},
        target_scope="WORKSPACE",
        budget_action="ALERT",
    )["budget_policy"]
    guardrail = post(
        f"{M3}/gateway/guardrails/create",
        name=f"g-{unique}",
        scorer_id=scorer["scorer_id"],
        scorer_version=1,
        stage="BEFORE",
        action="VALIDATION",
    )["guardrail"]
    schema = post(
        f"{M3}/label-schemas/create",
        experiment_id=experiment,
        name=f"l-{unique}",
        type="FEEDBACK",
        input={"text": {"max_length": 10}},
        instruction=marker,
    )["label_schema"]
    queue = post(f"{M3}/review-queues/create", experiment_id=experiment, name=f"q-{unique}", queue_type="CUSTOM")
    queue_id = queue["review_queue"]["queue_id"]
    post(f"{M3}/review-queues/items/add", queue_id=queue_id, item_type="TRACE", item_ids=[trace])
    return Things(
        {
            **{"experiment_id": experiment, "run_id": run, "run_uuid": run, "source_run_id": run},
            **{"model_id": logged["model_id"], "name": name, "source": source, "webhook_id": webhook},
            **{"dataset_id": dataset_id, "trace_id": trace, "request_id": trace, "item_id": trace},
            **{"assessment_id": assessment, "overrides": assessment, "issue_id": issue["issue"]["issue_id"]},
            **{"artifact_path": f"workspaces/{member.team}/{artifact}", "scorer_id": scorer["scorer_id"]},
            **{"resource_id": scorer["scorer_id"], "secret_id": secret["secret_id"]},
            **{"model_definition_id": definition["model_definition_id"], "endpoint_id": endpoint["endpoint_id"]},
            **{"action_endpoint_id": endpoint["endpoint_id"], "budget_policy_id": budget["budget_policy_id"]},
            **{"guardrail_id": guardrail["guardrail_id"]},
            **{"schema_id": schema["schema_id"], "queue_id": queue_id},
        },
        marker,
        number,
    )


def _mcp_server(member: Member, name: str, marker: str) -> None:
    """Make an MCP server with all that one has."""
    server = f"{M3}/mcp-servers/{name}"
    member.made(f"{M3}/mcp-servers", {"name": name, "description": marker})
    described = {"name": name, "version": MCP_VERSION, "description": marker}
    member.made(f"{server}/versions", {"server_json": described, "status": "active"})
    member.made(f"{server}/endpoints", {"server_version": MCP_VERSION, "url": f"https://{marker}.invalid/mcp"})
    member.made(f"{server}/aliases", {"alias": "champion", "version": MCP_VERSION})
    for tagged in (server, f"{server}/versions/{MCP_VERSION}"):
        member.made(f"{tagged}/tags", {"key": "k", "value": marker})


def _webhook(member: Member, name: str, marker: str) -> str:
    """Write a webhook's row: MLflow would resolve its host at once, and a test needs no network."""
    webhook = str(uuid.uuid4())
    with member.teams.platform.plane.superuser("registry") as cursor:
        cursor.execute(
            "insert into webhooks (webhook_id, name, description, url, status, creation_timestamp,"
            " last_updated_timestamp, workspace) values (%s, %s, %s, 'https://hooks.invalid/x', 'ACTIVE', 1, 1, %s)",
            (webhook, name, marker, member.team),
        )
        cursor.execute(
            "insert into webhook_events (webhook_id, entity, action) values (%s, 'WEBHOOK', 'TEST')", (webhook,)
        )
    return webhook


def _trace(member: Member, experiment: str, marker: str) -> str:
    trace = f"tr-{uuid.uuid4().hex}"
    info = {
        "trace_id": trace,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
        "request_time": _now(),
        "state": "OK",
        "execution_duration": "1s",
        "request_preview": marker,
        "tags": {"k": marker},
    }
    member.made(f"{M3}/traces", {"trace": {"trace_info": info}})
    return trace


def _assessment(member: Member, trace: str, marker: str, **more: str) -> str:
    sent = {
        "assessment_name": "a",
        "trace_id": trace,
        "source": {"source_type": "HUMAN", "source_id": "anna"},
        "feedback": {"value": marker},
        "create_time": _now(),
        "last_update_time": _now(),
        **more,
    }
    found = member.made(f"{M3}/traces/{trace}/assessments", {"assessment": sent})
    return str(found["assessment"]["assessment_id"])


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
