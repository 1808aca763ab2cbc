"""Plain requests to the server, as a browser or an OpenTelemetry exporter sends them, with the user's credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from delivery.smoke.check import UnexpectedError, shortened


def ask(url: str, method: str, path: str, **arguments: Any) -> requests.Response:
    """The answer to one request, or `UnexpectedError` if its status is not 200. Nothing is retried.

    `path` starts with a slash; further arguments are those of `requests.request` and `extra_headers`.
    """
    response: requests.Response = http_request(
        get_default_host_creds(url), path, method, max_retries=0, raise_on_status=False, **arguments
    )
    if response.status_code != requests.codes.ok:
        raise UnexpectedError(f"{method} {path} answered {response.status_code}: {shortened(response.text.strip())}")
    return response


def ask_json(url: str, method: str, path: str, **arguments: Any) -> Any:
    """The JSON of the answer, see `ask`; `UnexpectedError` for anything else."""
    response = ask(url, method, path, **arguments)
    try:
        return response.json()
    except requests.JSONDecodeError:
        raise UnexpectedError(f"{method} {path} answered no JSON: {shortened(response.text.strip())}") from None


def post_from_page(url: str, path: str, body: Mapping[str, Any]) -> Any:
    """The JSON that answers a POST of the web interface, which carries the Origin that servers check."""
    origin = urlsplit(url)
    headers = {"Origin": f"{origin.scheme}://{origin.netloc}"}
    return ask_json(url, "POST", path, json=dict(body), extra_headers=headers)
