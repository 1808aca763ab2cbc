"""A repository of the product's shape with a small program, for the tests of what runs the product."""

from __future__ import annotations

from pathlib import Path

_PROJECT = """\
name: stub
runtime: python
stackConfigDir: stacks
"""
_PROGRAM = """\
import json

import pulumi
from pulumi_azure_native import resources

config = pulumi.Config()
group = resources.ResourceGroup(
    "group", resource_group_name=config.require("group"), location="westeurope", tags=config.get_object("tags")
)
pulumi.export("digest", config.require_object("image")["digest"])
pulumi.export("group", group.name)
"""
_STACK = """\
# Only what differs.
config:
  stub:group: rg-stub
  stub:tags: {owner: platform, tier: one}
  stub:image: {digest: none}
secretsprovider: azurekeyvault://not-there.vault.azure.net/keys/stack
encryptedkey: bm90aGluZw==
"""


def written(folder: Path) -> Path:
    """Write the repository, with the stacks dev and local, and give its folder."""
    repository = folder / "repository"
    (repository / "stacks").mkdir(parents=True)
    (repository / "Pulumi.yaml").write_text(_PROJECT)
    (repository / "__main__.py").write_text(_PROGRAM)
    for stack in ("dev", "local"):
        (repository / "stacks" / f"Pulumi.{stack}.yaml").write_text(_STACK)
    return repository


def content(repository: Path) -> dict[str, str]:
    """Every file of the repository with its text."""
    return {
        str(path.relative_to(repository)): path.read_text()
        for path in sorted(repository.rglob("*"))
        if path.is_file() and not {"__pycache__", ".git"} & set(path.parts)
    }
