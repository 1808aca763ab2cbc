"""The driver of the product's program, on a small repository of the same shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from delivery.offline_azure import stacks_key
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import PLACEHOLDER_DIGEST, Product
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.offline_azure.running import NO_CHANGES_EXPECTED
from tests.delivery.offline_azure import stub_repository
from tests.support.engine import kill_up


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return stub_repository.written(tmp_path)


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path / "azure.json")


@pytest.fixture
def product(tmp_path: Path, repository: Path, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", "of-the-user")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of-the-user")
    monkeypatch.setenv("PULUMI_STACK", "of-the-user")
    monkeypatch.setenv("VAULT_ADDR", "of-the-user")
    server, port = serve(azure)
    management = ManagementApi(azure)
    yield Product(tmp_path, "dev", port, management.url, repository=repository)
    server.stop(None)
    management.close()


def test_a_stack_lives_and_the_repository_stays_as_it_is(product: Product, repository: Path, azure: Azure) -> None:
    before = stub_repository.content(repository)
    assert product.placeholder
    up = product.up()
    assert up.code == 0, up.text
    assert PLACEHOLDER_DIGEST in up.text
    assert product.preview("--refresh", "--expect-no-changes").code == 0

    product.configure(tags={"owner": "research"})
    assert product.values["tags"] == {"owner": "research", "tier": "one"}
    assert product.preview("--expect-no-changes").code == NO_CHANGES_EXPECTED
    assert product.up().code == 0
    (group,) = azure.resources.values()
    assert group["inputs"]["tags"] == {"owner": "research", "tier": "one"}
    azure.change(group["id"], tags={"owner": "somebody"})
    drifted = product.refresh("--expect-no-changes", "--diff")
    assert drifted.code == NO_CHANGES_EXPECTED, drifted.text
    assert "somebody" in drifted.text

    assert product.destroy().code == 0
    assert azure.resources == {}
    assert stub_repository.content(repository) == before


def test_an_engine_killed_in_a_creation_leaves_a_lock_and_a_resource_to_import(product: Product, azure: Azure) -> None:
    azure.inject("slow", operation="create", matching="/resourceGroups/", seconds=600)
    command = product.arguments("up", "--yes", "--skip-preview")
    kill_up(command, product.repository, product.environment, lambda: bool(azure.resources))
    azure.clear_faults()

    assert "pulumi cancel" in product.up().text
    assert product.unlock().code == 0
    again = product.up()
    assert again.code != 0
    assert "interrupted while creating" in again.text
    assert "cannot create already existing resource" in again.text
    (group,) = azure.resources.values()
    assert product.run("refresh", "--yes", "--skip-preview", "--clear-pending-creates").code == 0
    imported = product.run("import", group["type"], "group", group["id"], "--yes", "--generate-code=false")
    assert imported.code == 0, imported.text
    finished = product.up()
    assert finished.code == 0, finished.text


def test_a_value_can_be_taken_out_and_a_digest_given(product: Product) -> None:
    product.configure(tags=None, image={"digest": "sha256:1"})
    assert product.values == {"group": "rg-stub", "image": {"digest": "sha256:1"}}


def test_the_engine_is_led_to_the_offline_azure_alone(product: Product) -> None:
    names = {name for name in product.environment if name.startswith(("ARM_", "AZURE_", "IDENTITY_", "MSI_"))}
    assert names == {"ARM_ENDPOINT", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"}
    assert {"PULUMI_STACK", "VAULT_ADDR"}.isdisjoint(product.environment)
    assert product.environment["PULUMI_BACKEND_URL"] == f"file://{product.folder / 'state'}?metadata=skip"


def test_the_copy_has_no_other_keeper_of_secrets(product: Product) -> None:
    kept = yaml.safe_load(product.config_file.read_text())
    assert kept.keys() == {"config", "secretsprovider", "encryptedkey"}
    assert kept["secretsprovider"] == stacks_key.PROVIDER


def test_another_revision_has_the_same_keeper_of_secrets(product: Product, repository: Path) -> None:
    before = yaml.safe_load(product.config_file.read_text())
    again = yaml.safe_load(product.of(repository).config_file.read_text())
    assert again["encryptedkey"] == before["encryptedkey"]


def test_a_secret_of_the_copy_is_read_again(product: Product) -> None:
    assert product.run("config", "set", "--secret", "token", "hush").code == 0
    assert "hush" not in product.config_file.read_text()
    assert product.run("config", "get", "token").out == "hush\n"


@pytest.mark.parametrize(
    ("value", "found"), [({"secure": "v1:x"}, "key"), ({"in": [{"secure": "v1:x"}]}, r"key.in\[0\]")]
)
def test_a_stack_without_a_file_or_with_a_secret_is_refused(
    tmp_path: Path, repository: Path, value: object, found: str
) -> None:
    with pytest.raises(FileNotFoundError, match="there are dev, local"):
        Product(tmp_path, "prod", 1, "http://127.0.0.1:1", repository=repository)
    (repository / "stacks" / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": {"stub:key": value}}))
    with pytest.raises(ValueError, match=f"{found} is encrypted"):
        Product(tmp_path, "prod", 1, "http://127.0.0.1:1", repository=repository)
