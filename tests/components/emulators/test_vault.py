from __future__ import annotations

from pathlib import Path

import pytest

from components.emulators.azure.vault import Vault, VaultError


def test_a_change_that_cannot_be_saved_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path / "vault.json", "https://vault")
    vault.set("name", {"value": "old"})
    monkeypatch.setattr("components.emulators.durable.write", _full_disk)
    with pytest.raises(OSError, match="No space left"):
        vault.set("name", {"value": "new"})
    with pytest.raises(OSError, match="No space left"):
        vault.delete("name")
    assert vault.get("name", "")["value"] == "old"
    assert len(vault.versions("name")) == 1


def test_a_deleted_secret_is_purged_after_90_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path / "vault.json", "https://vault")
    vault.set("name", {"value": "v"})
    purge_at = vault.delete("name")["scheduledPurgeDate"]
    monkeypatch.setattr("time.time", lambda: purge_at - 1)
    assert vault.get_deleted("name")["scheduledPurgeDate"] == purge_at
    monkeypatch.setattr("time.time", lambda: purge_at)
    with pytest.raises(VaultError, match="Deleted Secret not found"):
        vault.get_deleted("name")
    assert vault.set("name", {"value": "again"})["value"] == "again"


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")
