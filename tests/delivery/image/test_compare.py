"""The comparison of two images, on small ones that are written here."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from delivery.image import compare, layout
from tests.support.command_line import mlflow_platform
from tests.support.plane import REPOSITORY
from tools.steps import ToolError

SBOM = "usr/share/sbom/mlflow-runtime.cdx.json"


def write(folder: Path, *layers: dict[str, bytes], mode: int = 0o644, mtime: int = 0, user: str = "1") -> Path:
    """An OCI layout of these layers, each its files by name."""
    blobs = folder / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    def layer(files: dict[str, bytes]) -> bytes:
        with io.BytesIO() as buffer:
            with tarfile.open(fileobj=buffer, mode="w") as archive:
                for name, content in files.items():
                    member = tarfile.TarInfo(name)
                    member.size, member.mode, member.mtime = len(content), mode, mtime
                    archive.addfile(member, io.BytesIO(content))
            return buffer.getvalue()

    config = blob(json.dumps({"config": {"User": user}, "history": []}).encode())
    manifest = blob(json.dumps({"config": config, "layers": [blob(layer(files)) for files in layers]}).encode())
    (folder / "layout" / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    return folder / "layout"


def bill(**versions: str) -> dict[str, bytes]:
    parts = [{"purl": f"pkg:pypi/{name}@{version}", "version": version} for name, version in versions.items()]
    return {SBOM: json.dumps({"components": parts}).encode()}


def test_layers_hide_and_replace_what_is_below(tmp_path: Path) -> None:
    lower = {"a": b"1", "b/x": b"2", "b/y": b"3", "c/z": b"4"}
    upper = {"a": b"new", "b/.wh.x": b"", "c/.wh..wh..opq": b"", "c/w": b"5"}
    image = layout.read(write(tmp_path, lower, upper))
    assert set(image.files) == {"/a", "/b/y", "/c/w"}
    assert image.files["/a"].content == hashlib.sha256(b"new").hexdigest()
    assert layout.content(tmp_path / "layout", "/a") == b"new"
    assert [layer.unpacked for layer in image.layers] == [4, 4]


def test_equal_images_have_no_differences(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, bill(alpha="1")) for name in "ab")
    assert compare.differences(first, second) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"layers": [bill(alpha="2")]}, "package pkg:pypi/alpha: 1 or 2"),
        ({"layers": [bill(alpha="1", beta="1")]}, "package pkg:pypi/beta: absent or 1"),
        ({"layers": [bill(alpha="1") | {"etc/new": b""}]}, "file /etc/new: absent or kind 0"),
        ({"mode": 0o600}, f"file /{SBOM}: kind 0, mode 420"),
        ({"mtime": 7}, "time 7"),
        ({"user": "0"}, "configuration config.User: 1 or 0"),
    ],
)
def test_each_kind_of_difference_is_said(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    layers = changed.pop("layers", [bill(alpha="1")])
    first, second = write(tmp_path / "a", bill(alpha="1")), write(tmp_path / "b", *layers, **changed)
    found = compare.differences(first, second)
    assert any(said in line for line in found), found
    assert found[-1].startswith("digest: sha256:")


def test_the_command_fails_when_images_differ(tmp_path: Path) -> None:
    write(tmp_path / "a", bill(alpha="1"))
    write(tmp_path / "b", bill(alpha="2"))
    for other, code, printed in (("a", 0, "the same image"), ("b", 1, "package pkg:pypi/alpha: 1 or 2")):
        command = mlflow_platform("image", "compare", str(tmp_path / "a"), str(tmp_path / other))
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        assert printed in done.stdout


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("manifest", b"{}", "got the digest sha256:"),
        ("config", b"{}", "got the digest sha256:"),
        ("layer", b"cut", "got 3 bytes; expected "),
        ("layer", None, "No such file"),
    ],
)
def test_equal_digests_of_a_damaged_image_do_not_pass(
    tmp_path: Path, part: str, content: bytes | None, said: str
) -> None:
    first, second = (write(tmp_path / name, bill(alpha="1")) for name in "ab")
    (manifest,) = json.loads((second / "index.json").read_text())["manifests"]
    described = json.loads(blob(second, manifest).read_text())
    damaged = blob(second, {"manifest": manifest, "config": described["config"], "layer": described["layers"][0]}[part])
    damaged.unlink() if content is None else damaged.write_bytes(content)
    with pytest.raises(ToolError, match=said):
        compare.differences(first, second)


def blob(folder: Path, entry: dict[str, Any]) -> Path:
    return folder / "blobs" / Path(*entry["digest"].split(":"))


def test_a_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="is no OCI layout with one image"):
        layout.read(tmp_path)
    with pytest.raises(ToolError, match="is no OCI layout with one image"):
        compare.differences(tmp_path, tmp_path)
