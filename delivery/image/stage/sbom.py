"""Write what the image holds as CycloneDX 1.5 JSON: `sbom.py FILE`, in the build only.

Python distributions as they are installed, and the base's Debian packages. Nothing in it depends on when or where it is
made, except SOURCE_DATE_EPOCH. Sources: the CycloneDX 1.5 JSON reference, the package-url specification.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_DEBIAN = Path("/var/lib/dpkg/status")


def document() -> dict[str, Any]:
    """The bill of materials of this root file system; its subject is the runtime itself."""
    found = [*_python(), *_debian()]
    subject = next(part for part in found if part["name"] == "mlflow-runtime")
    made = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": {**subject, "type": "container"}},
        "components": [part for part in found if part is not subject],
    }


def _python() -> list[dict[str, Any]]:
    found = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        license_ = distribution.metadata.json.get("license_expression")
        found[name] = {
            **_component(f"pkg:pypi/{name}@{distribution.version}", name, distribution.version),
            **({"licenses": [{"expression": license_}]} if license_ else {}),
        }
    return [found[name] for name in sorted(found)]


def _debian() -> list[dict[str, Any]]:
    """The packages that dpkg has as installed; none on another kind of base."""
    if not _DEBIAN.exists():
        return []
    paragraphs = [_fields(text) for text in _DEBIAN.read_text(encoding="utf-8").split("\n\n")]
    return [
        _component(
            f"pkg:deb/debian/{fields['Package']}@{fields['Version']}?arch={fields['Architecture']}",
            fields["Package"],
            fields["Version"],
        )
        for fields in sorted(paragraphs, key=lambda fields: fields.get("Package", ""))
        if fields.get("Status", "").endswith(" installed")
    ]


def _fields(paragraph: str) -> dict[str, str]:
    """The fields of one line each; continued ones are not needed."""
    lines = (line.partition(": ") for line in paragraph.splitlines() if not line.startswith(" "))
    return {name: value for name, separator, value in lines if separator}


def _component(purl: str, name: str, version: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(document(), indent=1, sort_keys=True) + "\n")
