"""The routes of one artifact, in place of MLflow's, which keep each artifact on disk in passing and change its name.

They stand in MLflow's own application, behind its checks of hosts and origins. HEAD and DELETE are among them: MLflow's
HEAD downloads the whole.
"""

from __future__ import annotations

import json
import logging
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any, Final

from anyio import to_thread
from azure.storage.blob import BlobClient
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.utils.mime_type_utils import _guess_mime_type
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from mlflow_runtime.artifacts import names, parts
from mlflow_runtime.artifacts import repository as blob
from mlflow_runtime.artifacts.download import download
from mlflow_runtime.artifacts.memory import Memory
from mlflow_runtime.artifacts.upload import stage, upload
from mlflow_runtime.middleware.load_shedding import LimitRefusal, begin_transfer
from mlflow_runtime.middleware.observed import CLIENT_GONE

_log = logging.getLogger(__name__)

PATHS: Final = tuple(f"/{api}/2.0/mlflow-artifacts/artifacts/{{artifact_path:artifact}}" for api in ("api", "ajax-api"))


class _Artifact(Convertor[str]):
    """All that is left of a path. Starlette's own `path` stops at a line feed."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def install(app: FastAPI, memory: Memory) -> None:
    """Answer before MLflow's routes of the same paths."""

    async def get(artifact_path: str, request: Request) -> Response:
        return await answered(lambda: _get(artifact_path, request, memory))

    async def put(artifact_path: str, request: Request) -> Response:
        return await answered(lambda: _put(artifact_path, request, memory))

    async def delete(artifact_path: str) -> Response:
        return await answered(lambda: _delete(artifact_path))

    register_url_convertor("artifact", _Artifact())
    for path in PATHS:
        for methods, endpoint in ((["GET", "HEAD"], get), (["PUT"], put), (["DELETE"], delete)):
            app.router.routes.insert(0, APIRoute(path, endpoint, methods=methods, response_class=Response))


async def _get(artifact_path: str, request: Request, memory: Memory) -> Response:
    from mlflow.server.handlers import _content_disposition_attachment

    name = posixpath.basename(artifact_path)
    headers = {
        "Content-Type": _guess_mime_type(name),
        "Content-Disposition": _content_disposition_attachment(name),
        "X-Content-Type-Options": "nosniff",
    }
    return await download(_blob(artifact_path), request, headers, memory.downloads)


async def _put(artifact_path: str, request: Request, memory: Memory) -> Response:
    is_part = parts.QUERY in request.query_params
    if request.url.query and not is_part:
        # Of a name that was not encoded: the rest of it would be lost.
        raise MlflowException(
            f"Artifact path {artifact_path!r} is followed by '?'; send a '?' of a name as %3F, or rename the file.",
            error_code=INVALID_PARAMETER_VALUE,
        )
    found = _blob(artifact_path)
    if refusal := memory.uploads.refusal():
        return LimitRefusal(refusal)
    begin_transfer(request.scope)
    try:
        with memory.uploads.transfer():
            if is_part:
                blocks = await stage(request.stream(), found, memory.uploads)
                return Response(headers={"ETag": parts.receipt(blocks)})
            await upload(request.stream(), found, memory.uploads)
    except ClientDisconnect:
        # Nobody is there to be answered, and the blob is what it was.
        _log.warning("an upload broke off: the client went away")
        return Response(status_code=CLIENT_GONE)
    return Response()


async def _delete(artifact_path: str) -> Response:
    below = _in_workspace(names.safe(artifact_path))
    # With access control all artifacts of a team are in a folder, which a path may name too.
    if below.strip("/") in ("", _in_workspace("").strip("/")):
        raise MlflowException(
            "A DELETE must name a file or a folder; this one names all artifacts.", error_code=INVALID_PARAMETER_VALUE
        )
    everything = blob.BlobArtifactRepository(blob.address().wasbs)
    await to_thread.run_sync(everything.delete_artifacts, below)
    return JSONResponse({})


async def answered(work: Callable[[], Awaitable[Response]]) -> Response:
    """Return what `work` does; MLflow's errors, and Azure's, as MLflow answers them."""
    try:
        with blob.clear_errors():
            return await work()
    except MlflowException as error:
        content: Any = json.loads(error.serialize_as_json())
        return JSONResponse(content, error.get_http_status_code())


def _blob(artifact_path: str) -> BlobClient:
    name = names.file_name(_in_workspace(names.safe(artifact_path)))
    return blob.service_client().get_blob_client(blob.address().container, name)


def _in_workspace(artifact_path: str) -> str:
    """Return the path below the container, by MLflow's rule: with access control, below the workspace's own folder."""
    from mlflow.server import handlers

    found: str = handlers._get_workspace_scoped_repo_path_if_enabled(artifact_path)
    return found
