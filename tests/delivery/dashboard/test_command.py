"""The dashboard's command line and its server, where there is no stack."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.cli import run
from delivery.dashboard.scraping import History
from delivery.dashboard.server import serve
from delivery.outcome import ExitCode

CHARTS = {"uPlot.iife.min.js": "var uPlot;", "uPlot.min.css": ".uplot {}"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a stack that was never up."""
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(f"config:\n  mlflow-platform:local:\n    stateDirectory: {tmp_path / 'state'}\n")
    return file


@pytest.mark.parametrize("more", [[], ["--json"], ["--port", "8080"]])
def test_a_stack_that_is_not_up_is_said(
    more: list[str], config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dashboard", "--config-file", str(config), *more]) == ExitCode.FAILED
    said = capsys.readouterr()
    assert ("make up" in said.out) is ("--json" in more)
    assert "make up" in said.err
    assert str(tmp_path / "state") in said.err


@pytest.mark.parametrize(
    "arguments", [["--port", "0"], ["--port", "http"], ["--ports"], ["--config-file", "none.yaml"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dashboard", *arguments]) == ExitCode.USAGE
    assert capsys.readouterr().err != ""


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dashboard", "--help"]) == ExitCode.DONE
    said = " ".join(capsys.readouterr().out.split())
    assert "It fails if the stack is not up" in said
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage" in said


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a server without a stack."""
    for name, text in CHARTS.items():
        (tmp_path / name).write_text(text)
    with serve(History(), tmp_path, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", host: str = "") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    return connection.getresponse()


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/uplot.js", "/uplot.css", "/data.json", "/?x=1"])
def test_the_page_and_all_that_it_needs_come_from_here(path: str, port: int) -> None:
    answer = ask(port, path)
    assert answer.status == 200
    assert len(answer.read()) > 5
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/data.json", "GET", "elsewhere.example.com", 403),
        ("/data.json", "GET", "127.0.0.1", 403),
        ("/../pyproject.toml", "GET", "", 404),
        ("/metrics", "GET", "", 404),
        ("/data.json", "POST", "", 501),
    ],
)
def test_what_it_refuses(path: str, method: str, host: str, status: int, port: int) -> None:
    assert ask(port, path, method, host).status == status


def test_a_name_of_this_machine_is_enough(port: int) -> None:
    assert ask(port, "/", host=f"localhost:{port}").status == 200
