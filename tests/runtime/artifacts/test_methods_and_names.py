"""Every method of an artifact's routes, and names of every kind, through the gateway and back."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from mlflow_runtime.artifacts.memory import DOWNLOAD_BLOCK
from tests.runtime.service.test_service import new_run
from tests.support.services import PUBLIC_HOST, Platform, Service, gateway

ROOT = "/api/2.0/mlflow-artifacts/artifacts"
NAMES = [
    *("a b.txt", "a%20b.txt", "a%2520b.txt", "a#b.txt", "a?b.txt", "100%", "%zz", "é%C3%A9.txt", "a+b&c=d;e.txt"),
    *(
        "dir\\file.txt",
        "dir%5Cfile.txt",
        "Icon\r",
        "Icon%0D",
        "a\nb",
        "a\n",
        "tab\t.txt",
        "a\ufffe",
        "b\uffff\x85",
        "sub\\dir/a%2Fb.txt",
    ),
]

# MLflow's own client: logs a folder, lists it and downloads it.
_THERE_AND_BACK = f"""
import json, sys
import requests
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

send = requests.Session.request

def named(session, method, url, **options):
    options["headers"] = dict(options.get("headers") or {{}}, Host="{PUBLIC_HOST}")
    return send(session, method, url, **options)

requests.Session.request = named
url, source, target = sys.argv[1:]
repository = HttpArtifactRepository(url)
repository.log_artifacts(source)
repository.download_artifacts("", target)
print(json.dumps(sorted(each.path for each in repository.list_artifacts())))
"""


@pytest.fixture(scope="module")
def through(artifacts: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The artifacts service behind a gateway."""
    with gateway(tmp_path_factory.mktemp("names"), f"127.0.0.1:{artifacts.port}") as port:
        yield replace(artifacts, port=port)


@pytest.fixture
def folder() -> str:
    """A folder that nothing is in."""
    return f"0/{uuid.uuid4().hex}"


def of(path: str) -> str:
    """The path of a request, encoded once."""
    return f"{ROOT}/{quote(path)}"


def listed(service: Service, folder: str) -> list[str]:
    """The names of what is directly in a folder."""
    answer = service.ask(f"{ROOT}?{urlencode({'path': folder})}")
    assert answer.status == 200, answer
    return [each["path"] for each in answer.body.get("files", [])]


def all_listed(service: Service, folder: str) -> list[str]:
    """The names below a folder, of which one may be in a folder of its own, in order."""
    found = listed(service, folder)
    inside = {name.rpartition("/")[0] for name in NAMES if "/" in name} & set(found)
    below = [f"{parent}/{name}" for parent in inside for name in listed(service, f"{folder}/{parent}")]
    return sorted([*(name for name in found if name not in inside), *below])


def store_reads(service: Service) -> float:
    """How many times the service has read a blob's content."""
    lines = service.ask("/metrics").content.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith('mlflow_blob_requests_total{method="GET"'))


def test_a_small_artifact_is_read_by_one_request_to_the_store(artifacts: Service, folder: str) -> None:
    content = os.urandom(1 << 20)
    assert artifacts.ask(of(f"{folder}/small.bin"), content, method="PUT").status == 200
    before = store_reads(artifacts)
    assert [artifacts.ask(of(f"{folder}/small.bin")).content for _ in range(10)] == [content] * 10
    # The service's own looks at the store are among them.
    assert 10 <= store_reads(artifacts) - before < 20


