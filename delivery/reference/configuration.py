"""`python -m delivery.reference.configuration`: writes docs/configuration.md from Pulumi.yaml and the profiles.

`--check` writes nothing and fails when the file is not what would be written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.compute.contract import Role
from infra.settings.profiles import PROFILES

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENT = REPOSITORY / "docs" / "configuration.md"
_SERVICES = (Role.GATEWAY, Role.TRACKING, Role.REGISTRY, Role.ARTIFACTS)


def render(schema: Mapping[str, Mapping[str, Any]]) -> str:
    """The document, from the `config` part of Pulumi.yaml."""
    return "\n".join(_lines(schema)) + "\n"


def _lines(schema: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "Written by `python -m delivery.reference.configuration` from `Pulumi.yaml` and `infra/settings/profiles.py`."
    yield ""
    yield "A stack's file, `stacks/Pulumi.STACK.yaml`, holds only what differs from its profile. Set a value with"
    yield "`pulumi config set KEY VALUE -s STACK`, one inside an object with `--path OBJECT.KEY`. Unknown keys, wrong"
    yield "types and impossible combinations are refused before anything is created, all of them in one message."
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, entry in schema.items():
        default = f"`{entry['default']}`" if "default" in entry else "required"
        yield f"| `{key}` | {entry['type']} | {default} | {' '.join(entry['description'].split())} |"
    yield ""
    yield "## Profiles"
    yield ""
    yield "cpu in cores, memory and spool disk in MiB, replicas from the least to the most."
    yield ""
    yield "| profile | compute | service | cpu | memory | spool | replicas | concurrency |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, profile in PROFILES.items():
        for role in _SERVICES:
            size = profile.sizes[role]
            replicas = f"{size.scale.minimum} to {size.scale.maximum}"
            yield (
                f"| {name} | {profile.compute} | {role} | {size.cpu:g} | {size.memory_mib} | {size.spool_mib} "
                f"| {replicas} | {size.scale.concurrency} |"
            )


def main() -> int:
    """Write or check the document."""
    parser = argparse.ArgumentParser(description="Write docs/configuration.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the document is out of date")
    arguments = parser.parse_args()
    document = render(yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"])
    if not arguments.check:
        DOCUMENT.write_text(document)
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == document:
        return 0
    sys.stderr.write(f"{DOCUMENT} is out of date; write it with `python -m delivery.reference.configuration`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
