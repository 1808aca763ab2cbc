"""A service calls nothing on the internet by itself: a platform in a private network would wait for it."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.support.services import Platform

ASKED = (
    "/ajax-api/3.0/mlflow/gateway/supported-models?provider=openai",
    "/ajax-api/3.0/mlflow/gateway/supported-providers",
    "/ajax-api/3.0/mlflow/gateway/provider-config?provider=openai",
    "/ajax-api/3.0/mlflow/ui-telemetry",
    "/ajax-api/3.0/mlflow/server-info",
    "/ajax-api/2.0/mlflow/gateway-proxy?gateway_path=api/2.0/endpoints",
)


class Proxy:
    """Stands for the only way to the internet, and notes each request for it."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(1000).decode(errors="replace").partition("\r\n")[0])


def test_no_route_goes_to_the_internet(shared: Platform, request: pytest.FixtureRequest) -> None:
    proxy = Proxy()
    request.addfinalizer(proxy.close)
    tracking = shared.start("tracking", HTTPS_PROXY=proxy.url, HTTP_PROXY=proxy.url, NO_PROXY="127.0.0.1,localhost")
    answers = {path: tracking.ask(path) for path in ASKED}
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(ASKED, 200)
    assert len(answers[ASKED[0]].body["models"]) > 10, "MLflow's own list"
    assert proxy.requests == []