def test_head_says_what_get_says_and_reads_nothing(
    shared: Platform, artifacts: Service, through: Service, folder: str
) -> None:
    shared.blob_container().upload_blob(f"{folder}/model.bin", bytes(3 * DOWNLOAD_BLOCK))
    before = store_reads(artifacts)
    heads = [through.ask(of(f"{folder}/model.bin"), method="HEAD") for _ in range(10)]
    # The service's own look at the store counts too, but comes every two seconds at most.
    assert store_reads(artifacts) - before < len(heads)
    whole = through.ask(of(f"{folder}/model.bin"))
    kept = ("Content-Length", "Content-Type", "Content-Disposition", "Accept-Ranges", "Etag", "X-Content-Type-Options")
    for answer in heads:
        assert (answer.status, answer.content) == (200, b"")
        assert [answer.headers[name] for name in kept] == [whole.headers[name] for name in kept]
    etag = heads[0].headers["Etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        for method in ("GET", "HEAD"):
            answer = through.ask(of(f"{folder}/model.bin"), method=method, headers={"If-None-Match": known})
            assert (answer.status, answer.headers["Etag"]) == (304, etag)
    # A range is for GET alone.
    ranged = through.ask(of(f"{folder}/model.bin"), method="HEAD", headers={"Range": "bytes=0-1"})
    assert (ranged.status, ranged.headers["Content-Length"]) == (200, str(3 * DOWNLOAD_BLOCK))


def test_head_of_what_is_not_there(through: Service, folder: str) -> None:
    assert through.ask(of(f"{folder}/a"), method="HEAD").status == 404


def test_other_methods_are_answered_as_before(through: Service, folder: str) -> None:
    for method in ("POST", "PATCH"):
        assert through.ask(of(f"{folder}/a"), b"", method=method).status == 405
    assert through.ask(of(f"{folder}/a"), method="OPTIONS").status in (200, 204)


def test_what_is_not_there_is_deleted_already(through: Service, folder: str) -> None:
    for path in (folder, f"{folder}/", f"{folder}/a.txt"):
        answer = through.ask(of(path), method="DELETE")
        assert (answer.status, answer.body) == (200, {})


def test_a_folder_is_deleted_and_nothing_beside_it(shared: Platform, through: Service, folder: str) -> None:
    container = shared.blob_container()
    inside = [f"{folder}/run/{number}/file" for number in range(60)]
    beside = [f"{folder}/run2", f"{folder}/run 2/file", f"{folder}/ru"]
    for name in [*inside, *beside, f"{folder}/run"]:
        container.upload_blob(name, b"x")
    assert through.ask(of(f"{folder}/run"), method="DELETE").status == 200
    assert sorted(container.list_blob_names(name_starts_with=f"{folder}/")) == sorted(beside)
    assert through.ask(of(f"{folder}/run2"), method="DELETE").status == 200
    assert sorted(container.list_blob_names(name_starts_with=f"{folder}/")) == sorted(beside[1:])


@pytest.mark.parametrize("path", ["", "/"])
def test_a_delete_without_a_name_is_refused(artifacts: Service, through: Service, path: str) -> None:
    assert through.ask(f"{ROOT}/{path}", method="DELETE").status in (400, 405)
    assert artifacts.ask(f"{ROOT}/{path}", method="DELETE").status in (400, 405)


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]], ids=["in order", "in reverse"])
def test_a_name_is_kept_by_every_method(through: Service, folder: str, names: list[str]) -> None:
    """No method takes one name for another, whichever of the two is there first and goes first."""
    there: list[str] = []
    for name in names:
        assert through.ask(of(f"{folder}/{name}"), method="HEAD").status == 404, name
        assert through.ask(of(f"{folder}/{name}"), method="DELETE").status == 200, name
        assert through.ask(of(f"{folder}/{name}"), name.encode(), method="PUT").status == 200, name
        there.append(name)
        assert all_listed(through, folder) == sorted(there), name
    for name in names:
        assert through.ask(of(f"{folder}/{name}")).content == name.encode()
        head = through.ask(of(f"{folder}/{name}"), method="HEAD")
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(name.encode()))), name
    for name in names:
        assert through.ask(of(f"{folder}/{name}"), method="DELETE").status == 200, name
        there.remove(name)
        assert all_listed(through, folder) == sorted(there), name


@pytest.mark.parametrize("path", ["..%2fa", "a%2f..%2f..%2fb", "..%5Ca", "a%5C..%5Cb", "%252e%252e%252fa", "C:%5Ca"])
def test_a_path_that_leads_out_is_refused(artifacts: Service, through: Service, path: str) -> None:
    for service in (artifacts, through):
        for method in ("PUT", "GET", "HEAD", "DELETE"):
            answer = service.ask(f"{ROOT}/{path}", b"x" if method == "PUT" else None, method=method)
            assert answer.status == 400, (method, answer)


def test_a_name_that_the_store_does_not_take_is_refused_by_its_length(through: Service, folder: str) -> None:
    longest = f"{folder}/".ljust(1024, "n")
    assert through.ask(of(longest), b"x", method="PUT").status == 200
    for method in ("PUT", "GET", "HEAD"):
        answer = through.ask(of(f"{longest}n"), b"x" if method == "PUT" else None, method=method)
        assert answer.status == 400
    assert through.ask(of(longest), method="DELETE").status == 200


def test_a_question_mark_that_was_not_encoded_is_refused(through: Service, folder: str) -> None:
    """MLflow's client sends it so, and the file would be stored under a part of its name."""
    answer = through.ask(f"{of(folder)}/what?.txt", b"x", method="PUT")
    assert (answer.status, answer.body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert f"{folder}/what" in answer.body["message"]
    assert "%3F" in answer.body["message"]
    assert listed(through, folder) == []


def test_mlflow_s_client_logs_and_reads_back_a_folder_of_odd_names(
    through: Service, folder: str, tmp_path: Path
) -> None:
    """What MLflow's client itself changes is left out: it sends `%`, `#` and `?` as they are."""
    source, target = tmp_path / "source", tmp_path / "target"
    files = ["dir\\file.txt", "a b.txt", "é.txt", "sub\\dir/deep\\file.txt", "plain.txt"]
    for file in files:
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_text(file)
    target.mkdir()
    url = f"http://127.0.0.1:{through.port}{of(folder)}"
    done = subprocess.run(
        [sys.executable, "-c", _THERE_AND_BACK, url, str(source), str(target)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = {str(file.relative_to(target)): file.read_text() for file in target.rglob("*") if file.is_file()}
    assert found == {file: file for file in files}


@pytest.mark.parametrize("name", ["a%20b.txt", "a#b.txt", "a?b.txt", "dir\\file.txt", "Icon\r"])
def test_the_pages_of_a_run_show_and_download_it(tracking: Service, artifacts: Service, name: str) -> None:
    run_id, path = new_run(tracking, f"names-{uuid.uuid4()}")
    folder = f"{path}/100%20"
    assert artifacts.ask(of(f"{folder}/{name}"), b"content", method="PUT").status == 200
    query = urlencode({"run_id": run_id, "path": "100%20"})
    files = tracking.ask(f"/api/2.0/mlflow/artifacts/list?{query}").body["files"]
    assert [file["path"] for file in files] == [f"100%20/{name}"]
    query = urlencode({"run_id": run_id, "path": f"100%20/{name}"})
    assert tracking.ask(f"/get-artifact?{query}").content == b"content"
