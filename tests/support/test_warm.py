"""A program that starts warm is the program that starts cold, but for its time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import psutil
import pytest
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2_grpc

from delivery.pulumi.installation import REPOSITORY
from tests.support import warm
from tests.support.waiting import until
from tests.support.warm_facts import assert_holds, read_meanwhile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs start warm on Linux alone")

# What a program can see of how it was started.
SEEN = """
import json, os, signal, sys
loaded = [name for name in ("pulumi_azure_native.network.virtual_network", "skops.io") if name in sys.modules]
import dill
json.dump({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "executable": sys.executable, "flags": sys.flags,
    "folder": os.getcwd(), "environment": dict(os.environ), "umask": os.umask(0),
    "signals": [str(signal.getsignal(one)) for one in sorted(signal.valid_signals() - {signal.SIGINT})],
    "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "streams": [
        [one.encoding, one.errors, one.fileno(), one.line_buffering, one.write_through]
        for one in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "main": sorted(globals()), "file": __file__, "name": __name__, "files": sorted(os.listdir("/proc/self/fd")),
    "dill's": dill._dill._main_module is sys.modules["__main__"], "input": sys.stdin.read(), "threads":
    len(os.listdir("/proc/self/task")), "loaded": loaded, "loader": type(__loader__).__name__,
}, sys.stdout)
"""
ENDS = {
    "its end": "print('out')",
    "a code": "import sys; print('out'); sys.exit(3)",
    "a sentence": "import sys; sys.exit('it says why')",
    "none": "import sys; sys.exit()",
    "an error": "def deep():\n    raise ValueError('no')\ndeep()",
    "an interrupt": "raise KeyboardInterrupt",
    "a syntax error": "def (",
    "a signal": "import os; os.kill(os.getpid(), 9)",
    "at once": "import os; print('out'); os._exit(5)",
    "a thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.1), print('late'))).start()",
    "at exit": "import atexit; atexit.register(print, 'late')",
    "an unread line": "import os; os.close(1); print('lost')",
    "a hook": "import sys; sys.excepthook = lambda *all: print('hooked', all[1]); 1 / 0",
}
HANDLED = """
import signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: sys.exit(number + 100))
print("ready")
time.sleep(60)
"""
PLAIN = "import os, time\nprint(os.getpid())\ntime.sleep(60)\n"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with nullcontext() if warm.VARIABLE in os.environ else warm.started():
        yield dict(os.environ)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A file with the name of the engine's, by which it is known."""
    return tmp_path / "pulumi-language-python-exec"


