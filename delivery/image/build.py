"""Build the image from the checkout into an OCI layout, and say what it is.

The same checkout, base and index of packages give the same digest: files have one fixed time, and nothing of the
machine gets in. The layout is what `registry.push` copies byte by byte, so the digest here is the digest there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.mlflow.runtime_contract import CONTRACT
from delivery.image import base, context, layout
from delivery.image.programs import find
from tools import cache
from tools.steps import Report, ToolError, output, run

REPOSITORY = "localhost/mlflow-runtime"
BILL_OF_MATERIALS = "/usr/share/sbom/mlflow-runtime.cdx.json"
BUILD = "build"
_LAYOUT = "layout"
_DOCUMENT = "image.json"
_SBOM = "sbom.cdx.json"
_REMEDY = "Its last lines say which step failed. Packages come from where this machine's pip or uv takes them."


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the labels say of the checkout. `revision` ends in `-changed` where files differ from the commit."""

    revision: str
    url: str
    epoch: int


def build(target: Path, *, base_reference: str | None, report: Report) -> dict[str, Any]:
    """Build into the folder `target` and return its document. What is there already from the same inputs stays.

    `target` then holds `layout` (the image), `sbom.cdx.json` and `image.json` (the document). `build` in the document
    is another text for each build, by which a copy of a build is known for one. Raises `ToolError`, also for a folder
    with other files: a build replaces the whole folder.
    """
    _refuse_foreign(target)
    base_name = base.given(base_reference) if base_reference else base.made(report)
    buildah = find("buildah")
    source = source_of(context.CHECKOUT, os.environ)
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-image-") as scratch:
        folder = Path(scratch, "context")
        folder.mkdir()
        context.write(folder, source_date_epoch=source.epoch, report=report)
        inputs = cache.digest(
            [*_contents(folder), context.CONTAINERFILE.read_bytes(), base_name, repr(source), str(CONTRACT)]
        )
        found = _document(target)
        if found.get("inputs") == inputs and found.get(BUILD) and _is_stored(buildah, found["id"]):
            return found
        with cache.lock(cache.root() / "image-build.lock", report), _leftovers_removed(buildah):
            identifier = _build(buildah, Path(scratch), folder, base_name, source, report)
        staged = Path(scratch, "result")
        staged.mkdir()
        run(
            [buildah, "push", "--quiet", identifier, f"oci:{staged / _LAYOUT}"],
            doing="packing the layers",
            report=report,
            remedy=_REMEDY,
        )
        (staged / _SBOM).write_bytes(layout.content(staged / _LAYOUT, BILL_OF_MATERIALS))
        document = describe(staged) | {"inputs": inputs, BUILD: secrets.token_hex(16)}
        (staged / _DOCUMENT).write_text(json.dumps(document, indent=2) + "\n")
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(staged, target)
    return document


def _refuse_foreign(target: Path) -> None:
    holds = {entry.name for entry in target.iterdir()} if target.is_dir() else set()
    if target.exists() and (not target.is_dir() or holds - {_LAYOUT, _SBOM, _DOCUMENT}):
        raise ToolError(
            f"--output: got {target}, which is no build's; expected a folder that is new, empty or an earlier build's. "
            "Nothing was changed. Give another folder."
        )


def describe(folder: Path) -> dict[str, Any]:
    """What the image in a build's folder is: digest, sizes in bytes, layers, labels, number of packages."""
    image = layout.read(folder / _LAYOUT)
    packages = json.loads((folder / _SBOM).read_text())["components"]
    labels = image.config["config"]["Labels"]
    return {
        "digest": image.digest,
        "id": image.identifier,
        "size": {
            "compressed": sum(layer.size for layer in image.layers),
            "unpacked": sum(file.size for file in image.files.values()),
        },
        "layers": [
            {"digest": layer.digest, "compressed": layer.size, "unpacked": layer.unpacked} for layer in image.layers
        ],
        "labels": labels,
        "packages": {
            kind: sum(part["purl"].startswith(f"pkg:{kind}/") for part in packages) for kind in ("pypi", "deb")
        },
        "dropped": context.dropped(),
    }


class CopyError(ValueError):
    """Of several builds one does not vouch for the others. The message says which, and how to make another build."""


def refuse_copies(builds: Sequence[tuple[Path, str]]) -> None:
    """Refuse, of several builds, two of one number and one without: a build does not vouch for itself.

    `builds` has the folder or the document of each with the build's number. Raises CopyError.
    """
    if len(builds) < 2:
        return
    remedy = "Nothing was changed. Build on another machine, and give what it wrote. Run: mlflow-platform image build"
    known: dict[str, Path] = {}
    for place, build_number in builds:
        if not build_number:
            raise CopyError(f"got {place}, whose {_DOCUMENT} names no build; expected one that does. {remedy}")
        if build_number in known:
            raise CopyError(f"got {known[build_number]} and {place}, which are one build; expected two. {remedy}")
        known[build_number] = place


