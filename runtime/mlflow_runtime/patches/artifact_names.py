"""An artifact keeps its name in every route that takes one.

MLflow 3.17.2 gives a path back decoded as often as it can be (`validate_path_is_safe` in mlflow/utils/uri.py, which
mlflow/server/handlers.py calls for listings and downloads), so that `a%20b` stands for another file, `a b`. And the
header that names a download (`_content_disposition_attachment`) takes no control characters. MLflow knows of a part:
its issues 21085, of `%`, and 22165, of `#`.
"""

from __future__ import annotations

from typing import Final

from mlflow.server import handlers
from mlflow.utils import uri

from mlflow_runtime.artifacts import names
from mlflow_runtime.patches.unchanged import is_unchanged

SAFE_READ: Final = "8320b7f57c4e7c77"
ATTACHMENT_READ: Final = "8821eba2b249959c"


def install() -> bool:
    """Have MLflow's handlers check paths as this platform's own routes do, in this process. Return whether it is on."""
    safe = is_unchanged(uri.validate_path_is_safe, SAFE_READ)
    if safe:
        handlers.validate_path_is_safe = names.safe
    attachment = handlers._content_disposition_attachment
    named = is_unchanged(attachment, ATTACHMENT_READ)
    if named:
        handlers._content_disposition_attachment = lambda filename: attachment(names.blob_name(filename))
    return safe and named
