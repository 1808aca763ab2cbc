"""The names of a blob's blocks.

Azure wants the names of all blocks of a blob to be of one length, those among them that are left of an upload that was
broken off, and gives up to 50,000 of them to a blob (Microsoft Learn, "Put Block").
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

MOST: Final = 50_000

_UPLOAD: Final = re.compile(r"[0-9a-f]{32}")


def new_upload() -> str:
    """An upload's own id: two uploads of one artifact do not mix."""
    return uuid.uuid4().hex


def is_upload(given: str | None) -> bool:
    """Whether this may be an id that `new_upload` made."""
    return given is not None and _UPLOAD.fullmatch(given) is not None


def block_id(upload: str, number: int) -> str:
    """The name of a block, before the store's base64. `number` is 1 to MOST."""
    if not 1 <= number <= MOST:
        raise ValueError(f"block {number} is not allowed; a blob has blocks 1 to {MOST}")
    return f"{upload}-{number:05}"


def check_parts(number: int) -> None:
    """Refuse a number of parts of one artifact, of which each is a block at least."""
    if not 1 <= number <= MOST:
        raise MlflowException(
            f"num_parts: {number} is not allowed; allowed: 1 to {MOST}, with larger parts "
            "(MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE) for larger files.",
            error_code=INVALID_PARAMETER_VALUE,
        )


def too_many() -> MlflowException:
    """Return the refusal of an artifact that is larger than a blob can be."""
    return MlflowException(
        f"The artifact has more than {MOST} blocks, the most that the store takes; log it in parts.",
        error_code=INVALID_PARAMETER_VALUE,
    )
