"""A registry of images, reached by skopeo: an image is pushed to it by its digest, and looked up there.

An Azure registry takes a token of the caller's identity for one of its own (Azure/acr, docs/AAD-OAuth.md), which goes
to skopeo in a file that only this user can read. Another registry is signed in to as podman or docker are.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from delivery.image import layout
from delivery.image.programs import find
from tools.steps import ToolError

AZURE: Final = re.compile(r"[a-z0-9]{5,50}(?:-[a-z0-9]+)?\.azurecr\.(?:io|cn|us)")
SCOPE: Final = "https://containerregistry.azure.net/.default"

_NO_USER: Final = "00000000-0000-0000-0000-000000000000"
"""The name that goes with a token of the registry."""

_SIGN_IN: Final = "config.json"
_LOOPBACK: Final = ("127.0.0.1", "localhost")
_ADDRESS: Final = re.compile(
    r"(?P<host>(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+|localhost)(?::[0-9]+)?)/(?P<path>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
)
# The words of the registry API's errors for what is not there (OCI Distribution Specification, "Error Codes").
_ABSENT: Final = re.compile(r"manifest unknown|manifest_unknown|name unknown|name_unknown", re.IGNORECASE)
_SECONDS: Final = 30
_PATIENCE_SECONDS: Final = 600

Token = Callable[[str], str]
"""Returns an access token of a scope."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository of a registry: `host` and, below it, `path`."""

    host: str
    path: str

    @classmethod
    def named(cls, text: str) -> Place:
        """Return the place that HOST/REPOSITORY names. Raises ToolError for any other text."""
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise ToolError(
                f"got registry {text!r}; expected HOST/REPOSITORY without a tag, as in NAME.azurecr.io/mlflow-platform"
            )
        return cls(host=found["host"], path=found["path"])

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def tls(self) -> str:
        """A registry on this machine may have no certificate."""
        return "false" if self.host.partition(":")[0] in _LOOPBACK else "true"


@dataclass(frozen=True, kw_only=True)
class Found:
    """An image in a registry."""

    digest: str
    labels: Mapping[str, str]


def push(folder: Path, place: Place, tag: str, *, token: Token | None = None) -> bool:
    """Push the image of an OCI layout, so that the registry has it by its digest; return False if it had it already.

    Raises ToolError, also where the tag is another image there: equal commits, bases and locks give equal images.
    """
    digest = layout.read_digest(folder)
    with signed_in(place, token=token) as session:
        there = session.look(f":{tag}")
        if there is not None and there.digest != digest:
            raise ToolError(
                f"{place}:{tag} is {there.digest}, and this build is {digest}. A build of the same commit has the same "
                "digest: compare both with `mlflow-platform image compare`, or push it with another --tag"
            )
        if there is None:
            session.copy(folder, tag)
        arrived = session.look(f"@{digest}")
    if arrived is None or arrived.digest != digest:
        raise ToolError(f"{place} does not have {digest} after the push; push again")
    return there is None


def look_up(place: Place, digest: str, *, token: Token | None = None) -> Found | None:
    """Return the image with a digest; None if the registry does not have it. Raises ToolError if nobody can say."""
    with signed_in(place, token=token) as session:
        return session.look(f"@{digest}")


@dataclass(frozen=True, kw_only=True)
class Session:
    """A place, signed in to: `folder` has the sign-in as docker keeps it, None for the machine's own."""

    place: Place
    folder: Path | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which programs that know docker's sign-in find this one."""
        return {"DOCKER_CONFIG": str(self.folder)} if self.folder else {}

    @property
    def sign_in(self) -> Sequence[str]:
        """The arguments by which skopeo finds it."""
        return ("--authfile", str(self.folder / _SIGN_IN)) if self.folder else ()

    def look(self, reference: str) -> Found | None:
        """Return the image of a `:tag` or `@digest`; None if there is none."""
        done = self._skopeo(
            "inspect", f"--tls-verify={self.place.tls}", "--no-tags", *self.sign_in, self._url(reference)
        )
        if done.returncode == 0:
            answer: Any = json.loads(done.stdout)
            return Found(digest=str(answer["Digest"]), labels=answer.get("Labels") or {})
        if _ABSENT.search(done.stderr):
            return None
        raise ToolError(f"{self.place}{reference}: {_last(done.stderr)}")

    def copy(self, folder: Path, tag: str) -> None:
        """Copy the image of an OCI layout here, byte by byte."""
        source, target = f"oci:{folder}", self._url(f":{tag}")
        done = self._skopeo(
            "copy",
            "--quiet",
            "--preserve-digests",
            f"--dest-tls-verify={self.place.tls}",
            *self.sign_in,
            source,
            target,
        )
        if done.returncode != 0:
            raise ToolError(f"{self.place}:{tag} was not pushed: {_last(done.stderr)}")

    def _url(self, reference: str) -> str:
        return f"docker://{self.place}{reference}"

    def _skopeo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(find("skopeo")), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ToolError(f"{self.place} did not answer within {_PATIENCE_SECONDS} seconds; try again") from None


@contextmanager
def signed_in(place: Place, *, token: Token | None = None, exchange: str = "") -> Iterator[Session]:
    """Sign in to an Azure registry as the caller's identity; nothing of it stays behind.

    `token` is asked for the identity's token, `exchange` is where the registry is, both by default Azure's. Of another
    registry the machine's own sign-in is used.
    """
    if not exchange and not AZURE.fullmatch(place.host):
        yield Session(place=place)
        return
    password = _registry_token(place.host, exchange or f"https://{place.host}", token or _identity)
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-registry-") as folder:
        file = Path(folder) / _SIGN_IN
        auth = base64.b64encode(f"{_NO_USER}:{password}".encode()).decode()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            json.dump({"auths": {place.host: {"auth": auth}}}, made)
        yield Session(place=place, folder=file.parent)


def _registry_token(host: str, address: str, token: Token) -> str:
    """The registry's token for that of an identity. Neither is in a message."""
    import requests

    form = {"grant_type": "access_token", "service": host, "access_token": token(SCOPE)}
    try:
        answer = requests.post(f"{address}/oauth2/exchange", data=form, timeout=_SECONDS)
        if answer.ok:
            return str(answer.json()["refresh_token"])
        reason = str(answer.status_code)
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
    raise ToolError(
        f"{host}: the sign-in answered {reason}; expected an identity with AcrPull, or AcrPush to push, on the registry"
    )


def _identity(scope: str) -> str:
    from components.azure.arm import ArmError, default_token

    try:
        return default_token(scope)
    except ArmError as error:
        raise ToolError(str(error).splitlines()[0]) from None


def _last(text: str) -> str:
    """The last line that a program wrote, without the fields of its log."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = re.search(r'msg="(?P<words>.*)"', lines[-1]) if lines else None
    return found["words"] if found else (lines[-1] if lines else "no reason given")
