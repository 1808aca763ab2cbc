"""What a registry says of an image, and what GitHub attests of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

from components.azure.image_source import ImageSource
from delivery.image import registry
from delivery.image.registry import Place
from delivery.promote.gates import Unknown
from delivery.promote.release import Build, ReleaseError
from tools.steps import ToolError

WORKFLOW: Final = ".github/workflows/image.yml"
"""It attests an image only after two machines have built the same one."""

MAIN: Final = "refs/heads/main"
ITS_BUILDS: Final = 2

_NAMED: Final = re.compile(r"(?P<place>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})")
_SECONDS: Final = 120


def place(source: ImageSource) -> Place:
    """Return the place that an image is imported from. An Azure registry's address is made of its name."""
    host = source.address or f"{source.registry_id.rsplit('/', 1)[-1].lower()}.azurecr.io"
    return Place(host=host, path=source.repository)


def build(name: str) -> Build:
    """Return the image that HOST/REPOSITORY@DIGEST names.

    Raises ReleaseError if there is none, ToolError if nobody can say.
    """
    found = _NAMED.fullmatch(name)
    if found is None:
        raise ReleaseError(f"{name}: expected HOST/REPOSITORY@sha256: with 64 digits, as `image push` prints it")
    image = registry.look_up(Place.named(found["place"]), found["digest"])
    if image is None:
        raise ReleaseError(f"{found['place']} does not have {found['digest']}; push it with `image push`")
    return Build(digest=image.digest, labels=image.labels)


def labels(at: Place | Unknown, digest: str) -> Mapping[str, str] | Unknown:
    """Return the labels of an image."""
    found = _looked_up(at, digest)
    if found is None:
        return Unknown(f"{at} does not have {digest}")
    return found if isinstance(found, Unknown) else found.labels


def there(at: Place | Unknown, digest: str) -> bool | Unknown:
    """Return whether a registry has an image."""
    found = _looked_up(at, digest)
    return found if isinstance(found, Unknown) else found is not None


def attested(at: Place | Unknown, digest: str, environ: Mapping[str, str], *, commit: str) -> int | Unknown:
    """Return how many builds stand behind the attestation of the workflow that builds images.

    GitHub's own program verifies the signature, the repository, and that the workflow is main's, since whoever pushes a
    branch writes a workflow of the same name there, and that it ran on the commit.
    """
    if isinstance(at, Unknown):
        return at
    repository, program = environ.get("GITHUB_REPOSITORY", ""), shutil.which("gh", path=environ.get("PATH"))
    if not repository or program is None:
        return Unknown("nobody but its builder vouches for the digest, and GitHub is not asked outside of a workflow")
    command = [program, "attestation", "verify", f"oci://{at}@{digest}", "--repo", repository]
    command += ["--signer-workflow", f"{repository}/{WORKFLOW}", "--source-ref", MAIN, "--deny-self-hosted-runners"]
    command += ["--source-digest", commit]
    try:
        with registry.signed_in(at) as session:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS,
                env={**os.environ, **environ, **session.environment},
            )
    except (ToolError, subprocess.TimeoutExpired) as error:
        return Unknown(str(error).splitlines()[0])
    if done.returncode == 0:
        return ITS_BUILDS
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return Unknown(f"gh attestation verify: {lines[-1] if lines else f'exit code {done.returncode}'}")


def _looked_up(at: Place | Unknown, digest: str) -> registry.Found | Unknown | None:
    if isinstance(at, Unknown):
        return at
    try:
        return registry.look_up(at, digest)
    except ToolError as error:
        return Unknown(str(error).splitlines()[0])
