"""Artifacts of every size through the artifacts service and past it, and what breaks in the middle."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from azure.core.exceptions import ResourceNotFoundError

from mlflow_runtime.artifacts.memory import DOWNLOAD_BLOCK, FIRST_BLOCK, PIECE, UPLOAD_BLOCK, Memory
from tests.support.services import PUBLIC_HOST, Platform, Service, eventually, gateway

ROOT = "/api/2.0/mlflow-artifacts"
# Enough of a body to get a block.
SENT = 2 * PIECE

_LOG = f"""
import sys
from urllib.parse import urlsplit

import requests
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

send = requests.Session.request

def named(session, method, url, **options):
    url = url.replace("http://{PUBLIC_HOST}", root)  # as the name resolves for clients
    if url.startswith("http:"):  # no port is among the names that are served
        options["headers"] = dict(options.get("headers") or {{}}, Host="{PUBLIC_HOST}")
    return send(session, method, url, **options)

requests.Session.request = named
for folder in sys.argv[2:]:
    root = f"http://{{urlsplit(folder).netloc}}"
    HttpArtifactRepository(folder).log_artifact(sys.argv[1])
"""


@pytest.fixture
def path() -> str:
    """A new artifact's path."""
    return f"0/{uuid.uuid4().hex}/file.bin"


def of(path: str) -> str:
    return f"{ROOT}/artifacts/{path}"


def putting(threads: Executor, service: Service, path: str, content: bytes) -> Future[int]:
    """The status of an upload that is under way."""
    return threads.submit(lambda: service.ask(of(path), content, method="PUT").status)


@pytest.mark.parametrize(
    "size",
    [0, 1, DOWNLOAD_BLOCK, UPLOAD_BLOCK - 1, UPLOAD_BLOCK, UPLOAD_BLOCK + 1, 3 * UPLOAD_BLOCK, 5 * UPLOAD_BLOCK + 7],
)
def test_every_size_comes_back_as_it_was_sent(shared: Platform, artifacts: Service, path: str, size: int) -> None:
    content = os.urandom(size)
    assert artifacts.ask(of(path), content, method="PUT").status == 200
    assert shared.blob_container().download_blob(path).readall() == content
    answer = artifacts.ask(of(path))
    assert (answer.status, answer.content) == (200, content)
    assert answer.headers["content-length"] == str(size)
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_body_without_a_length_is_taken_too(artifacts: Service, path: str) -> None:
    content = os.urandom(2 * UPLOAD_BLOCK + 3)
    pieces = (content[at : at + 300_001] for at in range(0, len(content), 300_001))
    connection = http.client.HTTPConnection("127.0.0.1", artifacts.port, timeout=60)
    connection.request("PUT", of(path), pieces, {"Host": PUBLIC_HOST}, encode_chunked=True)
    assert connection.getresponse().status == 200
    assert artifacts.ask(of(path)).content == content


def test_a_body_that_breaks_off_changes_nothing(shared: Platform, artifacts: Service, path: str) -> None:
    def broken() -> None:
        head = f"PUT {of(path)} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Length: {4 * UPLOAD_BLOCK}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", artifacts.port)) as connection:
            connection.sendall(head.encode() + os.urandom(2 * UPLOAD_BLOCK))

    broken()
    eventually(lambda: staged(shared, path), "a block is there")
    eventually(lambda: "an upload broke off: the client went away" in artifacts.log, "the reason is logged")
    with pytest.raises(ResourceNotFoundError):
        shared.blob_container().get_blob_client(path).get_blob_properties()
    # The blocks that are left are in nobody's way, and a file that is there stays.
    assert artifacts.ask(of(path), b"whole", method="PUT").status == 200
    broken()
    time.sleep(1)
    assert artifacts.ask(of(path)).content == b"whole"


def staged(shared: Platform, path: str) -> list[object]:
    """The blocks that belong to no blob yet."""
    try:
        return list(shared.blob_container().get_blob_client(path).get_block_list("uncommitted")[1])
    except ResourceNotFoundError:
        return []


