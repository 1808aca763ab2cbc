"""The product's own dev stack: its `up` is killed, brought back, finished, and destroyed without a rest."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.azure_types.type_tokens import ADMINISTRATOR
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import Product
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.offline_azure.running import WRITTEN_ONCE
from tests.delivery.recover.recovering import recover
from tests.support.arm import CHECKS, needs_schemas
from tests.support.engine import kill_up

pytestmark = needs_schemas


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path / "azure.json", checks=CHECKS)


@pytest.fixture
def product(tmp_path: Path, azure: Azure) -> Iterator[Product]:
    server, port = serve(azure)
    management = ManagementApi(azure)
    made = Product(tmp_path, "dev", port, management.url)
    made.environment["XDG_STATE_HOME"] = str(tmp_path / "kept")
    yield made
    server.stop(None)
    management.close()


def has(azure: Azure, *parts: str) -> bool:
    # A copy: the provider's threads make more meanwhile.
    there = list(azure.resources)
    return all(any(part in key for key in there) for part in parts)


def test_what_a_killed_up_has_left_on_azure_is_neither_lost_nor_made_twice(product: Product, azure: Azure) -> None:
    # Made, and not answered: the state does not know of them, whenever the engine dies.
    for kind in ("vaults", "storageAccounts", "flexibleServers"):
        azure.inject("slow", operation="create", matching=f"/{kind}/[^/]+$")
    command = product.arguments("up", "--yes", "--skip-preview")
    kill_up(
        command,
        product.repository,
        product.environment,
        lambda: has(azure, "/vaults/", "/storageaccounts/", "/flexibleservers/"),
    )
    azure.clear_faults()
    options = ("--config-file", str(product.config_file), "--yes", "--json")
    unasked = recover("dev", product.environment, *options[:2])
    assert unasked.code == 2
    assert "there is no terminal" in unasked.notices
    locked = product.up()
    assert locked.code != 0
    assert "currently locked by 1 lock" in locked.text

    back = recover("dev", product.environment, *options)
    assert back.code == 0, back.notices
    assert "created by" in str(back.document["lock"])
    imported = {"vault-vault": "imported", "store-account": "imported", "postgres-server": "imported"}
    assert imported.items() <= back.outcomes.items()
    kept = Path(back.document["backup"])
    assert kept.parent == product.folder / "kept" / "mlflow-platform"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["deployment"]["pending_operations"]

    # Of what Azure does not keep a resource for, the next `up` runs it again, and takes over what is under way.
    kill_up(command, product.repository, product.environment, lambda: bool(azure.executions))
    repeated = recover("dev", product.environment, *options)
    assert repeated.code == 0, repeated.notices
    assert repeated.outcomes["prepare"] == "repeated"

    product.environment |= WRITTEN_ONCE  # nobody kills it from here on
    finished = product.up()
    assert finished.code == 0, finished.text
    refused = [call for call in azure.calls() if "refused" in call]
    # A new server refuses its administrator at first; the engine repeats that.
    assert {call["type"] for call in refused} <= {ADMINISTRATOR}
    made = [call["id"].lower() for call in azure.calls() if call["operation"] == "create" and call not in refused]
    assert sorted(made) == sorted(azure.resources)
    assert [call for call in azure.calls() if call["operation"] == "delete"] == []
    assert len(azure.executions) == 1
    same = product.preview("--expect-no-changes")
    assert same.code == 0, same.text

    again = recover("dev", product.environment, *options)
    assert again.code == 0
    assert "there is nothing to recover" in again.notices
    assert again.document == {"stack": "dev", "lock": None, "backup": None, "complete": True, "operations": []}

    gone = product.destroy()
    assert gone.code == 0, gone.text
    assert azure.resources == {}
