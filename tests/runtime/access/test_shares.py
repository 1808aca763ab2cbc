"""A registered model of one team that another one reads: its versions and files, and nothing else of the team."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import mlflow
import pytest
from mlflow.tracking._tracking_service.utils import _use_tracking_uri

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import READS_A_PART, SHARED_EXPERIMENT, Member, Teams
from tests.support.answer import Answer

M2 = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
SECRET = "of-team-b-alone"
OWNER = "team-b"


@dataclass(frozen=True)
class Model:
    """A registered model with one version, and the folder of its files."""

    name: str
    folder: str


def made(teams: Teams, prefix: str, experiment: str, text: str) -> Model:
    """Register a model whose one file and whose description are `text`."""
    owner = Member(teams, OWNER, Role.REGISTRAR)
    run = owner.made(f"{M2}/runs/create", {"experiment_id": experiment})["run"]["info"]
    model = Model(f"{prefix}-{uuid.uuid4().hex[:8]}", f"{experiment}/{run['run_id']}/artifacts/model")
    owner.made(f"{ARTIFACTS}/{model.folder}/MLmodel", text.encode(), method="PUT")
    owner.made(f"{M2}/registered-models/create", {"name": model.name, "description": text})
    version = {"name": model.name, "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    owner.made(f"{M2}/model-versions/create", {**version, "description": text})
    owner.made(f"{M2}/registered-models/alias", {"name": model.name, "alias": "champion", "version": "1"})
    return model


@pytest.fixture(scope="module")
def models(teams: Teams) -> tuple[Model, Model]:
    """A model that is shared, with the artifacts of its experiment, and one that is not."""
    owner = Member(teams, OWNER, Role.REGISTRAR)
    with teams.platform.plane.superuser("tracking") as cursor:
        cursor.execute("select last_value from experiments_experiment_id_seq")
        (last,) = cursor.fetchone() or (1,)
        cursor.execute(f"select setval('experiments_experiment_id_seq', {SHARED_EXPERIMENT - 1})")
        experiments = [owner.made(f"{M2}/experiments/create", {"name": uuid.uuid4().hex}) for _ in range(2)]
        cursor.execute(f"select setval('experiments_experiment_id_seq', {max(last, SHARED_EXPERIMENT + 1)})")
    shared, other = (each["experiment_id"] for each in experiments)
    assert shared == str(SHARED_EXPERIMENT)
    return made(teams, "shared", shared, "of-the-shared-model"), made(teams, "private", other, SECRET)


def found(text: str) -> str:
    """The path that finds versions by a filter."""
    return f"{M2}/model-versions/search?{urlencode({'filter': text})}"


def reads(name: str) -> Iterator[tuple[str, str, Any]]:
    """Every request that reads a model of this name."""
    query = partial(urlencode, {"name": name, "version": "1", "alias": "champion", "path": "MLmodel"})
    for path in ("get", "alias", "get-latest-versions"):
        yield "GET", f"{M2}/registered-models/{path}?{query()}", None
        yield "GET", f"{M2}/registered-models/{path}", {"name": name, "alias": "champion"}
    yield "POST", f"{M2}/registered-models/get-latest-versions", {"name": name}
    for path in ("get", "get-download-uri"):
        yield "GET", f"{M2}/model-versions/{path}?{query()}", None
        yield "GET", f"{M2}/model-versions/{path}", {"name": name, "version": "1"}
    yield "GET", found(f"name = '{name}'"), None
    yield "GET", f"/model-versions/get-artifact?{query()}", None


def test_a_shared_model_is_read_and_nothing_else_of_its_team(teams: Teams, models: tuple[Model, Model]) -> None:
    shared, private = models
    token = teams.entra.token(READS_A_PART)

    def ask(method: str, path: str, body: Any = None) -> Answer:
        return teams.send(token, path, body, workspace=OWNER, method=method)

    given = [(path, ask(method, path, body)) for method, path, body in reads(shared.name)]
    assert [(path, answer) for path, answer in given if answer.status != 200] == []
    assert sum(b"of-the-shared-model" in answer.content for _, answer in given) >= 8
    for path in (f"{ARTIFACTS}/{shared.folder}/MLmodel", f"{ARTIFACTS}?{urlencode({'path': shared.folder})}"):
        assert ask("GET", path).status == 200

    own = f"name = '{shared.name}'"
    twice = urlencode([("name", shared.name), ("name", private.name), ("version", "1"), ("version", "1")])
    refused = [
        *((method, path, body) for method, path, body in reads(private.name)),
        ("GET", f"{M2}/model-versions/get?{twice}", {"name": private.name, "version": "1"}),
        *(
            ("GET", found(text), None)
            for text in ("", "name = ''", "name LIKE 'shared-%'", "run_id = 'x'", f"{own} AND {own}")
        ),
        ("GET", f"{M2}/model-versions/search", None),
        ("GET", "/model-versions/get-artifact?version=1&path=MLmodel", None),
        ("GET", f"{M2}/registered-models/search", None),
        ("GET", f"{ARTIFACTS}/{private.folder}/MLmodel", None),
        ("GET", f"{ARTIFACTS}", None),
        *(("GET", f"{ARTIFACTS}?{each}", None) for each in ("path=", f"path=&path={SHARED_EXPERIMENT}")),
        ("GET", f"{ARTIFACTS}", {"path": private.folder}),
        ("GET", f"{ARTIFACTS}?x=1", {"path": private.folder}),
        ("PUT", f"{ARTIFACTS}/{shared.folder}/MLmodel", b"changed"),
        ("DELETE", f"{ARTIFACTS}/{shared.folder}/MLmodel", None),
        ("POST", f"{M2}/registered-models/set-tag", {"name": shared.name, "key": "k", "value": "v"}),
        ("GET", f"{M2}/experiments/get?experiment_id={SHARED_EXPERIMENT}", None),
        ("POST", f"{M2}/experiments/search", {"max_results": 5}),
    ]
    answers = [(method, path, ask(method, path, body)) for method, path, body in refused]
    assert [each for each in answers if SECRET.encode() in each[2].content] == []
    twice_answered = [each for each in answers if "&name=" in each[1]]
    assert [each for each in answers if each[2].status not in (403, 404) and each not in twice_answered] == []
    # By whoever has no share of it, the shared one is not read either.
    other = Member(teams, "team-a", Role.ADMIN)
    for method, path, body in reads(shared.name):
        assert teams.send(other.token, path, body, workspace=OWNER, method=method).status == 403
    owner = Member(teams, OWNER, Role.READER)
    assert owner.made(f"{ARTIFACTS}/{shared.folder}/MLmodel") == b"of-the-shared-model"


def test_mlflows_client_downloads_a_shared_model(
    teams: Teams, models: tuple[Model, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, private = models
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", teams.entra.token(READS_A_PART))
    monkeypatch.setenv("MLFLOW_WORKSPACE", OWNER)
    with teams.gateway(tmp_path) as address, _use_tracking_uri(address):
        found = mlflow.artifacts.download_artifacts(f"models:/{shared.name}@champion", dst_path=str(tmp_path))
        assert (Path(found) / "MLmodel").read_text() == "of-the-shared-model"
        with pytest.raises(mlflow.MlflowException, match="is shared with you"):
            mlflow.artifacts.download_artifacts(f"models:/{private.name}/1")