def test_two_uploads_of_one_artifact_do_not_mix(artifacts: Service, path: str) -> None:
    """One of them is what is there in the end, whichever; the other succeeded before it, or gets an error."""
    contents = [bytes([number]) * (6 * UPLOAD_BLOCK) for number in (1, 2)]
    with ThreadPoolExecutor(len(contents)) as threads:
        both = [putting(threads, artifacts, path, content) for content in contents]
    statuses = [done.result() for done in both]
    assert set(statuses) <= {200, 409}, statuses
    assert 200 in statuses
    assert artifacts.ask(of(path)).content in contents


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        (f"bytes={DOWNLOAD_BLOCK - 1}-{DOWNLOAD_BLOCK}", DOWNLOAD_BLOCK - 1, DOWNLOAD_BLOCK),
        ("bytes=-5", 2 * DOWNLOAD_BLOCK - 5, 2 * DOWNLOAD_BLOCK - 1),
        ("bytes=10-", 10, 2 * DOWNLOAD_BLOCK - 1),
    ],
)
def test_a_range_is_a_part(artifacts: Service, path: str, header: str, first: int, last: int) -> None:
    content = os.urandom(2 * DOWNLOAD_BLOCK)
    artifacts.ask(of(path), content, method="PUT")
    answer = artifacts.ask(of(path), headers={"Range": header})
    assert (answer.status, answer.content) == (206, content[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(content)}"


def test_a_range_outside_a_known_copy_and_another_copy(artifacts: Service, path: str) -> None:
    artifacts.ask(of(path), b"0123456789", method="PUT")
    etag = artifacts.ask(of(path)).headers["etag"]
    outside = artifacts.ask(of(path), headers={"Range": "bytes=10-"})
    assert (outside.status, outside.headers["content-range"]) == (416, "bytes */10")
    assert artifacts.ask(of(path), headers={"If-None-Match": f'"x", {etag}'}).status == 304
    same = artifacts.ask(of(path), headers={"Range": "bytes=2-3", "If-Range": etag})
    assert (same.status, same.content) == (206, b"23")
    other = artifacts.ask(of(path), headers={"Range": "bytes=2-3", "If-Range": '"x"'})
    assert (other.status, other.content) == (200, b"0123456789")


def test_a_blob_that_is_replaced_breaks_the_download_off(shared: Platform, artifacts: Service, path: str) -> None:
    size = 6 * DOWNLOAD_BLOCK
    shared.blob_container().upload_blob(path, bytes(size))
    with stopped(artifacts, "GET", path) as connection:
        answer = begun_answer(connection)
        assert answer.read(10) == bytes(10)
        shared.blob_container().upload_blob(path, b"\1" * size, overwrite=True)
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
    assert set(broken.value.partial) == {0}
    eventually(lambda: "replaced in the middle of its download" in artifacts.log, "the reason is logged")


def test_what_is_not_there_is_said(artifacts: Service, path: str) -> None:
    answer = artifacts.ask(of(path))
    assert (answer.status, answer.body["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.fixture(scope="module")
def small(shared: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path]]:
    """A replica of the smallest size, and its folder for files."""
    spool = tmp_path_factory.mktemp("spool")
    service = shared.start("artifacts", MLFLOW_RUNTIME_MEMORY_MIB="512", TMPDIR=str(spool))
    yield service, spool
    service.program.kill()


def test_nothing_is_on_disk_and_no_more_blocks_than_the_memory_has(small: tuple[Service, Path], path: str) -> None:
    """More uploads at once than there are blocks."""
    service, spool = small
    content = bytes(UPLOAD_BLOCK + PIECE)
    used, seen = list[int](), list[str]()
    with ThreadPoolExecutor(20) as threads:
        uploads = [putting(threads, service, f"{path}.{number}", content) for number in range(20)]
        while not all(upload.done() for upload in uploads):
            used.append(in_memory(service)[0])
            seen += [str(file) for file in spool.iterdir()]
            time.sleep(0.01)  # a client that never pauses takes the processors that the uploads need
    assert [upload.result() for upload in uploads] == [200] * 20
    assert 2 <= max(used) <= 16
    assert seen == []


def test_who_neither_sends_nor_takes_keeps_no_other_waiting(
    shared: Platform, small: tuple[Service, Path], path: str
) -> None:
    """As many of them as there are blocks. Each goes on where it stopped, and loses nothing."""
    service, _ = small
    memory = Memory.of(512)
    content = os.urandom(FIRST_BLOCK + UPLOAD_BLOCK)
    shared.blob_container().upload_blob(path, content)
    with contextlib.ExitStack() as stalled:
        takers = [stalled.enter_context(stopped(service, "GET", path)) for _ in range(memory.downloads.limit)]
        paths = [f"{path}.{number}" for number in range(memory.uploads.limit)]
        senders = [stalled.enter_context(stopped(service, "PUT", name, content)) for name in paths]
        eventually(lambda: in_memory(service) == [memory.uploads.limit, memory.downloads.limit], "every block is taken")
        assert service.ask(of(path)).content == content
        assert service.ask(of(f"{path}.other"), content, method="PUT").status == 200
        for taker in takers:
            assert answered(taker) == content
        for sender, name in zip(senders, paths, strict=True):
            sender.sendall(content[SENT:])
            assert answered(sender) == b""
            assert shared.blob_container().download_blob(name).readall() == content


def stopped(service: Service, method: str, path: str, content: bytes = b"") -> socket.socket:
    """A connection whose client sent SENT bytes of its body and takes nothing of the answer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    connection.connect(("127.0.0.1", service.port))
    head = f"{method} {of(path)} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content[:SENT])
    return connection


def answered(connection: socket.socket) -> bytes:
    return begun_answer(connection).read()


def begun_answer(connection: socket.socket) -> http.client.HTTPResponse:
    """Read the head of an answer, which must be 200."""
    connection.settimeout(60)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert answer.status == 200
    return answer


def in_memory(service: Service) -> list[int]:
    """The blocks that are taken, up and down."""
    name = "mlflow_artifact_blocks{direction="
    lines = service.ask("/metrics").content.decode().splitlines()
    figures = {line.split()[0]: int(float(line.split()[-1])) for line in lines if line.startswith(name)}
    return [figures[f'{name}"{direction}"}}'] for direction in ("up", "down")]


def begun(service: Service, path: str, parts: int, **headers: str) -> Any:
    folder, name = path.rsplit("/", 1)
    answer = service.ask(f"{ROOT}/mpu/create/{folder}", {"path": name, "num_parts": parts}, headers=headers)
    assert answer.status == 200, answer
    return answer.body


def sent(service: Service, credential: Any, content: bytes) -> dict[str, Any]:
    url = urlsplit(credential["url"])
    answer = service.ask(f"{url.path}?{url.query}", content, method="PUT")
    assert answer.status == 200, answer
    number = credential["part_number"]
    return {"part_number": number, "etag": answer.headers["etag"], "url": credential["url"]}


def finished(service: Service, path: str, upload: str, parts: list[dict[str, Any]]) -> int:
    folder, name = path.rsplit("/", 1)
    body = {"path": name, "upload_id": upload, "parts": parts}
    return service.ask(f"{ROOT}/mpu/complete/{folder}", body).status


def test_parts_are_the_artifact_once_all_are_there(shared: Platform, artifacts: Service, path: str) -> None:
    """In any order; of a part that is sent twice the one whose receipt is given counts, whatever its length."""
    shared.blob_container().upload_blob(path, b"previous")
    made = begun(artifacts, path, 3)
    contents = [os.urandom(2 * UPLOAD_BLOCK + 5), os.urandom(UPLOAD_BLOCK), b"end"]
    sent(artifacts, made["credentials"][0], os.urandom(4 * UPLOAD_BLOCK))
    parts = [sent(artifacts, made["credentials"][at], contents[at]) for at in (2, 0, 1)]
    assert artifacts.ask(of(path)).content == b"previous"
    assert finished(artifacts, path, made["upload_id"], parts) == 200
    assert artifacts.ask(of(path)).content == b"".join(contents)


def test_a_part_that_breaks_off_is_no_part(artifacts: Service, path: str) -> None:
    made = begun(artifacts, path, 2)
    url = urlsplit(made["credentials"][0]["url"])
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Length: {4 * UPLOAD_BLOCK}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", artifacts.port)) as connection:
        connection.sendall(head.encode() + os.urandom(2 * UPLOAD_BLOCK))
    last = sent(artifacts, made["credentials"][1], b"end")
    assert finished(artifacts, path, made["upload_id"], [last]) == 400
    foreign = {**last, "part_number": 1, "etag": f'"{uuid.uuid4().hex}-00001"'}
    assert finished(artifacts, path, made["upload_id"], [foreign, last]) == 409
    assert artifacts.ask(of(path)).status == 404
    first = sent(artifacts, made["credentials"][0], b"begin ")
    assert finished(artifacts, path, made["upload_id"], [first, last]) == 200
    assert artifacts.ask(of(path)).content == b"begin end"


def test_parts_are_sent_to_the_name_that_the_gateway_tells(artifacts: Service, path: str) -> None:
    odd = f"{path.rsplit('/', 1)[0]}/ä b?.bin"

    def url(**headers: str) -> str:
        return str(begun(artifacts, odd, 1, **headers)["credentials"][0]["url"])

    put = f"{ROOT}/artifacts/{quote(odd)}?part=1"
    assert url() == f"https://{PUBLIC_HOST}{put}"
    assert url(**{"X-Forwarded-Host": PUBLIC_HOST, "X-Forwarded-Proto": "http"}) == f"http://{PUBLIC_HOST}{put}"
    assert url(**{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}) == f"https://{PUBLIC_HOST}{put}"


@pytest.fixture(scope="module")
def direct(shared: Platform) -> Iterator[Service]:
    """An artifacts service that lets clients write to the container."""
    service = shared.start("artifacts", MLFLOW_RUNTIME_CLIENTS_REACH_BLOB="true")
    yield service
    service.program.kill()


def test_parts_go_to_the_container_by_urls_that_write_one_blob(shared: Platform, direct: Service, path: str) -> None:
    """Twelve, because names of blocks must not change their length at the tenth."""
    trusted = ssl.create_default_context(cafile=str(shared.plane.ca))
    folder, name = path.rsplit("/", 1)
    made = direct.ask(f"{ROOT}/mpu/create/{folder}", {"path": name, "num_parts": 12}).body
    parts = []
    for credential in made["credentials"]:
        url = credential["url"]
        query = parse_qs(urlsplit(url).query)
        assert (query["sp"], query["sr"], query["spr"]) == (["w"], ["b"], ["https"])
        assert "skoid" in query
        request = urllib.request.Request(url, bytes([credential["part_number"]]) * 100, method="PUT")
        with urllib.request.urlopen(request, context=trusted) as answer:
            parts.append({"part_number": credential["part_number"], "etag": answer.headers["ETag"], "url": url})
    assert direct.ask(of(path)).status == 404
    complete = {"path": name, "upload_id": made["upload_id"], "parts": parts[::-1]}
    assert direct.ask(f"{ROOT}/mpu/complete/{folder}", complete).status == 200
    assert direct.ask(of(path)).content == b"".join(bytes([number]) * 100 for number in range(1, 13))
    assert parse_qs(urlsplit(parts[0]["url"]).query)["sig"][0] not in direct.log


@pytest.mark.parametrize("number", [0, 50_001, -1])
def test_a_number_of_parts_that_the_store_does_not_take_is_refused(
    artifacts: Service, direct: Service, path: str, number: int
) -> None:
    for service in (artifacts, direct):
        answer = service.ask(f"{ROOT}/mpu/create/{path}", {"path": "file.bin", "num_parts": number})
        assert (answer.status, answer.body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert "1 to 50000" in answer.body["message"]


def test_parts_that_were_not_sent_are_a_conflict_and_a_foreign_upload_is_refused(direct: Service, path: str) -> None:
    folder, name = path.rsplit("/", 1)
    made = direct.ask(f"{ROOT}/mpu/create/{folder}", {"path": name, "num_parts": 1}).body
    part = {"part_number": 1, "etag": "", "url": made["credentials"][0]["url"]}
    for upload_id, status in ((made["upload_id"], 409), ("mine", 400)):
        answer = direct.ask(f"{ROOT}/mpu/complete/{folder}", {"path": name, "upload_id": upload_id, "parts": [part]})
        assert answer.status == status, answer


def test_mlflows_own_client_sends_parts(
    shared: Platform, artifacts: Service, direct: Service, path: str, tmp_path: Path
) -> None:
    """A file larger than each of its requests: through the service, for clients that reach the gateway alone, and past
    it to the container.
    """
    folder, past = path.rsplit("/", 1)[0], f"past/{path}"
    with gateway(tmp_path, f"127.0.0.1:{artifacts.port}") as port:
        content = logged_by_mlflow(
            shared,
            tmp_path,
            f"http://127.0.0.1:{port}{of(folder)}",
            f"http://127.0.0.1:{direct.port}{of(past.rsplit('/', 1)[0])}",
        )
    assert artifacts.ask(of(path)).content == content
    assert artifacts.log.count(f'"PUT", "path": "{of(path)}"') == 12
    assert f'"path": "{ROOT}/mpu/complete/{folder}"' in artifacts.log
    assert direct.ask(of(past)).content == content
    assert f'"path": "{ROOT}/mpu/complete/past/{folder}"' in direct.log
    assert f'"PUT", "path": "{of(past)}"' not in direct.log


def logged_by_mlflow(shared: Platform, folder: Path, *urls: str) -> bytes:
    """A file of 12 MiB that MLflow's client has logged to each of these, in parts of 1 MiB where it may."""
    file = folder / "file.bin"
    file.write_bytes(os.urandom(12 << 20))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "REQUESTS_CA_BUNDLE": str(shared.plane.ca),
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1",
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(1 << 20),
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", _LOG, str(file), *urls], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return file.read_bytes()
