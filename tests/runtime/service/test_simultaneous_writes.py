"""Requests that change the same thing at the same time are answered as if one came after the other."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.service.test_service import new_run
from tests.support.answer import Answer
from tests.support.services import Service

AT_ONCE = 16
ROUNDS = 3
V2 = "/api/2.0/mlflow"
V3 = "/api/3.0/mlflow"

Ask = Callable[[str], Answer]
"""Sends the request with a value."""


def at_once(ask: Callable[[int], Answer]) -> list[Answer]:
    """Have all threads stand ready, and then send each its request."""
    gate = threading.Barrier(AT_ONCE)
    answers: list[Answer] = []

    def send(number: int) -> None:
        gate.wait(60)
        answers.append(ask(number))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def refused(answers: list[Answer]) -> list[tuple[int, bytes]]:
    return [(answer.status, answer.content) for answer in answers if answer.status != 200]


def fresh() -> str:
    return uuid.uuid4().hex[:8]


class Things:
    """What the requests are about, one of each kind."""

    def __init__(self, tracking: Service, registry: Service) -> None:
        self.tracking, self.registry = tracking, registry
        self.run_id, _ = new_run(tracking, f"at-once-{fresh()}")
        run = tracking.ask(f"{V2}/runs/get?run_id={self.run_id}").body["run"]
        self.experiment = run["info"]["experiment_id"]
        self.model = f"m-{fresh()}"
        assert registry.ask(f"{V2}/registered-models/create", {"name": self.model}).status == 200
        self.source = run["info"]["artifact_uri"]
        source = {"name": self.model, "source": self.source, "run_id": self.run_id}
        assert registry.ask(f"{V2}/model-versions/create", source).status == 200
        logged = tracking.ask(f"{V2}/logged-models", {"experiment_id": self.experiment})
        self.logged_model = logged.body["model"]["info"]["model_id"]
        made = tracking.ask(f"{V3}/datasets/create", {"name": f"d-{fresh()}", "experiment_ids": [self.experiment]})
        self.dataset = made.body["dataset"]["dataset_id"]
        self.trace = f"tr-{uuid.uuid4().hex}"
        location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.experiment}}
        info = {
            "trace_id": self.trace,
            "trace_location": location,
            "request_time": "2026-01-01T00:00:00Z",
            "execution_duration": "1s",
            "state": "OK",
        }
        assert tracking.ask(f"{V3}/traces", {"trace": {"trace_info": info}}).status == 200

    def batch(self, **lists: Any) -> Answer:
        return self.tracking.ask(f"{V2}/runs/log-batch", {"run_id": self.run_id, **lists})


@pytest.fixture(scope="module")
def things(tracking: Service, registry: Service) -> Things:
    return Things(tracking, registry)


REQUESTS: dict[str, Callable[[Things, str, str], Answer]] = {
    "run tag": lambda on, key, value: on.tracking.ask(
        f"{V2}/runs/set-tag", {"run_id": on.run_id, "key": key, "value": value}
    ),
    "run tags in a batch": lambda on, key, value: on.batch(tags=[{"key": key, "value": value}]),
    "parameter": lambda on, key, _: on.tracking.ask(
        f"{V2}/runs/log-parameter", {"run_id": on.run_id, "key": key, "value": "same"}
    ),
    "parameters in a batch": lambda on, key, _: on.batch(params=[{"key": key, "value": "same"}]),
    "metric": lambda on, key, _: on.tracking.ask(
        f"{V2}/runs/log-metric", {"run_id": on.run_id, "key": key, "value": 1.0, "timestamp": 1, "step": 0}
    ),
    "experiment tag": lambda on, key, value: on.tracking.ask(
        f"{V2}/experiments/set-experiment-tag", {"experiment_id": on.experiment, "key": key, "value": value}
    ),
    "trace tag": lambda on, key, value: on.tracking.ask(
        f"{V3}/traces/{on.trace}/tags", {"key": key, "value": value}, method="PATCH"
    ),
    "logged model tag": lambda on, key, value: on.tracking.ask(
        f"{V2}/logged-models/{on.logged_model}/tags", {"tags": [{"key": key, "value": value}]}, method="PATCH"
    ),
    "dataset tag": lambda on, key, value: on.tracking.ask(
        f"{V3}/datasets/{on.dataset}/tags", {"tags": json.dumps({key: value})}, method="PATCH"
    ),
    "dataset record": lambda on, key, value: on.tracking.ask(
        f"{V3}/datasets/{on.dataset}/records",
        {"records": json.dumps([{"inputs": {"q": key}, "expectations": {"a": value}}])},
    ),
    "dataset of a run": lambda on, key, _: on.tracking.ask(
        f"{V2}/runs/log-inputs",
        {
            "run_id": on.run_id,
            "datasets": [{"dataset": {"name": key, "digest": "1", "source_type": "local", "source": "s"}}],
        },
    ),
    "trace of a run": lambda on, *_: on.tracking.ask(
        f"{V2}/traces/link-to-run", {"trace_ids": [on.trace], "run_id": on.run_id}
    ),
    "registered model tag": lambda on, key, value: on.registry.ask(
        f"{V2}/registered-models/set-tag", {"name": on.model, "key": key, "value": value}
    ),
    "version tag": lambda on, key, value: on.registry.ask(
        f"{V2}/model-versions/set-tag", {"name": on.model, "version": "1", "key": key, "value": value}
    ),
    "alias": lambda on, key, _: on.registry.ask(
        f"{V2}/registered-models/alias", {"name": on.model, "alias": f"a{key}", "version": "1"}
    ),
    "version": lambda on, *_: on.registry.ask(
        f"{V2}/model-versions/create", {"name": on.model, "source": on.source, "run_id": on.run_id}
    ),
    "version of a logged model": lambda on, *_: on.registry.ask(
        f"{V2}/model-versions/create",
        {"name": on.model, "source": f"models:/{on.logged_model}", "model_id": on.logged_model},
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_each_of_sixteen_requests_for_the_same_new_thing_succeeds(things: Things, kind: str) -> None:
    for _ in range(ROUNDS):
        key = f"k{fresh()}"
        answers = at_once(lambda number: REQUESTS[kind](things, key, f"v{number}"))  # noqa: B023
        assert refused(answers) == []


def test_one_value_stays(things: Things) -> None:
    key = f"k{fresh()}"
    assert refused(at_once(lambda number: REQUESTS["run tag"](things, key, f"v{number}"))) == []
    run = things.tracking.ask(f"{V2}/runs/get?run_id={things.run_id}").body["run"]
    (value,) = [tag["value"] for tag in run["data"]["tags"] if tag["key"] == key]
    assert value in {f"v{number}" for number in range(AT_ONCE)}


# Set beside delete

Delete = Callable[[Things, str], Answer]
DELETES: dict[str, Delete] = {
    "run tag": lambda on, key: on.tracking.ask(f"{V2}/runs/delete-tag", {"run_id": on.run_id, "key": key}),
    "experiment tag": lambda on, key: on.tracking.ask(
        f"{V2}/experiments/delete-experiment-tag", {"experiment_id": on.experiment, "key": key}
    ),
    "trace tag": lambda on, key: on.tracking.ask(f"{V3}/traces/{on.trace}/tags", {"key": key}, method="DELETE"),
    "logged model tag": lambda on, key: on.tracking.ask(
        f"{V2}/logged-models/{on.logged_model}/tags/{key}", method="DELETE"
    ),
    "dataset tag": lambda on, key: on.tracking.ask(f"{V3}/datasets/{on.dataset}/tags/{key}", method="DELETE"),
    "registered model tag": lambda on, key: on.registry.ask(
        f"{V2}/registered-models/delete-tag", {"name": on.model, "key": key}, method="DELETE"
    ),
    "version tag": lambda on, key: on.registry.ask(
        f"{V2}/model-versions/delete-tag", {"name": on.model, "version": "1", "key": key}, method="DELETE"
    ),
    "alias": lambda on, key: on.registry.ask(
        f"{V2}/registered-models/alias", {"name": on.model, "alias": f"a{key}"}, method="DELETE"
    ),
}


@pytest.mark.parametrize("kind", DELETES)
def test_what_is_set_and_deleted_at_once_is_set_or_is_not_there(things: Things, kind: str) -> None:
    """A third of the requests delete; of those some find nothing."""
    key = f"k{fresh()}"

    def change(number: int) -> Answer:
        return REQUESTS[kind](things, key, f"v{number}") if number % 3 else DELETES[kind](things, key)

    for _ in range(2 * ROUNDS):
        assert [found for found in refused(at_once(change)) if found[0] != 404] == []


def test_versions_that_are_made_moved_and_deleted_at_once_wait_for_each_other(things: Things) -> None:
    name = f"m-{fresh()}"
    ask = things.registry.ask
    assert ask(f"{V2}/registered-models/create", {"name": name}).status == 200
    made = {"name": name, "source": things.source, "run_id": things.run_id}
    for _ in range(AT_ONCE):
        assert ask(f"{V2}/model-versions/create", made).status == 200

    def change(number: int) -> Answer:
        version = {"name": name, "version": str(number + 1)}
        if number % 3 == 0:
            return ask(f"{V2}/model-versions/create", made)
        if number % 3 == 1:
            return ask(f"{V2}/model-versions/delete", version, method="DELETE")
        moved = {**version, "stage": "Production", "archive_existing_versions": True}
        return ask(f"{V2}/model-versions/transition-stage", moved)

    assert refused(at_once(change)) == []


def test_a_version_of_a_model_that_is_renamed_meanwhile_is_made_or_finds_no_model(things: Things) -> None:
    names = [f"m-{fresh()}"]
    ask = things.registry.ask
    assert ask(f"{V2}/registered-models/create", {"name": names[0]}).status == 200
    for _ in range(2 * ROUNDS):
        name, new = names[-1], f"m-{fresh()}"

        def change(number: int) -> Answer:
            if number == 0:
                return ask(f"{V2}/registered-models/rename", {"name": name, "new_name": new})  # noqa: B023
            made = {"name": name, "source": things.source, "run_id": things.run_id}  # noqa: B023
            return ask(f"{V2}/model-versions/create", made)

        assert [found for found in refused(at_once(change)) if found[0] != 404] == []
        names.append(new)
