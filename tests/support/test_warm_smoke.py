"""A smoke program that starts warm is the one that starts cold, but for its time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import delivery
from delivery.smoke.environment import CREDENTIALS, FOREIGN_PREFIXES, QUIET, request_limits
from tests.delivery.smoke.proxy import Answer, Forward, proxy
from tests.support import warm
from tests.support.warm_facts import TELLING, assert_alike, read_meanwhile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs start warm on Linux alone")

# What tests set for one smoke program, beside what is MLflow's and OpenTelemetry's.
OF_ONE_PROGRAM = {"HOME", "TMPDIR", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
# Where MLflow keeps the settings of Databricks and environments in which it serves models; the client of S3.
NOT_USED = (
    "mlflow.environment_variables",
    "mlflow.legacy_databricks_cli.configure.provider",
    "sysconfig",
    "pyarrow.fs",
)
# Made again in each child.
READ_AGAIN = ("wsgiref.handlers", "aiohttp.connector")
# scikit-learn sets them for Intel's OpenMP, which nothing here has.
OF_INTELS_OPENMP = {"KMP_DUPLICATE_LIB_OK": "True", "KMP_INIT_AT_FORK": "FALSE"}

# The product's package with another `__main__`, which writes down what it is when the program has run.
PACKAGE = "__path__.append({real!r})\n"
MAIN = f"""{TELLING}
import tempfile
def model():
    from delivery.smoke.steps import models
    import mlflow
    fitted, folder = models.trained(), tempfile.mkdtemp()
    mlflow.sklearn.save_model(fitted, folder + "/model", pip_requirements=["scikit-learn"])
    loaded = mlflow.pyfunc.load_model(folder + "/model").predict(models.INPUTS)
    return [fitted.coef_.tolist(), loaded.tolist(), sorted(os.listdir(folder + "/model"))]
def ending(code):
    import mlflow
    found["tracking"] = [mlflow.get_tracking_uri(), mlflow.get_registry_uri(), str(mlflow.active_run())]
    found["model"] = model()
    found["temporary"] = tempfile.gettempdir()
    tell()
    ended(code)
ended, os._exit = os._exit, ending
from delivery import cli
cli.main()
"""
# A random name, and whether the telemetry, which is off, is that of a test.
OF_A_PROCESS = ("joblib._multiprocessing_helpers.name", "mlflow.telemetry.utils._IS_IN_CI_ENV_OR_TESTING")
DRAWN = """
import random, sys, uuid
print("skops.io" in sys.modules)
import numpy
print(random.random())
print(numpy.random.random())
print(uuid.uuid4())
"""


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with nullcontext() if warm.VARIABLE in os.environ else warm.started():
        yield dict(os.environ)


def test_its_server_reads_no_variable_of_one_program_and_runs_no_thread() -> None:
    environment = warm.of_the_smoke_program()
    found = read_meanwhile("smoke", environment)
    read = {name: {*by} - {*READ_AGAIN} for name, by in found["read"].items()}
    of_mlflow = {name for name, by in read.items() if by and name.startswith(FOREIGN_PREFIXES)}
    assert {name: environment.get(name) for name in of_mlflow} == {name: QUIET.get(name) for name in of_mlflow}
    assert {"MLFLOW_DISABLE_TELEMETRY", "MLFLOW_CONFIGURE_LOGGING", "OTEL_PROPAGATORS"} <= of_mlflow
    of_one = OF_ONE_PROGRAM | CREDENTIALS | {*request_limits(1)}
    assert {one for name in of_one for one in read.get(name, set())} == {*NOT_USED}
    assert (found["threads"], found["tasks"], found["changed"]) == (["MainThread"], 1, OF_INTELS_OPENMP)
    tops = {name.partition(".")[0] for name in found["modules"]}
    assert tops & {"mlflow_runtime", "components", "infra", "delivery", "tests"} == set()


def smoked(environment: Mapping[str, str], folder: Path, url: str) -> tuple[int, list[str], dict[str, Any]]:
    """The exit code of a smoke program, what it said without its times, and what it found itself to be."""
    package, found = folder / "delivery", folder / "found.json"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(PACKAGE.format(real=str(Path(delivery.__file__).parent)))
    (package / "__main__.py").write_text(MAIN)
    found.unlink(missing_ok=True)
    leaks = {"MLFLOW_EXPERIMENT_NAME": "mine", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "delivery", "smoke", url, "--quick", "--json"],
        cwd=folder,
        env={**environment, **leaks, "FOUND": str(found)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.exists(), done.stderr
    said = [re.sub(r"\b\d+\.\d+ s|(?<=\"seconds\": )[\d.]+", "0", each) for each in (done.stdout, done.stderr)]
    return done.returncode, said, json.loads(found.read_text())


def test_a_warm_one_is_what_a_cold_one_is(environment: dict[str, str], tmp_path: Path) -> None:
    def no_mlflow(_method: str, _path: str, _forward: Forward) -> Answer:
        return Answer(status=200, body=b"<html>a shop</html>")

    cold = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", warm.VARIABLE)}
    with proxy("http://127.0.0.1:9", no_mlflow) as front:
        (code, said, found), (cold_code, cold_said, expected) = (
            smoked(each, tmp_path, front.url) for each in (environment, cold)
        )
    assert (code, said) == (cold_code, cold_said)
    assert code == 1
    assert "is this an MLflow server?" in said[0]
    assert found["tracking"][0] == front.url
    for name in OF_INTELS_OPENMP:
        expected["environment"].pop(name)
    assert_alike(found, expected, *OF_A_PROCESS)


def test_two_of_them_draw_other_numbers(environment: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "mlflow-platform"
    program.write_text(DRAWN)
    command = [sys.executable, str(program), "smoke"]
    drawn = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    one, other = (each.stdout.splitlines() for each in drawn)
    assert one[0] == other[0] == "True"
    assert set(one[1:]) & set(other[1:]) == set()