def number(target: Path) -> str:
    """What the build in a folder is known by; empty where its document is not there or names none."""
    return str(_document(target).get(BUILD, ""))


def source_of(checkout: Path, environ: Mapping[str, str]) -> Source:
    """The commit of the checkout, its time (or SOURCE_DATE_EPOCH), and where it is published, if anywhere."""
    git: list[str | Path] = [find("git"), "-C", checkout]
    try:
        revision = output([*git, "rev-parse", "HEAD"])
        time = output([*git, "log", "-1", "--format=%ct"])
        changed = output([*git, "status", "--porcelain", "--", "runtime", "delivery/image"])
    except ToolError as error:
        raise ToolError(f"an image names the commit that it is made from, and there is none: {error}") from error
    try:
        url = output([*git, "config", "--get", "remote.origin.url"])
    except ToolError:
        url = ""
    epoch = environ.get("SOURCE_DATE_EPOCH", time)
    if not re.fullmatch(r"[0-9]{1,12}", epoch):
        raise ToolError(f"SOURCE_DATE_EPOCH: {epoch!r} is not a whole number of seconds since 1970; leave it out")
    return Source(revision=revision + ("-changed" if changed else ""), url=published(url), epoch=int(epoch))


def published(url: str) -> str:
    """The address of a repository without what a remote's address may carry (a login); empty for one that is local."""
    match = re.fullmatch(r"(?:https://(?:[^@/]*@)?|(?:ssh://)?git@)([^:/]+(?::\d+)?)[:/](.+?)(?:\.git)?/?", url)
    return f"https://{match[1]}/{match[2]}" if match else ""


def _build(buildah: Path, scratch: Path, context_folder: Path, base_name: str, source: Source, report: Report) -> str:
    lock = (context_folder / "requirements.lock").read_text()
    project = tomllib.loads((context.CHECKOUT / "runtime" / "pyproject.toml").read_text())["project"]
    name, _, digest = base_name.partition("@")
    arguments = {
        "BASE": base_name,
        "BASE_NAME": name,
        "BASE_DIGEST": digest,
        "CONTRACT": str(CONTRACT),
        "CREATED": datetime.fromtimestamp(source.epoch, UTC).isoformat(),
        "MLFLOW_VERSION": context.pinned(lock, "mlflow"),
        "REVISION": source.revision,
        "SOURCE": source.url,
        "SOURCE_DATE_EPOCH": str(source.epoch),
        "VERSION": project["version"],
    }
    settings = context.package_settings(os.environ)
    packages = scratch / "packages"
    packages.touch(mode=0o600)
    packages.write_text("".join(f"export {key}={shlex.quote(value)}\n" for key, value in settings.items()))
    authorities = context.authorities(os.environ)
    command: list[str | Path] = [
        buildah,
        "build",
        # No user namespace and no bridge: builds work inside a container or a small machine too.
        "--isolation=chroot",
        "--network=host",
        "--format=oci",
        "--layers",  # one for each step: what a commit changes is small beside what a lock does
        "--no-cache",  # which would know nothing of the files that a step has mounted
        "--force-rm",
        # Not the commit's: every commit would then change every layer, the large one of the dependencies too.
        "--timestamp=0",
        f"--secret=id=packages,src={packages}",
        *([f"--secret=id=authorities,src={authorities}"] if authorities else []),
        *(f"--build-arg={key}={value}" for key, value in arguments.items()),
        f"--file={context.CONTAINERFILE}",
        f"--tag={REPOSITORY}",
        f"--iidfile={scratch / 'identifier'}",
        context_folder,
    ]
    run(command, doing="building the image", report=report, remedy=_REMEDY)
    return (scratch / "identifier").read_text().strip()


@contextlib.contextmanager
def _leftovers_removed(buildah: Path) -> Iterator[None]:
    """Remove the images of single steps that a build leaves behind, and the image that the last build named."""
    listing: list[str | Path] = [buildah, "images", "--all", "--quiet", "--no-trunc"]
    dangling: list[str | Path] = [*listing, "--filter", "dangling=true"]
    before = set(output(dangling).split())
    try:
        yield
    finally:
        steps = sorted(set(output(dangling).split()) - before)
        if steps:
            # One that another image is built on, or that a container runs from, cannot be removed and stays.
            with contextlib.suppress(ToolError):
                output([buildah, "rmi", *steps])


def _contents(folder: Path) -> list[str | bytes]:
    """Names and contents of all files below a folder, in order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [part for path in files for part in (str(path.relative_to(folder)), path.read_bytes())]


def _is_stored(buildah: Path, identifier: str) -> bool:
    return identifier in output([buildah, "images", "--quiet", "--no-trunc"]).split()


def _document(target: Path) -> dict[str, Any]:
    """The document of an earlier build in `target`, if its image is still there; else an empty one."""
    try:
        document: dict[str, Any] = json.loads((target / _DOCUMENT).read_text())
        return document if layout.read_digest(target / _LAYOUT) == document["digest"] else {}
    except (OSError, ValueError, LookupError):
        return {}
