"""The first deployment of a stack: one `up`, from an empty subscription to services that run."""

from __future__ import annotations

import json

import pytest

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import must
from delivery.preview.plan import FLAGS, read
from delivery.preview.reasons import Subject
from delivery.preview.report import report
from delivery.preview.text import plain
from tests.end_to_end.azure.living import Cloud, done, failed, only
from tests.support.arm import needs_schemas

pytestmark = [needs_schemas, pytest.mark.timeout(1200)]
SOURCE = "ghcr.io/example/mlflow-platform"
FIRST, SECOND = ("sha256:" + digit * 64 for digit in "12")


def calls(azure: Azure) -> list[tuple[str, str]]:
    return [(call["operation"], call["type"].removeprefix("azure-native:")) for call in azure.calls()]


def images(azure: Azure) -> dict[str, str]:
    """The digests of the stack's registry, by tag."""
    found: dict[str, dict[str, str]] = azure.resources[only(azure, "containerregistry:Registry")]["images"]
    return found["mlflow-platform"]


def test_one_up_imports_the_image_before_anything_runs_it(cloud: Cloud) -> None:
    product, azure = cloud.stack("dev"), cloud.azure
    product.configure(image={"digest": FIRST, "source": SOURCE})
    azure.publish(f"{SOURCE}@{FIRST}")

    # The report says it in a line.
    found = report(read(json.loads(must(product.preview(*FLAGS)).out)))
    (row,) = [row for row in found.rows if row.what == "image imported first"]
    assert (row.subject, plain(row.now)) == (Subject.IMAGE, "none")
    assert plain(row.after) == f"11111111… from {SOURCE}"
    assert azure.calls() == []

    # One `up`: nobody types an import.
    assert "https://mlflow-gateway." in must(product.up()).text
    assert images(azure) == {FIRST.replace(":", "-"): FIRST}
    made = calls(azure)
    ran = [made.index(each) for each in (("create", "app:Job"), ("create", "app:ContainerApp"))]
    assert made.index(("import", "containerregistry:Registry")) < min(ran)
    must(product.preview("--refresh", "--expect-no-changes"))

    # A digest that the source does not have: no service is touched.
    apps = {key: one for key, one in azure.resources.items() if "/containerapps/" in key}
    product.configure(image={"digest": SECOND})
    said = failed(product.up())
    assert f"Image import: {SOURCE}@{SECOND} is not in the stack's registry" in said
    assert "MANIFEST_UNKNOWN" in said
    assert "correct `image.digest`" in said
    assert "Traceback" not in said
    assert {key: one for key, one in azure.resources.items() if "/containerapps/" in key} == apps

    # What somebody has imported already is not imported again, though the source has lost it.
    images(azure)[SECOND.replace(":", "-")] = SECOND
    azure.save()
    assert done(product.up())["image"] == "updated"
    assert images(azure).keys() == {FIRST.replace(":", "-"), SECOND.replace(":", "-")}
