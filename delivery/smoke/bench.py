"""What the steps share: where the server is, the names they use on it, and what they have made so far."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

ALIAS = "champion"


def random_id() -> str:
    """The part of every name by which one run of the program knows its own things: 12 hexadecimal digits."""
    return secrets.token_hex(6)


@dataclass(kw_only=True)
class Created:
    """Names and ids of what the steps made; empty where a step has not made it (yet)."""

    experiment_name: str = ""
    experiment_id: str = ""
    run_id: str = ""
    nested_run_id: str = ""
    artifact_paths: list[str] = field(default_factory=list)
    logged_model_id: str = ""
    model_name: str = ""
    model_version: str = ""
    model_alias: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    trace_ids: list[str] = field(default_factory=list)


class Bench:
    """The workplace of one run.

    Args:
        url: the server, without a slash at its end.
        identity: see `random_id`; everything made on the server is named after it.
        scratch: an empty folder for files on their way up and down.
        large_mib: size of the large artifact in MiB.
    """

    def __init__(self, *, url: str, identity: str, scratch: Path, large_mib: int) -> None:
        self.url = url
        self.scratch = scratch
        self.large_mib = large_mib
        self.client = MlflowClient(tracking_uri=url, registry_uri=url)
        self.made = Created()
        self.experiment_name = f"smoke-{identity}"
        self.model_name = f"smoke-{identity}-model"
        self.prompt_name = f"smoke-{identity}-prompt"
        self.dataset_name = f"smoke-{identity}-measurements"

    def created(self) -> dict[str, Any]:
        """What was made, by the field names of `Created`."""
        return asdict(self.made)
