"""Pushing a build to a registry, a real one on this machine, and looking an image up there."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from delivery.image import command, registry
from delivery.image.registry import Place
from delivery.outcome import CommandError
from delivery.promote.release import REVISION_LABEL
from tests.delivery.image.conftest import Built
from tests.support.ports import first_of_free_ports
from tests.support.registries import COMMIT, build, serving, stored
from tools.steps import ToolError

IDENTITY, REGISTRY_TOKEN = "token-of-the-identity", "registry-token"
# The line of `htpasswd -B` for the name that goes with a token of an Azure registry, and REGISTRY_TOKEN.
USERS = "00000000-0000-0000-0000-000000000000:$2b$05$abcdefghijklmnopqrstuuWe9O2EmrUpl5vYQmnPMAxa7nycxj1Xm\n"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("registry") / "open") as found:
        yield found


def test_what_arrives_has_the_digest_of_the_build(host: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    digest = build(tmp_path / "first")
    assert build(tmp_path / "second") == digest
    to, outputs = f"{host}/team/mlflow", tmp_path / "outputs"
    builds = [tmp_path / "first", tmp_path / "second"]
    assert command.push(builds, to=to, outputs=outputs) == 0
    assert capfd.readouterr().out == f"{to}@{digest}\n"
    assert outputs.read_text() == f"name={to}\ndigest={digest}\n"
    for reference in (digest, COMMIT):
        assert f"sha256:{hashlib.sha256(stored(host, 'team/mlflow', reference)).hexdigest()}" == digest
    assert command.push(builds, to=to) == 0
    assert "already in" in capfd.readouterr().err
    found = registry.look_up(Place.named(to), digest)
    assert found is not None
    assert (found.digest, found.labels) == (digest, {REVISION_LABEL: COMMIT})


def test_the_image_itself_arrives_as_it_was_built(built: Built, host: str) -> None:
    # The tag is given: while files are changed here the image is of no commit.
    assert command.push([built.folder], to=f"{host}/mlflow-platform", tag="built") == 0
    arrived = hashlib.sha256(stored(host, "mlflow-platform", "built")).hexdigest()
    assert f"sha256:{arrived}" == built.document["digest"]


def test_builds_that_differ_are_not_pushed(host: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    digest, _ = build(tmp_path / "first"), build(tmp_path / "second", package="2")
    with pytest.raises(CommandError, match="Equal commits, bases and locks"):
        command.push([tmp_path / "first", tmp_path / "second"], to=f"{host}/apart")
    assert "package pkg:pypi/alpha: 1 or 2" in capfd.readouterr().out
    assert registry.look_up(Place.named(f"{host}/apart"), digest) is None


def test_a_copy_of_a_build_is_no_second_one(tmp_path: Path) -> None:
    build(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    with pytest.raises(CommandError, match=r"first and .*copy, which are one build; .*Run: mlflow-platform image"):
        command.push([tmp_path / "first", tmp_path / "copy"], to="127.0.0.1:9/mlflow")
    (tmp_path / "copy" / "image.json").unlink()
    with pytest.raises(CommandError, match=r"copy, whose image\.json names no build"):
        command.push([tmp_path / "first", tmp_path / "copy"], to="127.0.0.1:9/mlflow")


def test_a_commit_has_one_image(host: str, tmp_path: Path) -> None:
    first, _ = build(tmp_path / "first"), build(tmp_path / "second", package="2")
    command.push([tmp_path / "first"], to=f"{host}/one")
    with pytest.raises(CommandError, match=f"is {first}, and this build is .*push it with another --tag"):
        command.push([tmp_path / "second"], to=f"{host}/one")
    assert command.push([tmp_path / "second"], to=f"{host}/one", tag="again") == 0


def test_an_image_of_no_commit_needs_a_commit(tmp_path: Path) -> None:
    build(tmp_path / "build", revision=f"{COMMIT}-changed")
    with pytest.raises(CommandError, match=r"of revision 'c+-changed'; expected one that is built from a commit"):
        command.push([tmp_path / "build"], to="127.0.0.1:9/mlflow")


@pytest.mark.parametrize("text", ["registry", "a.io/x:tag", "a.io/x@sha256:0", "https://a.io/x", "a.io/", "a.io/X", ""])
def test_a_place_is_a_host_and_a_repository(text: str) -> None:
    with pytest.raises(ToolError, match="expected HOST/REPOSITORY without a tag"):
        Place.named(text)
    assert str(Place.named("a.azurecr.io/team/mlflow")) == "a.azurecr.io/team/mlflow"


def test_who_does_not_answer_does_not_lack_the_image() -> None:
    with pytest.raises(ToolError, match="connection refused"):
        registry.look_up(Place.named(f"127.0.0.1:{first_of_free_ports(1)}/mlflow"), f"sha256:{'0' * 64}")


class _Exchange(BaseHTTPRequestHandler):
    """Exchanges the identity's token, as an Azure registry does."""

    def do_POST(self) -> None:
        form = {
            key: values[0]
            for key, values in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()
        }
        good = self.path == "/oauth2/exchange" and {**form, "service": ""} == {
            "grant_type": "access_token",
            "service": "",
            "access_token": IDENTITY,
        }
        data = json.dumps({"refresh_token": REGISTRY_TOKEN} if good else {"errors": []}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""


def test_an_azure_registry_is_signed_in_to_by_a_token_of_its_own(tmp_path: Path) -> None:
    digest = build(tmp_path / "build")
    exchange = HTTPServer(("127.0.0.1", 0), _Exchange)
    threading.Thread(target=exchange.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{exchange.server_address[1]}"
    asked: list[str] = []

    def token(scope: str) -> str:
        asked.append(scope)
        return IDENTITY

    try:
        with serving(tmp_path / "closed", USERS) as host:
            place = Place.named(f"{host}/mlflow")
            with pytest.raises(ToolError, match=r"unauthorized|authentication required"):
                registry.look_up(place, digest)
            with registry.signed_in(place, token=token, exchange=address) as session:
                session.copy(tmp_path / "build" / "layout", "first")
                found = session.look(f"@{digest}")
                assert session.folder is not None
                file = session.folder / "config.json"
                assert session.sign_in == ("--authfile", str(file))
                assert file.stat().st_mode & 0o777 == 0o600
                auth = json.loads(file.read_text())["auths"][host]["auth"]
                assert base64.b64decode(auth).decode().endswith(f":{REGISTRY_TOKEN}")
            assert found is not None
            assert found.digest == digest
            assert asked == [registry.SCOPE]
            assert not file.exists()
            with (
                pytest.raises(ToolError, match="the sign-in answered 401") as refused,
                registry.signed_in(place, token=lambda _: "of somebody else", exchange=address),
            ):
                pass
            assert "somebody else" not in str(refused.value)
    finally:
        exchange.shutdown()
        exchange.server_close()


@pytest.mark.parametrize(
    ("host", "azure"),
    [("acr1234.azurecr.io", True), ("acr1234-dab.azurecr.io", True), ("acr1234.azurecr.io.evil.example", False)],
)
def test_a_token_goes_to_azure_alone(host: str, azure: bool) -> None:
    assert bool(registry.AZURE.fullmatch(host)) is azure
