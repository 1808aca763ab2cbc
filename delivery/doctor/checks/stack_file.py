"""What the stack's file says."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Final

from delivery.doctor.checks.check import Finding, azure_settings, failed, ok, some, warning
from delivery.doctor.facts import Facts
from delivery.doctor.missing import known
from infra.settings.access import EXAMPLE_ID
from infra.settings.problems import path

# RFC 2606 keeps these names for documentation; nobody keeps an organisation of GitHub from being called so.
_EXAMPLE: Final = re.compile(rf"^example/|(^|[@./])example\.(com|net|org)\b|^{EXAMPLE_ID}$", re.IGNORECASE)


def settings(facts: Facts) -> Finding:
    found = facts.problems
    if not found:
        return ok(f"profile {known(facts.settings).profile}")
    return failed("; ".join(map(str, found)), *(one.remedy for one in found if one.remedy.startswith("pulumi ")))


def image(facts: Facts) -> Finding:
    azure = azure_settings(facts)
    if azure.image.digest is None:
        return warning(
            "digest: none; an up makes everything but the services",
            f"pulumi config set --path image.digest sha256:DIGEST -s {facts.stack}",
        )
    return ok(azure.image.digest)


def image_in_registry(facts: Facts) -> Finding:
    registry = known(facts.registry)
    if not registry.has_image:
        return failed(
            f"{registry.place} does not have it", f"mlflow-platform image push .local/image --to {registry.place}"
        )
    return ok(f"in {registry.place}")


def ranges(facts: Facts) -> Finding:
    own = azure_settings(facts).network.cidr
    network = ipaddress.ip_network(own)
    others = {name: ipaddress.ip_network(one) for name, one in facts.ranges.items() if name != facts.stack}
    shared = [f"{one} of {name}" for name, one in others.items() if network.overlaps(one)]
    if shared:
        free = next(
            one
            for one in ipaddress.ip_network("10.0.0.0/8").subnets(new_prefix=network.prefixlen)
            if not any(one.overlaps(other) for other in [*others.values(), ipaddress.ip_network("10.0.0.0/16")])
        )
        return warning(
            f"{own} overlaps {some(shared)}; networks that overlap cannot be peered, and a range stays for good",
            f"pulumi config set --path network.cidr {free} -s {facts.stack}",
        )
    return ok(f"{own}, apart from every other stack's")


def secrets_provider(facts: Facts) -> Finding:
    file, name = known(facts.file), f"stacks/Pulumi.{facts.stack}.yaml"
    holds_key = bool(file.get("encryptedkey") or file.get("encryptionsalt"))
    if holds_key and name in known(facts.changed):
        return failed(
            f"{name} is not committed, and it holds the key of the state's secrets",
            f"git add {name} && git commit -m 'Configure stack {facts.stack}' {name}",
        )
    if file.get("encryptedkey") and str(file.get("secretsprovider", "")).startswith("azurekeyvault://"):
        return ok(f"{file['secretsprovider']}, its key committed")
    return warning(
        f"{name} names no key of a Key Vault",
        f"pulumi stack change-secrets-provider azurekeyvault://VAULT.vault.azure.net/keys/pulumi-{facts.stack} "
        f"-s {facts.stack}",
    )


def configured_subscription(facts: Facts) -> Finding:
    found = (known(facts.file).get("config") or {}).get("azure-native:subscriptionId")
    if found:
        return ok(str(found))
    return warning(
        "the stack's file names none: whoever is signed in elsewhere would make other names",
        f'pulumi config set azure-native:subscriptionId "$(az account show --query id --output tsv)" -s {facts.stack}',
    )


def examples(facts: Facts) -> Finding:
    """A name of an example is somebody's: whoever has it is trusted, or gets the alerts."""
    config = known(facts.file).get("config") or {}
    left = [(field, value) for key, found in config.items() for field, value in _texts(key.rpartition(":")[2], found)]
    left = [(field, value) for field, value in left if _EXAMPLE.search(value)]
    if left:
        return failed(
            f"{some([f'{field}: {value}' for field, value in left])}; write your own",
            *(f"pulumi config set --path '{field}' YOURS -s {facts.stack}" for field, _ in left),
        )
    return ok("none of the documentation's")


def _texts(field: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(path(field, str(key)), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(f"{field}[{index}]", inner)


def way(facts: Facts) -> Finding:
    config = {str(key).rpartition(":")[2]: value for key, value in (known(facts.file).get("config") or {}).items()}
    made = config.get("bootstrappedBy")
    of_image = config.get("image")
    source = of_image.get("source") if isinstance(of_image, Mapping) else None
    first = f"bootstrap: {made} has made its group and identities" if made else "simple: an Owner runs its first up"
    second = f"images come from {source}" if source else "images are pushed to its own registry"
    return ok(f"{first}; {second}")
