"""Stacks of the product's own, and what the engine says of its work on them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import Product
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.offline_azure.running import Result, must
from tests.support.arm import CHECKS

SLOW: Final = pytest.mark.timeout(1200)
"""A life is ten commands of the engine, of five seconds each on two quiet cores and of a minute on busy ones."""

IMAGE: Final = {"digest": "sha256:" + "5" * 64}


@dataclass(frozen=True)
class Cloud:
    """An Azure and what a stack needs to reach it."""

    azure: Azure
    management: ManagementApi
    port: int
    folder: Path

    def stack(self, name: str) -> Product:
        """The stack, with the configuration that its folder already has, if any."""
        file = self.folder / "project" / f"Pulumi.{name}.yaml"
        configured = file.read_text() if file.exists() else None
        product = Product(self.folder, name, self.port, self.management.url, written_once=True)
        if configured is not None:
            product.config_file.write_text(configured)
        return product


@dataclass(frozen=True)
class FirstUp:
    """What a stack's first `up` left in `folder`, and the steps that the preview before it showed."""

    folder: Path
    stack: str
    previewed: Mapping[str, str]

    @property
    def azure(self) -> Azure:
        """What the `up` made on Azure, to look at."""
        return Azure(self.folder / "azure.json", checks=CHECKS)


@contextmanager
def opened(folder: Path) -> Iterator[Cloud]:
    """The Azure of a folder, served until the end of the block."""
    azure = Azure(folder / "azure.json", checks=CHECKS)
    server, port = serve(azure)
    management = ManagementApi(azure)
    try:
        yield Cloud(azure, management, port, folder)
    finally:
        server.stop(None)
        management.close()


def steps(result: Result) -> dict[str, str]:
    """What a preview would do, by resource name; what stays or is only looked at is left out."""
    document = json.loads(must(result).text[result.text.index("{") :])
    found = {step["urn"].split("::")[-1]: step["op"] for step in document["steps"]}
    return {name: operation for name, operation in found.items() if operation not in ("same", "refresh")}


def done(result: Result) -> dict[str, str]:
    """What a command did to resources, by name: created, updated, deleted, replaced."""
    found = re.findall(r"^ *[-+~]+ +\S+ (\S+) (created|updated|deleted|replaced)\b", must(result).text, re.MULTILINE)
    return dict(found)


def failed(result: Result) -> str:
    """What a command said that had to fail."""
    assert result.code != 0, result.text
    return result.text


def only(azure: Azure, kind: str) -> str:
    """The ID of the one resource of a type."""
    (found,) = [key for key, one in azure.resources.items() if one["type"] == f"azure-native:{kind}"]
    return found
