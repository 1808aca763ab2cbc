"""Which schema a service serves on: the one its MLflow was made for, or a newer one that is declared to serve it.

`/ready` asks here, and so does MLflow when it opens a store (`patches/schema_verification.py`).
"""

from __future__ import annotations

from mlflow_runtime.database.revisions import Revisions
from mlflow_runtime.schema.declaration import Found


class SchemaRefusedError(Exception):
    """A schema that this image does not serve on: what was found, what it knows, and what to do."""


class NewerSchemaError(SchemaRefusedError):
    """A schema of a revision that this image does not know, and that is not declared to serve it."""


def judge(found: Found, revisions: Revisions) -> str | None:
    """None for the image's own schema, a remark for a newer one that serves; SchemaRefusedError for any other."""
    if found.revisions == (revisions.head,):
        return None
    shown = ", ".join(found.revisions)
    if not found.revisions:
        raise SchemaRefusedError("the database has no schema revision; run prepare of this image")
    if found.serves(revisions.head):
        return f"the schema is at the newer revision {shown}, which is declared to serve {revisions.head}"
    if len(found.revisions) > 1:
        raise SchemaRefusedError(
            f"the schema is at the revisions {shown} at once, this image needs {revisions.head}; restore the database "
            "to a time before they appeared"
        )
    if shown in revisions.known:
        raise SchemaRefusedError(
            f"the schema is at revision {shown}, this image needs {revisions.head}; run prepare of this image"
        )
    declared = found.declaration
    if declared is not None and declared.revision == shown:
        why = f"and which is declared to serve {len(declared.serves)} others, but not that one"
    else:
        why = "and about which nothing is declared"
    raise NewerSchemaError(
        f"the schema is at revision {shown}, which this image does not know (it needs {revisions.head}, its newest of "
        f"{len(revisions.known)}) {why}; deploy the newer image that migrated it, or restore the database"
    )
