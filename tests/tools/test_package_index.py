"""pip's configuration, as uv gets it: what wins, what is left alone, and that the real uv obeys."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tools.conftest import CHECKOUT
from tools import wheels
from tools.package_index import pip_settings, uv_arguments, uv_environment
from tools.steps import Report


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose pip has no configuration at all."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def configure(home: dict[str, str], text: str, folder: str = ".config/pip") -> None:
    file = Path(home["HOME"]) / folder / "pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_every_setting_of_pip_that_uv_needs_is_translated(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    configure(
        home,
        f"""[global]
index-url = https://one.example/simple
extra_index_url =
    https://two.example/simple
    https://three.example/simple
find-links = {tmp_path}/wheels {tmp_path}/nowhere https://four.example/files
trusted-host = one.example two.example
cert = /ca.pem
proxy = http://proxy.example:3128
[install]
no-index = true
""",
    )
    assert uv_environment(home) == home | {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": f"{tmp_path}/wheels,https://four.example/files",
        "UV_INSECURE_HOST": "one.example two.example",
        "SSL_CERT_FILE": "/ca.pem",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
    }
    assert uv_arguments(home) == ["--no-index"]


def test_nothing_is_added_for_a_pip_without_configuration(home: dict[str, str]) -> None:
    with_system_files_out_of_the_way = home | {"PIP_CONFIG_FILE": os.devnull}
    assert uv_environment(with_system_files_out_of_the_way) == with_system_files_out_of_the_way
    assert uv_arguments(with_system_files_out_of_the_way) == []


def test_what_wins_is_what_wins_in_pip(home: dict[str, str], tmp_path: Path) -> None:
    configure(home, "[global]\nindex-url = xdg", folder="xdg/pip")
    assert pip_settings(home)["index-url"] == "xdg"
    configure(home, "[global]\nindex-url = legacy", folder=".pip")
    assert pip_settings(home)["index-url"] == "legacy"
    configure(home, "[global]\nindex-url = user")
    assert pip_settings(home)["index-url"] == "user"
    configure(home, "[install]\nindex-url = section\n[global]\nindex-url = user")
    assert pip_settings(home)["index-url"] == "section"
    (tmp_path / "named").write_text("[global]\nindex-url = named")
    named = home | {"PIP_CONFIG_FILE": str(tmp_path / "named")}
    assert pip_settings(named)["index-url"] == "named"
    assert pip_settings(named | {"PIP_INDEX_URL": "variable"})["index-url"] == "variable"


@pytest.mark.parametrize(
    ("variable", "setting", "translated"),
    [
        ("UV_DEFAULT_INDEX", "INDEX_URL", "UV_DEFAULT_INDEX"),
        ("UV_INDEX_URL", "INDEX_URL", "UV_DEFAULT_INDEX"),
        ("UV_INDEX", "EXTRA_INDEX_URL", "UV_INDEX"),
        ("UV_EXTRA_INDEX_URL", "EXTRA_INDEX_URL", "UV_INDEX"),
        ("UV_INSECURE_HOST", "TRUSTED_HOST", "UV_INSECURE_HOST"),
        ("SSL_CERT_FILE", "CERT", "SSL_CERT_FILE"),
        ("https_proxy", "PROXY", "HTTPS_PROXY"),
    ],
)
def test_the_users_own_setting_of_uv_stays(home: dict[str, str], variable: str, setting: str, translated: str) -> None:
    without = home | {"PIP_CONFIG_FILE": os.devnull, f"PIP_{setting}": "from-pip"}
    assert uv_environment(without)[translated] == "from-pip"
    reported = without | {variable: "from-user"}
    assert uv_environment(reported).get(translated, "unset") == ("from-user" if variable == translated else "unset")


def test_an_unreadable_configuration_is_named_and_left_out(
    home: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(home, "index-url without a section")
    assert "index-url" not in pip_settings(home)
    assert "pip.conf is not understood" in capsys.readouterr().err


@pytest.fixture
def index() -> Iterator[tuple[str, list[str]]]:
    """A package index with no package, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("setting", ["index-url", "extra-index-url"])
def test_the_real_uv_asks_the_index_of_pip(
    home: dict[str, str], tmp_path: Path, index: tuple[str, list[str]], setting: str
) -> None:
    url, asked = index
    configure(home, f"[global]\nindex-url = {url}/main\n[install]\n{setting} = {url}/asked")
    uv = wheels.unpacked(CHECKOUT / "tools" / "uv.txt", essential="bin/uv", report=Report("test")) / "bin" / "uv"
    subprocess.run(
        [uv, "pip", "compile", f"--python={sys.executable}", *uv_arguments(home), "-"],
        input="some-package",
        env=uv_environment(home) | {"UV_CACHE_DIR": str(tmp_path / "uv")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/asked/some-package/" in asked
