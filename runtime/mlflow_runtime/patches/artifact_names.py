"""An artifact keeps its name in every route that takes one.

MLflow 3.17.2 gives a path back decoded as often as it can be (`validate_path_is_safe` in mlflow/utils/uri.py, which
mlflow/server/handlers.py calls for listings and downloads), so that `a%20b` stands for another file, `a b`. And the
header that names a download (`_content_disposition_attachment`) takes no control characters.
"""

from __future__ import annotations

from mlflow.server import handlers

from mlflow_runtime.artifacts import names


def install() -> None:
    """Have MLflow's handlers check paths as this platform's own routes do, in this process."""
    attachment = handlers._content_disposition_attachment
    handlers.validate_path_is_safe = names.safe
    handlers._content_disposition_attachment = lambda filename: attachment(names.blob_name(filename))
