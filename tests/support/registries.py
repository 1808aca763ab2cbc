"""A real registry on this machine, and builds of a small image to push to it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from delivery.image.build import BUILD
from delivery.image.programs import find
from delivery.promote.release import REVISION_LABEL
from tests.support.plane import REPOSITORY
from tests.support.ports import first_of_free_ports
from tests.support.services import eventually
from tools.steps import ToolError

COMMIT: Final = "c" * 40
_OCI: Final = "application/vnd.oci.image"
_SBOM: Final = "usr/share/sbom/mlflow-runtime.cdx.json"


def build(folder: Path, *, revision: str = COMMIT, package: str = "1", **labels: str) -> str:
    """Write a build's folder with a small image, as `image build` does; return its digest."""
    blobs = folder / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"{_OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    bill = json.dumps({"components": [{"purl": f"pkg:pypi/alpha@{package}", "version": package}]}).encode()
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo(_SBOM)
            member.size = len(bill)
            archive.addfile(member, io.BytesIO(bill))
        layer = buffer.getvalue()
    config: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {REVISION_LABEL: revision, **labels}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [blob("layer.v1.tar+gzip", gzip.compress(layer, mtime=0))],
    }
    entry = blob("manifest.v1+json", json.dumps(manifest).encode())
    (folder / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "layout" / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    document = {"digest": entry["digest"], "labels": config["config"]["Labels"], BUILD: secrets.token_hex(16)}
    (folder / "image.json").write_text(json.dumps(document))
    return str(entry["digest"])


@contextmanager
def serving(folder: Path, users: str = "") -> Iterator[str]:
    """Yield the address of a registry. `users` are those who may sign in, by htpasswd; without them everybody may."""
    subprocess.run([REPOSITORY / "tools" / "containers.sh", "skopeo", "docker-registry"], check=False)
    try:
        program, _ = find("docker-registry"), find("skopeo")
    except ToolError as error:
        pytest.skip(str(error))
    folder.mkdir()
    port = first_of_free_ports(1)
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if users:
        (folder / "users").write_text(users)
        config["auth"] = {"htpasswd": {"realm": "registry", "path": str(folder / "users")}}
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        eventually(lambda: answers(f"127.0.0.1:{port}"), "the registry answers")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def answers(host: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{host}/v2/", timeout=5)
    except urllib.error.HTTPError as refused:
        return refused.code == 401
    except OSError:
        return False
    return True


def stored(host: str, path: str, reference: str) -> bytes:
    """The manifest that a registry has, as it has it."""
    asked = urllib.request.Request(f"http://{host}/v2/{path}/manifests/{reference}")
    asked.add_header("Accept", f"{_OCI}.manifest.v1+json")
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return bytes(answer.read())
