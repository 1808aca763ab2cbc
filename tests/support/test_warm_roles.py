"""A role that starts warm is the role that starts cold, but for its time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import certifi
import pytest

from components.emulators import identities
from mlflow_runtime.environment import PLATFORM_VARIABLES
from mlflow_runtime.loading import BEFORE_MLFLOW
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import mlflow_app, settings
from tests.support import warm
from tests.support.plane import BY_ROLE, REPOSITORY, Plane
from tests.support.ports import first_of_free_ports
from tests.support.services import Platform, command
from tests.support.waiting import until
from tests.support.warm_facts import TELLING, assert_alike, read_meanwhile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs start warm on Linux alone")

ROLES = (*ServiceRole, "prepare")

# What tests give to a role beside what its platform gives it.
GIVEN_BY_TESTS = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})
# What MLflow reads beside, and no role and no test has.
NO_ROLE_HAS = frozenset(
    {
        *("_MLFLOW_TELEMETRY_SESSION_ID", "_MLFLOW_TESTING_TELEMETRY"),
        *("MLFLOW_DISABLE_AGENT_HINT", "MLFLOW_LOGGING_CONFIGURE_LOGGING"),
    }
)
# What the server makes again in each child, by who read it. PyArrow keeps it for S3, which no role has.
READ_AGAIN = {"SSL_CERT_FILE": ["pyarrow.fs", "aiohttp.connector"], "all of them": ["wsgiref.handlers"]}

# The product's package with another `cli`, which runs a role without its stores and writes down what it is.
PACKAGE = "__path__.append({runtime!r})\n"
CLI = f"""{TELLING}
import contextlib
from mlflow_runtime import prepare
from mlflow_runtime.azure import secrets
from mlflow_runtime.database import connections
from mlflow_runtime.routes import ServiceRole
role = sys.argv[1]
if role == "prepare":
    loading = prepare.loading
    @contextlib.contextmanager
    def loaded():
        with loading():
            yield
        tell()
        sys.exit(7)
    prepare.loading = loaded
    sys.exit(prepare.run(os.environ))
secrets.load = secrets.client = connections.require = lambda *_: None
from mlflow_runtime.service import server, stores
stores.Stores.start = lambda _: None  # its thread imports at a time of its own
startup = server._Server.startup
async def started(self, sockets=None):
    await startup(self, sockets)
    tell()
server._Server.startup = started
sys.exit(server.run(ServiceRole(role), os.environ))
"""


@pytest.fixture(scope="module")
def served() -> Iterator[None]:
    with nullcontext() if os.environ.get(warm.VARIABLE) else warm.started():
        yield


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A data plane that does not run."""
    plane = Plane(tmp_path, first_of_free_ports(5))
    for identity in BY_ROLE.values():
        header = identities.header_file(plane.state, identity.name)
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text("header")
    shutil.copy(certifi.where(), plane.ca)
    return Platform(plane, tmp_path)


def test_the_server_reads_no_variable_of_a_role_and_runs_no_thread(platform: Platform) -> None:
    found = read_meanwhile("roles", warm.of_the_roles(), "mlflow.server")
    services = {role: platform.environment(role) | {"PORT": "1"} for role in ServiceRole}
    variables = {"all of them", *GIVEN_BY_TESTS, *PLATFORM_VARIABLES, *platform.environment("prepare")} - {"PATH"}
    for role, environment in services.items():
        variables |= {*environment, *mlflow_app.environment(settings.read(role, environment))} - {"PATH"}

    def of_a_role(read: Mapping[str, Any]) -> dict[str, Any]:
        """The names that a role may have, and who reads them."""
        return {name: by for name, by in read.items() if name in variables or re.match("_?MLFLOW_", name)}

    read = of_a_role(found["read"])
    assert read.keys() - NO_ROLE_HAS - READ_AGAIN.keys() == warm.READ_BY_MLFLOW.keys()
    assert {name: read[name] for name in READ_AGAIN} == READ_AGAIN
    assert variables & NO_ROLE_HAS == set()
    left_out = of_a_role(found["left out"])
    assert {"MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"} <= left_out.keys()
    assert (found["threads"], found["tasks"], found["changed"]) == (["MainThread"], 1, {})
    tops = {name.partition(".")[0] for name in found["modules"]}
    assert tops & {"mlflow_runtime", "components", "infra", "delivery", "tests"} == set()


def test_what_mlflow_reads_at_its_import_is_the_same_for_each_role(platform: Platform) -> None:
    assert warm.READ_BY_MLFLOW == BEFORE_MLFLOW  # which prepare sets
    for role in ServiceRole:
        given = mlflow_app.environment(settings.read(role, platform.environment(role) | {"PORT": "1"}))
        assert BEFORE_MLFLOW.items() <= given.items()


def started(platform: Platform, role: str, variables: Mapping[str, str]) -> tuple[int, dict[str, Any], list[str]]:
    """The exit code of a role that SIGTERM ends, what it found itself to be, and the lines of its log."""
    package = platform.plane.folder / "changed" / "mlflow_runtime"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(PACKAGE.format(runtime=str(REPOSITORY / "runtime" / "mlflow_runtime")))
    (package / "cli.py").write_text(CLI)
    found = platform.plane.folder / "found.json"
    found.unlink(missing_ok=True)
    environment = {**platform.environment(role), "FOUND": str(found), "PYTHONPATH": str(package.parent), **variables}
    if role != "prepare":
        environment["PORT"] = str(platform.plane.base_port + 4)
    with subprocess.Popen(command(role), env=warm.role(environment), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        if role != "prepare":
            until(lambda: process.poll() is not None or found.exists(), "the role has started", 180)
            process.send_signal(signal.SIGTERM)
        log = process.stderr.read()
    assert found.exists(), log
    return process.returncode, json.loads(found.read_text()), [re.sub(r"\d+", "0", line) for line in log.splitlines()]


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(("role", "code"), [("tracking", 0), ("prepare", 7)])
def test_a_warm_role_is_what_a_cold_one_is(platform: Platform, role: str, code: int) -> None:
    (warm_code, found, warm_log), (cold_code, expected, cold_log) = (
        started(platform, role, variables) for variables in ({}, warm.COLD)
    )
    assert (warm_code, cold_code) == (code, code)
    for line in (*warm_log, *cold_log):
        assert list(json.loads(line))[:5] == ["time", "level", "logger", "message", "role"]
    of_uvicorn = [[line for line in log if '"logger": "uvicorn' in line] for log in (warm_log, cold_log)]
    assert of_uvicorn[0] == of_uvicorn[1]
    assert_alike(found, expected)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("role", ROLES)
def test_wrong_settings_end_it_alike(platform: Platform, role: str) -> None:
    done = [platform.run(role, **{"MLFLOW_RUNTIME_NONSENSE": "1", **variables}) for variables in ({}, warm.COLD)]
    assert [each.returncode for each in done] == [2, 2]
    (found, expected) = ([re.sub(r'"time": "[^"]*"', "", line) for line in each.stderr.splitlines()] for each in done)
    assert found == expected
    assert len(found) == 1
