"""What the command around the image refuses, reads and passes on, without building anything."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from delivery.image import base, build, container, context
from tests.support.command_line import mlflow_platform
from tests.support.plane import REPOSITORY
from tools.steps import Report, ToolError

LOCK = """# top
alpha==1.0 \\
    --hash=sha256:aa
    # via beta
beta-c==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:bb
gamma==3.0 \\
    --hash=sha256:cc
"""


@pytest.mark.parametrize("given", ["python:3.11", "python", "python@sha256:abc", "--x@sha256:" + "0" * 64])
def test_a_base_that_is_not_named_by_digest_is_refused(given: str, tmp_path: Path) -> None:
    command = mlflow_platform("image", "build", f"--base={given}", f"--output={tmp_path / 'x'}")
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"BASE: {given!r} does not name an image by digest" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_folder_with_other_files_is_not_replaced_by_a_build(tmp_path: Path) -> None:
    (tmp_path / "image.json").touch()
    (tmp_path / "photo").touch()
    with pytest.raises(ToolError, match=r"--output: got .*, which is no build's"):
        build.build(tmp_path, base_reference=None, report=Report("test"))
    with pytest.raises(ToolError, match=r"--output: got .*, which is no build's"):
        build.build(tmp_path / "photo", base_reference=None, report=Report("test"))
    assert (tmp_path / "photo").exists()


def test_a_base_by_digest_is_taken_as_it_is() -> None:
    reference = "registry.example.com:5000/python@sha256:" + "0" * 64
    assert base.given(reference) == reference


def test_what_is_dropped_goes_with_its_hashes() -> None:
    assert context.without(LOCK, ["beta-c"]) == LOCK.replace(
        "beta-c==2.0 ; sys_platform == 'win32' \\\n    --hash=sha256:bb\n", ""
    )
    assert context.pinned(LOCK, "gamma") == "3.0"


def test_a_dropped_name_that_the_lock_does_not_have_is_refused() -> None:
    with pytest.raises(ToolError, match=r"dropped\.txt names delta, not in"):
        context.without(LOCK, ["alpha", "delta"])


def test_every_dropped_distribution_is_locked() -> None:
    context.without((REPOSITORY / "runtime" / "requirements.lock").read_text(), context.dropped())


def test_packages_come_from_where_pip_takes_them(tmp_path: Path) -> None:
    links = tmp_path / "wheels"
    links.mkdir()
    for name in ("Beta_C-2.0-py3-none-any.whl", "delta-1.0-py3-none-any.whl"):
        (links / name).touch()
    environ = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "https://packages.example.com/simple",
        "PIP_FIND_LINKS": f"{links} https://example.com/links",
        "HTTPS_PROXY": "http://proxy.example.com",
        "UV_CACHE_DIR": "/nowhere",
        "SECRET": "word",
    }
    settings = context.package_settings(environ)
    assert settings.pop("SSL_CERT_FILE", "/run/secrets/authorities") == "/run/secrets/authorities"
    assert settings == {
        "UV_DEFAULT_INDEX": "https://packages.example.com/simple",
        "UV_FIND_LINKS": "https://example.com/links,/context/links",
        "HTTPS_PROXY": "http://proxy.example.com",
    }
    assert [wheel.name for wheel in context.local_wheels(environ, LOCK)] == ["Beta_C-2.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("remote", "label"),
    [
        ("https://user:word@code.example.com/team/project.git", "https://code.example.com/team/project"),
        ("git@code.example.com:team/project.git", "https://code.example.com/team/project"),
        ("ssh://git@code.example.com/team/project", "https://code.example.com/team/project"),
        ("/home/somebody/project", ""),
        ("file:///home/somebody/project", ""),
        ("", ""),
    ],
)
def test_the_source_label_has_no_login_and_no_folder(remote: str, label: str) -> None:
    assert build.published(remote) == label


def test_no_value_of_a_role_is_on_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "find", Path)
    authorities = tmp_path / "ca.pem"
    authorities.touch(mode=0o644)
    environ = {
        "IDENTITY_HEADER": "word",
        "SSL_CERT_FILE": str(authorities),
        "TMPDIR": "/some/spool",
        "PATH": "/bin",
        "PYTHONPATH": "/somewhere",
    }
    built = container.command("sha256:0", ["tracking"], environ)
    assert built[-2:] == ["sha256:0", "tracking"]
    assert [part for part in built if part.startswith("--env")] == ["--env=IDENTITY_HEADER", "--env=SSL_CERT_FILE"]
    assert "word" not in built
    assert "/some/spool:/spool" in built
    assert f"--volume={authorities}:{authorities}:ro" in built
    authorities.chmod(0o600)
    with pytest.raises(ToolError, match=r"ca\.pem: the role's user 10001 may not read it"):
        container.command("sha256:0", ["tracking"], environ)


def test_the_containerfile_names_no_base_and_no_host_and_ends_as_nobody() -> None:
    lines = context.CONTAINERFILE.read_text().splitlines()
    assert "ARG BASE" in lines
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} <= {"${BASE}", "dependencies"}
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert [line for line in lines if re.search(r"://|ADD |sudo|curl|wget|apt", line)] == []
