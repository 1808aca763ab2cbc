"""MLflow's routes that answer with a file hand it over (middleware/file_answers.py).

MLflow 3.17.2 has an artifact on disk before it answers (`_send_artifact` in mlflow/server/handlers.py): here it goes
from the store to the client in blocks. A trace's files stay on disk until they are sent, since they are put together
there (`get_trace_artifact_handler`). MLflow's issues 10331, of a full disk, and 23767 ask for it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Response as FlaskResponse
from mlflow.server import handlers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from mlflow_runtime.artifacts.download import download
from mlflow_runtime.artifacts.memory import Blocks
from mlflow_runtime.artifacts.repository import BlobArtifactRepository
from mlflow_runtime.artifacts.routes import answered
from mlflow_runtime.middleware.file_answers import hand_over
from mlflow_runtime.middleware.load_shedding import begin_transfer
from mlflow_runtime.patches.unchanged import is_unchanged

SEND_READ: Final = "33313e2a5d4049b3"
FILE_READ: Final = "8d047b24d0021f07"

# 40 MiB, and eight transfers for each block.
DOWNLOAD_BLOCKS: Final = 20


def install() -> bool:
    """Have MLflow's handlers hand over, in this process. Return whether all of it is on."""
    from_store = is_unchanged(handlers._send_artifact, SEND_READ)
    if from_store:
        handlers._send_artifact = _from_store(handlers._send_artifact, Blocks("down", DOWNLOAD_BLOCKS))
    from_disk = is_unchanged(handlers._create_temp_artifact_file_response, FILE_READ)
    if from_disk:
        handlers._create_temp_artifact_file_response = _from_disk(handlers._create_temp_artifact_file_response)
    return from_store and from_disk


def _from_store(send: Callable[[Any, str], Any], memory: Blocks) -> Callable[[Any, str], Any]:
    def send_artifact(repository: Any, path: str) -> Any:
        if not isinstance(repository, BlobArtifactRepository):
            return send(repository, path)
        blob = repository.blob(path)

        async def answer(request: Request, headers: Mapping[str, str]) -> Response:
            return await answered(lambda: download(blob, request, headers, memory))

        hand_over(answer)
        return _attachment(path)

    return send_artifact


def _from_disk(send: Callable[..., Any]) -> Callable[..., Any]:
    def send_file(file_path: str, artifact_name: str, cleanup: Callable[[], None]) -> Any:
        if not pathlib.Path(file_path).is_file():
            return send(file_path, artifact_name, cleanup)

        async def answer(request: Request, headers: Mapping[str, str]) -> Response:
            begin_transfer(request.scope)
            return _Temporary(file_path, cleanup, headers)

        hand_over(answer)
        return _attachment(artifact_name)

    return send_file


class _Temporary(FileResponse):
    """A file that is gone when its client has it, or is gone itself."""

    def __init__(self, path: str, cleanup: Callable[[], None], headers: Mapping[str, str]) -> None:
        super().__init__(path, headers=headers)
        self._cleanup = cleanup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._cleanup()


def _attachment(name: str) -> Any:
    response = FlaskResponse()
    response.headers["Content-Disposition"] = handlers._content_disposition_attachment(pathlib.Path(name).name)
    return handlers._response_with_file_attachment_headers(name, response)