def ran(
    environment: Mapping[str, str], *command: object, folder: Path | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-u", *(str(part) for part in command)],
        cwd=folder,
        env=dict(environment),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def seen(
    environment: Mapping[str, str],
    program: Path,
    *,
    executable: str = sys.executable,
    options: Sequence[str] = ("-u",),
    first: str = "one",
) -> Any:
    program.write_text(SEEN)
    done = subprocess.run(
        [executable, *options, program, first, "two words"],
        cwd=program.parent,
        env=dict(environment),
        input="what comes in",
        capture_output=True,
        text=True,
        timeout=60,
        umask=0o027,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def both(environment: Mapping[str, str], *command: object, folder: Path | None = None) -> list[tuple[int, str, str]]:
    """How a command ends warm and cold."""
    done = [ran(one, *command, folder=folder) for one in (environment, {**environment, **warm.COLD})]
    return [(one.returncode, one.stdout, one.stderr) for one in done]


@pytest.mark.parametrize(
    ("name", "options", "first", "loaded"),
    [
        ("pulumi-language-python-exec", ("-u",), "one", "pulumi_azure_native.network.virtual_network"),
        ("mlflow-platform", (), "one", "pulumi_azure_native.network.virtual_network"),
        ("mlflow-platform", (), "smoke", "skops.io"),
    ],
    ids=["engine's", "product's", "smoke"],
)
def test_a_warm_program_sees_what_a_cold_one_does(
    environment: dict[str, str], tmp_path: Path, name: str, options: Sequence[str], first: str, loaded: str
) -> None:
    environment, program = environment | {"ONE": "\udcff", "TZ": "Asia/Tokyo"}, tmp_path / name
    environment.pop("PYTHONUNBUFFERED", None)
    found, expected = (
        seen(one, program, options=options, first=first) for one in (environment, environment | warm.COLD)
    )
    assert (found.pop("loaded"), expected.pop("loaded")) == ([loaded], [])
    assert [one["environment"].pop(warm.VARIABLE) != "" for one in (found, expected)] == [True, False]
    assert found == expected
    assert (found["argv"][1:], found["input"], found["umask"]) == ([first, "two words"], "what comes in", 0o027)


@pytest.mark.parametrize("source", ENDS.values(), ids=ENDS)
def test_it_ends_as_a_cold_one_does(environment: dict[str, str], program: Path, source: str) -> None:
    program.write_text(source)
    found, expected = both(environment, program)
    assert found == expected


# Whether the product is there already, and what it finds at its import.
OF_THE_PRODUCT = """
import json, sys
from pulumi import _types
loaded = "infra.program" in sys.modules, _types._types_from_py_properties.cache_info().currsize > 100
import infra.program
if "azure" in sys.argv:
    import infra.azure.program, infra.local
plain = (str, bytes, int, float, bool, type(None))
json.dump([loaded, infra.program.__file__, {
    f"{name}.{attribute}": repr(value)
    for name, module in sorted(sys.modules.items()) if name.partition(".")[0] in ("components", "delivery", "infra")
    for attribute, value in vars(module).items() if type(value) in plain and attribute != "__path__"
}], sys.stdout)
"""


def test_a_program_in_the_checkout_has_the_product_as_it_would_import_it(
    environment: dict[str, str], program: Path
) -> None:
    program.write_text(OF_THE_PRODUCT)
    command = [sys.executable, str(program), "azure"]
    (loaded, file, constants), (cold, cold_file, expected) = (
        json.loads(subprocess.run(command, cwd=REPOSITORY, env=one, stdout=subprocess.PIPE, check=True).stdout)
        for one in (environment, {**environment, **warm.COLD})
    )
    assert (loaded, cold) == ([True, True], [False, False])
    assert (file, cold_file) == (str(REPOSITORY / "infra" / "program.py"),) * 2
    assert len(expected) > 500
    assert_holds(constants, expected)


def test_a_program_with_a_product_of_its_own_reads_that(
    environment: dict[str, str], program: Path, tmp_path: Path
) -> None:
    program.write_text(OF_THE_PRODUCT)
    own = tmp_path / "infra" / "program.py"
    own.parent.mkdir()
    for file in (own, own.with_name("__init__.py")):
        file.touch()
    by_path = {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{tmp_path}"}
    for variables, folder in ((environment, tmp_path), (by_path, REPOSITORY)):
        done = ran(variables, program, folder=folder)
        assert (done.returncode, json.loads(done.stdout)[1]) == (0, str(own)), done.stderr


def test_the_product_reads_no_variable_while_its_server_imports_it() -> None:
    found = read_meanwhile("engine", dict(os.environ))
    readers = {module.partition(".")[0] for by in found["read"].values() for module in by}
    assert "pulumi" in readers
    assert readers & {"components", "delivery", "infra", "tools"} == set()
    assert {"infra.azure.program", "infra.local", "infra.settings.model"} <= {*found["modules"]}
    assert (found["threads"], found["tasks"], found["changed"]) == (["MainThread"], 1, {})


@pytest.mark.parametrize(
    "words", [("status",), ("cost", "nothing.json"), ("nonsense",), ("preview",), ("smoke", "ftp://no")], ids=" ".join
)
def test_a_command_of_the_product_says_the_same(
    environment: dict[str, str], tmp_path: Path, words: Sequence[str]
) -> None:
    found, expected = both(environment, "-m", "delivery", *words, folder=tmp_path)
    assert found == expected
    assert "".join(found[1:])


def test_a_provider_serves(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "pulumi.dynamic", "127.0.0.1:1"]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
                info = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty(), timeout=30)
        finally:
            process.terminate()
    assert info.version


@pytest.fixture
def heard() -> Iterator[None]:
    """Nothing that this run was started by, such as nohup, keeps a signal away."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("source", [HANDLED, PLAIN], ids=["handled", "plain"])
def test_a_signal_reaches_it(environment: dict[str, str], program: Path, number: signal.Signals, source: str) -> None:
    program.write_text(source)
    codes = []
    for variables in (environment, environment | warm.COLD):
        with subprocess.Popen([sys.executable, "-u", program], env=variables, stdout=-1, stderr=-1) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.send_signal(number)
            codes.append(process.wait(timeout=30))
    assert codes == [number + 100 if source == HANDLED else -number] * 2


def test_it_says_nothing_between_an_interrupt_and_a_kill(environment: dict[str, str], program: Path) -> None:
    """As the engine ends a program when a resource has failed."""
    program.write_text(HANDLED.replace("sys.exit(number + 100)", "print('interrupted')"))
    said = list[str]()
    while len(said) < 10:
        with subprocess.Popen([sys.executable, "-u", program], env=environment, stdout=-1, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)  # what the engine's language host takes
            process.kill()
            at_once = time.monotonic() - began < 0.05  # on a busy machine it may not be
            text = process.stdout.read()
            if at_once:
                said.append(text)
    assert said == [""] * 10


def test_an_ignored_signal_is_ignored_by_it(environment: dict[str, str], program: Path) -> None:
    program.write_text("import signal; print(signal.getsignal(2) is signal.SIG_IGN)")
    line = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-u", str(program)]
    assert subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout == "True\n"


def test_it_dies_with_its_interpreter(environment: dict[str, str], program: Path) -> None:
    program.write_text(PLAIN)
    with subprocess.Popen([sys.executable, "-u", program], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert child.pid != process.pid
        process.kill()
    until(lambda: not child.is_running(), "the child's end", 30)


@pytest.mark.parametrize("variable", ["PYTHONHASHSEED=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=latin-1"])
def test_what_an_interpreter_decides_at_its_start_starts_cold(
    environment: dict[str, str], program: Path, variable: str
) -> None:
    name, _, value = variable.partition("=")
    assert seen(environment | {name: value}, program)["loaded"] == []


def test_another_environment_starts_cold(environment: dict[str, str], program: Path, tmp_path: Path) -> None:
    """One with the same packages, elsewhere."""
    other = tmp_path / "other"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", other)
    (other / "lib").symlink_to(Path(sys.prefix) / "lib")
    assert seen(environment, program, executable=str(other / "bin" / "python"))["loaded"] == []


def test_without_its_server_a_program_starts_cold(environment: dict[str, str], program: Path, tmp_path: Path) -> None:
    assert seen(environment | {warm.VARIABLE: str(tmp_path / "none")}, program)["loaded"] == []


def test_a_list_of_packages_is_kept_until_one_is_installed(environment: dict[str, str], tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    environment = environment | {"PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{packages}"}
    command = ("-m", "pip", "list", "--format", "json")
    answers = Path(environment[warm.VARIABLE])
    before = set(answers.iterdir())
    found, expected = both(environment, *command)
    assert found == expected
    made = set(answers.iterdir()) - before  # tests of other workers list packages too
    (kept,) = (each for each in made if each.exists() and each.read_text() == found[1])
    kept.write_text("as kept")
    assert ran(environment, *command, folder=packages).stdout == "as kept"
    info = packages / "new_one-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: new-one\nVersion: 1.0\n")
    found, expected = both(environment, *command)
    assert found == expected
    assert "new-one" in found[1]


def test_a_list_that_fails_says_why_each_time(environment: dict[str, str], tmp_path: Path) -> None:
    for _ in range(2):
        found, expected = both(environment, "-m", "pip", "list", "--format", "none", folder=tmp_path)
        assert found == expected
        assert found[0] != 0
