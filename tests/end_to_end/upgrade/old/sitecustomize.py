"""Loaded by every process of an old MLflow when it starts: what the test needs and that version has no option for.

Its Azure repository reaches no other account than one of Azure's own domain; here the emulator is in its place.
"""

import os
from typing import Any


def _emulated() -> None:
    from azure.storage import blob

    real = blob.BlobServiceClient

    def client(account_url: str, **options: Any) -> Any:
        return real(os.environ["BLOB_ACCOUNT_URL"], **options)

    blob.BlobServiceClient = client  # type: ignore[assignment, misc]


def _any_schema() -> None:
    from mlflow.store.db import utils

    utils._verify_schema = lambda _engine: None


if os.environ.get("BLOB_ACCOUNT_URL"):
    _emulated()
if os.environ.get("ANY_SCHEMA"):
    _any_schema()
