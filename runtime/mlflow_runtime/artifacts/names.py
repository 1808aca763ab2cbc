"""The names of artifacts: as clients write them, and as blobs have them. Pure.

A path of a request is decoded once, by the server; what is left of `%` in it belongs to the name. A blob has the same
name, but for what Azure allows in none or may take for a slash (the backslash): these are escaped.
"""

from __future__ import annotations

import posixpath
import re
import urllib.parse
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

# No name has control characters and code points such as U+E000 (Microsoft Learn, "Naming and referencing containers,
# blobs, and metadata"). The store takes some of them, and its list of that folder is then no XML 1.0 (section 2.2).
_NONCHARACTERS: Final = "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
_ESCAPED: Final = re.compile(rf"[\x01-\x1f\x7f-\x9f\ue000-\uf8ff\ufdd0-\ufdef{_NONCHARACTERS}\\]")
# What an escape looks like, and what one looks like that was part of a name.
_ESCAPE: Final = re.compile(
    r"%(?P<more>(?:25)*)(?:(?P<code>[01][0-9A-F]|7F|5C)|u(?P<point>(?:0[0-9A-F]|10)[0-9A-F]{4}))"
)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_DECODINGS: Final = 10

# Characters of a blob's name (Microsoft Learn, "Naming and referencing containers, blobs, and metadata").
LONGEST: Final = 1024


def safe(path: str) -> str:
    """Return the path of an artifact as it is. MlflowException if it, or what it is decoded, leads out of its root.

    MLflow 3.17.2 (`validate_path_is_safe` in mlflow/utils/uri.py) gives the path back decoded as often as it can be, so
    that `a%20b` becomes another file, `a b`, and refuses every `#`.
    """
    seen = path
    for _ in range(_DECODINGS):
        _refuse_ways_out(path, seen)
        decoded = urllib.parse.unquote(seen)
        if decoded == seen:
            return path
        seen = decoded
    raise _refused(path, "it is encoded too many times")


def blob_name(path: str) -> str:
    """Return the name of the blob of an artifact, or the start of the names below a folder."""
    kept = _ESCAPE.sub(lambda found: f"%25{found[0][1:]}", path)
    return _ESCAPED.sub(lambda found: _escape(ord(found[0])), kept)


def file_name(path: str, root: str = "") -> str:
    """Return the name of a file's blob below `root`. MlflowException if no file or no blob has such a name."""
    if not posixpath.basename(path):
        raise MlflowException(
            f"Artifact path {path!r} must end with a file's name.", error_code=INVALID_PARAMETER_VALUE
        )
    name = posixpath.join(root, blob_name(path))
    if len(name) > LONGEST:
        raise MlflowException(
            f"Artifact path {path!r} has {len(name)} characters; the store allows {LONGEST}. Shorten its names.",
            error_code=INVALID_PARAMETER_VALUE,
        )
    return name


def artifact_path(blob_name: str) -> str:
    """Return what `blob_name` was made from."""
    return _ESCAPE.sub(
        lambda found: f"%{found[0][3:]}" if found["more"] else chr(int(found["code"] or found["point"], 16)),
        blob_name,
    )


def _escape(point: int) -> str:
    return f"%{point:02X}" if point <= 0x7F else f"%u{point:06X}"


def _refuse_ways_out(path: str, seen: str) -> None:
    if "\0" in seen:
        raise _refused(path, "it has a NUL character")
    if _SURROGATE.search(seen):
        raise _refused(path, "it has half of a character (a surrogate)")
    if ".." in re.split(r"[/\\]", seen):
        raise _refused(path, "it has a '..' segment")
    if PurePosixPath(seen).is_absolute() or PureWindowsPath(seen).is_absolute():
        raise _refused(path, "it is absolute")


def _refused(path: str, reason: str) -> MlflowException:
    return MlflowException(
        f"Artifact path {path!r} is refused: {reason}. Rename the file, or send its path relative to the run.",
        error_code=INVALID_PARAMETER_VALUE,
    )
