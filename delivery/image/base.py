"""The base of the image: one that the caller names by digest, or one that is made here from Debian's packages.

The made one is for machines without a container registry. It is Debian's smallest system with Python, kept in the
machine's image storage under a name that carries a hash of its recipe, and named by digest like any other. Two machines
make different ones: Debian's packages change. A base that is shared goes through a registry.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from delivery.image.programs import find
from tools import cache
from tools.steps import Report, ToolError, output, run

_SUITE = "bookworm"
_PACKAGES = ("ca-certificates", "python3")
_UNUSED = (
    "usr/share/doc/*/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/log/*",
    "etc/machine-id",
    "etc/hostname",
    "etc/resolv.conf",
    "tmp/*",
)
_LICENCES = re.compile(r"usr/share/doc/[^/]+/copyright$")
_REMEDY = "debootstrap needs root and reaches Debian's packages; or give a base, `make image BASE=NAME@sha256:…`."
_BY_DIGEST = re.compile(r"[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}")


def given(reference: str) -> str:
    """`reference`, if it names an image by digest. Raises `ToolError` if not: a tag may name another one tomorrow."""
    if not _BY_DIGEST.fullmatch(reference):
        raise ToolError(
            f"BASE: {reference!r} does not name an image by digest; allowed: NAME@sha256:… with 64 hexadecimal digits. "
            "`skopeo inspect docker://NAME:TAG` shows the digest of a tag."
        )
    return reference


def made(report: Report) -> str:
    """The reference, by digest, of the base that is made on this machine; made now unless it is there already."""
    buildah = find("buildah")
    name = f"localhost/mlflow-platform-base:{_SUITE}-{cache.digest([Path(__file__).read_bytes()])}"
    cache.root().mkdir(parents=True, exist_ok=True)
    with cache.lock(cache.root() / "image-base.lock", report):
        if not output([buildah, "images", "--quiet", "--filter", f"reference={name}"]):
            report("no BASE: making one with debootstrap from Debian's packages, for this machine only")
            _make(buildah, name, report)
        digest = output([buildah, "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", name])
    return f"{name.rpartition(':')[0]}@{digest}"


def _make(buildah: Path, name: str, report: Report) -> None:
    if os.geteuid() != 0:
        raise ToolError(f"no BASE is given, and one cannot be made here. {_REMEDY}")
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-base-") as scratch:
        root = Path(scratch, "root")
        run(
            [find("debootstrap"), "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, root],
            doing="installing Debian's smallest system with Python",
            report=report,
            remedy=_REMEDY,
        )
        _slim(root)
        _compile(root, report)
        _commit(buildah, root, name, report)


def _slim(root: Path) -> None:
    for pattern in _UNUSED:
        for path in root.glob(pattern):
            if _LICENCES.search(str(path.relative_to(root))):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _compile(root: Path, report: Report) -> None:
    """Debian's bytecode is checked by its source's time, which an image with one time for all files does not keep."""
    command = "python3 -m compileall -qqf --invalidation-mode unchecked-hash /usr/lib/python3* || true"
    run(
        ["chroot", root, "/usr/bin/env", "PYTHONHASHSEED=0", "/bin/sh", "-c", command],
        doing="compiling Python's own library",
        report=report,
        remedy=_REMEDY,
    )


def _commit(buildah: Path, root: Path, name: str, report: Report) -> None:
    archive = root.with_suffix(".tar")
    options = ["--sort=name", "--numeric-owner", "--one-file-system", "--exclude=./proc/*", "--exclude=./sys/*"]
    run(["tar", "-C", root, *options, "-cf", archive, "."], doing="packing the base", report=report, remedy=_REMEDY)
    container = output([buildah, "from", "scratch"])
    try:
        output([buildah, "add", "--quiet", container, archive, "/"], seconds=300)
        output([buildah, "config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--cmd", "python3", container])
        output([buildah, "commit", "--quiet", "--timestamp", "0", container, name], seconds=300)
    finally:
        output([buildah, "rm", container])
