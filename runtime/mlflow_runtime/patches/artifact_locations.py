"""Which artifact locations a service opens: the platform's own and no other, whatever a row or a tag says.

A client names locations: of an experiment, a model version, or in a trace's tag. MLflow 3.17.2 refuses those that name
a host, and opens the rest: the service's own disk, to read and to write, and clouds that the platform is not on.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry

# The container, which `BlobArtifactRepository` guards; what MLflow resolves to it; and what names a run or a model.
OPEN: Final = frozenset({"wasbs", "mlflow-artifacts", "runs", "models"})


def close_others(registry: ArtifactRepositoryRegistry | None = None) -> None:
    """Let `registry`, by default MLflow's own, open no location of a scheme that is not in `OPEN`."""
    # MLflow has no public name for the one that its handlers use.
    found = registry or artifact_repository_registry._artifact_repository_registry
    for scheme in set(found.get_registered_artifact_repositories()) - OPEN:
        found.register(scheme, _refuse)


def _refuse(artifact_uri: str, **_options: Any) -> NoReturn:
    raise MlflowException(
        f"Artifact location {artifact_uri!r} is outside this platform, whose services open only its own container; "
        "create the experiment without an artifact location, or reach this one from the client.",
        error_code=INVALID_PARAMETER_VALUE,
    )
