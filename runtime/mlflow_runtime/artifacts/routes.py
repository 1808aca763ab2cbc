"""The two routes that carry an artifact's bytes, in place of MLflow's, which keep each artifact on disk in passing.

They stand in MLflow's own application, behind its checks of hosts and origins.
"""

from __future__ import annotations

import json
import logging
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any, Final

from azure.storage.blob import BlobClient
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.mime_type_utils import _guess_mime_type
from mlflow.utils.uri import validate_path_is_safe
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from mlflow_runtime.artifacts import repository as blob
from mlflow_runtime.artifacts.download import download
from mlflow_runtime.artifacts.memory import Memory
from mlflow_runtime.artifacts.upload import upload
from mlflow_runtime.middleware.observed import CLIENT_GONE

_log = logging.getLogger(__name__)

PATHS: Final = tuple(f"/{api}/2.0/mlflow-artifacts/artifacts/{{artifact_path:path}}" for api in ("api", "ajax-api"))


def install(app: FastAPI, memory: Memory) -> None:
    """Answer before MLflow's routes of the same paths."""

    async def get(artifact_path: str, request: Request) -> Response:
        return await _answered(lambda: _get(_blob(artifact_path), artifact_path, request, memory))

    async def put(artifact_path: str, request: Request) -> Response:
        return await _answered(lambda: _put(_blob(artifact_path), request, memory))

    for path in PATHS:
        app.router.routes.insert(0, APIRoute(path, get, methods=["GET"], response_class=Response))
        app.router.routes.insert(0, APIRoute(path, put, methods=["PUT"], response_class=Response))


async def _get(found: BlobClient, artifact_path: str, request: Request, memory: Memory) -> Response:
    from mlflow.server.handlers import _content_disposition_attachment

    name = posixpath.basename(artifact_path)
    headers = {
        "Content-Type": _guess_mime_type(name),
        "Content-Disposition": _content_disposition_attachment(name),
        "X-Content-Type-Options": "nosniff",
    }
    return await download(found, headers, request.headers, memory.downloads)


async def _put(found: BlobClient, request: Request, memory: Memory) -> Response:
    try:
        await upload(request.stream(), found, memory.uploads)
    except ClientDisconnect:
        # Nobody is there to be answered, and the blob is what it was.
        _log.warning("an upload broke off: the client went away")
        return Response(status_code=CLIENT_GONE)
    return Response()


async def _answered(work: Callable[[], Awaitable[Response]]) -> Response:
    """MLflow's errors, and Azure's, as MLflow answers them."""
    try:
        with blob.clear_errors():
            return await work()
    except MlflowException as error:
        content: Any = json.loads(error.serialize_as_json())
        return JSONResponse(content, error.get_http_status_code())


def _blob(artifact_path: str) -> BlobClient:
    path = validate_path_is_safe(artifact_path)
    if not posixpath.basename(path):
        raise MlflowException(
            f"Artifact path {artifact_path!r} must end with a file's name.", error_code=INVALID_PARAMETER_VALUE
        )
    return blob.service_client().get_blob_client(blob.address().container, path)
