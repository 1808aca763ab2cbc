"""What a resource says: its image, its tags, and no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from infra.guardrails import types
from infra.guardrails.resource import UNKNOWN, Resource, leaves
from infra.guardrails.rule import Broken

REQUIRED_TAGS = ("owner", "cost-center", "data-classification", "environment", "managed-by")
"""The tags without which no Azure resource is made."""

HIDDEN = "hidden"
"""Stands for a secret in a message."""

_BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_SECRETS = re.compile(
    r"AccountKey=|SharedAccessKey=|[?&;]sig=[A-Za-z0-9%/+]{20}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|://[^/\s:@'\"]+:[^/\s@'\"]+@|\b(?:password|pwd)=[^;\s'\"]+",
    re.IGNORECASE,
)
# The whole of a variable's name, or its end: DATABASE_PASSWORD, GITHUB_TOKEN; not TOKEN_LIFETIME_SECONDS.
_SECRET_NAME = re.compile(
    r"(?:.*_)?(?:PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CONNECTION_?STRING)",
    re.IGNORECASE,
)
_VALUE = re.compile(r"((?:.*\.)?env)\[\d+\]\.value", re.DOTALL)  # a variable's, in the environment of a container
_SECRET_PROPERTY = re.compile(r"administrator(?:Login)?Password|adminPassword|accountKey|primaryKey|sharedAccessKey")


def no_secret(resource: Resource) -> Iterator[Broken]:
    """Refuse a secret in an input: it would be in the state, in previews and on Azure for everybody who reads there."""
    texts = [(path, value) for path, value in leaves(resource.inputs) if isinstance(value, str)]
    found = {path for path, value in texts if _is_secret(path, value)}
    found |= {path for path, name in _variables(texts) if _SECRET_NAME.fullmatch(name)}
    found |= {
        f"configuration.secrets[{index}].value"
        for index, one in resource.items("configuration.secrets")
        if one.get("value")
    }
    for path in sorted(found):
        yield Broken(path=path, value=HIDDEN, allowed="no secret; a service reads it from Key Vault by its identity")


def image_is_a_digest(resource: Resource) -> Iterator[Broken]:
    """Refuse an image by a tag: what runs would depend on when it was pulled."""
    template = "spec.template.spec" if resource.type.startswith("kubernetes:") else "template"
    if resource.type == types.CRON_JOB:
        template = f"spec.jobTemplate.{template}"
    for kind in ("containers", "initContainers"):
        for index, container in resource.items(f"{template}.{kind}"):
            image = container.get("image")
            if isinstance(image, str) and not _BY_DIGEST.fullmatch(image):
                yield Broken(path=f"{template}.{kind}[{index}].image", value=image, allowed="REGISTRY/NAME@sha256:...")


def has_the_tags(resource: Resource) -> Iterator[Broken]:
    """Refuse a resource that takes tags and lacks a required one."""
    given = resource.inputs.get("tags", UNKNOWN)
    if given is UNKNOWN:
        return
    tags = given if isinstance(given, Mapping) else {}
    if missing := [tag for tag in REQUIRED_TAGS if not tags.get(tag)]:
        yield Broken(
            path="tags",
            value=f"without {', '.join(missing)}",
            allowed=f"the tags {', '.join(REQUIRED_TAGS)}, as infra/tags.py gives them",
        )


def _is_secret(path: str, value: str) -> bool:
    named = _SECRET_PROPERTY.search(path.rpartition(".")[2]) is not None and bool(value)
    return named or _SECRETS.search(value) is not None


def _variables(texts: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the path, with its name in it, and the name of each variable of a container that has a value."""
    named = {path: value for path, value in texts if path.endswith("].name")}
    for path, value in texts:
        if value and (variable := _VALUE.fullmatch(path)):
            name = named.get(f"{path.removesuffix('.value')}.name", "")
            yield f"{variable[1]}[{name}]", name
