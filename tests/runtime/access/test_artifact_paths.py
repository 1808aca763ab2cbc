"""No path and no location leads to the artifacts of another team."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from mlflow_runtime.azure.blob_address import BlobAddress
from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import EVERYWHERE as DEFAULT_ADMIN
from tests.runtime.access.teams import MEMBERS, Member, Teams

API = "/api/2.0/mlflow-artifacts"
SECRET = b"of team b alone"
PATHS = (
    *("workspaces", "workspaces/", "workspaces/team-b", "workspaces/team-b/{}", "./workspaces/team-b/{}"),
    *("workspaces//team-b/{}", "workspaces/team-a/../team-b/{}", "x/../workspaces/team-b/{}", "workspaces\\team-b\\{}"),
)


@pytest.fixture(scope="module")
def secret(teams: Teams) -> Iterator[str]:
    """The path of a file of team b, which is there before and after."""
    owner = Member(teams, "team-b", Role.CONTRIBUTOR)
    path = f"1/{uuid.uuid4().hex}/artifacts/a.txt"
    owner.made(f"{API}/artifacts/{path}", SECRET, method="PUT")
    yield path
    assert owner.made(f"{API}/artifacts/{path}") == SECRET


@pytest.mark.parametrize("team", ["team-a", "default"])
@pytest.mark.parametrize("shape", PATHS)
def test_a_path_of_another_team_is_refused_by_every_route(teams: Teams, secret: str, shape: str, team: str) -> None:
    token = teams.entra.token(MEMBERS["team-a", Role.ADMIN] if team == "team-a" else DEFAULT_ADMIN)
    path = shape.format(secret)
    paths = [path, quote(path, safe=""), quote(quote(path, safe=""), safe="")]
    asked = [
        *((method, f"{API}/artifacts/{each}") for each in paths for method in ("GET", "HEAD", "PUT", "DELETE")),
        *(("GET", f"{API}/artifacts?path={each}") for each in paths[1:]),
        *(("POST", f"{API}/mpu/{step}/{each}") for each in paths for step in ("create", "complete", "abort")),
        *(("GET", f"{API}/presigned/{each}") for each in paths),
    ]
    for method, target in asked:
        body = {"PUT": b"x", "POST": {"path": "a.txt", "num_parts": 1}}.get(method)
        answer = teams.send(token, target, body, workspace=team, method=method)
        # 400 for a segment or a backslash that no path may have, 404 for one that Flask merges.
        assert answer.status in (400, 403, 404), (method, target, answer)
        assert SECRET not in answer.content


def test_the_body_of_a_get_names_no_other_team_either(teams: Teams, secret: str) -> None:
    for team, application in (("default", DEFAULT_ADMIN), ("team-a", MEMBERS["team-a", Role.ADMIN])):
        for path in ("workspaces", "workspaces/team-b", f"workspaces/team-b/{secret.rpartition('/')[0]}"):
            token = teams.entra.token(application)
            answer = teams.send(token, f"{API}/artifacts", {"path": path}, workspace=team, method="GET")
            assert (answer.status, answer.body["error_code"]) == (403, "PERMISSION_DENIED"), (team, path, answer)
    owner = Member(teams, "team-b", Role.READER)
    assert owner.made(f"{API}/artifacts", {"path": secret.rpartition("/")[0]}, method="GET")["files"]


def test_the_name_of_a_file_in_parts_leads_nowhere_else(teams: Teams, secret: str) -> None:
    def foreign() -> set[str]:
        blobs = teams.platform.blob_container().list_blobs()
        return {f"{blob.name} {blob.etag}" for blob in blobs if not blob.name.startswith("workspaces/team-a/")}

    member, before, folder = Member(teams, "team-a", Role.CONTRIBUTOR), foreign(), uuid.uuid4().hex
    other = f"workspaces/team-b/{secret}"
    for name in (
        "..",
        "../..",
        f"/{other}",
        other,
        f"../../../{other}",
        "..%2f..",
        "a\\..\\..",
        ".",
        "a/",
        f"{'../' * 9}x",
    ):
        made = member.send(f"{API}/mpu/create/1/{folder}", {"path": name, "num_parts": 1})
        for part in made.body["credentials"] if made.status == 200 else ():
            path = part["url"][part["url"].index(API) :]
            assert path.startswith(f"{API}/artifacts/workspaces/team-a/1/{folder}/"), (name, path)
            sent = member.send(path, b"of team a", method="PUT")
            whole = {"path": name, "upload_id": made.body["upload_id"]}
            parts = [{"part_number": 1, "etag": sent.headers["ETag"]}] if sent.status == 200 else []
            member.send(f"{API}/mpu/complete/1/{folder}", {**whole, "parts": parts})
    # One whose name is only that of a file, to show that a file is made so.
    assert any(name.startswith(f"workspaces/team-a/1/{folder}/") for name in names(teams))
    assert foreign() == before


def names(teams: Teams) -> list[str]:
    return [str(blob.name) for blob in teams.platform.blob_container().list_blobs()]


def test_the_whole_of_a_workspace_is_not_deleted(teams: Teams, secret: str) -> None:
    member = Member(teams, "team-b", Role.CONTRIBUTOR)
    for path in ("", "/", "%2F", "workspaces", "workspaces/team-b", "workspaces/team-b/", "workspaces%2Fteam-b"):
        assert member.send(f"{API}/artifacts/{path}", method="DELETE").status in (400, 403, 404, 405)
    assert member.made(f"{API}/artifacts/{secret}") == SECRET


def test_a_location_that_a_client_names_is_opened_in_its_own_workspace_only(teams: Teams, secret: str) -> None:
    owner, other = Member(teams, "team-b", Role.ADMIN), Member(teams, "team-a", Role.ADMIN)
    attachment = str(uuid.uuid4())
    folder = f"workspaces/team-b/locations/{uuid.uuid4().hex}"
    for name in ("traces.json", f"attachments/{attachment}"):
        owner.made(f"{API}/artifacts/{folder}/{name}", json.dumps({"spans": [SECRET.decode()]}).encode(), method="PUT")
    container = BlobAddress.parse(teams.platform.container).wasbs.rstrip("/")
    places = [f"mlflow-artifacts:/{folder}", f"{container}/{folder}"]
    seen = {}
    for member in (owner, other):
        experiment = member.made("/api/2.0/mlflow/experiments/create", {"name": folder})["experiment_id"]
        for place in places:
            trace = f"tr-{uuid.uuid4().hex}"
            info = {
                "trace_id": trace,
                "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
                "request_time": "2026-01-01T00:00:00Z",
                "state": "OK",
            }
            member.made("/api/3.0/mlflow/traces", {"trace": {"trace_info": info}})
            tag = {"key": "mlflow.artifactLocation", "value": place}
            member.made(f"/api/3.0/mlflow/traces/{trace}/tags", tag, method="PATCH")
            answers = [
                member.send(f"/ajax-api/3.0/mlflow/get-trace-artifact?request_id={trace}{more}")
                for more in ("", f"&path={attachment}")
            ]
            seen[member.team, place] = [SECRET in answer.content for answer in answers]
    assert seen == {
        **{("team-b", place): [True, True] for place in places},
        **{("team-a", place): [False, False] for place in places},
    }


def test_a_version_of_a_model_has_a_source_of_its_own_workspace(teams: Teams, secret: str) -> None:
    name = f"m-{uuid.uuid4().hex}"
    container = BlobAddress.parse(teams.platform.container).wasbs.rstrip("/")
    member = Member(teams, "team-a", Role.REGISTRAR)
    member.made("/api/2.0/mlflow/registered-models/create", {"name": name})
    for place in ("mlflow-artifacts:/workspaces/team-b/1", container, f"{container}/workspaces/team-b/1"):
        refused = member.send("/api/2.0/mlflow/model-versions/create", {"name": name, "source": place})
        assert (refused.status, refused.body["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), place
    unknown = {"name": name, "source": "mlflow-artifacts:/workspaces/team-a/1", "run_id": "0" * 32}
    assert member.send("/api/2.0/mlflow/model-versions/create", unknown).status in (400, 404)
