"""The official release of the pinned engine, for machines that reach its download site.

The archive is trusted only if its SHA-256 is the one in the checksum file published with the release. An unreachable
site is `UnreachableError` and leaves the choice to the caller; a wrong checksum is an error that nothing passes over.
PULUMI_ENGINE_DOWNLOADS replaces the site, for a mirror that keeps the same file names.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tools import cache
from tools.pulumi.kinds import FILES, Engine, pinned_version, platform_name, version_of
from tools.steps import Report, ToolError

_SITE = "https://get.pulumi.com/releases/sdk"
_SECONDS = 8.0  # to connect, and between two pieces of an answer
_PIECE = 1 << 20


class UnreachableError(ToolError):
    """The download site does not answer, or has no release for this version and platform."""


def cached() -> Engine:
    """Where the official release is, or would be, in the cache."""
    version = pinned_version()
    directory = cache.root() / "pulumi" / f"{version}-official-{cache.digest([version, platform_name()])}"
    return Engine(directory=directory, version=version, source="official")


def provide(report: Report) -> Engine:
    """The official release, downloaded unless cached. Raises `UnreachableError`; `ToolError` if it is not genuine."""
    engine = cached()
    cache.ensure(engine.directory, lambda staging: _download(staging, report), essential=FILES, report=report)
    return engine


def _download(staging: Path, report: Report) -> None:
    version = pinned_version()
    site = os.environ.get("PULUMI_ENGINE_DOWNLOADS", _SITE).rstrip("/")
    name = f"pulumi-v{version}-{platform_name()}.tar.gz"
    checksums = b"".join(_pieces(f"{site}/pulumi-{version}-checksums.txt")).decode(errors="replace")
    expected = next((line.split()[0] for line in checksums.splitlines() if line.split()[1:] == [name]), None)
    if expected is None:
        raise UnreachableError(f"{site} has no {name}")
    archive = staging / name
    actual = _save(f"{site}/{name}", archive, report)
    if actual != expected.lower():
        raise ToolError(
            f"{site}/{name} has SHA-256 {actual}, but the release's checksum file says {expected}; it is not used. "
            "Something between here and the site changes the file, or its mirror is out of step. Use the build from "
            "source meanwhile: --choose build."
        )
    _unpack(archive, staging)
    archive.unlink()
    if version_of(staging / "pulumi") != version:
        raise ToolError(f"{site}/{name} does not hold version {version}; use --choose build")


def _save(url: str, file: Path, report: Report) -> str:
    """Write what `url` serves to `file` and return its SHA-256."""
    report(f"downloading {url}")
    total = hashlib.sha256()
    written = 0
    with file.open("wb") as out:
        for piece in _pieces(url):
            total.update(piece)
            written += out.write(piece)
            report.tick(f"downloading the engine: {written >> 20} MiB")
    return total.hexdigest()


def _pieces(url: str) -> Iterator[bytes]:
    if not url.startswith(("https://", "http://")):
        raise ToolError(f"PULUMI_ENGINE_DOWNLOADS must be an http or https URL; the file asked for is {url}")
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 (scheme checked above)
            while piece := answer.read(_PIECE):
                yield piece
            if answer.length:  # bytes that were announced and did not come, which is not an exception of itself
                raise UnreachableError(f"{url}: broke off {answer.length} bytes before its end")
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"{url}: {error}") from error


def _unpack(archive: Path, directory: Path) -> None:
    """Take the regular files directly under `pulumi/`; any other member of the archive is left out."""
    with tarfile.open(archive) as members:
        for member in members:
            path = PurePosixPath(member.name)
            content = members.extractfile(member) if member.isfile() else None
            if content is None or len(path.parts) != 2 or path.parts[0] != "pulumi" or path.name == "..":
                continue
            target = directory / path.name
            with content, target.open("wb") as out:
                shutil.copyfileobj(content, out)
            target.chmod(0o755)
