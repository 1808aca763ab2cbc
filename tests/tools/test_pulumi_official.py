"""The official archive from a local HTTP server: taken when genuine, refused when not, passed over when absent."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tools.conftest import Tool
from tests.tools.machine import Machine
from tools.pulumi.kinds import FILES, pinned_version, platform_name

VERSION = pinned_version()
ARCHIVE = f"/pulumi-v{VERSION}-{platform_name()}.tar.gz"
CHECKSUMS = f"/pulumi-{VERSION}-checksums.txt"


def archive_of(members: dict[str, bytes]) -> bytes:
    """A release archive with these members and a symbolic link."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("pulumi/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return content.getvalue()


RELEASE = archive_of(
    {f"pulumi/{name}": f"#!/bin/sh\necho v{VERSION}\n".encode() for name in FILES}
    | {"pulumi/../../escaped": b"", "elsewhere/pulumi": b"", "pulumi/deeper/pulumi": b""}
)


class Site:
    """A download site; `files` are what it serves by path, `claimed` replaces the length that it announces."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.claimed: int | None = None
        self.files: dict[str, bytes] = {}
        self.publish(RELEASE, RELEASE)
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self.path)
                content = site.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(site.claimed or len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                """Keep the test's output quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def publish(self, archive: bytes, summed: bytes) -> None:
        sums = {"pulumi-v0.0.0-other.tar.gz": "0" * 64, ARCHIVE[1:]: hashlib.sha256(summed).hexdigest()}
        self.files = {
            ARCHIVE: archive,
            CHECKSUMS: "".join(f"{value}  {name}\n" for name, value in sums.items()).encode(),
        }


@pytest.fixture
def site() -> Iterator[Site]:
    result = Site()
    thread = threading.Thread(target=result.server.serve_forever, args=(0.01,))
    thread.start()
    yield result
    result.server.shutdown()
    result.server.server_close()
    thread.join()


@pytest.fixture
def machine(tmp_path: Path, private: dict[str, str], site: Site) -> Machine:
    result = Machine(tmp_path, private)
    result.tool = Tool(script=result.tool.script, environment={**private, "PULUMI_ENGINE_DOWNLOADS": site.url})
    return result


@pytest.mark.parametrize("choice", ["auto", "official"])
def test_a_genuine_archive_is_taken_and_cached(
    machine: Machine, site: Site, guarded: dict[str, str], choice: str
) -> None:
    result = machine.tool.run("--choose", choice, "--json")
    assert result.returncode == 0, result.stderr
    engine = json.loads(result.stdout)
    assert (engine["version"], engine["source"]) == (VERSION, "official")
    assert {path.name for path in Path(engine["directory"]).iterdir()} == {*FILES, "complete.json"}
    assert not list(machine.folder.rglob("escaped"))
    assert machine.go_calls("") == 0
    assert site.requests == [CHECKSUMS, ARCHIVE]
    assert machine.tool.run("--choose", choice, "--json", **guarded).stdout == result.stdout


@pytest.mark.parametrize("choice", ["auto", "official"])
def test_an_archive_with_a_wrong_checksum_is_refused_and_nothing_takes_its_place(
    machine: Machine, site: Site, choice: str
) -> None:
    site.publish(archive_of({"pulumi/pulumi": b"#!/bin/sh\necho evil\n"}), summed=RELEASE)
    result = machine.tool.run("--choose", choice)
    assert (result.returncode, result.stdout) == (1, "")
    assert "it is not used" in result.stderr
    assert hashlib.sha256(RELEASE).hexdigest() in result.stderr
    assert machine.go_calls("") == 0
    assert machine.staging() == machine.finished() == []


def absent(site: Site) -> None:
    site.files = {}


def without_this_platform(site: Site) -> None:
    site.files[CHECKSUMS] = f"{'0' * 64}  pulumi-v{VERSION}-plan9-x64.tar.gz\n".encode()


def without_the_archive(site: Site) -> None:
    del site.files[ARCHIVE]


def broken_off(site: Site) -> None:
    site.claimed = len(RELEASE) + 1000


@pytest.mark.parametrize("fault", [absent, without_this_platform, without_the_archive, broken_off])
def test_a_release_that_cannot_be_had_is_passed_over_unless_forced(
    machine: Machine, site: Site, fault: Callable[[Site], None]
) -> None:
    fault(site)
    forced = machine.tool.run("--choose", "official")
    assert forced.returncode == 1
    assert site.url in forced.stderr
    assert machine.go_calls("") == 0
    free = machine.tool.run("--json")
    assert json.loads(free.stdout)["source"] == "build"
    assert "no official release here" in free.stderr.splitlines()[-6]


def test_an_archive_that_holds_another_version_is_refused(machine: Machine, site: Site) -> None:
    other = archive_of({f"pulumi/{name}": b"#!/bin/sh\necho v3.0.0\n" for name in FILES})
    site.publish(other, summed=other)
    result = machine.tool.run("--choose", "official")
    assert result.returncode == 1
    assert f"does not hold version {VERSION}" in result.stderr
    assert machine.finished() == []


def test_a_download_site_that_is_no_web_site_is_refused(machine: Machine) -> None:
    result = machine.tool.run(PULUMI_ENGINE_DOWNLOADS="file:///etc")
    assert result.returncode == 1
    assert "must be an http or https URL" in result.stderr
