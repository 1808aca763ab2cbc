"""Read an OCI image layout: its manifest, its configuration, and its files as a container would see them.

Source: the OCI image format specification (image layout, manifest, layer change sets with whiteouts).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tools.steps import ToolError

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True, kw_only=True)
class File:
    """What is at a path: `kind` as tar names it, permissions, owner, time, and a hash of the content or the target."""

    kind: str
    mode: int
    owner: tuple[int, int]
    time: int
    size: int
    content: str


@dataclass(frozen=True, kw_only=True)
class Layer:
    """`size` is as stored (compressed), `unpacked` the sum of its files' sizes, both in bytes."""

    digest: str
    size: int
    unpacked: int
    created_by: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """An image less its files.

    `digest` is its manifest's, for registries; `identifier` its configuration's, for podman.
    """

    digest: str
    identifier: str
    config: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Image(Head):
    """An image with its files, which takes seconds to read."""

    layers: list[Layer]
    files: dict[str, File] = field(repr=False)


def head(folder: Path) -> Head:
    """Return the head of the one image of the layout in `folder`, without a look into its layers.

    Raises `ToolError` for a folder without one image, for a manifest or a configuration with another digest than its
    name says, and for a layer that is absent or has another size than the manifest says.
    """
    found, _ = _read_head(folder)
    return found


def read(folder: Path) -> Image:
    """The one image of the layout in `folder`. Raises `ToolError` where there is none."""
    found, entries = _read_head(folder)
    made_by = [step.get("created_by", "") for step in found.config.get("history", []) if not step.get("empty_layer")]
    files: dict[str, File] = {}
    layers = []
    for position, layer in enumerate(entries):
        unpacked = _apply(_blob(folder, layer["digest"]), files)
        created_by = made_by[position] if position < len(made_by) else ""
        layers.append(Layer(digest=layer["digest"], size=layer["size"], unpacked=unpacked, created_by=created_by))
    return Image(digest=found.digest, identifier=found.identifier, config=found.config, layers=layers, files=files)


def _read_head(folder: Path) -> tuple[Head, list[Any]]:
    """The head of the image, and the entries of its layers in the manifest."""
    try:
        (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
        manifest = json.loads(_document(folder, entry["digest"]))
        identifier, entries = manifest["config"]["digest"], manifest["layers"]
        config = json.loads(_document(folder, identifier))
        for layer in entries:
            _require_size(_blob(folder, layer["digest"]), layer["size"])
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{folder} is no OCI layout with one image: {error}. `make image` writes one") from error
    return Head(digest=entry["digest"], identifier=identifier, config=config), entries


def content(folder: Path, path: str) -> bytes:
    """The content of one file of the image, from the uppermost layer that has it."""
    manifest = json.loads(_blob(folder, read_digest(folder)).read_text())
    for layer in reversed(manifest["layers"]):
        with tarfile.open(_blob(folder, layer["digest"])) as archive:
            for member in archive:
                if _path(member.name) == path and (file := archive.extractfile(member)):
                    return file.read()
    raise ToolError(f"{path} is not in the image")


def read_digest(folder: Path) -> str:
    """The manifest's digest."""
    return str(json.loads((folder / "index.json").read_text())["manifests"][0]["digest"])


def _apply(blob: Path, files: dict[str, File]) -> int:
    total = 0
    with tarfile.open(blob) as archive:
        for member in archive:
            path = PurePosixPath(_path(member.name))
            if path.name == _OPAQUE:
                _remove(files, str(path.parent), itself=False)
            elif path.name.startswith(_WHITEOUT):
                _remove(files, str(path.with_name(path.name.removeprefix(_WHITEOUT))), itself=True)
            else:
                files[str(path)] = _file(archive, member)
                total += member.size
    return total


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    data = archive.extractfile(member) if member.isreg() else None
    content = _digest(data) if data else member.linkname
    return File(
        kind=member.type.decode(),
        mode=member.mode,
        owner=(member.uid, member.gid),
        time=int(member.mtime),
        size=member.size,
        content=content,
    )


def _digest(data: IO[bytes]) -> str:
    total = hashlib.sha256()
    while block := data.read(1 << 20):
        total.update(block)
    return total.hexdigest()


def _remove(files: dict[str, File], path: str, *, itself: bool) -> None:
    for name in [name for name in files if name.startswith(f"{path}/") or (itself and name == path)]:
        del files[name]


def _path(name: str) -> str:
    return str(PurePosixPath("/", name.removeprefix("./")))


def _document(folder: Path, digest: str) -> bytes:
    """The content of a small blob. Raises ValueError if it is not what its name says."""
    found = _blob(folder, digest).read_bytes()
    if (got := f"sha256:{hashlib.sha256(found).hexdigest()}") != digest:
        raise ValueError(f"blob {digest}: got the digest {got}; expected that of its name")
    return found


def _require_size(blob: Path, expected: int) -> None:
    if (got := blob.stat().st_size) != expected:
        raise ValueError(f"layer {blob.name}: got {got} bytes; expected {expected}")


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / Path(*digest.split(":"))
